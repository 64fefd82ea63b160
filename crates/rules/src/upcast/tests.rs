//! Steps for every version, what is passed over, what does not compile.

use proptest::prelude::*;
use serde_json::{Map, json};
use spina_core::event_shape::{EventField, FieldKind};

use super::*;
use crate::source::Source;

const CONTEXT: &str =
    "context: flights\npartitions: 1\naggregates: {flight: {events: [FlightLanded, FlightDiverted]}}\n";

const FILE: &str = "\
upcasters:
  FlightArrived:
    becomes: FlightLanded
  FlightLanded:
    steps:
      - rename: { delay: delay_min }
      - split: { route: { origin: data.route.from, dest: data.route.to } }
      - default: { source: \"'timetable'\", gate: null, late: data.delay_min > 15 }
      - drop: [pilot]
      - when: { version: 2, has: miles }
        default: { km: data.miles * 2 }
      - when: { lacks: km }
        default: { km: -1 }
";

fn shape(name: &str, fields: &[&str]) -> EventShape {
    let field = |name: &&str| EventField {
        name: (*name).to_owned(),
        kind: FieldKind::Integer,
        nullable: true,
        has_default: false,
    };
    EventShape { name: name.to_owned(), fields: fields.iter().map(field).collect() }
}

const LANDED: [&str; 1] = ["FlightLanded"];
const TODAY: &[&str] = &["delay_min", "origin", "dest", "source", "gate", "late", "km", "miles"];
const ARRIVED: &[&str] = &["delay", "route", "miles"];
const V1: &[&str] = &["delay", "route", "pilot"];
const V2: &[&str] = &["delay_min", "origin", "dest", "miles"];

fn compile(text: &str) -> Result<Upcasters, String> {
    let context = ContextDef::parse(&Source::new("context.yaml", CONTEXT)).unwrap();
    let released = [("FlightArrived", 1, ARRIVED), ("FlightLanded", 1, V1), ("FlightLanded", 2, V2)];
    let released = released.map(|(name, version, fields)| Released { version, shape: shape(name, fields) });
    let events = [shape("FlightLanded", TODAY), shape("FlightDiverted", &["miles"])];
    Upcasters::compile(&Source::new("u.yaml", text), &context, &events, &released).map_err(|found| found.to_string())
}

/// What the fields become that were written with a released schema, and the event's name.
fn read(record: &str, version: Option<u32>, data: Value) -> (String, Value) {
    let data = data.as_object().unwrap().clone();
    let record = format!("flights.{record}");
    let names: Vec<&str> = data.keys().map(String::as_str).collect();
    let upcasters = compile(FILE).unwrap();
    let plan = upcasters.plan(&Written { record: &record, version, fields: &names }).expect("there is need");
    let mut fields = data.clone();
    plan.apply(&mut fields).unwrap();
    (plan.name().to_owned(), Value::Object(fields))
}

#[test]
fn every_released_version_is_read_as_todays() {
    let route = json!({"from": "EWR", "to": "IAH"});
    let today = json!({"delay_min": 20, "origin": "EWR", "dest": "IAH", "source": "timetable", "gate": null,
        "late": true, "km": -1});
    let v1 = json!({"delay": 20, "route": route, "pilot": "x"});
    assert_eq!(read("FlightLanded", Some(1), v1), ("FlightLanded".to_owned(), today.clone()));
    let v2 = json!({"delay_min": 20, "origin": "EWR", "dest": "IAH", "miles": 7});
    let mut with_miles = today;
    with_miles["miles"] = json!(7);
    with_miles["km"] = json!(14);
    assert_eq!(read("FlightLanded", Some(2), v2).1, with_miles);
    // A renamed event takes the steps of its new name, but not those for versions of that.
    with_miles["km"] = json!(-1);
    let arrived = read("FlightArrived", Some(1), json!({"delay": 20, "route": route, "miles": 7}));
    assert_eq!(arrived, ("FlightLanded".to_owned(), with_miles));
}

#[test]
fn what_is_written_with_todays_schema_costs_nothing() {
    let upcasters = compile(FILE).unwrap();
    for (record, fields) in [("flights.FlightLanded", TODAY), ("flights.FlightDiverted", &["miles"]), ("other.A", &[])]
    {
        assert!(upcasters.plan(&Written { record, version: Some(3), fields }).is_none(), "{record}");
    }
}

#[test]
fn a_plan_knows_which_written_fields_it_needs() {
    let upcasters = compile(FILE).unwrap();
    let plan = upcasters.plan(&Written { record: "flights.FlightLanded", version: Some(1), fields: V1 }).unwrap();
    let needs: Vec<&str> = plan.needs().unwrap().iter().map(String::as_str).collect();
    assert_eq!(needs, ["delay", "route"]);
    // Read with only those, the rest is as if all had been read.
    let mut few = json!({"delay": 3, "route": {"from": "A", "to": "B"}}).as_object().unwrap().clone();
    plan.apply(&mut few).unwrap();
    assert_eq!(few["late"], json!(false));
}

#[test]
fn former_names_and_the_fingerprint_follow_the_file() {
    let upcasters = compile(FILE).unwrap();
    assert_eq!(upcasters.former_names("FlightLanded"), ["FlightArrived"]);
    assert_eq!(upcasters.former_names("FlightArrived"), Vec::<String>::new());
    let other = compile(&FILE.replace("-1", "-2")).unwrap();
    assert_ne!(upcasters.fingerprint(&LANDED), other.fingerprint(&LANDED));
    let commented = FILE.replace("    steps:", "    # about steps\n\n    steps:");
    assert_eq!(upcasters.fingerprint(&LANDED), compile(&commented).unwrap().fingerprint(&LANDED));
    assert_eq!(Upcasters::default().fingerprint(&LANDED), "");
    assert_eq!(upcasters.fingerprint(&["FlightDiverted"]), "", "nothing is declared about it");
}

#[derive(Debug)]
struct Shouts(u32);

impl Upcaster for Shouts {
    fn record(&self) -> &str {
        "FlightDiverted"
    }
    fn revision(&self) -> u32 {
        self.0
    }
    fn upcast(&self, version: Option<u32>, fields: &mut Map<String, Value>) -> Result<(), String> {
        fields.insert("version".to_owned(), json!(version));
        if fields.contains_key("bad") { Err("bad is bad".to_owned()) } else { Ok(()) }
    }
}

#[test]
fn an_upcaster_in_rust_comes_last_and_changes_the_fingerprint() {
    let plain = compile(FILE).unwrap().fingerprint(&["FlightDiverted"]).to_owned();
    let upcasters = compile(FILE).unwrap().with(Arc::new(Shouts(1)));
    assert_ne!(upcasters.fingerprint(&["FlightDiverted"]), plain);
    assert_ne!(
        upcasters.fingerprint(&["FlightDiverted"]),
        compile(FILE).unwrap().with(Arc::new(Shouts(2))).fingerprint(&["FlightDiverted"])
    );
    let written = Written { record: "flights.FlightDiverted", version: Some(1), fields: &["miles"] };
    let plan = upcasters.plan(&written).unwrap();
    assert_eq!(plan.needs(), None);
    let mut fields = Map::new();
    plan.apply(&mut fields).unwrap();
    assert_eq!(fields["version"], json!(1));
    fields.insert("bad".to_owned(), json!(1));
    assert_eq!(plan.apply(&mut fields).unwrap_err().to_string(), "upcasting flights.FlightDiverted: bad is bad");
}

#[test]
fn each_mistake_is_named_with_its_place() {
    for (from, to, complaint) in [
        ("upcasters:", "upcaster:", "u.yaml:1:1: the file has no key `upcaster`; it has upcasters"),
        ("becomes: FlightLanded", "becomes: Landed", "u.yaml:3:14: `Landed` is no event of the context"),
        ("FlightArrived:", "FlightLost:", "u.yaml:2:3: `FlightLost` has no released schema"),
        ("rename: { delay:", "rename: { dealy:", "u.yaml:6:19: no schema of FlightLanded has a field `dealy`"),
        ("delay: delay_min", "delay: delay_mins", "the event has no field `delay_mins` today"),
        ("drop: [pilot]", "dorp: [pilot]", "a step has no key `dorp`"),
        ("- drop: [pilot]", "- drop: [pilot]\n        rename: {}", "a step has one of rename, default, split, drop"),
        ("version: 2", "version: 9", "FlightLanded has no released version 9, it has 1, 2"),
        ("data.miles * 2", "data.miels * 2", "no schema of FlightLanded has a field `miels`"),
        ("data.miles * 2", "event.version", "an upcaster knows `data` and nothing else"),
        ("data.miles * 2", "1 +", "is not a CEL expression"),
        ("gate: null", "gate: [1]", "a default is a literal or an expression"),
    ] {
        let told = compile(&FILE.replace(from, to)).unwrap_err();
        assert!(told.contains(complaint), "{from} -> {to}: {told}");
    }
    let circle = "upcasters:\n  A: {becomes: B}\n  B: {becomes: A}\n";
    assert!(compile(circle).unwrap_err().contains("leads to no event of the context"));
}

proptest! {
    /// What a plan says of the names is what it does to the fields, for any writer's schema; and it does it once: what
    /// comes out needs no further upcasting.
    #[test]
    fn upcasting_any_schema_ends_where_the_plan_says(
        wanted in proptest::sample::subsequence(
            vec!["delay", "delay_min", "route", "origin", "dest", "source", "gate", "late", "pilot", "miles", "km"], 0..11),
        version in proptest::option::of(1_u32..4),
    ) {
        let upcasters = compile(FILE).unwrap();
        let has_delay = wanted.contains(&"delay") || wanted.contains(&"delay_min");
        prop_assume!(has_delay || wanted.contains(&"late"));
        let written = Written { record: "flights.FlightLanded", version, fields: &wanted };
        let mut fields: Map<String, Value> = wanted.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
        if let Some(route) = fields.get_mut("route") {
            *route = json!({"from": "A", "to": "B"});
        }
        if let Some(plan) = upcasters.plan(&written) {
            plan.apply(&mut fields).unwrap();
        }
        let mut said: Vec<String> = upcasters.fields_today(&written).into_iter().map(|(_, name)| name).collect();
        said.sort();
        let mut done: Vec<String> = fields.keys().cloned().collect();
        done.sort();
        prop_assert_eq!(&said, &done);
        let names: Vec<&str> = done.iter().map(String::as_str).collect();
        let again = Written { record: "flights.FlightLanded", version: None, fields: &names };
        prop_assert!(upcasters.plan(&again).is_none(), "{:?}", names);
    }
}
