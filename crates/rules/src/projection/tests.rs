//! Declared read models: what they compute, and what is refused where.

mod children;
mod folding;
mod gathering;
mod joins;

use serde_json::{Value, json};
use spina_core::change::Action;
use spina_core::{Cell, Change, EventHeaders, Op, Position, Recorded, Timestamp, Version};

use super::*;
use crate::event_shape::{EventField, EventShape, FieldKind};
use crate::source::Source;

fn field(name: &str, kind: FieldKind, nullable: bool) -> EventField {
    EventField { name: name.into(), kind, nullable, has_default: false }
}

fn shapes() -> Vec<EventShape> {
    let place = FieldKind::Record(vec![field("city", FieldKind::Text, false)]);
    let fields = vec![
        field("carrier", FieldKind::Text, false),
        field("tail", FieldKind::Text, true),
        field("delay", FieldKind::Integer, true),
        field("price", FieldKind::Double, false),
        field("day", FieldKind::Date, false),
        field("place", place, false),
        field("tags", FieldKind::Nested, false),
    ];
    ["Departed", "Landed"].map(|name| EventShape { name: name.into(), fields: fields.clone() }).into()
}

fn others() -> Vec<ContextEvents> {
    let fields = vec![
        field("flight", FieldKind::Text, false),
        field("carrier", FieldKind::Text, false),
        field("passengers", FieldKind::Integer, false),
    ];
    let events = ["Booked", "Landed"].map(|name| EventShape { name: name.into(), fields: fields.clone() }).into();
    vec![ContextEvents { context: "booking".into(), events }]
}

fn load(text: &str) -> Result<Vec<Model>, String> {
    compile(&Source::new("p.yaml", text), &shapes(), &others()).map_err(|problems| problems.to_string())
}

fn event(name: &str, stream: &str, version: u64, time: i64, data: Value) -> Recorded {
    let headers = EventHeaders {
        id: format!("{stream}/{version}"),
        event_type: format!("flights.flight.{name}"),
        stream: stream.parse().unwrap(),
        version: Version(version),
        time: Timestamp::from_micros(time).unwrap(),
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

const CARRIERS: &str = "
models:
  carriers:
    key: { carrier: data.carrier }
    columns: { late: long }
    on:
      Departed: { count: [departed], last: { tail: data.tail } }
      Landed:
        when: data.delay == null || data.delay > -100
        count: [landed]
        sum: { late: \"data.delay != null && data.delay > 15 ? 1 : 0\" }
        min: { least: data.delay }
        max: { most: data.delay, last_day: data.day }
        mean: { mean: data.delay }
        last: { tail: data.tail }
";

#[test]
fn an_event_becomes_changes_of_a_row() {
    let model = load(CARRIERS).unwrap().remove(0);
    let data = json!({"carrier": "UA", "delay": 20, "tail": null, "day": "2013-01-01"});
    let event = event("Landed", "flight-1", 3, 5, data);
    let names: Vec<_> = model.shape().columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["departed", "tail", "landed", "late", "least", "most", "last_day", "mean"]);
    let changes = model.project(0, &event).unwrap();
    let [Change { key, action: Action::Upsert(ops) }] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(key, &[Cell::Text("UA".into())]);
    let op = |name: &str| {
        let index = names.iter().position(|known| *known == name).unwrap();
        ops.iter().find(|(column, _)| *column == index).map(|(_, op)| op.clone())
    };
    assert_eq!(op("landed"), Some(Op::Add(1)));
    assert_eq!(op("late"), Some(Op::Add(1)));
    assert_eq!(op("most"), Some(Op::Max(Cell::Long(20))));
    assert_eq!(op("mean"), Some(Op::Mean { sum: 20, count: 1 }));
    let at = Timestamp::from_micros(5).unwrap();
    assert_eq!(op("tail"), Some(Op::Last { value: Cell::Null, at, tie: "flight-1/3".into() }));
    assert_eq!(op("departed"), None);
}

#[test]
fn filters_nulls_and_other_events_change_nothing() {
    let model = load(CARRIERS).unwrap().remove(0);
    let landed = |data| model.project(0, &event("Landed", "flight-1", 1, 0, data));
    assert_eq!(landed(json!({"carrier": "UA", "delay": -100, "day": "2013-01-01"})), Ok(vec![]));
    assert_eq!(landed(json!({"carrier": null, "delay": 1, "day": "2013-01-01"})), Ok(vec![]));
    assert_eq!(model.project(0, &event("Diverted", "flight-1", 1, 0, json!({}))), Ok(vec![]));
    let poison = landed(json!({"carrier": "UA", "delay": 1, "day": "someday"})).unwrap_err().to_string();
    assert!(poison.contains("last_day") && poison.contains("someday"), "{poison}");
    assert!(landed(json!({"carrier": "x".repeat(2000), "delay": 1})).unwrap_err().to_string().contains("2000 bytes"));
}

#[test]
fn a_model_says_which_fields_it_needs() {
    let model = load(CARRIERS).unwrap().remove(0);
    let wants = |event: &str| model.inputs()[0].wants(event).cloned();
    let some = |names: &[&str]| Some(WantedFields::Some(names.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(wants("Departed"), some(&["carrier", "tail"]));
    assert_eq!(wants("Landed"), some(&["carrier", "day", "delay", "tail"]));
    assert_eq!(wants("Diverted"), None);
    let all = "models: { m: { key: { s: event.stream }, columns: { d: json }, on: { Landed: { set: { d: data } } } } }";
    assert_eq!(load(all).unwrap()[0].inputs()[0].wants("Landed"), Some(&WantedFields::All));
}

#[test]
fn only_models_keyed_by_the_stream_may_depend_on_order() {
    let set = "models: { m: { key: { s: event.stream }, on: { Landed: { set: { d: data.delay } } } } }";
    assert!(load(set).is_ok());
    assert!(load("models: { m: { key: { s: event.stream }, on: { Landed: { delete: true } } } }").is_ok());
    for (key, rule) in [
        ("c: data.carrier", "set: { d: data.delay }"),
        ("c: data.carrier", "delete: true"),
        ("c: event.key", "set: { d: data.delay }"),
        ("s: event.stream, c: data.carrier", "set: { d: data.delay }"),
    ] {
        let message =
            load(&format!("models:\n  m:\n    key: {{ {key} }}\n    on:\n      Landed: {{ {rule} }}\n")).unwrap_err();
        assert!(
            message.starts_with("p.yaml:5:") && message.contains("event.stream") && message.contains("count"),
            "{message}"
        );
    }
}

#[test]
fn every_mistake_is_pointed_at() {
    let model =
        |rule: &str| format!("models:\n  m:\n    key: {{ c: data.carrier }}\n    on:\n      Landed: {{ {rule} }}\n");
    for (text, place, words) in [
        (model("max: { d: data.dely }"), "5:27", "Landed has no field `dely`, it has carrier, tail, delay"),
        (model("max: { d: data.place.town }"), "5:27", "no field `town`, it has city"),
        (model("max: { d: data.carrier.x }"), "5:27", "`carrier.x` of Landed has no fields"),
        (model("max: { d: data.delay + data.gone }"), "5:40", "no field `gone`"),
        (model("when: carrier == 'UA', count: [n]"), "5:23", "unknown name `carrier`"),
        (model("max: { d: data.tags }"), "5:27", "json has no smallest"),
        (model("sum: { d: data.price }"), "5:27", "doubles cannot be summed"),
        (model("mean: { d: data.price }"), "5:28", "depend on the order"),
        (model("sum: { d: data.carrier }"), "5:27", "take int and long, this is text"),
        (model("max: { d: data.delay + 1 }"), "5:24", "declare it under `columns`"),
        (model("max: { c: data.delay }"), "5:24", "`c` is a column of the key"),
        (model("max: { D: data.delay }"), "5:24", "`D` is not a column name"),
        (model("max: { a__b: data.delay }"), "5:24", "not a column name"),
        (model("max: { d: data.delay }, min: { d: data.delay }"), "5:", "a column has one operation"),
        (model("max: { d: data.delay }, last: { d: data.delay }"), "5:", "a column has one operation"),
        (model("when: 'true'"), "5:7", "does nothing"),
        (model("cuont: [n]"), "5:17", "cuont"),
        (
            "models: { m: { key: { c: data.price }, on: { Landed: { count: [n] } } } }".into(),
            "1:26",
            "cannot be double",
        ),
        ("models: { m: { key: {}, on: { Landed: { count: [n] } } } }".into(), "1:11", "1 to 8 columns"),
        (
            "models: { m: { key: { c: data.day }, on: { Left: { count: [n] } } } }".into(),
            "1:44",
            "unknown event `Left`",
        ),
        ("models: { M: { key: { c: data.day }, on: { Landed: { count: [n] } } } }".into(), "1:11", "not a model name"),
        (
            "models: { m: { key: { c: data.day }, columns: { n: int }, on: { Landed: { count: [n] } } } }".into(),
            "1:52",
            "unknown type `int`",
        ),
        (
            "models: { m: { key: { c: data.day }, columns: { x: long }, on: { Landed: { count: [n] } } } }".into(),
            "1:49",
            "no rule writes the column `x`",
        ),
        (
            "models: { m: { key: { c: data.day }, columns: { x: bool }, on: { Landed: { max: { x: data.delay } } } } }"
                .into(),
            "1:86",
            "`x` is declared bool, this is long",
        ),
    ] {
        let message = load(&text).unwrap_err();
        assert!(message.starts_with(&format!("p.yaml:{place}")) && message.contains(words), "{text}\ngave {message}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_lines() {
    let text = "models:\n  m:\n    key: { c: data.nope }\n    on:\n      Landed: { max: { d: data.neither } }\n";
    let message = load(text).unwrap_err();
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), 2, "{message}");
    assert!(lines[0].starts_with("p.yaml:3:15: Landed has no field `nope`"), "{message}");
    assert!(lines[1].starts_with("p.yaml:5:27"), "{message}");
}

#[test]
fn the_fingerprint_follows_the_meaning() {
    let print = |text: &str| load(text).unwrap()[0].fingerprint().to_owned();
    let base = print(CARRIERS);
    assert_eq!(base.len(), 32);
    assert_eq!(base, print(&CARRIERS.replace("carriers:", "carriers:\n    doc: Words for people.")));
    for (from, to) in
        [("> 15", "> 30"), ("> -100", "> -99"), ("count: [landed]", "count: [arrived]"), ("least", "first")]
    {
        assert_ne!(base, print(&CARRIERS.replace(from, to)), "{from} -> {to}");
    }
}
