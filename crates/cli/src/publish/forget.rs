//! Publishing without waiting for the verdict: what any Kafka client can do, done here.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use spina_codec::headers::{CE_CAUSATION_ID, CE_CORRELATION_ID, CE_ID, CE_TIME, CE_TYPE, SPINA_EXPECTED_VERSION};
use spina_codec::{Headers, RegistryClient, Shape, frame, subject};
use spina_core::ContextName;
use spina_log::{LogConfig, Publisher, names};

use super::Args;
use crate::event::short_type;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Produces the event to the commands topic. The event-store judges it later; its answer goes to the replies topic.
pub async fn publish(
    args: &Args,
    context: &ContextName,
    key: &str,
    data: &Map<String, Value>,
    format: Format,
) -> Result<()> {
    let topic = names::commands_topic(context);
    let name = short_type(&args.event_type);
    let record = format!("{}.{name}", context.as_str().replace('-', "_"));
    let registry = RegistryClient::new(&args.sending.reach.registry()?)?;
    let registered = registry.latest(&subject(&topic, &record)).await.context("ask the registry for the schema")?;
    let registered = registered.ok_or_else(|| {
        let message = format!("context {context} has no event type `{name}` that may be published to {topic}");
        Failure::new(Exit::Refused, "validation.unknown_type", message).help("spina topology apply registers new types")
    })?;
    let avro = Shape::compile(&registered.schema)?.encode(data).map_err(|invalid| {
        let mut failure = Failure::new(Exit::Refused, invalid.code, invalid.to_string());
        failure.facts.insert("path".to_owned(), invalid.path.into());
        failure
    })?;
    let publisher = Publisher::new(&LogConfig::new(args.sending.reach.kafka()?, "spina-publish"))?;
    let value = frame::frame(registered.id, &avro);
    let headers = headers(args, key);
    let stream = args.stream.as_str();
    let sent = publisher.publish_keyed(&topic, stream.as_bytes(), Some(&value), &headers).await;
    let (partition, offset) = sent.map_err(|error| {
        Failure::new(Exit::Unavailable, "state.unknown", error.to_string())
            .help(format!("try again with --idempotency-key {key}: it is not appended twice"))
    })?;
    match format {
        Format::Json | Format::Ndjson => output::json(&json!({
            "topic": topic, "partition": partition, "offset": offset, "idempotency_key": key,
        })),
        Format::Text => output::line(format!(
            "sent to {topic} (partition {partition}, offset {offset}, key {key}); the verdict goes to {}",
            names::replies_topic(context)
        )),
    }
}

fn headers(args: &Args, key: &str) -> Headers {
    let mut headers = Headers::default();
    let time = args.sending.time.map(|time| time.to_string());
    let fields = [
        (CE_ID, Some(key)),
        (CE_TYPE, Some(args.event_type.as_str())),
        (CE_TIME, time.as_deref()),
        (CE_CORRELATION_ID, args.sending.correlation_id.as_deref()),
        (CE_CAUSATION_ID, args.causation_id.as_deref()),
        (SPINA_EXPECTED_VERSION, Some(&args.sending.expected_version.to_string())),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            headers.push(name, Some(value.as_bytes()));
        }
    }
    headers
}
