//! The entrance through the commands topic: any Kafka client publishes here, with nothing of ours in its process.
//!
//! A record becomes an append whose offset is committed in the same transaction as its events and its reply. One that
//! cannot be judged gets a reply that says why; it never stops its partition.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use spina_codec::catalog::{EventType, TypeKind};
use spina_codec::frame;
use spina_codec::headers::{CommandHeaders, read_command_headers};
use spina_core::StreamId;
use spina_log::{Consumed, Fetched, GroupMember};
use tracing::warn;

use crate::clock;
use crate::context::Context;
use crate::decide::append::{Append, Command, Refusal, Submission, Trace};
use crate::decide::command::Intent;
use crate::prepare::{self, CommandInput, EventFacts, Invalid};

mod json;

/// How long commands wait for the registry in one outage, if they come with a schema that is not known here. It cannot
/// be told from garbage as long as the registry is silent, and garbage must not hold up others.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked who we are in the group before a window with commands is given up: 3 s.
const MEMBER_LOOKS_MAX: u32 = 60;
/// Pause between two looks.
const MEMBER_PAUSE: Duration = Duration::from_millis(50);

/// Commits the offsets of commands with the window that answers them.
pub struct GroupOffsets {
    topic: Arc<str>,
    member: Box<dyn Fn() -> Option<GroupMember> + Send + Sync>,
}

impl GroupOffsets {
    /// Offsets of the commands topic, committed as whoever we are in the group at that moment.
    pub fn new(topic: &str, member: impl Fn() -> Option<GroupMember> + Send + Sync + 'static) -> Self {
        Self { topic: topic.into(), member: Box::new(member) }
    }

    /// What a window has to say of the commands in it. Between two generations there may be no member to say it, which is
    /// waited for a while: what is answered without it would come again and be answered twice.
    pub async fn consumed_soon(&self, partition: i32, next_offset: i64) -> Option<Consumed> {
        let mut looks_left = MEMBER_LOOKS_MAX;
        loop {
            let consumed = self.consumed(partition, next_offset);
            if consumed.is_some() || looks_left == 0 {
                return consumed;
            }
            looks_left -= 1;
            clock::pause(MEMBER_PAUSE).await;
        }
    }

    fn consumed(&self, partition: i32, next_offset: i64) -> Option<Consumed> {
        let member = (self.member)()?;
        Some(Consumed { member, offsets: vec![(Arc::clone(&self.topic), partition, next_offset)] })
    }
}

/// The idempotency key of a record of the commands topic: its id, or else its place.
pub fn request_id(record: &Fetched) -> String {
    let place = || format!("{}:{}:{}", record.topic, record.partition, record.offset);
    read_command_headers(&record.headers).ok().and_then(|headers| headers.id).unwrap_or_else(place)
}

/// A record of the commands topic as a submission.
pub async fn submission(context: &Context, record: Fetched) -> Submission {
    let headers = read_command_headers(&record.headers);
    let request_id = request_id(&record);
    let judged = match headers {
        Ok(headers) => asked(context, &record, headers, &request_id).await,
        Err(error) => Err(Invalid::new("validation.header", error.to_string())),
    };
    let (appends, intent, refusal) = match judged {
        Ok(Asked::Append(append)) => (vec![append], None, None),
        Ok(Asked::Decide(intent)) => (Vec::new(), Some(Box::new(intent)), None),
        Err(Invalid { error_code, message, .. }) => {
            (Vec::new(), None, Some(Refusal { error_code: error_code.to_owned(), message }))
        }
    };
    let command = Command { offset: record.offset, key: record.key.unwrap_or_default(), request_id, refusal };
    Submission::published(command, appends, intent)
}

/// What a record asks for: that an event be recorded as it is, or that a command be decided.
enum Asked {
    Append(Append),
    Decide(Intent),
}

async fn asked(
    context: &Context,
    record: &Fetched,
    headers: CommandHeaders,
    request_id: &str,
) -> Result<Asked, Invalid> {
    let stream = stream(record)?;
    check_partition(record, context.partition_of(&stream))?;
    let (event_type, content) = content(context, record, headers.event_type.as_deref()).await?;
    let trace = Trace { parent: headers.traceparent, state: headers.tracestate };
    let facts = EventFacts {
        id: Some(request_id.to_owned()),
        time: headers.time,
        correlation_id: headers.correlation_id,
        causation_id: headers.causation_id,
    };
    let data = match content {
        Content::AsItStands(value) => {
            let event = prepare::encoded(context, event_type, stream.category(), value, facts)?;
            return Ok(Asked::Append(Append::new(stream, headers.expected_version, None, vec![event], trace)));
        }
        Content::Fields(data) => data,
    };
    if event_type.kind == TypeKind::Command {
        let input = CommandInput {
            name: event_type.name.clone(),
            data,
            request_id: Some(request_id.to_owned()),
            expected: headers.expected_version,
            time: facts.time,
            correlation_id: facts.correlation_id,
            trace,
        };
        return prepare::command(context, stream, input).map(Asked::Decide);
    }
    let event = prepare::fields(context, event_type, stream.category(), &data, facts)?;
    Ok(Asked::Append(Append::new(stream, headers.expected_version, None, vec![event], trace)))
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

/// What a record holds.
enum Content {
    /// An event that its writer has encoded as we would: frame and Avro data.
    AsItStands(Bytes),
    /// The fields as they are today.
    Fields(Map<String, Value>),
}

/// The type and content of the event or command as they are today: the writer may have used an older schema or an older
/// name of it. `named` is what the record's headers call it, which counts where no schema tells.
async fn content(
    context: &Context,
    record: &Fetched,
    named: Option<&str>,
) -> Result<(Arc<EventType>, Content), Invalid> {
    let value = record.value.as_ref().ok_or_else(|| malformed("the record has no value".to_owned()))?;
    if json::is_object(value) {
        return json::content(context, named, value);
    }
    let (schema_id, avro) = frame::split(value).map_err(|error| malformed(error.to_string()))?;
    let shape = context.shared.schemas.resolve_within(schema_id, REGISTRY_PATIENCE).await.map_err(|error| {
        if error.is_transient() {
            warn!(%error, schema_id, "a command is refused because of the registry");
            return Invalid::new("state.unavailable", format!("{error}; publish the command again when it does"));
        }
        Invalid::new("validation.unknown_schema", error.to_string())
    })?;
    let reading = context.shared.schemas.known(schema_id).and_then(|known| known.reading);
    let today = reading.as_ref().and_then(|reading| reading.name());
    let event_type = today.and_then(|name| context.catalog.by_name(name));
    let event_type = event_type.or_else(|| context.catalog.by_record_name(shape.full_name())).ok_or_else(|| {
        let message = format!("context {} has no event or command `{}`", context.name(), shape.full_name());
        Invalid::new("validation.unknown_type", message)
    })?;
    let as_today = reading.is_none() && event_type.kind == TypeKind::Event && event_type.schema_id == schema_id;
    if as_today && shape.is_sound(avro) {
        return Ok((Arc::clone(event_type), Content::AsItStands(value.clone())));
    }
    let data = shape.decode(avro).map_err(|error| malformed(error.to_string()))?;
    let data = match reading {
        Some(reading) => reading.fields(data).map_err(|error| malformed(error.to_string()))?,
        None => data,
    };
    Ok((Arc::clone(event_type), Content::Fields(data)))
}

fn malformed(why: String) -> Invalid {
    Invalid::new("validation.malformed", why)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn member_after(looks: u32) -> GroupOffsets {
        let seen = AtomicU32::new(0);
        let me = || GroupMember { group: "g".to_owned(), generation: 1, member_id: "me".to_owned(), instance_id: None };
        GroupOffsets::new("t", move || (seen.fetch_add(1, Ordering::Relaxed) >= looks).then(me))
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_generations_an_offset_waits_for_a_member_but_not_for_ever() {
        let consumed = member_after(MEMBER_LOOKS_MAX).consumed_soon(2, 7).await.unwrap();
        assert_eq!((consumed.member.generation, consumed.offsets), (1, vec![("t".into(), 2, 7)]));
        assert_eq!(member_after(MEMBER_LOOKS_MAX + 1).consumed_soon(2, 7).await, None);
    }
}
