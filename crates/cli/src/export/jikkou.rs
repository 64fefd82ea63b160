//! Resources of Jikkou, a command line for Kafka, its registry and Connect.

use serde_json::{Value, json};
use spina_core::ContextName;
use spina_log::names;
use spina_rules::connectors::{CLASS, ConnectorDef};

use super::strimzi::{settings, tasks};
use super::{Names, replicas};
use crate::topology::desired::{Desired, DesiredSubject, DesiredTopic};

/// Of what is Kafka's.
const KAFKA: &str = "kafka.jikkou.io/v1";
/// Of what is the registry's.
const REGISTRY: &str = "schemaregistry.jikkou.io/v1";

/// Topics, subjects, permissions, connectors.
pub fn resources(desired: &Desired, names: &Names) -> Vec<Value> {
    let topics = desired.topics.iter().map(|topic| self::topic(topic, names));
    let subjects = desired.subjects.iter().map(subject);
    let permissions = desired.contexts.iter().flat_map(permissions);
    let connectors = desired.connectors.iter().map(|connector| self::connector(&connector.def, names));
    topics.chain(subjects).chain(permissions).chain(connectors).collect()
}

fn resource(api: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name }, "spec": spec })
}

fn topic(topic: &DesiredTopic, names: &Names) -> Value {
    let replicas = replicas(topic, names);
    let configs = topic.configs_at(replicas);
    let spec = json!({ "partitions": topic.partitions.value, "replicas": replicas, "configs": configs });
    resource(KAFKA, "KafkaTopic", &topic.name, spec)
}

fn subject(subject: &DesiredSubject) -> Value {
    let spec = json!({
        "compatibilityLevel": subject.compatibility(), "schemaType": "AVRO", "schema": subject.schema.text,
    });
    resource(REGISTRY, "SchemaRegistrySubject", &subject.name, spec)
}

/// Who publishes to a context, and who reads it.
fn permissions(context: &ContextName) -> [Value; 2] {
    let acl = |kind: &str, pattern: &str, pattern_type: &str, operations: &[&str]| {
        json!({ "resource": { "type": kind, "pattern": pattern, "patternType": pattern_type },
                "type": "ALLOW", "operations": operations, "host": "*" })
    };
    let principal = |role: &str, topics: &[(String, &str)]| {
        let name = format!("{context}-{role}");
        let mut acls: Vec<Value> =
            topics.iter().map(|(topic, operation)| acl("TOPIC", topic, "LITERAL", &[operation, "DESCRIBE"])).collect();
        acls.push(acl("GROUP", &name, "PREFIXED", &["READ"]));
        resource(KAFKA, "KafkaPrincipalAuthorization", &format!("User:{name}"), json!({ "acls": acls }))
    };
    let (commands, replies) = (names::commands_topic(context), names::replies_topic(context));
    [
        principal("publisher", &[(commands, "WRITE"), (replies, "READ")]),
        principal("reader", &[(names::events_topic(context), "READ")]),
    ]
}

fn connector(def: &ConnectorDef, names: &Names) -> Value {
    let mut spec = json!({
        "connectorClass": def.config.get(CLASS), "config": settings(def), "state": def.state.name().to_uppercase(),
    });
    if let Some(tasks) = tasks(def) {
        spec["tasksMax"] = json!(tasks);
    }
    let mut resource = resource(KAFKA, "KafkaConnector", &def.name, spec);
    resource["metadata"]["labels"] = json!({ "kafka.jikkou.io/connect-cluster": names.connect_cluster });
    resource
}
