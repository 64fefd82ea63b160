//! What is read from the files, and what is wrong with them.

use std::fs;
use std::path::PathBuf;

use super::*;

const REPLY: &str = r#"{"type": "record", "name": "Reply", "namespace": "spina", "fields": []}"#;
const LANDED: &str = r#"{
  "type": "record", "name": "FlightLanded", "namespace": "flights",
  "fields": [
    {"name": "carrier", "type": "string"}
  ]
}"#;
const CONTEXT: &str = "\
context: flights
partitions: 4
aggregates:
  flight:
    events: [FlightLanded]
";

/// A topology and its schemas in a folder of their own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("topology/flights/context.yaml", CONTEXT);
        folder.write("schemas/flights/FlightLanded.avsc", LANDED);
        folder.write("schemas/spina/Reply.avsc", REPLY);
        folder
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self) -> Files {
        read(&self.path("topology"), &self.path("schemas"))
    }

    /// What is told, with files relative to the folder.
    fn told(&self, problems: &[Problem]) -> String {
        let prefix = format!("{}/", self.0.path().display());
        problems.iter().map(|problem| format!("{problem}\n").replace(&prefix, "")).collect()
    }

    fn problems(&self) -> String {
        self.told(&self.read().problems)
    }
}

#[test]
fn a_context_wants_its_topics_and_its_events_under_both_of_them() {
    let files = Folder::new().read();
    assert!(files.problems.is_empty() && files.warnings.is_empty(), "{files:?}");
    let subjects: Vec<&str> = files.desired.subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "flights.commands.v1-flights.FlightLanded",
            "flights.events.v1-flights.FlightLanded",
            "flights.replies.v1-spina.Reply",
        ]
    );
    assert_eq!(files.desired.topics.len(), 5);
}

#[test]
fn an_event_without_schema_is_found_where_it_is_listed() {
    let folder = Folder::new();
    folder.write("topology/flights/context.yaml", &CONTEXT.replace("[FlightLanded]", "[FlightLanded, FlightLost]"));
    assert_eq!(
        folder.problems(),
        "topology/flights/context.yaml:5:28: event `FlightLost` has no schema: schemas/flights/FlightLost.avsc does \
         not exist\n"
    );
}

#[test]
fn a_schema_that_no_context_lists_is_a_warning() {
    let folder = Folder::new();
    folder.write("schemas/flights/FlightLost.avsc", &LANDED.replace("FlightLanded", "FlightLost"));
    let files = folder.read();
    assert!(files.problems.is_empty());
    assert!(folder.told(&files.warnings).starts_with("schemas/flights/FlightLost.avsc: no context lists"), "{files:?}");
}

#[test]
fn schemas_that_do_not_compile_are_refused() {
    let recursive = LANDED.replace(r#""string""#, r#"["null", "FlightLanded"]"#);
    for (schema, place, word) in [
        (recursive.as_str(), ":4:42", "contains itself"),
        (&LANDED.replace(r#""string""#, r#""strnig""#), ":4:33", "strnig"),
        (&LANDED.replace("\"fields\": [", "\"fields\": [,"), ":3:", ""),
        ("{'type': 'record'}", ":1:2", "not JSON"),
        ("\"string\"", ":1:1", "not a record"),
        (&LANDED.replace("\"flights\"", "\"trains\""), "", "holds record trains.FlightLanded"),
    ] {
        let folder = Folder::new();
        folder.write("schemas/flights/FlightLanded.avsc", schema);
        let problems = folder.problems();
        assert!(problems.starts_with(&format!("schemas/flights/FlightLanded.avsc{place}")), "{problems}");
        assert!(problems.contains(word) && problems.lines().count() == 1, "{word}: {problems}");
    }
}

#[test]
fn the_reply_has_to_be_there() {
    let folder = Folder::new();
    fs::remove_file(folder.path("schemas/spina/Reply.avsc")).unwrap();
    assert_eq!(folder.problems(), "schemas/spina/Reply.avsc: the schema of spina.Reply is missing\n");
}

#[test]
fn problems_of_all_files_are_told_at_once() {
    let folder = Folder::new();
    folder.write("topology/flights/context.yaml", &format!("{CONTEXT}sagas: {{}}\n").replace("4", "4000"));
    folder.write("topology/trains/context.yaml", "context: trains\n");
    folder.write("schemas/flights/FlightLanded.avsc", "{");
    let problems = folder.problems();
    for start in [
        "topology/flights/context.yaml:2:13: `partitions`",
        "topology/flights/context.yaml:6:1: a context has no key `sagas`",
        "topology/trains/context.yaml:1:1: `partitions` is missing",
        "topology/trains/context.yaml:1:1: `aggregates` is missing",
        "schemas/flights/FlightLanded.avsc:1:",
    ] {
        assert!(problems.lines().any(|line| line.starts_with(start)), "{start}: {problems}");
    }
}

#[test]
fn the_files_of_this_repository_are_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = read(&root.join("topology"), &root.join("schemas"));
    assert!(files.problems.is_empty() && files.warnings.is_empty(), "{files:?}");
    assert!(files.desired.subjects.len() >= 11);
}

#[test]
fn read_models_must_compile_against_the_schemas() {
    let model = |carrier: &str, event: &str| {
        format!(
            "models:\n  landings:\n    key: {{carrier: {carrier}}}\n    on:\n      {event}:\n        count: [landed]\n"
        )
    };
    let folder = Folder::new();
    folder.write("topology/flights/projections.yaml", &model("data.carrier", "FlightLanded"));
    assert_eq!(folder.problems(), "");
    folder.write("topology/flights/projections.yaml", &model("data.", "FlightLanded"));
    assert!(folder.problems().starts_with("topology/flights/projections.yaml:3:"), "{}", folder.problems());
    folder.write("topology/flights/projections.yaml", &model("data.carrier", "FlightLost"));
    assert!(folder.problems().contains("projections.yaml:5:7: "), "{}", folder.problems());
}

#[test]
fn read_models_may_name_events_of_other_contexts() {
    let folder = Folder::new();
    folder.write(
        "topology/weather/context.yaml",
        "context: weather\npartitions: 2\naggregates:\n  place:\n    events: [Snowed]\n",
    );
    let fields = r#"[{"name": "centimetres", "type": "int", "doc": "How deep."}]"#;
    let snowed = format!(
        r#"{{"type": "record", "name": "Snowed", "namespace": "weather", "doc": "It snowed.", "fields": {fields}}}"#
    );
    folder.write("schemas/weather/Snowed.avsc", &snowed);
    let model = |event: &str, field: &str| {
        format!(
            "models:\n  m:\n    key: {{ place: event.key }}\n    on:\n      FlightLanded: {{ count: [landed] }}\n      {event}: {{ max: {{ deepest: data.{field} }} }}\n"
        )
    };
    folder.write("topology/flights/projections.yaml", &model("weather.Snowed", "centimetres"));
    assert_eq!(folder.problems(), "");
    for (event, field, told) in [
        ("weather.Rained", "centimetres", "projections.yaml:6:7: context weather has no event `Rained`, it has Snowed"),
        ("wether.Snowed", "centimetres", "projections.yaml:6:7: there is no other context `wether`"),
        ("weather.Snowed", "depth", "projections.yaml:6:41: Snowed has no field `depth`, it has centimetres"),
    ] {
        folder.write("topology/flights/projections.yaml", &model(event, field));
        assert!(folder.problems().contains(told), "{}", folder.problems());
    }
}

#[test]
fn a_read_model_of_an_event_without_schema_is_not_a_second_problem() {
    let folder = Folder::new();
    fs::remove_file(folder.path("schemas/flights/FlightLanded.avsc")).unwrap();
    let model = "models:\n  landings:\n    key: {stream: event.stream}\n    on:\n      FlightLanded:\n        count: [landed]\n";
    folder.write("topology/flights/projections.yaml", model);
    let problems = folder.problems();
    assert!(problems.contains("context.yaml:5:14: event `FlightLanded` has no schema"), "{problems}");
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn a_command_is_registered_under_the_commands_topic_and_its_rules_are_checked() {
    let folder = Folder::new();
    let with_rule = |rule: &str| {
        let command = format!(
            "    commands: {{LandFlight: {{require: [{{rule: {rule}, code: a.b}}], emit: [{{event: FlightLanded}}]}}}}\n"
        );
        folder.write("topology/flights/context.yaml", &format!("{CONTEXT}{command}"));
    };
    with_rule("state.status == null");
    assert!(folder.problems().contains("command `LandFlight` has no schema"), "{}", folder.problems());
    folder.write("schemas/flights/LandFlight.avsc", &LANDED.replace("FlightLanded", "LandFlight"));
    let files = folder.read();
    assert!(files.problems.is_empty() && files.warnings.is_empty(), "{files:?}");
    let names: Vec<&str> = files.desired.subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert!(names.contains(&"flights.commands.v1-flights.LandFlight"), "{names:?}");
    assert!(!names.contains(&"flights.events.v1-flights.LandFlight"), "{names:?}");
    with_rule("command.gate == 1");
    assert!(folder.problems().contains("context.yaml:6:46: LandFlight has no field `gate`"), "{}", folder.problems());
}

#[test]
fn a_read_model_with_a_topic_wants_it_compacted_and_the_schemas_of_its_rows_and_keys() {
    let folder = Folder::new();
    let model = "models:\n  carrier_landings:\n    topic: true\n    key: {carrier: data.carrier}\n    on:\n      FlightLanded: {count: [landed]}\n";
    folder.write("topology/flights/projections.yaml", model);
    let files = folder.read();
    assert!(files.problems.is_empty() && files.warnings.is_empty(), "{files:?}");
    let topic = files.desired.topics.iter().find(|topic| topic.name == "flights.carrier-landings.model.v1").unwrap();
    assert_eq!((topic.configs["cleanup.policy"].as_str(), topic.partitions.value), ("compact", 4));
    let of_topic = files.desired.subjects.iter().filter(|subject| subject.name.starts_with(&topic.name));
    let subjects: Vec<_> = of_topic.map(|subject| (subject.schema.full_name.as_str(), subject.role)).collect();
    let names = ["flights.model.CarrierLandingsKey", "flights.model.CarrierLandings"];
    assert_eq!(subjects, [(names[0], Role::RowKey), (names[1], Role::Row)]);
}

#[test]
fn unique_fields_want_the_records_of_claims_and_are_checked() {
    let folder = Folder::new();
    let unique =
        |field: &str| folder.write("topology/flights/context.yaml", &format!("{CONTEXT}    unique: [{field}]\n"));
    unique("carrier");
    let problems = folder.problems();
    assert!(problems.starts_with("topology/flights/context.yaml:6:14: unique fields need the schema of"), "{problems}");
    for name in ["ValueClaimed", "ValueReleased", "OwnershipProved"] {
        folder.write(&format!("schemas/spina/{name}.avsc"), &REPLY.replace("Reply", name));
    }
    let files = folder.read();
    assert!(files.problems.is_empty() && files.warnings.is_empty(), "{files:?}");
    let names: Vec<&str> = files.desired.subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert!(names.contains(&"flights.events.v1-spina.ValueClaimed"), "{names:?}");
    unique("gate");
    let problems = folder.problems();
    assert!(problems.contains("context.yaml:6:14: unique field `gate`: none of FlightLanded has it"), "{problems}");
}

#[test]
fn actions_of_correlation_rules_are_checked_against_the_commands_of_all_contexts() {
    let folder = Folder::new();
    let with_action = |command: &str, fields: &str| {
        let action = format!("{{ on: opened, command: {command}, stream: \"'flight-1'\", fields: {fields} }}");
        let rules = format!("rules: {{ late: {{ match: [a=b], actions: [{action}] }} }}\n");
        folder.write("topology/flights/correlation.yaml", &rules);
        folder.problems()
    };
    let command = "    commands: {LandFlight: {emit: [{event: FlightLanded}]}}\n";
    folder.write("topology/flights/context.yaml", &format!("{CONTEXT}{command}"));
    folder.write("schemas/flights/LandFlight.avsc", &LANDED.replace("FlightLanded", "LandFlight"));
    let place = "flights/correlation.yaml:1:65: ";
    let lost = with_action("flights.LoseFlight", "{ carrier: rule }");
    assert!(lost.contains(&format!("{place}context flights has no command `LoseFlight`, it has LandFlight")), "{lost}");
    let bare = with_action("flights.LandFlight", "{}");
    assert!(bare.contains(&format!("{place}LandFlight needs the field `carrier`")), "{bare}");
    let whole = with_action("flights.LandFlight", "{ carrier: rule }");
    assert!(!whole.contains("correlation.yaml"), "{whole}");
}
