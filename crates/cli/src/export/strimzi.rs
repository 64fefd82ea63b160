//! Resources of the Strimzi operators for Kubernetes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spina_core::ContextName;
use spina_log::names;
use spina_rules::connectors::{CLASS, ConnectorDef, NAME};

use super::{Names, replicas};
use crate::topology::desired::{Desired, DesiredTopic};

/// Of all kinds.
const API: &str = "kafka.strimzi.io/v1";
/// The setting that is a field of its own in resources.
pub const TASKS: &str = "tasks.max";

/// Topics, users, connectors.
pub fn resources(desired: &Desired, names: &Names) -> Vec<Value> {
    let topics = desired.topics.iter().map(|topic| self::topic(topic, names));
    let users = desired.contexts.iter().flat_map(|context| users(context, names));
    let connectors = desired.connectors.iter().map(|connector| self::connector(&connector.def, names));
    topics.chain(users).chain(connectors).collect()
}

fn resource(kind: &str, name: &str, cluster: &str, spec: Value) -> Value {
    let metadata = json!({ "name": name, "labels": { "strimzi.io/cluster": cluster } });
    json!({ "apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec })
}

fn topic(topic: &DesiredTopic, names: &Names) -> Value {
    let replicas = replicas(topic, names);
    let spec = json!({
        "topicName": topic.name, "partitions": topic.partitions.value, "replicas": replicas,
        "config": topic.configs_at(replicas),
    });
    resource("KafkaTopic", &topic.name, &names.cluster, spec)
}

/// Who publishes to a context, and who reads it.
fn users(context: &ContextName, names: &Names) -> [Value; 2] {
    let user = |role: &str, acls: Vec<Value>| {
        let name = format!("{context}-{role}");
        let group =
            json!({ "resource": { "type": "group", "name": name, "patternType": "prefix" }, "operations": ["Read"] });
        let acls: Vec<Value> = acls.into_iter().chain([group]).collect();
        let spec = json!({
            "authentication": { "type": "scram-sha-512" },
            "authorization": { "type": "simple", "acls": acls },
        });
        resource("KafkaUser", &name, &names.cluster, spec)
    };
    let on = |topic: String, operation: &str| {
        json!({ "resource": { "type": "topic", "name": topic, "patternType": "literal" },
                "operations": [operation, "Describe"] })
    };
    [
        user("publisher", vec![on(names::commands_topic(context), "Write"), on(names::replies_topic(context), "Read")]),
        user("reader", vec![on(names::events_topic(context), "Read")]),
    ]
}

fn connector(def: &ConnectorDef, names: &Names) -> Value {
    let mut spec = json!({
        "class": def.config.get(CLASS), "config": settings(def), "state": def.state.name(),
    });
    if let Some(tasks) = tasks(def) {
        spec["tasksMax"] = json!(tasks);
    }
    resource("KafkaConnector", &def.name, &names.connect_cluster, spec)
}

/// The settings that are no fields of the resource.
pub fn settings(def: &ConnectorDef) -> BTreeMap<&str, &str> {
    let settings = def.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    settings.filter(|(key, _)| ![CLASS, NAME, TASKS].contains(key)).collect()
}

/// How many tasks there may be, if that is said.
pub fn tasks(def: &ConnectorDef) -> Option<u32> {
    def.config.get(TASKS)?.parse().ok()
}
