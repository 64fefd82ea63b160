//! Events of several contexts in one model: no order between them changes the rows, and what would need one is refused.

use proptest::prelude::*;

use super::folding::rows_of;
use super::*;

const GATHERED: &str = "
models:
  flight:
    key: { flight: event.stream }
    on:
      Departed: { set: { tail: data.tail }, count: [events], last: { seen: data.carrier } }
      Landed: { set: { tail: data.tail }, max: { most: data.delay } }
      booking.Booked:
        key: { flight: data.flight }
        when: data.passengers > 0
        count: [events]
        sum: { passengers: data.passengers }
        last: { seen: data.carrier }
      booking.Landed: { set: { met_by: data.carrier } }
";

fn gathered(rule: &str) -> String {
    format!(
        "models:\n  m:\n    key: {{ s: event.stream }}\n    on:\n      Landed: {{ set: {{ d: data.carrier }} }}\n      {rule}\n"
    )
}

fn own(version: u64) -> Recorded {
    let data = json!({"carrier": "UA", "delay": version, "tail": format!("N{version}"), "day": "2013-01-01"});
    event(["Departed", "Landed"][version as usize % 2], "flight-1", version, 7, data)
}

fn other(name: &str, stream: &str, version: u64) -> Recorded {
    event(
        name,
        stream,
        version,
        7,
        json!({"flight": "flight-1", "carrier": format!("B{version}"), "passengers": version}),
    )
}

#[test]
fn a_model_reads_its_own_context_first_and_others_by_name() {
    let model = load(GATHERED).unwrap().remove(0);
    let contexts: Vec<_> = model.inputs().iter().map(Input::context).collect();
    assert_eq!(contexts, [None, Some("booking")]);
    let some = |names: &[&str]| Some(WantedFields::Some(names.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(model.inputs()[1].wants("Booked").cloned(), some(&["carrier", "flight", "passengers"]));
    assert_eq!(model.inputs()[1].wants("Landed").cloned(), some(&["carrier"]));
    assert_eq!(model.inputs()[0].wants("Landed").cloned(), some(&["delay", "tail"]), "another event of the same name");
    let key = |input, event: &Recorded| model.project(input, event).unwrap().remove(0).key;
    assert_eq!(key(1, &other("Booked", "reservation-1", 1)), [Cell::Text("flight-1".into())], "its own key");
    assert_eq!(key(1, &other("Landed", "flight-1", 1)), [Cell::Text("flight-1".into())], "the model's key");
    assert_eq!(model.project(1, &other("Booked", "reservation-1", 0)), Ok(vec![]));
    assert_eq!(model.project(2, &own(1)), Ok(vec![]), "there is no such input");
}

#[test]
fn what_would_depend_on_an_order_between_contexts_is_refused_in_its_place() {
    for (rule, place, words) in [
        ("booking.Landed: { set: { d: data.carrier } }", "6:32", "between contexts there is no order"),
        ("booking.Landed: { delete: true }", "6:33", "between contexts there is no order"),
        (
            "booking.Landed: { key: { s: data.flight }, set: { x: data.carrier } }",
            "6:57",
            "set needs the events in order",
        ),
    ] {
        let message = load(&gathered(rule)).unwrap_err();
        assert!(message.starts_with(&format!("p.yaml:{place}")) && message.contains(words), "{rule}\ngave {message}");
    }
    let delete = gathered("booking.Landed: { count: [n] }").replace("set: { d: data.carrier }", "delete: true");
    let message = load(&delete).unwrap_err();
    assert!(message.starts_with("p.yaml:5:25") && message.contains("a deleted row loses"), "{message}");
    assert!(load(&gathered("booking.Landed: { max: { x: data.passengers } }")).is_ok());
}

#[test]
fn mistakes_about_other_contexts_are_pointed_at() {
    for (rule, place, words) in [
        ("bookings.Booked: { count: [n] }", "6:7", "there is no other context `bookings`"),
        ("booking.Left: { count: [n] }", "6:7", "context booking has no event `Left`, it has Booked, Landed"),
        ("booking.Booked: { sum: { n: data.seats } }", "6:35", "Booked has no field `seats`, it has flight, carrier"),
        ("booking.Booked: { key: { s: data.flght }, count: [n] }", "6:35", "no field `flght`"),
        ("booking.Booked: { key: { f: data.flight }, count: [n] }", "6:32", "`f` is no column of the model's key"),
        ("booking.Booked: { key: { f: data.flight }, count: [n] }", "6:7", "lacks the column `s`"),
        ("booking.Booked: { key: { s: data.passengers }, count: [n] }", "6:35", "the key is text, but long in Booked"),
        ("Departed: { key: { s: data.carrier }, count: [n] }", "6:7", "only events of other contexts"),
    ] {
        let message = load(&gathered(rule)).unwrap_err();
        let lines: Vec<&str> = message.lines().collect();
        let told = |line: &&str| line.starts_with(&format!("p.yaml:{place}")) && line.contains(words);
        assert!(lines.iter().any(told), "{rule}\ngave {message}");
    }
    let alone = "models: { m: { key: { s: event.stream }, on: { booking.Landed: { count: [n] } } } }";
    assert!(load(alone).unwrap_err().contains("reads no event of its own context"));
    let child = format!("{LEGS_OF_OTHERS}booking.Landed: {{ count: [n] }}\n");
    assert!(load(&child).unwrap_err().contains("those write rows of the model, not children"));
}

const LEGS_OF_OTHERS: &str = "
models:
  m:
    key: { s: event.stream }
    on: { Landed: { count: [n] } }
    children:
      legs:
        key: { carrier: data.carrier }
        on:
          ";

#[test]
fn a_model_reads_no_more_contexts_than_eight() {
    let event = EventShape { name: "E".into(), fields: vec![] };
    let named = |number: usize| ContextEvents { context: format!("c{number}"), events: vec![event.clone()] };
    let others: Vec<_> = (1..=8).map(named).collect();
    let load = |count: usize| {
        let rules: String = (1..=count).map(|number| format!("      c{number}.E: {{ count: [n] }}\n")).collect();
        let text =
            format!("models:\n  m:\n    key: {{ s: event.stream }}\n    on:\n      Landed: {{ count: [n] }}\n{rules}");
        compile(&Source::new("p.yaml", text), &shapes(), &others).map(|_| ()).map_err(|problems| problems.to_string())
    };
    assert_eq!(load(7), Ok(()));
    assert!(load(8).unwrap_err().contains("at most 8 contexts"));
}

#[test]
fn the_contexts_of_a_file_are_told_before_it_is_compiled() {
    let source = Source::new("p.yaml", gathered("gone.Booked: { count: [n] }"));
    assert_eq!(contexts_named(&source).unwrap(), ["gone".to_owned()].into());
}

#[test]
fn another_key_is_another_definition() {
    let print = |text: &str| load(text).unwrap()[0].fingerprint().to_owned();
    let keyed = |key: &str| print(&gathered(&format!("booking.Booked: {{ key: {{ s: {key} }}, count: [n] }}")));
    assert_ne!(keyed("data.flight"), keyed("data.carrier"));
}

proptest! {
    #[test]
    fn no_order_between_contexts_changes_the_rows(
        own_first in proptest::collection::vec(any::<bool>(), 24), batch_len in 1_usize..8
    ) {
        let model = load(GATHERED).unwrap().remove(0);
        let own: Vec<_> = (0..12).map(own).collect();
        let met = (0..6).map(|version| other("Landed", "flight-1", version));
        let others: Vec<_> = met.chain((0..6).map(|version| other("Booked", "reservation-1", version))).collect();
        let (mut left, mut right) = (own.iter().map(|event| (0, event)), others.iter().map(|event| (1, event)));
        let one_by_one: Vec<_> = left.clone().chain(right.clone()).collect();
        let mut mixed = Vec::new();
        for own in own_first {
            let next = if own { left.next().or_else(|| right.next()) } else { right.next().or_else(|| left.next()) };
            mixed.extend(next);
        }
        prop_assert_eq!(mixed.len(), one_by_one.len());
        prop_assert_eq!(rows_of(&model, &mixed, batch_len), rows_of(&model, &one_by_one, 1));
    }
}
