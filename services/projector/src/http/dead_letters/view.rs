//! Dead letters as they are shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::{Map, Value};
use spina_codec::catalog::SchemaCache;
use spina_codec::{frame, recorded};
use spina_store::dead_letters::Letter;
use utoipa::ToSchema;

use crate::project::record_of;

/// A dead letter in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct LetterView {
    /// Its number.
    id: i64,
    /// Bounded context.
    context: String,
    /// The model that could not take it.
    model: String,
    /// What is kept in order, which is the stream.
    key: String,
    /// `refused`, or `waiting` behind another letter of its key.
    state: &'static str,
    /// Where it stands in the log: topic, partition and offset.
    token: String,
    /// Kind of error.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How often it was tried.
    attempts: i32,
    /// When it was parked.
    parked_at: String,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    tried_at: Option<String>,
    /// Type of the event, if the record says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// Id of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// The business transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// W3C trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

/// A header of the record.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct HeaderView {
    name: String,
    /// Its value, if that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its value, if that is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// A dead letter with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct WholeLetter {
    #[serde(flatten)]
    letter: LetterView,
    /// When the record was written, in milliseconds since 1970.
    timestamp_ms: i64,
    /// The record's headers in order.
    headers: Vec<HeaderView>,
    /// The record's value as it stands in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// Id of the schema that the value begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_id: Option<u32>,
    /// The event's fields, if they can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

impl LetterView {
    /// A letter without its record.
    pub fn of(letter: &Letter) -> Self {
        let record = &letter.record;
        let [event_type, event_id, correlation_id, traceparent] = record.said.clone();
        Self {
            id: letter.id,
            context: letter.context.clone(),
            model: letter.model.clone(),
            key: String::from_utf8_lossy(&record.key).into_owned(),
            state: if letter.class.is_some() { "refused" } else { "waiting" },
            token: format!("{}:{}:{}", record.place.topic, record.place.partition, record.place.offset),
            class: letter.class.clone(),
            error: letter.error.clone(),
            attempts: letter.attempts,
            parked_at: letter.parked_at.to_string(),
            tried_at: letter.tried_at.map(|time| time.to_string()),
            event_type,
            event_id,
            correlation_id,
            traceparent,
        }
    }
}

impl WholeLetter {
    /// A letter with its record, decoded as far as that goes.
    pub async fn of(letter: &Letter, schemas: &SchemaCache) -> Self {
        let record = record_of(letter);
        let schema_id = record.value.as_deref().and_then(|value| frame::split(value).ok()).map(|(id, _)| id);
        if let Some(id) = schema_id {
            // Without its schema the event is shown as bytes.
            let _ = schemas.resolve(id).await;
        }
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let opened =
            recorded::open(&record.topic, record.partition, record.offset, key, value, &record.headers, schemas);
        let header = |(name, value): (&str, Option<&[u8]>)| {
            let text = value.and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned);
            let base64 = value.filter(|_| text.is_none()).map(|value| BASE64.encode(value));
            HeaderView { name: name.to_owned(), text, base64 }
        };
        Self {
            letter: LetterView::of(letter),
            timestamp_ms: record.timestamp_ms,
            headers: record.headers.iter().map(header).collect(),
            value_base64: value.map(|value| BASE64.encode(value)),
            schema_id,
            data: opened.and_then(|opened| opened.decode_raw()).ok().map(|event| event.data),
        }
    }
}
