//! What Strimzi's operators would say to the resources: held to the schemas of their kinds.

use serde_json::json;

use super::*;

/// The schemas of the operators' kinds, by API version and kind. A field that is not described is an error here; a cluster
/// would drop it in silence, and nobody would know that it has no effect.
fn schemas() -> Value {
    let text = fs::read_to_string(root().join("crates/cli/src/export/official/strimzi-1.2.0.json")).unwrap();
    let mut schemas: Value = serde_json::from_str(&text).unwrap();
    let kinds =
        schemas.as_object_mut().unwrap().values_mut().flat_map(|kinds| kinds.as_object_mut().unwrap().values_mut());
    kinds.for_each(close);
    schemas
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            entries.values_mut().for_each(close);
            if entries.get("properties").is_some_and(|fields| fields.as_object().is_some_and(|all| !all.is_empty()))
                && entries.get("type") == Some(&"object".into())
            {
                entries.entry("additionalProperties").or_insert(false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the schema of its kind has against a resource.
fn objections(schemas: &Value, resource: &Value) -> Result<(), String> {
    let word = |field: &str| resource[field].as_str().unwrap_or_default();
    let (api, kind) = (word("apiVersion"), word("kind"));
    let schema =
        schemas.get(api).and_then(|kinds| kinds.get(kind)).ok_or_else(|| format!("there is no {api} {kind}"))?;
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("kind.json", schema.clone()).unwrap();
    let mut compiled = boon::Schemas::new();
    let index = compiler.compile("kind.json", &mut compiled).unwrap();
    compiled.validate(resource, index).map_err(|error| format!("{}: {error:#}", resource["metadata"]["name"]))
}

/// What is shipped, with both connectors that are documented.
fn shipped() -> Desired {
    let folder = tempfile::tempdir().unwrap();
    let mut copy = Command::new("cp");
    assert!(copy.arg("-R").arg(root().join("topology/.")).arg(folder.path()).status().unwrap().success());
    for (context, example) in [("flights", "connectors.yaml"), ("booking", "sinks.yaml")] {
        let text = fs::read_to_string(root().join("docs/connect").join(example)).unwrap();
        fs::write(folder.path().join(context).join("connectors.yaml"), text).unwrap();
    }
    let files = desired::read(folder.path(), &root().join("schemas"));
    assert_eq!(files.problems, []);
    files.desired
}

#[test]
fn every_resource_is_what_its_operator_takes() {
    let schemas = schemas();
    for desired in [flights(), declared(true), shipped()] {
        let resources = Target::Strimzi.documents(&desired, &names());
        for kind in ["KafkaTopic", "KafkaUser", "KafkaConnector"] {
            assert!(!of_kind(&resources, kind).is_empty(), "there is no {kind}, which shows nothing");
        }
        let refused: Vec<String> = resources.iter().filter_map(|it| objections(&schemas, it).err()).collect();
        assert_eq!(refused, Vec::<String>::new());
    }
}

#[test]
fn what_an_operator_would_not_take_is_told() {
    let schemas = schemas();
    let resources = Target::Strimzi.documents(&flights(), &names());
    let refused = |kind: &str, pointer: &str, value: Value| {
        let mut resource = of_kind(&resources, kind)[0].clone();
        objections(&schemas, &resource).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        resource.pointer_mut(parent).unwrap()[field] = value;
        objections(&schemas, &resource).unwrap_err();
    };
    refused("KafkaTopic", "/apiVersion", "kafka.strimzi.io/v1beta2".into());
    refused("KafkaTopic", "/spec/partitions", "four".into());
    refused("KafkaTopic", "/spec/partition", 4.into());
    refused("KafkaUser", "/spec/authentication/type", "password".into());
    refused("KafkaUser", "/spec/authorization/acls/0/resource/patternType", "prefixed".into());
    refused("KafkaUser", "/spec/authorization/acls/0/operations", json!(["read"]));
    refused("KafkaConnector", "/spec/tasksMax", 0.into());
    refused("KafkaConnector", "/spec/state", "RUNNING".into());
}
