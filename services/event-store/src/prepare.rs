//! From what a publisher sends to what a partition can judge: everything is checked and encoded before it queues.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use spina_codec::frame::frame;
use spina_core::Timestamp;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock;
use crate::context::Context;
use crate::decide::append::NewEvent;

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

/// Checks and encodes an event for a stream of the given category.
pub fn event(context: &Context, category: &str, input: EventInput) -> Result<NewEvent, Invalid> {
    let event_type = context.catalog.by_name(&input.event_type).ok_or_else(|| {
        let message = format!("context {} has no event type `{}`", context.name(), input.event_type);
        Invalid::new("validation.unknown_type", message)
    })?;
    if event_type.aggregate != category {
        let message = format!(
            "`{}` is an event of aggregate `{}`, the stream's category is `{category}`",
            event_type.name, event_type.aggregate
        );
        return Err(Invalid::new("validation.aggregate", message));
    }
    let avro = event_type.shape.encode(&input.data).map_err(|invalid| Invalid {
        error_code: invalid.code,
        message: invalid.to_string(),
        path: Some(invalid.path),
    })?;
    check_size(avro.len(), context.shared.limits.event_bytes_max)?;
    let value = Bytes::from(frame(event_type.schema_id, &avro));
    let id = input.id.unwrap_or_else(|| Uuid::now_v7().to_string());
    for (what, text) in [
        ("id", Some(&id)),
        ("correlation_id", input.correlation_id.as_ref()),
        ("causation_id", input.causation_id.as_ref()),
    ] {
        check_id(what, text)?;
    }
    Ok(NewEvent {
        event_type: event_type.clone(),
        id,
        time: input.time.unwrap_or_else(clock::now),
        correlation_id: input.correlation_id,
        causation_id: input.causation_id,
        value,
    })
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
