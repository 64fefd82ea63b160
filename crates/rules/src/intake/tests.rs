//! What records become, and what does not compile.

use serde_json::json;
use spina_core::event_shape::{EventField, FieldKind};

use super::*;
use crate::context::ContextDef;

const NOTICES: &str = "    type: FlightCancelled
    stream: \"'flight-' + data.flight\"
    id: data.notice
    when: data.kind == 'cancelled'
    fields: { dest: data.to }
";

fn compiled(declared: &str) -> Result<Intake, String> {
    let text = format!(
        "context: flights\npartitions: 4\naggregates: {{flight: {{events: [FlightCancelled]}}}}\nintake:\n  notices:\n{declared}"
    );
    let source = Source::new("context.yaml", text);
    let context = ContextDef::parse(&source).map_err(|problems| problems.to_string())?;
    let field =
        |name: &str| EventField { name: name.into(), kind: FieldKind::Text, nullable: false, has_default: false };
    let shape = EventShape { name: "FlightCancelled".into(), fields: ["carrier", "dest"].map(field).to_vec() };
    compile(&source, &context.intake[0], &shape).map_err(|problems| problems.to_string())
}

fn taken(intake: &Intake, record: &Value) -> Result<Option<Taken>, String> {
    intake.of(record.as_object().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn a_record_is_an_event_of_its_stream_with_the_fields_of_the_schema() {
    let notice =
        json!({ "kind": "cancelled", "flight": "UA1", "notice": 7, "carrier": "UA", "to": "IAH", "gate": "C3" });
    let found = taken(&compiled(NOTICES).unwrap(), &notice).unwrap().unwrap();
    assert_eq!((found.stream.as_str(), found.id.as_deref()), ("flight-UA1", Some("7")));
    assert_eq!(Value::from(found.fields), json!({ "carrier": "UA", "dest": "IAH" }));
}

#[test]
fn what_the_condition_passes_over_is_nothing() {
    assert_eq!(taken(&compiled(NOTICES).unwrap(), &json!({ "kind": "delayed" })), Ok(None));
}

#[test]
fn a_record_that_cannot_be_taken_in_says_why() {
    let intake = compiled(NOTICES).unwrap();
    for (record, reason) in [
        (json!({ "kind": "cancelled", "flight": "UA1" }), "`id` gave null, which is neither text nor a whole number"),
        (json!({ "kind": "cancelled", "flight": "" }), "`stream` gave \"flight-\""),
        (json!({ "kind": "cancelled", "flight": 7 }), "expression `'flight-' + data.flight` failed"),
    ] {
        let said = taken(&intake, &record).unwrap_err();
        assert!(said.starts_with(reason), "{said}");
    }
}

#[test]
fn what_is_wrong_is_told_in_its_place() {
    for (from, to, complaint) in [
        ("    type: FlightCancelled\n", "", "6:5: intake `notices` has no `type`"),
        ("data.kind ==", "kind ==", "9:11: unknown name `kind`"),
        ("{ dest:", "{ gate:", "10:15: FlightCancelled has no field `gate`"),
        ("    id:", "    key:", "intake `notices` has no key `key`"),
    ] {
        let said = compiled(&NOTICES.replace(from, to)).unwrap_err();
        assert!(said.contains(complaint), "{complaint}: {said}");
    }
}
