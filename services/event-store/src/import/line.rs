//! One line of an import.

use serde::Deserialize;
use serde_json::{Map, Value};
use spina_core::{ExpectedVersion, StreamId, Timestamp};
use tokio_util::codec::LinesCodecError;
use utoipa::ToSchema;

use super::progress::Stop;
use crate::context::Context;
use crate::decide::append::{Append, Trace};
use crate::prepare::{self, EventInput, Invalid};

/// An event and the stream it goes to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportLine {
    /// The stream.
    #[schema(value_type = String)]
    stream: StreamId,
    /// What the writer believes: `any`, `no_stream`, `stream_exists` or a version.
    #[serde(default)]
    #[schema(value_type = Object)]
    expected_version: ExpectedVersion,
    /// The event's type.
    #[serde(rename = "type")]
    event_type: String,
    /// Its fields.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// Its unique id, and the idempotency key of the line.
    id: Option<String>,
    /// When it happened.
    #[schema(value_type = Option<String>)]
    time: Option<Timestamp>,
    /// The business transaction it belongs to.
    correlation_id: Option<String>,
    /// The event or command that led to it.
    causation_id: Option<String>,
}

/// What a line turned out to be.
pub enum Parsed {
    /// Nothing.
    Blank,
    /// Something that cannot be recorded.
    Refused(Invalid),
    /// An event and its stream.
    Event(Box<ImportLine>),
}

/// Reads a line.
pub fn parse(text: &Result<String, LinesCodecError>) -> Result<Parsed, Stop> {
    let text = match text {
        Ok(text) => text,
        Err(LinesCodecError::MaxLineLengthExceeded) => {
            return Ok(Parsed::Refused(Invalid::new("validation.too_large", "the line is longer than 8 MiB")));
        }
        Err(LinesCodecError::Io(error)) => return Err(Stop::new("validation.body", error.to_string())),
    };
    if text.trim().is_empty() {
        return Ok(Parsed::Blank);
    }
    Ok(match serde_json::from_str(text) {
        Ok(line) => Parsed::Event(Box::new(line)),
        Err(error) => Parsed::Refused(Invalid::new("validation.json", error.to_string())),
    })
}

impl ImportLine {
    /// The partition of its stream.
    pub fn partition(&self, context: &Context) -> i32 {
        context.partition_of(&self.stream)
    }

    /// The line as an append of one event, checked and encoded.
    pub fn append(self, context: &Context) -> Result<Append, Invalid> {
        let input = EventInput {
            event_type: self.event_type,
            data: self.data,
            id: self.id,
            time: self.time,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
        };
        let event = prepare::event(context, self.stream.category(), input)?;
        Ok(Append::new(self.stream, self.expected_version, None, vec![event], Trace::default()))
    }
}
