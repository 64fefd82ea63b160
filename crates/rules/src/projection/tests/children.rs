//! Child rows: what rules make of an event, and what is refused where.

use spina_core::change::ChildChange;

use super::*;

const LEGS: &str = "
models:
  aircraft:
    key: { stream: event.stream }
    on:
      Departed: { when: data.delay != 9, set: { tail: data.tail } }
    children:
      legs:
        doc: Flown legs.
        key: { day: data.day }
        on:
          Departed: { count: [departed] }
          Landed: { set: { delay: data.delay } }
      cities:
        key: { city: data.place.city }
        on:
          Landed: { when: data.delay < 0, delete: true }
";

fn data(delay: i64, day: Option<&str>) -> Value {
    json!({"carrier": "UA", "delay": delay, "tail": "N1", "day": day, "place": {"city": "Rome"}})
}

#[test]
fn one_event_changes_a_row_and_its_children() {
    let model = load(LEGS).unwrap().remove(0);
    let shape = model.shape();
    let legs = &shape.child("legs").unwrap().shape;
    assert_eq!(legs.seen().map(|(name, _)| name).collect::<Vec<_>>(), ["stream", "day", "departed", "delay"]);
    assert_eq!(model.child_doc(0), "Flown legs.");
    let project = |name: &str, data| model.project(0, &event(name, "flight-1", 1, 0, data)).unwrap();
    let key = vec![Cell::Text("flight-1".into())];
    let child = |table, child: &str, upsert| {
        let change = ChildChange { table, key: vec![Cell::Text(child.into())], upsert };
        Change { key: key.clone(), action: Action::Child(change) }
    };
    let own = Change { key: key.clone(), action: Action::Upsert(vec![(0, Op::Set(Cell::Text("N1".into())))]) };
    let day = Some("2013-01-01");
    let departed = child(0, "2013-01-01", Some(vec![(0, Op::Add(1))]));
    assert_eq!(project("Departed", data(1, day)), [own.clone(), departed.clone()]);
    assert_eq!(project("Departed", data(9, day)), [departed], "each rule has its own condition");
    assert_eq!(project("Departed", data(1, None)), [own], "a child needs a whole key too");
    let landed = child(0, "2013-01-01", Some(vec![(1, Op::Set(Cell::Long(-1)))]));
    assert_eq!(project("Landed", data(-1, day)), [landed, child(1, "Rome", None)]);
    let poison = model.project(0, &event("Landed", "flight-1", 1, 0, data(1, Some("someday")))).unwrap_err();
    assert!(poison.to_string().contains("column day"), "{poison}");
}

#[test]
fn a_model_needs_the_fields_of_its_children_too() {
    let model = load(LEGS).unwrap().remove(0);
    let some = |names: &[&str]| Some(WantedFields::Some(names.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(model.inputs()[0].wants("Departed").cloned(), some(&["day", "delay", "tail"]));
    assert_eq!(model.inputs()[0].wants("Landed").cloned(), some(&["day", "delay", "place"]));
    assert_eq!(model.inputs()[0].events().count(), 2);
}

#[test]
fn every_mistake_about_children_is_pointed_at() {
    let model = |key: &str, on: &str, children: &str| {
        format!("models:\n  m:\n    key: {{ {key} }}\n    on: {{ {on} }}\n    children:\n      {children}\n")
    };
    let stream = |children: &str| model("s: event.stream", "Departed: { set: { t: data.tail } }", children);
    let long = "x".repeat(48);
    for (text, place, words) in [
        (stream("legs: { key: { d: data.dya }, on: { Landed: { count: [n] } } }"), "6:25", "no field `dya`"),
        (stream("legs: { key: { d: data.day }, on: { Landed: { max: { x: data.x } } } }"), "6:63", "no field `x`"),
        (stream("legs: { key: { d: data.day }, on: { Left: { count: [n] } } }"), "6:43", "unknown event `Left`"),
        (stream("legs: { key: { d: data.day }, on: {} }"), "6:7", "at least one event"),
        (stream("legs: { key: {}, on: { Landed: { count: [n] } } }"), "6:7", "1 to 8 columns"),
        (stream("legs: { key: { s: data.day }, on: { Landed: { count: [n] } } }"), "6:22", "parent's key already"),
        (stream("legs: { key: { d: data.day }, on: { Landed: { count: [s] } } }"), "6:61", "a column of the key"),
        (stream("t: { key: { d: data.day }, on: { Landed: { count: [n] } } }"), "6:7", "a column of the model"),
        (stream("old: { key: { d: data.day }, on: { Landed: { count: [n] } } }"), "6:7", "tables of the model itself"),
        (stream("Legs: { key: { d: data.day }, on: { Landed: { count: [n] } } }"), "6:7", "not a child table name"),
        (
            stream(&format!("{long}_y: {{ key: {{ d: data.day }}, on: {{ Landed: {{ count: [n] }} }} }}")),
            "6:7",
            "at most",
        ),
        (stream("legs: { keys: { d: data.day } }"), "6:15", "keys"),
        (
            model(
                "c: data.carrier",
                "Departed: { count: [n] }",
                "legs: { key: { d: data.day }, on: { Landed: { set: { x: data.tail } } } }",
            ),
            "6:60",
            "several partitions",
        ),
        (
            model(
                "c: data.carrier",
                "Departed: { count: [n] }",
                "legs: { key: { d: data.day }, on: { Landed: { delete: true } } }",
            ),
            "6:61",
            "several partitions",
        ),
        (
            model(
                "s: event.stream",
                "Landed: { delete: true }",
                "legs: { key: { d: data.day }, on: { Landed: { count: [n] } } }",
            ),
            "6:43",
            "deletes the parent with its children",
        ),
    ] {
        let message = load(&text).unwrap_err();
        let all = message.lines().any(|line| line.starts_with(&format!("p.yaml:{place}")) && line.contains(words));
        assert!(all, "{text}\ngave {message}");
    }
    let of_the_key = model(
        "s: event.stream, p: data.place.city",
        "Departed: { count: [n] }",
        "legs: { key: { d: data.day }, on: { Landed: { count: [n] } } }",
    );
    assert!(load(&of_the_key).is_ok(), "a parent of any key has children");
}

#[test]
fn children_change_the_fingerprint_and_their_absence_does_not() {
    let print = |text: &str| load(text).unwrap()[0].fingerprint().to_owned();
    // As it was before there were children: a model that has none must not ask for a rebuild.
    assert_eq!(print(CARRIERS), "f6f538c1c34144277d1bcf7dce85b239");
    let base = print(LEGS);
    assert_eq!(base, print(&LEGS.replace("Flown legs.", "Legs.")));
    for (from, to) in [
        ("legs:", "hops:"),
        ("day: data.day", "date: data.day"),
        ("delay < 0", "delay < 1"),
        ("count: [departed]", "count: [left]"),
    ] {
        assert_ne!(base, print(&LEGS.replace(from, to)), "{from} -> {to}");
    }
}
