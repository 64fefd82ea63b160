//! The entrance through the commands topic: any Kafka client publishes here, with nothing of ours in its process.
//!
//! A record becomes an append whose offset is committed in the same transaction as its events and its reply. One that
//! cannot be judged gets a reply that says why; it never stops its partition.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use spina_codec::frame;
use spina_codec::headers::{CommandHeaders, read_command_headers};
use spina_core::StreamId;
use spina_log::membership::MemberHandle;
use spina_log::{Consumed, Fetched};
use tracing::warn;

use crate::clock;
use crate::context::Context;
use crate::decide::append::{Append, Command, Refusal, Submission, Trace};
use crate::prepare::{self, EventInput, Invalid};

/// Pause while the registry does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Commits the offsets of commands with the window that answers them.
#[derive(Debug, Clone)]
pub struct GroupOffsets {
    topic: Arc<str>,
    member: MemberHandle,
}

impl GroupOffsets {
    /// Offsets of the commands topic, committed as this member.
    pub fn new(topic: &str, member: MemberHandle) -> Self {
        Self { topic: topic.into(), member }
    }

    /// What a window has to say of the commands in it. Between two generations there may be no member to say it; then
    /// the commands come again and are recognised by their ids.
    pub fn consumed(&self, partition: i32, next_offset: i64) -> Option<Consumed> {
        let member = self.member.member()?;
        Some(Consumed { member, offsets: vec![(Arc::clone(&self.topic), partition, next_offset)] })
    }
}

/// A record of the commands topic as a submission. Waits while the registry does not answer.
pub async fn submission(context: &Context, record: Fetched) -> Submission {
    let headers = read_command_headers(&record.headers);
    let place = || format!("{}:{}:{}", record.topic, record.partition, record.offset);
    let request_id = headers.as_ref().ok().and_then(|headers| headers.id.clone()).unwrap_or_else(place);
    let judged = match headers {
        Ok(headers) => append(context, &record, headers, &request_id).await,
        Err(error) => Err(Invalid::new("validation.header", error.to_string())),
    };
    let (appends, refusal) = match judged {
        Ok(append) => (vec![append], None),
        Err(Invalid { error_code, message, .. }) => {
            (Vec::new(), Some(Refusal { error_code: error_code.to_owned(), message }))
        }
    };
    let command = Command { offset: record.offset, key: record.key.unwrap_or_default(), request_id, refusal };
    Submission { appends, priority: false, command: Some(command), attempts: 0, answer: None }
}

async fn append(
    context: &Context,
    record: &Fetched,
    headers: CommandHeaders,
    request_id: &str,
) -> Result<Append, Invalid> {
    let stream = stream(record)?;
    check_partition(record, context.partition_of(&stream))?;
    let (event_type, data) = decode(context, record).await?;
    let input = EventInput {
        event_type,
        data,
        id: Some(request_id.to_owned()),
        time: headers.time,
        correlation_id: headers.correlation_id,
        causation_id: headers.causation_id,
    };
    let event = prepare::event(context, stream.category(), input)?;
    let trace = Trace { parent: headers.traceparent, state: headers.tracestate };
    Ok(Append::new(stream, headers.expected_version, None, vec![event], trace))
}

fn stream(record: &Fetched) -> Result<StreamId, Invalid> {
    let invalid = |why: String| Invalid::new("validation.stream", format!("the record key is no stream id: {why}"));
    let key = record.key.as_deref().ok_or_else(|| invalid("there is none".to_owned()))?;
    let text = std::str::from_utf8(key).map_err(|error| invalid(error.to_string()))?;
    text.parse().map_err(|error: spina_core::stream::NameError| invalid(error.to_string()))
}

/// A stream has one owner, that of its partition. Some clients choose partitions otherwise than Java's does.
fn check_partition(record: &Fetched, expected: i32) -> Result<(), Invalid> {
    if record.partition == expected {
        return Ok(());
    }
    let message = format!(
        "the record is in partition {}, its key belongs into {expected}: partition by murmur2 of the key, as Java does \
         (librdkafka: `partitioner=murmur2_random`)",
        record.partition
    );
    Err(Invalid::new("validation.partition", message))
}

/// The event's type and fields. The writer may have used an older schema of it: fields are matched by name.
async fn decode(context: &Context, record: &Fetched) -> Result<(String, Map<String, Value>), Invalid> {
    let malformed = |why: String| Invalid::new("validation.malformed", why);
    let value = record.value.as_deref().ok_or_else(|| malformed("the record has no value".to_owned()))?;
    let (schema_id, avro) = frame::split(value).map_err(|error| malformed(error.to_string()))?;
    let shape = loop {
        match context.shared.schemas.resolve(schema_id).await {
            Ok(shape) => break shape,
            Err(error) if error.is_transient() && !context.shared.stopping.is_cancelled() => {
                warn!(%error, schema_id, "the registry does not answer, commands wait");
                clock::pause(RETRY_PAUSE).await;
            }
            Err(error) => return Err(Invalid::new("validation.unknown_schema", error.to_string())),
        }
    };
    let event_type = context.catalog.by_record_name(shape.full_name()).ok_or_else(|| {
        let message = format!("context {} has no event `{}`", context.name(), shape.full_name());
        Invalid::new("validation.unknown_type", message)
    })?;
    let data = shape.decode(avro).map_err(|error| malformed(error.to_string()))?;
    Ok((event_type.name.clone(), data))
}
