//! The exports of the flights with the documented connector, held to what they were and to what their readers say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

mod operator;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The flights and the connector of docs/connect beside them, without the rules for incidents: those bring Spina's own
/// topics, whose schemas are not the flights'.
fn flights() -> Desired {
    declared(false)
}

fn declared(rules: bool) -> Desired {
    let folder = tempfile::tempdir().unwrap();
    let topology = folder.path().join("flights");
    assert!(
        Command::new("cp").arg("-R").arg(root().join("topology/flights")).arg(&topology).status().unwrap().success()
    );
    if !rules {
        fs::remove_file(topology.join("correlation.yaml")).unwrap();
    }
    fs::copy(root().join("docs/connect/connectors.yaml"), topology.join("connectors.yaml")).unwrap();
    let files = desired::read(folder.path(), &root().join("schemas"));
    assert_eq!(files.problems, []);
    files.desired
}

fn names() -> Names {
    Names { cluster: "main".into(), connect_cluster: "around".into(), replication: 3 }
}

/// The export of a target, after it was held to its golden file. `SPINA_GOLDEN=write` writes that anew.
fn golden(target: Target, file: &str) -> Vec<Value> {
    let documents = target.documents(&flights(), &names());
    let text = yaml(&documents).unwrap();
    let path = root().join("crates/cli/src/export/golden").join(file);
    if std::env::var("SPINA_GOLDEN").is_ok_and(|value| value == "write") {
        fs::write(&path, &text).unwrap();
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == before, "{} is no longer what is exported; SPINA_GOLDEN=write writes it anew", path.display());
    let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(read, documents, "the YAML says what the documents say");
    documents
}

fn of_kind<'d>(documents: &'d [Value], kind: &str) -> Vec<&'d Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

/// What the official schema of `AsyncAPI` has against a document.
fn objections(document: &Value) -> Result<(), String> {
    let text = fs::read_to_string(root().join("crates/cli/src/export/official/asyncapi-3.1.0.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("asyncapi.json", serde_json::from_str(&text).unwrap()).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("asyncapi.json", &mut schemas).unwrap();
    schemas.validate(document, index).map_err(|error| format!("{error:#}"))
}

#[test]
fn asyncapi_is_what_it_was_and_valid() {
    let documents = golden(Target::Asyncapi, "asyncapi.yaml");
    let document = &documents[0];
    objections(document).unwrap();
    assert_eq!(
        document["operations"]["receive.flights.commands.v1"]["reply"]["channel"]["$ref"],
        "#/channels/flights.replies.v1"
    );
    let refused = |change: fn(&mut Value)| {
        let mut changed = document.clone();
        change(&mut changed);
        objections(&changed).unwrap_err();
    };
    refused(|document| document["asyncapi"] = "2.0.0".into());
    refused(|document| document["operations"]["send.flights.events.v1"]["action"] = "shout".into());
    refused(|document| document["channels"]["flights.events.v1"]["bindings"]["kafka"]["partitions"] = "four".into());
}

#[test]
fn what_is_spinas_alone_is_made_and_not_told() {
    let desired = declared(true);
    let made = Target::Strimzi.documents(&desired, &names());
    assert!(made.iter().any(|resource| resource["metadata"]["name"] == spina_log::names::SIGNALS_TOPIC));
    let document = Target::Asyncapi.documents(&desired, &names()).remove(0);
    objections(&document).unwrap();
    let channel = |topic: &str| document["channels"].get(topic).is_some();
    assert!(channel(spina_log::names::INCIDENTS_TOPIC) && !channel(spina_log::names::SIGNALS_TOPIC));
}

#[test]
fn every_reference_of_asyncapi_leads_somewhere() {
    let document = Target::Asyncapi.documents(&flights(), &names()).remove(0);
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

fn collect<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(entries) => {
            found.extend(entries.get("$ref").and_then(Value::as_str));
            entries.values().for_each(|entry| collect(entry, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn strimzi_gets_topics_users_and_connectors() {
    let documents = golden(Target::Strimzi, "strimzi.yaml");
    let topics = of_kind(&documents, "KafkaTopic");
    assert_eq!(topics.len(), flights().topics.len());
    // Names in Kubernetes.
    for document in &documents {
        let name = document["metadata"]["name"].as_str().unwrap();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        assert!(name.len() <= 253 && name.chars().all(fits), "{name}");
    }
    let connectors = of_kind(&documents, "KafkaConnector");
    let spec = &connectors[0]["spec"];
    assert_eq!((&spec["tasksMax"], &spec["state"]), (&1.into(), &"running".into()));
    // What the operator sets itself, it refuses in the settings.
    assert!(["name", "connector.class", "tasks.max"].iter().all(|key| spec["config"].get(key).is_none()), "{spec}");
    assert_eq!(of_kind(&documents, "KafkaUser").len(), 2);
}

#[test]
fn jikkou_gets_schemas_too() {
    let documents = golden(Target::Jikkou, "jikkou.yaml");
    let desired = flights();
    assert_eq!(of_kind(&documents, "SchemaRegistrySubject").len(), desired.subjects.len());
    assert_eq!(of_kind(&documents, "KafkaTopic").len(), desired.topics.len());
    assert_eq!(of_kind(&documents, "KafkaConnector").len(), 1);
}
