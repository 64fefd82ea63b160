//! Replies: what a publisher through the commands topic is told.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use spina_codec::frame::frame;
use spina_codec::headers::Headers;
use spina_codec::shape::Shape;
use spina_core::Timestamp;
use spina_log::{Fetched, NewRecord};

use super::append::{Append, Command, Outcome, Refusal, ValueTaken};
use super::window::Imprint;

/// The header that tells which command is answered: its offset. Request ids may come twice.
const COMMAND_OFFSET: &str = "ce_commandoffset";

/// How replies are encoded.
#[derive(Debug)]
pub struct ReplyType {
    /// Registered schema id.
    pub schema_id: u32,
    /// The schema.
    pub shape: Arc<Shape>,
}

/// A reply, as the fields of `spina.Reply`.
#[derive(Debug)]
pub struct Reply(Map<String, Value>);

impl Reply {
    /// The command could not be judged.
    pub fn refused(command: &Command, refusal: &Refusal) -> Self {
        let stream = String::from_utf8_lossy(&command.key).into_owned();
        Self::of(&command.request_id, &stream, "rejected", None, Some((refusal.error_code.as_str(), &refusal.message)))
    }

    /// The command was judged.
    pub fn judged(append: &Append, outcome: &Outcome) -> Self {
        let (request, stream) = (append.request_id.as_str(), append.stream.as_str());
        match outcome {
            Outcome::Appended(place) | Outcome::Repeated(place) => {
                Self::of(request, stream, "accepted", Some(place.last.0), None)
            }
            Outcome::Conflict(conflict) => {
                let why = ("state.conflict", conflict.to_string());
                Self::of(request, stream, "conflict", Some(conflict.current.0), Some((why.0, &why.1)))
            }
            Outcome::KeyReused => {
                let why = ("validation.idempotency_key", "the key was used with another payload");
                Self::of(request, stream, "rejected", None, Some(why))
            }
            Outcome::Nothing(version) => Self::of(request, stream, "accepted", Some(version.0), None),
            Outcome::Rejected(rejection) => {
                let why = (rejection.code.as_str(), rejection.message.as_str());
                Self::of(request, stream, "rejected", None, Some(why))
            }
            Outcome::ValueTaken(taken) => {
                let why = (ValueTaken::ERROR_CODE, taken.to_string());
                Self::of(request, stream, "rejected", None, Some((why.0, &why.1)))
            }
            Outcome::Unavailable(why) => Self::of(request, stream, "rejected", None, Some(("state.unavailable", why))),
            Outcome::Unknown => Self::of(request, stream, "rejected", None, Some(("state.unknown", ""))),
        }
    }

    fn of(request: &str, stream: &str, outcome: &str, version: Option<u64>, why: Option<(&str, &str)>) -> Self {
        let fields = [
            ("request_id", Value::from(request)),
            ("stream", Value::from(stream)),
            ("outcome", Value::from(outcome)),
            ("version", Value::from(version)),
            ("error_code", Value::from(why.map(|(code, _)| code))),
            ("message", Value::from(why.map(|(_, message)| message))),
        ];
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The record that answers the command.
    pub fn record(&self, command: &Command, imprint: &Imprint, now: Timestamp) -> NewRecord {
        let avro =
            imprint.reply_type.shape.encode(&self.0).expect("a reply fits its schema, which was checked at start");
        let mut headers = Headers::default();
        headers.push("ce_specversion", Some(b"1.0"));
        headers.push("ce_type", Some(b"spina.Reply"));
        headers.push("ce_source", Some(imprint.source.as_bytes()));
        headers.push("ce_id", Some(format!("{}:reply", command.request_id).as_bytes()));
        headers.push("ce_causationid", Some(command.request_id.as_bytes()));
        headers.push(COMMAND_OFFSET, Some(command.offset.to_string().as_bytes()));
        NewRecord {
            topic: Arc::clone(&imprint.replies_topic),
            partition: imprint.partition,
            key: command.key.clone(),
            value: Some(Bytes::from(frame(imprint.reply_type.schema_id, &avro))),
            headers,
            timestamp_ms: Some(now.millis()),
        }
    }
}

/// The offset of the command that a reply answers.
pub fn command_offset(reply: &Fetched) -> Option<i64> {
    std::str::from_utf8(reply.headers.get(COMMAND_OFFSET)?).ok()?.parse().ok()
}
