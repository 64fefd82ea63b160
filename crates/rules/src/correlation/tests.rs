//! Correlation files: what they say, and what is refused where.

use std::collections::BTreeMap;

use spina_core::Timestamp;
use spina_core::correlation::{Kind, Labels, Signal};

use super::*;
use crate::decide::Shapes;
use crate::event_shape::{EventField, EventShape, FieldKind};
use crate::known::Known;
use crate::source::Source;

mod actions;

/// The flights' one event, and the one command of those who look after airports.
fn known() -> Known {
    let field = |name: &str, kind| EventField { name: name.into(), kind, nullable: false, has_default: false };
    let fields = vec![field("origin", FieldKind::Text), field("delay", FieldKind::Integer)];
    let flights = Shapes { events: vec![EventShape { name: "Cancelled".into(), fields }], commands: Vec::new() };
    let note = EventField { has_default: true, ..field("note", FieldKind::Text) };
    let fields = vec![field("reason", FieldKind::Text), note];
    let ops = Shapes { events: Vec::new(), commands: vec![EventShape { name: "Close".into(), fields }] };
    [("flights".parse().unwrap(), flights), ("ops".parse().unwrap(), ops)].into()
}

fn load(text: &str) -> Result<FileRules, String> {
    compile(&Source::new("c.yaml", text), "flights", Some(&known())).map_err(|problems| problems.to_string())
}

const WHOLE: &str = r#"
lateness: 2h
signals:
  Cancelled: { name: cancellation, when: data.delay > 0, labels: { airport: data.origin } }
rules:
  storm:
    match: ['signal="cancellation"']
    when: labels.airport != "LGA"
    group_by: [airport]
    window: { sliding: 6h }
    open: { count: 30 }
    resolve: { quiet: 12h }
    span_max: 5d
    severity: critical
    summary: "{count} cancellations at {labels.airport}"
  busy: { match: ['signal="cancellation"'], window: { tumbling: 1h }, open: { rate: { signals: 2, per: 1m } } }
inhibit:
  - { source: ['rule="flights/storm"'], target: ['rule="flights/busy"'], equal: [airport] }
services: { shop: [payments, db] }
receivers: { ops: { webhook: "http://127.0.0.1:9/hook", format: generic } }
routes: [{ receiver: ops, group_by: [airport], wait: 1s }]
"#;

fn signal(airport: &str) -> Signal {
    let labels: Labels = [("signal", "cancellation"), ("airport", airport)]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .into_iter()
        .collect();
    Signal {
        source: "flights".into(),
        part: 0,
        id: "1".into(),
        time: Timestamp::default(),
        kind: Kind::Occurrence,
        labels,
        annotations: Labels::default(),
        ends_at: None,
        link: None,
    }
}

#[test]
fn a_file_becomes_rules() {
    let file = load(WHOLE).unwrap();
    assert_eq!((file.lateness, file.mappings.len(), file.rules.len()), (7_200_000_000, 1, 2));
    let storm = &file.rules[0];
    assert_eq!(storm.name, "flights/storm");
    assert_eq!((storm.matches(&signal("EWR")), storm.matches(&signal("LGA"))), (Ok(true), Ok(false)));
    assert_eq!(storm.summary(&signal("EWR").labels, 31), "31 cancellations at EWR");
    assert!(matches!(&file.rules[1].detect, Detect::Count { count: 120, .. }), "2 a minute is 120 an hour");
    assert_eq!(file.rules[1].resolve, Resolve::Quiet(3_600_000_000), "quiet for a window, unless it says otherwise");
    assert_eq!(file.receivers[0].format, Format::Generic);
    assert!(load("").unwrap().rules.is_empty());
}

#[test]
fn files_come_together_and_have_a_version() {
    let texts = BTreeMap::from([("flights".to_owned(), WHOLE.to_owned()), ("monitoring".to_owned(), String::new())]);
    let set = RuleSet::of(&texts, &known()).unwrap();
    assert_eq!(set.rules().count(), 2);
    assert_eq!(set.version, RuleSet::of(&texts, &known()).unwrap().version);
    let far = "rules: { r: { match: [a=b], sources: [elsewhere] } }";
    let texts = BTreeMap::from([("monitoring".to_owned(), far.to_owned())]);
    let problems = RuleSet::of(&texts, &known()).unwrap_err().to_string();
    assert!(problems.starts_with("monitoring/correlation.yaml:1:39: there is no source `elsewhere`"), "{problems}");
}

/// Each file has one thing wrong: where, and a word of what is told.
const WRONG: &[(&str, &str, &str)] = &[
    ("rulez: {}", "1:1", "has no key `rulez`"),
    ("- rules", "1:1", "must be a mapping"),
    ("rules: []", "1:8", "must be a mapping"),
    ("lateness: 5", "1:11", "span of time"),
    ("idle: soon", "1:7", "span of time"),
    ("resolve_after: 0s", "1:16", "span of time"),
    ("signals: { Landed: { name: x } }", "1:12", "no event `Landed`; it has Cancelled"),
    ("signals: { Cancelled: {} }", "1:23", "needs a name"),
    ("signals: { Cancelled: { name: Big } }", "1:31", "not a signal name"),
    ("signals: { Cancelled: { name: x, what: y } }", "1:34", "no key `what`"),
    ("signals: { Cancelled: { name: x, labels: { a: data.orign } } }", "1:47", "no field `orign`"),
    ("signals: { Cancelled: { name: x, labels: { signal: data.origin } } }", "1:44", "the label `signal`"),
    ("signals: { Cancelled: { name: x, labels: { a-b: data.origin } } }", "1:44", "not a label name"),
    ("signals: { Cancelled: { name: x, when: labels.a } }", "1:40", "unknown name `labels`"),
    ("signals: { Cancelled: { name: x, time: now() } }", "1:43", "unknown function"),
    ("rules: { Storm: { match: [a=b] } }", "1:10", "not a rule name"),
    ("rules: { storm: {} }", "1:10", "would take every signal"),
    ("rules: { storm: { match: [] } }", "1:26", "has no matcher"),
    ("rules: { storm: { match: [a] } }", "1:27", "a matcher is a label"),
    ("rules: { storm: { match: ['a=~\"(\"'] } }", "1:27", "regular expression"),
    ("rules: { storm: { match: [a=b, a=b] } }", "1:32", "named twice"),
    ("rules: { storm: { match: a=b } }", "1:26", "must be a list"),
    ("rules: { storm: { when: labels.a == } }", "1:36", "not a CEL expression"),
    ("rules: { storm: { when: data.a == 1 } }", "1:25", "unknown name `data`"),
    ("rules: { storm: { match: [a=b], group_by: [1x] } }", "1:44", "not a label name"),
    ("rules: { storm: { match: [a=b], sources: [] } }", "1:42", "names no context"),
    ("rules: { storm: { match: [a=b], window: { rolling: 1h } } }", "1:43", "no key `rolling`"),
    ("rules: { storm: { match: [a=b], window: {} } }", "1:41", "is one of sliding"),
    ("rules: { storm: { match: [a=b], window: { sliding: 1h, tumbling: 1h } } }", "1:41", "is one of sliding"),
    ("rules: { storm: { match: [a=b], window: { sliding: long } } }", "1:52", "span of time"),
    ("rules: { storm: { match: [a=b], open: second } }", "1:39", "write first"),
    ("rules: { storm: { match: [a=b], open: { count: 0 } } }", "1:48", "from 1 to"),
    ("rules: { storm: { match: [a=b], open: { count: 2, absence: 1m } } }", "1:39", "exactly one of"),
    ("rules: { storm: { match: [a=b], open: { absence: 1m, distinct: a } } }", "1:64", "goes with count"),
    ("rules: { storm: { match: [a=b], open: { sequence: [[a=b]] } } }", "1:51", "2 to 20 steps"),
    ("rules: { storm: { match: [a=b], open: { all_of: [[a=b], []] } } }", "1:57", "has no matcher"),
    ("rules: { storm: { match: [a=b], open: { rate: { signals: 5 } } } }", "1:47", "a rate is"),
    (
        "rules: { storm: { match: [a=b], window: { session: 1m }, open: { rate: { signals: 5, per: 1m } } } }",
        "1:72",
        "fixed length",
    ),
    (
        "rules: { storm: { match: [a=b], window: { sliding: 30d }, open: { rate: { signals: 5, per: 1s } } } }",
        "1:73",
        "at most 100000",
    ),
    ("rules: { storm: { match: [a=b], resolve: never } }", "1:42", "all, first, last"),
    ("rules: { storm: { match: [a=b], resolve: {} } }", "1:42", "quiet: SPAN"),
    ("rules: { storm: { match: [a=b], open: { absence: 1m }, resolve: all } }", "1:65", "leave resolve out"),
    ("rules: { storm: { match: [a=b], span_max: 2y } }", "1:43", "span of time"),
    ("rules: { storm: { match: [a=b], summary: 'x {labels.a' } }", "1:42", "brace is not closed"),
    ("rules: { storm: { match: [a=b], groups_max: 0 } }", "1:45", "from 1 to"),
    ("rules: { storm: { match: [a=b], near: {} } }", "1:39", "needs hops"),
    ("rules: { storm: { match: [a=b], near: { hops: 9 } } }", "1:47", "from 0 to 8"),
    ("rules: { storm: { match: [a=b], near: { hops: 1, merge: 1 } } }", "1:57", "true or false"),
    ("inhibit: [{ source: [a=b] }]", "1:11", "needs target"),
    ("services: { shop: [shop] }", "1:20", "depend on itself"),
    ("receivers: { ops: { webhook: 'ftp://x' } }", "1:30", "not a URL"),
    ("receivers: { ops: { format: xml } }", "1:29", "unknown format"),
    ("receivers: { ops: { send_resolved: 3 } }", "1:36", "true or false"),
    ("routes: [{}]", "1:10", "needs a receiver"),
    ("routes: [{ receiver: ops }]", "1:22", "no receiver `ops`"),
    ("receivers: { o: {} }\nroutes: [{ receiver: o, mute: [{ days: [noon] }] }]", "2:41", "unknown day `noon`"),
    ("receivers: { o: {} }\nroutes: [{ receiver: o, mute: [{ from: '25:00' }] }]", "2:40", "a time of the day"),
    ("receivers: { o: {} }\nroutes: [{ receiver: o, mute: [{ from: '8:00' }] }]", "2:40", "a time of the day"),
    ("receivers: { o: {} }\nroutes: [{ receiver: o, mute: [{ from: '08:00', to: '08:00' }] }]", "2:32", "is none"),
];

#[test]
fn mute_times_cover_the_night_after_their_day() {
    let night = "receivers: { o: {} }\nroutes: [{ receiver: o, mute: [{ days: [fri], from: '22:00', to: '06:00' }] }]";
    let file = load(night).unwrap();
    let muted = |text: &str| file.routes[0].is_muted(text.parse().unwrap());
    // 2013-02-08 was a Friday.
    assert!(muted("2013-02-08T22:00:00Z") && muted("2013-02-09T05:59:59Z"));
    assert!(!muted("2013-02-08T21:59:59Z") && !muted("2013-02-09T06:00:00Z") && !muted("2013-02-09T22:00:00Z"));
    let sunday = load("receivers: { o: {} }\nroutes: [{ receiver: o, mute: [{ days: [sun] }] }]").unwrap();
    assert!(sunday.routes[0].is_muted("2013-02-10T23:59:59Z".parse().unwrap()));
    assert!(!sunday.routes[0].is_muted("2013-02-11T00:00:00Z".parse().unwrap()));
}

#[test]
fn every_mistake_is_told_with_its_place() {
    for (text, place, word) in WRONG {
        let problems = load(text).err().unwrap_or_else(|| panic!("{text} was taken"));
        let first = problems.lines().next().unwrap();
        assert!(first.starts_with(&format!("c.yaml:{place}: ")) && problems.contains(word), "{text}\n{problems}");
    }
    assert!(WRONG.len() >= 50);
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "lateness: never\nrules:\n  Storm: { match: [a], open: second }\n  calm: { when: 1 + }\n";
    let problems = load(text).unwrap_err();
    assert_eq!(problems.lines().count(), 5, "{problems}");
}
