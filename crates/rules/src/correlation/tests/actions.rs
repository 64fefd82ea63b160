//! Actions: what is asked of whom, and what is refused where.

use serde_json::json;
use spina_core::correlation::{Action, Incident, IncidentEvent, Occasion};

use super::*;

const CLOSING: &str = r#"
rules:
  storm:
    match: [a=b]
    group_by: [airport]
    severity: critical
    actions:
      - on: opened
        command: ops.Close
        stream: "'airport-' + labels.airport"
        fields: { reason: "rule + ': ' + summary", note: "incident + '/' + severity + '/' + string(count)" }
      - { on: resolved, command: ops.Close, stream: "labels.airport", fields: { reason: "'over'" } }
"#;

fn incident(labels: Labels) -> Incident {
    let event = IncidentEvent::IncidentOpened {
        incident: "i7".into(),
        rule: "flights/storm".into(),
        rules_version: "v".into(),
        group: labels,
        severity: "critical".into(),
        summary: "no flights".into(),
        at: Timestamp::default(),
        began_at: Timestamp::default(),
        count: 30,
        reason: String::new(),
        evidence: Vec::new(),
        alternatives: Vec::new(),
    };
    Incident::opened(&event).unwrap()
}

fn asked(text: &str, on: Occasion, airport: &str) -> Vec<Action> {
    let file = load(text).unwrap();
    let labels = [("airport".to_owned(), airport.to_owned())].into_iter().filter(|(_, value)| !value.is_empty());
    file.rules[0].actions(on, &incident(labels.collect()))
}

#[test]
fn an_action_is_a_command_with_its_stream_and_fields() {
    let closing = Action {
        on: Occasion::Opened,
        command: "ops.Close".into(),
        stream: "airport-EWR".into(),
        fields: json!({ "reason": "flights/storm: no flights", "note": "i7/critical/30" }).as_object().unwrap().clone(),
        withheld: None,
    };
    assert_eq!(asked(CLOSING, Occasion::Opened, "EWR"), [closing]);
    assert!(asked(CLOSING, Occasion::Acknowledged, "EWR").is_empty());
}

#[test]
fn what_cannot_be_asked_says_why() {
    let why = |text: &str, on, airport| asked(text, on, airport)[0].withheld.clone().unwrap();
    let lacking = why(CLOSING, Occasion::Opened, "");
    assert!(lacking.contains("'airport-' + labels.airport"), "{lacking}");
    let unfit = why(CLOSING, Occasion::Resolved, "EWR");
    assert!(unfit.contains("stream id `EWR`"), "{unfit}");
    let number = CLOSING.replace("stream: \"labels.airport\"", "stream: count");
    assert_eq!(why(&number, Occasion::Resolved, "EWR"), "`stream` is a stream's id, this gave 30");
    let failing = why(&CLOSING.replace("'over'", "labels.airport + 1"), Occasion::Resolved, "a-1");
    assert!(failing.starts_with("`reason`: "), "{failing}");
}

#[test]
fn what_was_recorded_is_taken_without_its_contexts() {
    let texts = BTreeMap::from([("flights".to_owned(), CLOSING.replace("ops.Close", "gone.Gone"))]);
    let set = RuleSet::recorded(&texts).unwrap();
    assert_eq!(set.rule("flights/storm").map(|rule| rule.actions.len()), Some(2));
    let problems = RuleSet::of(&texts, &known()).unwrap_err().to_string();
    assert!(problems.starts_with("flights/correlation.yaml:9:18: there is no context `gone`"), "{problems}");
}

/// The text before the actions that are wrong.
const BEFORE: &str = "rules: { r: { match: [a=b], group_by: [airport], actions: ";

/// Actions with one thing wrong: how many columns after the text before, and a word of what is told.
const WRONG: &[(&str, usize, &str)] = &[
    ("{}", 0, "actions must be a list"),
    ("[x]", 1, "an action must be a mapping"),
    ("[{ on: opened, command: ops.Close, stream: 's-1', fields: { reason: summary }, when: x }]", 79, "no key `when`"),
    ("[{ command: ops.Close, stream: incident, fields: { reason: summary } }]", 1, "an action needs on"),
    ("[{ on: opened, stream: incident, fields: { reason: summary } }]", 1, "an action needs command"),
    ("[{ on: opened, command: ops.Close, fields: { reason: summary } }]", 1, "an action needs stream"),
    ("[{ on: grew, command: ops.Close, stream: incident, fields: { reason: summary } }]", 7, "`grew` is not when"),
    ("[{ on: 1, command: ops.Close, stream: incident, fields: { reason: summary } }]", 7, "on must be text"),
    ("[{ on: opened, command: Close, stream: incident }]", 24, "`Close` names no context: write `<context>.<command>`"),
    ("[{ on: opened, command: [], stream: incident }]", 24, "command must be text"),
    ("[{ on: opened, command: shop.Close, stream: incident }]", 24, "no context `shop`; there are flights, ops"),
    ("[{ on: opened, command: ops.Open, stream: incident }]", 24, "context ops has no command `Open`, it has Close"),
    ("[{ on: opened, command: ops.Close, stream: incident }]", 24, "Close needs the field `reason`"),
    ("[{ on: opened, command: ops.Close, stream: incident, fields: [] }]", 61, "fields must be a mapping"),
    (
        "[{ on: opened, command: ops.Close, stream: incident, fields: { reason: summary, by: rule } }]",
        80,
        "Close has no field `by`, it has: reason, note",
    ),
    ("[{ on: opened, command: ops.Close, stream: data.x, fields: { reason: rule } }]", 43, "unknown name `data`"),
    ("[{ on: opened, command: ops.Close, stream: now(), fields: { reason: rule } }]", 46, "unknown function"),
    ("[{ on: opened, command: ops.Close, stream: [], fields: { reason: rule } }]", 43, "stream must be an expression"),
    ("[{ on: opened, command: ops.Close, stream: rule +, fields: { reason: rule } }]", 49, "not a CEL expression"),
    ("[{ on: opened, command: ops.Close, stream: rule, fields: { reason: at } }]", 67, "unknown name `at`"),
    (
        "[{ on: opened, command: ops.Close, stream: labels.host, fields: { reason: rule } }]",
        43,
        "no label `host`: group_by gives airport",
    ),
];

#[test]
fn every_mistake_is_told_with_its_place() {
    for (text, column, word) in WRONG {
        let problems = load(&format!("{BEFORE}{text} }} }}")).err().unwrap_or_else(|| panic!("{text} was taken"));
        let place = format!("c.yaml:1:{}: ", BEFORE.len() + 1 + column);
        let told = problems.lines().any(|line| line.starts_with(&place) && line.contains(word));
        assert!(told && problems.lines().count() <= 2, "{place}{word}: {text}\n{problems}");
    }
}

#[test]
fn a_rule_has_at_most_twenty() {
    let action = "{ on: opened, command: ops.Close, stream: incident, fields: { reason: rule } }";
    let with = |count: usize| load(&format!("{BEFORE}[{}] }} }}", vec![action; count].join(", ")));
    assert_eq!(with(20).unwrap().rules[0].actions.len(), 20);
    let problems = with(21).unwrap_err();
    assert_eq!(problems, format!("c.yaml:1:{}: at most 20 actions are allowed of a rule", BEFORE.len() + 1));
}
