//! An `AsyncAPI` 3.1 document: what others may send to Spina's topics and read from them.

use serde_json::{Map, Value, json};
use spina_core::ContextName;
use spina_log::names;

use super::{Names, records_of, replicas};
use crate::topology::desired::{Desired, DesiredTopic, Schema};

/// Version of Kafka's bindings.
const BINDING: &str = "0.5.0";

/// The document. Spina's journals and inboxes are left out: they are nobody else's.
pub fn document(desired: &Desired, names: &Names) -> Value {
    let topics: Vec<&DesiredTopic> = desired.topics.iter().filter(|topic| !names::is_internal(&topic.name)).collect();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for topic in topics {
        let records: Vec<&Schema> = records_of(desired, topic).map(AsRef::as_ref).collect();
        for record in &records {
            messages.insert(record.full_name.clone(), message(record));
        }
        channels.insert(topic.name.clone(), channel(topic, &records, names));
        let (name, operation) = operation(desired, topic);
        operations.insert(name, operation);
    }
    let contexts: Vec<&str> = desired.contexts.iter().map(ContextName::as_str).collect();
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": format!("Events of {}", contexts.join(", ")),
            "version": "1",
            "description": "Event-sourced contexts on Kafka. The key of every record is its stream's id; values are Avro, \
                            framed with the schema's id in the registry; headers are CloudEvents in Kafka's binary mode. \
                            Read with isolation.level=read_committed.",
        },
        "defaultContentType": "application/vnd.apache.avro",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": { "Headers": headers() } },
    })
}

fn channel(topic: &DesiredTopic, records: &[&Schema], names: &Names) -> Value {
    let messages: Map<String, Value> = records
        .iter()
        .map(|record| {
            let reference = json!({ "$ref": format!("#/components/messages/{}", record.full_name) });
            (record.full_name.clone(), reference)
        })
        .collect();
    let replicas = replicas(topic, names);
    let settings: Map<String, Value> =
        topic.configs_at(replicas).iter().map(|(key, value)| ((*key).to_owned(), setting(key, value))).collect();
    json!({
        "address": topic.name,
        "messages": messages,
        "bindings": { "kafka": {
            "topic": topic.name, "partitions": topic.partitions.value, "replicas": replicas,
            "topicConfiguration": settings, "bindingVersion": BINDING,
        }},
    })
}

/// A setting as the binding types it.
fn setting(key: &str, value: &str) -> Value {
    match (key, value.parse::<i64>()) {
        ("cleanup.policy", _) => value.split(',').map(str::trim).collect(),
        (_, Ok(number)) => json!(number),
        (_, Err(_)) => json!(value),
    }
}

/// What Spina does there. A command is answered in the replies topic of its context.
fn operation(desired: &Desired, topic: &DesiredTopic) -> (String, Value) {
    let channel = |name: &str| json!({ "$ref": format!("#/channels/{}", name.replace('~', "~0").replace('/', "~1")) });
    let commanded = desired.contexts.iter().find(|context| names::commands_topic(context) == topic.name);
    if let Some(context) = commanded {
        let reply = json!({ "channel": channel(&names::replies_topic(context)) });
        let operation = json!({ "action": "receive", "channel": channel(&topic.name), "reply": reply });
        return (format!("receive.{}", topic.name), operation);
    }
    let action = if topic.name == names::ALERTS_TOPIC { "receive" } else { "send" };
    (format!("{action}.{}", topic.name), json!({ "action": action, "channel": channel(&topic.name) }))
}

fn message(record: &Schema) -> Value {
    // It was read as JSON before.
    let schema: Value = serde_json::from_str(&record.text).unwrap_or_default();
    let mut message = json!({
        "name": record.full_name,
        "title": record.shape.name(),
        "contentType": "application/vnd.apache.avro",
        "headers": { "$ref": "#/components/schemas/Headers" },
        "bindings": { "kafka": {
            "key": { "type": "string", "description": "The stream's id." },
            "schemaIdLocation": "payload", "schemaIdPayloadEncoding": "confluent",
            "schemaLookupStrategy": "TopicRecordNameStrategy", "bindingVersion": BINDING,
        }},
    });
    if let Some(doc) = schema.get("doc") {
        message["summary"] = doc.clone();
    }
    message["payload"] = json!({ "schemaFormat": "application/vnd.apache.avro;version=1.9.0", "schema": schema });
    message
}

/// Which headers there may be; `GET /openapi.json` of the event-store has more about each.
fn headers() -> Value {
    use spina_codec::headers::{
        CE_CAUSATION_ID, CE_CORRELATION_ID, CE_ID, CE_SEQUENCE, CE_SPECVERSION, CE_SUBJECT, CE_TIME, CE_TYPE,
        SPINA_EXPECTED_VERSION, TRACEPARENT, TRACESTATE,
    };
    let described = [
        (CE_ID, "Id of the event; of a command, its idempotency key"),
        (CE_TYPE, "Full name of the event: context, aggregate, record"),
        (CE_SUBJECT, "The stream's id, as the key has it"),
        (CE_SEQUENCE, "Version of the stream after the event, from 1"),
        (CE_TIME, "When it happened, RFC 3339"),
        (CE_SPECVERSION, "1.0"),
        (CE_CORRELATION_ID, "The business transaction it belongs to"),
        (CE_CAUSATION_ID, "The event or command that led to it"),
        (SPINA_EXPECTED_VERSION, "Of a command: any, no_stream, stream_exists, or a version"),
        (TRACEPARENT, "W3C trace context"),
        (TRACESTATE, "W3C trace context, the vendors' part"),
    ];
    let text = |description: &str| json!({ "type": "string", "description": description });
    let properties: Map<String, Value> =
        described.iter().map(|(name, description)| ((*name).to_owned(), text(description))).collect();
    json!({ "type": "object", "properties": properties })
}
