//! Rules: what they decide, and what does not compile.

use serde_json::{Map, Value, json};
use spina_core::aggregate::{Aggregate, Decided, Refused, Request};
use spina_core::event_shape::{EventField, EventShape, FieldKind};
use spina_core::{EventHeaders, Position, Recorded, State, Version};

use super::*;
use crate::context::ContextDef;
use crate::source::Source;

const ACCOUNTS: &str = "\
context: bank
partitions: 1
aggregates:
  account:
    events: [Opened, PaidIn, DrawnOut, Emptied]
    initial: { balance: 0 }
    commands:
      Open:
        require:
          - { rule: state.status == null, code: account.exists }
        emit:
          - { event: Opened }
      DrawOut:
        require:
          - { rule: state.status != null, code: account.unknown, message: 'there is no account {key}' }
          - { rule: command.amount > 0, code: amount.not_positive }
          - { rule: command.amount <= state.balance, code: account.overdrawn, message: 'only {state.balance} are left' }
        emit:
          - { event: DrawnOut, fields: { left: state.balance - command.amount } }
          - { event: Emptied, when: command.amount == state.balance, fields: { after: version } }
    evolve:
      PaidIn: { balance: state.balance + data.amount, paid_in_at: event.version }
      DrawnOut: { balance: data.left }
";

fn shapes() -> Shapes {
    let field = |name: &str, kind| EventField { name: name.into(), kind, nullable: false, has_default: false };
    let (whole, text) = (FieldKind::Integer, FieldKind::Text);
    let shape = |name: &str, fields: Vec<EventField>| EventShape { name: name.into(), fields };
    Shapes {
        events: vec![
            shape("Opened", vec![field("owner", text.clone())]),
            shape("PaidIn", vec![field("amount", whole.clone())]),
            shape("DrawnOut", vec![field("amount", whole.clone()), field("left", whole.clone())]),
            shape("Emptied", vec![field("after", whole.clone())]),
        ],
        commands: vec![shape("Open", vec![field("owner", text)]), shape("DrawOut", vec![field("amount", whole)])],
    }
}

fn compiled(text: &str) -> Result<RuleDecider, String> {
    let source = Source::new("context.yaml", text);
    let context = ContextDef::parse(&source).map_err(|problems| problems.to_string())?;
    let mut deciders = compile(&source, &context, &shapes()).map_err(|problems| problems.to_string())?;
    Ok(deciders.remove("account").unwrap())
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The state after events, each a name and its fields.
fn after(decider: &RuleDecider, events: &[(&str, Value)]) -> State {
    events.iter().fold(decider.begin(), |state, (name, data)| {
        let headers = EventHeaders {
            id: "e".into(),
            event_type: format!("bank.account.{name}"),
            stream: "account-7".parse().unwrap(),
            version: state.version.plus(1),
            time: "2013-01-01T10:15:00Z".parse().unwrap(),
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            epoch: 1,
            request_id: None,
        };
        let position = Position { topic: "bank.events.v1".into(), partition: 0, offset: 0 };
        decider.fold(state, &Recorded { headers, position, data: fields(data.clone()) }).unwrap()
    })
}

fn decide(decider: &RuleDecider, state: &State, name: &str, data: Value) -> Result<Vec<Decided>, Refused> {
    let (stream, data) = ("account-7".parse().unwrap(), fields(data));
    decider.decide(state, Request { stream: &stream, name, data: &data })
}

fn rejected(answer: Result<Vec<Decided>, Refused>) -> (String, String) {
    match answer.unwrap_err() {
        Refused::Rejected(rejection) => (rejection.code, rejection.message),
        Refused::Unfit(unfit) => panic!("{unfit}"),
    }
}

fn decided(event: &str, data: Value) -> Decided {
    Decided { event: event.into(), data: fields(data) }
}

#[test]
fn a_command_leads_to_events_with_its_own_fields_and_those_of_formulas() {
    let decider = compiled(ACCOUNTS).unwrap();
    let new = decider.begin();
    assert_eq!(
        decide(&decider, &new, "Open", json!({"owner": "Ada"})),
        Ok(vec![decided("Opened", json!({"owner": "Ada"}))])
    );
    let open = after(&decider, &[("Opened", json!({"owner": "Ada"})), ("PaidIn", json!({"amount": 9}))]);
    assert_eq!((open.version, &open.data["balance"], &open.data["paid_in_at"]), (Version(2), &json!(9), &json!(2)));
    assert_eq!(
        decide(&decider, &open, "DrawOut", json!({"amount": 4})),
        Ok(vec![decided("DrawnOut", json!({"amount": 4, "left": 5}))])
    );
    assert_eq!(
        decide(&decider, &open, "DrawOut", json!({"amount": 9})).unwrap()[1],
        decided("Emptied", json!({"after": 2}))
    );
}

#[test]
fn the_first_rule_that_does_not_hold_rejects() {
    let decider = compiled(ACCOUNTS).unwrap();
    let new = decider.begin();
    let answer = |state: &State, amount: i64| rejected(decide(&decider, state, "DrawOut", json!({"amount": amount})));
    assert_eq!(answer(&new, -1), ("account.unknown".into(), "there is no account 7".into()));
    let open = after(&decider, &[("Opened", json!({"owner": "Ada"})), ("PaidIn", json!({"amount": 9}))]);
    assert_eq!(answer(&open, 0), ("amount.not_positive".into(), "required: command.amount > 0".into()));
    assert_eq!(answer(&open, 10), ("account.overdrawn".into(), "only 9 are left".into()));
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_no_rejection() {
    let decider = compiled(&ACCOUNTS.replace("{ balance: 0 }", "{ balance: text }")).unwrap();
    let open = after(&decider, &[("Opened", json!({"owner": "Ada"}))]);
    assert!(matches!(decide(&decider, &open, "DrawOut", json!({"amount": 1})), Err(Refused::Unfit(_))));
    let folded = after(&decider, &[("PaidIn", json!({"amount": 1}))]);
    assert_eq!(folded.data["balance"], Value::Null, "the fold cannot fail");
}

#[test]
fn a_changed_fold_has_another_fingerprint() {
    let fingerprint = |text: &str| compiled(text).unwrap().fingerprint();
    assert_eq!(fingerprint(ACCOUNTS), fingerprint(&ACCOUNTS.replace("account.overdrawn", "account.empty")));
    assert_ne!(fingerprint(ACCOUNTS), fingerprint(&ACCOUNTS.replace("balance: 0", "balance: 1")));
    assert_ne!(fingerprint(ACCOUNTS), fingerprint(&ACCOUNTS.replace("+ data.amount", "- data.amount")));
}

#[test]
fn each_mistake_is_named_with_its_place() {
    for (from, to, complaint) in [
        (
            "state.status == null",
            "state.sttus == null",
            "10:21: no event sets `sttus` in the state, it has after, amount",
        ),
        ("state.status == null", "has(state.status)", "write state.status != null"),
        ("state.status == null", "status == null", "10:21: unknown name `status`: expressions know state, command"),
        ("command.amount > 0", "command.sum > 0", "16:21: DrawOut has no field `sum`, it has amount"),
        ("{state.balance} are", "{state.balanc} are", "no event sets `balanc`"),
        ("{state.balance} are", "{state.balance are", "a brace is not closed"),
        ("event: Opened }", "event: Closed }", "12:22: aggregate `account` has no event `Closed`"),
        ("left: state", "rest: state", "19:42: DrawnOut has no field `rest`"),
        ("{ left: state.balance - command.amount }", "{}", "19:22: DrawnOut needs `left`: neither"),
        ("after: version", "after: \"'now'\"", "Emptied.after: \"now\" is not a whole number"),
        ("after: version", "after: key", "Emptied.after: a stream's name is text, the field is a whole number"),
        ("balance: data.left", "balance: data.rest", "DrawnOut has no field `rest`"),
        ("code: account.exists", "code: exists", "code `exists` is not like"),
        ("code: account.exists", "code: state.exists", "codes that begin with `state.` are the API's own"),
        ("code: account.exists", "kode: x", "a rule of `require` has no `code`"),
        ("      Open:", "      open:", "8:7: command `open` is not valid"),
        ("      Open:", "      PaidIn:", "8:7: event or command `PaidIn` is listed already"),
        ("{ event: Opened }", "{ event: Opened, then: x }", "an entry of `emit` has no key `then`"),
    ] {
        let told = compiled(&ACCOUNTS.replacen(from, to, 1)).unwrap_err();
        assert!(told.contains(complaint), "{to}: {told}");
    }
}

#[test]
fn a_unique_field_is_one_whose_values_can_be_told_apart_and_reach_the_state() {
    let unique = |field: &str| ACCOUNTS.replacen("    initial:", &format!("    unique: [{field}]\n    initial:"), 1);
    assert!(compiled(&unique("owner")).is_ok());
    assert!(
        compiled(&unique("left")).unwrap_err().contains("6:14: unique field `left`: `evolve` of DrawnOut does not")
    );
    let merged = unique("left").replace("DrawnOut: { balance: data.left }", "DrawnOut: { left: data.left }");
    assert!(compiled(&merged).is_ok());
    let told = compiled(&unique("email")).unwrap_err();
    assert!(told.contains("6:14: unique field `email`: none of Opened, PaidIn, DrawnOut, Emptied has it"), "{told}");
    let told = compiled(&unique("owner").replace("Opened, PaidIn", "Opened, ValueClaimed, PaidIn")).unwrap_err();
    assert!(told.contains("5:22: event `ValueClaimed` is named as Spina's own"), "{told}");
    let mut ratio = shapes();
    ratio.events[0].fields[0].kind = FieldKind::Double;
    let source = Source::new("context.yaml", unique("owner"));
    let context = ContextDef::parse(&source).unwrap();
    let told = compile(&source, &context, &ratio).unwrap_err().to_string();
    assert!(told.contains("in Opened it is a floating-point number, which cannot be unique"), "{told}");
}
