//! Events as the command prints them: the shape that the event-store's API gives them too.

use serde::Serialize;
use serde_json::{Map, Value};
use spina_core::{Recorded, Timestamp, Token, Version};

/// A recorded event as a JSON line.
#[derive(Debug, Serialize)]
pub struct EventLine {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    stream: String,
    version: Version,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    token: Token,
    data: Map<String, Value>,
}

impl From<Recorded> for EventLine {
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

/// The last part of `<context>.<aggregate>.<Event>`.
pub fn short_type(event_type: &str) -> &str {
    event_type.rsplit('.').next().unwrap_or(event_type)
}

/// An event of the API as one line of text.
pub fn one_line(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or("-");
    let version = &event["version"];
    format!("{}  {} {version}  {}  {}", text("time"), text("stream"), short_type(text("type")), event["data"])
}
