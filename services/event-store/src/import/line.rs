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

/// Which line it is, from 1.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Number of the line.
    pub number: u64,
}

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
    /// An append of one event.
    Append(Box<Append>),
}

/// Reads, checks and encodes a line.
pub fn parse(context: &Context, text: Result<String, LinesCodecError>) -> Result<Parsed, Stop> {
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
    Ok(match append(context, &text) {
        Ok(append) => Parsed::Append(Box::new(append)),
        Err(invalid) => Parsed::Refused(invalid),
    })
}

fn append(context: &Context, text: &str) -> Result<Append, Invalid> {
    let line: ImportLine =
        serde_json::from_str(text).map_err(|error| Invalid::new("validation.json", error.to_string()))?;
    let input = EventInput {
        event_type: line.event_type,
        data: line.data,
        id: line.id,
        time: line.time,
        correlation_id: line.correlation_id,
        causation_id: line.causation_id,
    };
    let event = prepare::event(context, line.stream.category(), input)?;
    Ok(Append::new(line.stream, line.expected_version, None, vec![event], Trace::default()))
}
