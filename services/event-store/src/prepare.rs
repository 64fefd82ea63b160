//! From what a publisher sends to what a partition can judge: everything is checked and encoded before it queues.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use spina_codec::catalog::{EventType, TypeKind};
use spina_codec::frame::{FRAME_BYTES, frame};
use spina_core::{ExpectedVersion, StreamId, Timestamp, ledger};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock;
use crate::context::Context;
use crate::decide::append::{NewEvent, Trace};
use crate::decide::command::Intent;

/// Longest id of an event or a request, in bytes: it becomes a header and a column.
pub const ID_BYTES_MAX: usize = 255;

/// An event as a publisher sends it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventInput {
    /// `FlightLanded`, or in full `flights.flight.FlightLanded`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The event's fields, as its schema names them.
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
    /// Unique id; made here if it is missing.
    pub id: Option<String>,
    /// When it happened, RFC 3339; now if it is missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub time: Option<Timestamp>,
    /// The business transaction it belongs to.
    pub correlation_id: Option<String>,
    /// The event or command that led to it.
    pub causation_id: Option<String>,
}

/// Why an event cannot be recorded. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// `validation.…`
    pub error_code: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// Which field, if one is to blame.
    pub path: Option<String>,
}

impl Invalid {
    /// Something is wrong with the event as a whole.
    pub fn new(error_code: &'static str, message: impl Into<String>) -> Self {
        Self { error_code, message: message.into(), path: None }
    }
}

/// What is said of an event beside its fields.
#[derive(Debug, Default)]
pub struct EventFacts {
    /// Unique id; made here if it is missing.
    pub id: Option<String>,
    /// When it happened; now if it is missing.
    pub time: Option<Timestamp>,
    /// The business transaction it belongs to.
    pub correlation_id: Option<String>,
    /// The event or command that led to it.
    pub causation_id: Option<String>,
}

/// Checks and encodes an event for a stream of the given category.
pub fn event(context: &Context, category: &str, input: EventInput) -> Result<NewEvent, Invalid> {
    let event_type = known(context, TypeKind::Event, &input.event_type)?;
    let EventInput { id, time, correlation_id, causation_id, .. } = input;
    let facts = EventFacts { id, time, correlation_id, causation_id };
    fields(context, Arc::clone(event_type), category, &input.data, facts)
}

/// Encodes an event of a known type, and checks it.
pub fn fields(
    context: &Context,
    event_type: Arc<EventType>,
    category: &str,
    data: &Map<String, Value>,
    facts: EventFacts,
) -> Result<NewEvent, Invalid> {
    let avro = event_type.shape.encode(data).map_err(|invalid| Invalid {
        error_code: invalid.code,
        message: invalid.to_string(),
        path: Some(invalid.path),
    })?;
    let value = Bytes::from(frame(event_type.schema_id, &avro));
    encoded(context, event_type, category, value, facts)
}

/// Checks an event that is encoded already: `value` is its frame and Avro data.
pub fn encoded(
    context: &Context,
    event_type: Arc<EventType>,
    category: &str,
    value: Bytes,
    facts: EventFacts,
) -> Result<NewEvent, Invalid> {
    check_category(&event_type, category)?;
    check_size(value.len().saturating_sub(FRAME_BYTES), context.shared.limits.event_bytes_max)?;
    let id = facts.id.unwrap_or_else(|| Uuid::now_v7().to_string());
    for (what, text) in [
        ("id", Some(&id)),
        ("correlation_id", facts.correlation_id.as_ref()),
        ("causation_id", facts.causation_id.as_ref()),
    ] {
        check_id(what, text)?;
    }
    Ok(NewEvent {
        event_type,
        id,
        time: facts.time.unwrap_or_else(clock::now),
        correlation_id: facts.correlation_id,
        causation_id: facts.causation_id,
        value,
    })
}

/// A command as a sender sends it.
#[derive(Debug)]
pub struct CommandInput {
    /// `OpenAccount`, or in full `bank.account.OpenAccount`.
    pub name: String,
    /// Its fields, as its schema names them.
    pub data: Map<String, Value>,
    /// Idempotency key; made here if it is missing.
    pub request_id: Option<String>,
    /// What the sender expects of the stream.
    pub expected: ExpectedVersion,
    /// When it happened; now if it is missing.
    pub time: Option<Timestamp>,
    /// The business transaction it belongs to.
    pub correlation_id: Option<String>,
    /// Trace of the request.
    pub trace: Trace,
}

/// Checks a command for a stream. Its fields become what its schema makes of them, so that the same command is the same
/// however it was written.
pub fn command(context: &Context, stream: StreamId, input: CommandInput) -> Result<Intent, Invalid> {
    let command_type = known(context, TypeKind::Command, &input.name)?;
    check_category(command_type, stream.category())?;
    let avro = command_type.shape.encode(&input.data).map_err(|invalid| Invalid {
        error_code: invalid.code,
        message: invalid.to_string(),
        path: Some(invalid.path),
    })?;
    check_size(avro.len(), context.shared.limits.event_bytes_max)?;
    let data = command_type.shape.decode(&avro);
    let data = data.map_err(|malformed| Invalid::new("validation.malformed", malformed.to_string()))?;
    check_id("correlation_id", input.correlation_id.as_ref())?;
    let request_id = input.request_id.unwrap_or_else(|| Uuid::now_v7().to_string());
    check_id("the command's id", Some(&request_id))?;
    Ok(Intent {
        stream,
        name: command_type.name.clone(),
        data,
        fingerprint: ledger::fingerprint([(command_type.ce_type.as_str(), avro.as_slice())].into_iter()),
        request_id,
        expected: input.expected,
        time: input.time.unwrap_or_else(clock::now),
        correlation_id: input.correlation_id,
        trace: input.trace,
    })
}

/// The type of that kind and name, which must belong to the stream's aggregate.
fn known<'c>(context: &'c Context, kind: TypeKind, name: &str) -> Result<&'c Arc<EventType>, Invalid> {
    let (what, other) = match kind {
        TypeKind::Event => ("event", "a command: send it to /commands"),
        TypeKind::Command => ("command", "an event: append it to the stream"),
    };
    let found = context.catalog.by_name(name).ok_or_else(|| {
        let message = format!("context {} has no {what} type `{name}`", context.name());
        Invalid::new("validation.unknown_type", message)
    })?;
    if found.kind != kind {
        return Err(Invalid::new("validation.unknown_type", format!("`{}` is {other}", found.name)));
    }
    Ok(found)
}

fn check_category(found: &EventType, category: &str) -> Result<(), Invalid> {
    if found.aggregate != category {
        let message = format!(
            "`{}` belongs to aggregate `{}`, the stream's category is `{category}`",
            found.name, found.aggregate
        );
        return Err(Invalid::new("validation.aggregate", message));
    }
    Ok(())
}

/// The encoded event is not larger than the limit.
pub fn check_size(bytes: usize, bytes_max: usize) -> Result<(), Invalid> {
    if bytes > bytes_max {
        let message = format!("the event takes {bytes} bytes, at most {bytes_max} are allowed");
        return Err(Invalid::new("validation.too_large", message));
    }
    Ok(())
}

/// Ids are 1 to 255 bytes without control characters.
pub fn check_id(what: &str, id: Option<&String>) -> Result<(), Invalid> {
    let Some(id) = id else { return Ok(()) };
    if id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        let message = format!("{what} must be 1 to {ID_BYTES_MAX} bytes without control characters");
        return Err(Invalid::new("validation.id", message));
    }
    Ok(())
}
