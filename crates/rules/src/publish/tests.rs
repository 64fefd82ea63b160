//! What goes out, what stays private, and what does not compile.

use serde_json::json;
use spina_core::{EventHeaders, Position, Version};

use super::*;

fn field(name: &str, kind: FieldKind, nullable: bool) -> EventField {
    EventField { name: name.into(), kind, nullable, has_default: nullable }
}

fn landed() -> EventShape {
    let fields = vec![
        field("carrier", FieldKind::Text, false),
        field("dest", FieldKind::Text, false),
        field("tail_number", FieldKind::Text, true),
        field("arrival_delay_min", FieldKind::Integer, false),
    ];
    EventShape { name: "FlightLanded".into(), fields }
}

fn public() -> EventShape {
    let fields = vec![
        field("carrier", FieldKind::Text, false),
        field("airport", FieldKind::Text, false),
        field("tail_number", FieldKind::Text, true),
        field("hours", FieldKind::Double, false),
    ];
    EventShape { name: "LateLanding".into(), fields }
}

const LATE: &str = "    event: FlightLanded
    record: LateLanding
    when: data.arrival_delay_min >= 15
    fields: { airport: data.dest, hours: double(data.arrival_delay_min) / 60.0 }
    mask: { tail_number: 2 }
";

fn compiled(declared: &str) -> Result<Published, String> {
    let text = format!(
        "context: flights\npartitions: 4\naggregates: {{flight: {{events: [FlightLanded]}}}}\npublish:\n  late.v1:\n{declared}"
    );
    let source = Source::new("context.yaml", text);
    let context = ContextDef::parse(&source).map_err(|problems| problems.to_string())?;
    super::compile(&source, &context, &context.publish[0], &landed(), &public()).map_err(|found| found.to_string())
}

fn event(name: &str, data: Value) -> Recorded {
    let headers = EventHeaders {
        id: "e-1".into(),
        event_type: format!("flights.flight.{name}"),
        stream: "flight-UA1-20130101-EWR".parse().unwrap(),
        version: Version(3),
        time: "2013-01-01T10:15:00Z".parse().unwrap(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
        epoch: 1,
        request_id: None,
    };
    let position = Position { topic: "flights.events.v1".into(), partition: 0, offset: 0 };
    Recorded { headers, position, data: data.as_object().unwrap().clone() }
}

#[test]
fn only_what_the_public_record_names_goes_out() {
    let published = compiled(LATE).unwrap();
    assert_eq!((published.record.as_str(), published.name.as_str()), ("flights_public.LateLanding", "late.v1"));
    let of = |name: &str, delay: i64| {
        let data = json!({"carrier": "UA", "dest": "IAH", "tail_number": "N14228", "arrival_delay_min": delay});
        published.of(&event(name, data)).unwrap().map(Value::Object)
    };
    let late = json!({"carrier": "UA", "airport": "IAH", "tail_number": "***28", "hours": 1.5});
    assert_eq!(of("FlightLanded", 90), Some(late));
    assert_eq!(of("FlightLanded", 3), None, "the condition does not hold");
    assert_eq!(of("FlightDeparted", 90), None, "another event");
}

#[test]
fn a_mask_shows_no_short_text_and_no_length() {
    for (text, kept, shown) in [("N14228", 2, "***28"), ("28", 2, "***"), ("", 2, "***"), ("Zürich", 3, "***ich")] {
        assert_eq!(masked(text, kept), shown);
    }
    assert_eq!(masked("secret", 0), "***");
}

#[test]
fn an_expression_that_fails_is_an_error_and_no_record() {
    let published = compiled(LATE).unwrap();
    let nothing = event("FlightLanded", json!({"carrier": "UA", "dest": "IAH", "arrival_delay_min": null}));
    assert!(published.of(&nothing).is_err());
}

#[test]
fn what_cannot_be_filled_is_refused_in_place() {
    for (change, with, expected) in [
        ("airport: data.dest", "airport: data.gate", "context.yaml:9:24: FlightLanded has no field"),
        ("airport: data.dest, ", "", "FlightLanded has no field `airport`: name in `fields`"),
        (
            "hours: double(data.arrival_delay_min) / 60.0",
            "hours: data.carrier",
            "`hours` is Text in the event and Double",
        ),
        ("airport: data.dest", "airport: data.tail_number", "`airport` may be null in the event, and may not"),
        ("airport: data.dest", "airport: data.dest, gate: data.dest", "LateLanding has no field `gate`"),
        ("tail_number: 2", "hours: 2", "`hours` is no text, so it cannot be masked"),
        ("tail_number: 2", "tail_number: -1", "the mask of `tail_number`"),
        ("when: data.arrival_delay_min >= 15", "when: data.arrival_delay_min >=", "is not a CEL expression"),
        ("    record: LateLanding\n", "", "published topic `late.v1` has no `record`"),
    ] {
        let changed = LATE.replace(change, with);
        let found = compiled(&changed).unwrap_err();
        assert!(found.contains(expected), "{with}: {found}");
    }
}

#[test]
fn a_name_is_a_word_that_the_context_does_not_have_already() {
    let odd = "is not like `late-landings.v1`";
    for (name, expected) in
        [("events.v2", "names a topic of the context's own"), ("Late.v1", odd), ("late", odd), ("a.v0", odd)]
    {
        let text = format!(
            "context: flights\npartitions: 4\naggregates: {{flight: {{events: [FlightLanded]}}}}\npublish:\n  {name}:\n{LATE}"
        );
        let found = ContextDef::parse(&Source::new("context.yaml", text)).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
}
