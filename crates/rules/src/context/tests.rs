//! Contexts as declared, and what is wrong with them.

use super::*;

const FLIGHTS: &str = "\
context: flights
partitions: 4
aggregates:
  flight:
    events: [FlightScheduled, FlightLanded]
    snapshot: { every: 100 }
  gate:
    events: [GateOpened]
topics: { replication: 3, retention_ms: 86400000 }
";

fn parse(text: &str) -> Result<ContextDef, String> {
    ContextDef::parse(&Source::new("context.yaml", text)).map_err(|problems| problems.to_string())
}

#[test]
fn a_definition_says_what_it_says() {
    let context = parse(FLIGHTS).unwrap();
    assert_eq!((context.name.as_str(), context.partitions.value), ("flights", 4));
    assert_eq!(context.partitions.place, Place { line: 2, column: 13 });
    let events: Vec<_> = context.events().map(|(a, e)| (a.name.as_str(), e.value.as_str())).collect();
    assert_eq!(events, [("flight", "FlightScheduled"), ("flight", "FlightLanded"), ("gate", "GateOpened")]);
    assert_eq!((context.aggregates[0].snapshot.every, context.aggregates[1].snapshot.every), (Some(100), None));
    assert_eq!(context.replication.as_ref().map(|replication| replication.value), Some(3));
    assert_eq!(context.retention_ms, Some(86_400_000));
    assert_eq!(context.record_name("FlightLanded"), "flights.FlightLanded");
}

#[test]
fn a_snapshot_may_have_several_reasons() {
    let context = parse(&FLIGHTS.replace("every: 100", "every: 9, fold_time_ms: 50, on: [FlightLanded]")).unwrap();
    let snapshot = &context.aggregates[0].snapshot;
    assert_eq!((snapshot.every, snapshot.fold_time_ms), (Some(9), Some(50)));
    assert_eq!(snapshot.on, ["FlightLanded".to_owned()].into());
}

#[test]
fn what_is_optional_may_be_left_out() {
    let context = parse("context: air-freight\npartitions: 1\naggregates: {box: {events: [BoxPacked]}}\n").unwrap();
    assert_eq!((context.replication, context.retention_ms), (None, None));
    assert_eq!(context.name.as_str().replace('-', "_"), "air_freight");
    let for_ever = FLIGHTS.replace("86400000", "-1");
    assert_eq!(parse(&for_ever).unwrap().retention_ms, None);
    assert!(context.archive && !parse(&format!("{for_ever}archive: false\n")).unwrap().archive);
}

#[test]
fn each_mistake_is_named_with_its_place() {
    for (from, to, complaint) in [
        ("context: flights", "context: Flights", "1:10: context name `Flights` is not valid"),
        ("context: flights", "contxt: flights", "1:1: a context has no key `contxt`"),
        ("partitions: 4", "partitions: 0", "2:13: `partitions` must be from 1 to 1000, not 0"),
        ("partitions: 4", "partitions: 1001", "2:13: `partitions` must be from 1 to 1000, not 1001"),
        ("partitions: 4", "partitions: \"4\"", "2:13: `partitions` must be a whole number, not text"),
        ("  flight:", "  Flight:", "4:3: aggregate `Flight` is not valid"),
        ("  flight:", "  a-b:", "4:3: aggregate `a-b` is not valid"),
        ("FlightLanded", "flight_landed", "5:31: event `flight_landed` is not valid"),
        (
            "FlightLanded",
            "FlightScheduled",
            "5:31: event or command `FlightScheduled` is listed already, in aggregate `flight`",
        ),
        (
            "GateOpened",
            "FlightLanded",
            "8:14: event or command `FlightLanded` is listed already, in aggregate `flight`",
        ),
        ("[GateOpened]", "[]", "8:13: `events` is empty"),
        ("events: [GateOpened]", "sagas: {}", "8:5: aggregate `gate` has no key `sagas`"),
        ("every: 100", "every: 0", "6:24: `every` must be from 1"),
        ("every: 100", "", "6:15: `snapshot` says nothing"),
        ("every: 100", "on: [GateOpened]", "6:22: the aggregate has no event `GateOpened`"),
        ("every: 100", "fold_time_ms: 0", "6:31: `fold_time_ms` must be from 1"),
        ("  flight:", "  unique_flight:", "4:3: aggregate `unique_flight` is not valid: `unique_` is reserved"),
        ("snapshot: { every: 100 }", "unique: []", "6:13: `unique` must name 1 to 8 fields"),
        ("snapshot: { every: 100 }", "unique: [a, b, a]", "6:20: `a` is named twice"),
        ("snapshot: { every: 100 }", "unique: email", "6:13: `unique` must be a list"),
        ("86400000", "5", "9:41: `retention_ms`, unless it is -1 (for ever), must be from 3600000"),
        ("replication: 3", "replicas: 3", "9:11: `topics` has no key `replicas`"),
        ("partitions: 4", "partitions: 4\narchive: no", "3:10: `archive` must be true or false, not text"),
        ("partitions: 4", "partitions: 4\narchive: false", "3:10: without an archive events are kept in the log alone"),
    ] {
        let complaints = parse(&FLIGHTS.replace(from, to)).unwrap_err();
        assert!(complaints.contains(&format!("context.yaml:{complaint}")), "{to}: {complaints}");
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    let complaints = parse("partitions: 0\nsagas: {}\naggregates:\n  flight: {events: [a, b]}\n").unwrap_err();
    assert_eq!(complaints.lines().count(), 5, "{complaints}");
    assert!(complaints.contains("1:1: `context` is missing"), "{complaints}");
}

#[test]
fn the_contexts_of_this_repository_are_valid() {
    let contexts = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topology")).unwrap();
    assert!(contexts.iter().any(|context| context.name.as_str() == "flights"));
}

#[test]
fn a_folder_bears_its_contexts_name() {
    let complaints = load_all(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err().to_string();
    assert!(complaints.contains("src/context.yaml: cannot be read"), "{complaints}");
    let folder = std::env::temp_dir().join(format!("spina-rules-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("trains")).unwrap();
    assert!(load_all(&folder).unwrap_err().to_string().contains("trains/context.yaml: cannot be read"));
    std::fs::write(folder.join("trains/context.yaml"), FLIGHTS).unwrap();
    let complaints = load_all(&folder).unwrap_err().to_string();
    assert!(complaints.contains("context `flights` is in a folder named `trains`"), "{complaints}");
    std::fs::remove_dir_all(folder.join("trains")).unwrap();
    assert!(load_all(&folder).unwrap_err().to_string().contains("has no context"));
    std::fs::remove_dir_all(&folder).unwrap();
}
