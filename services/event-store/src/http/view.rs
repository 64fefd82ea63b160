//! Events as the API shows them.

use serde::Serialize;
use serde_json::{Map, Value};
use spina_core::{Recorded, Timestamp, Token, Version};
use utoipa::ToSchema;

/// A recorded event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// Unique id.
    pub id: String,
    /// `<context>.<aggregate>.<Event>`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The stream.
    pub stream: String,
    /// Its place in the stream, from 1.
    #[schema(value_type = u64)]
    pub version: Version,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The business transaction it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The event or command that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// Its place in the log.
    #[schema(value_type = String, example = "flights.events.v1:3:1287")]
    pub token: Token,
    /// Its fields.
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
}

impl From<Recorded> for EventView {
    fn from(event: Recorded) -> Self {
        Self {
            token: Token::from(&event.position),
            id: event.headers.id,
            event_type: event.headers.event_type,
            stream: event.headers.stream.into(),
            version: event.headers.version,
            time: event.headers.time,
            correlation_id: event.headers.correlation_id,
            causation_id: event.headers.causation_id,
            data: event.data,
        }
    }
}
