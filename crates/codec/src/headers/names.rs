//! The names of record headers, and the one error of reading them.
//!
//! CloudEvents 1.0, Kafka protocol binding, binary mode: every attribute is a header with the prefix `ce_`. The trace
//! headers are W3C Trace Context.

use super::Headers;

/// Version of the CloudEvents specification; always [`CE_SPECVERSION_VALUE`].
pub const CE_SPECVERSION: &str = "ce_specversion";
/// The CloudEvents version written and read here.
pub const CE_SPECVERSION_VALUE: &str = "1.0";
/// Unique id of the event; of a command, its idempotency key.
pub const CE_ID: &str = "ce_id";
/// `<context>.<aggregate>.<Event>`.
pub const CE_TYPE: &str = "ce_type";
/// Who wrote it: a URI reference such as `/spina/event-store/flights`.
pub const CE_SOURCE: &str = "ce_source";
/// When it happened, RFC 3339.
pub const CE_TIME: &str = "ce_time";
/// The stream id, the same as the record key.
pub const CE_SUBJECT: &str = "ce_subject";
/// The version: the event's place in its stream, decimal, from 1.
pub const CE_SEQUENCE: &str = "ce_sequence";
/// The business transaction it belongs to.
pub const CE_CORRELATION_ID: &str = "ce_correlationid";
/// The event or command that led to it.
pub const CE_CAUSATION_ID: &str = "ce_causationid";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context, the vendors' part.
pub const TRACESTATE: &str = "tracestate";
/// Epoch of the partition's owner when the record was written, decimal.
pub const SPINA_EPOCH: &str = "spina-epoch";
/// Idempotency key of the append that the event came with, where that is not the event's own id.
pub const SPINA_REQUEST: &str = "spina-request";
/// What a command expects of its stream: `any`, `no_stream`, `stream_exists` or a version.
pub const SPINA_EXPECTED_VERSION: &str = "spina-expected-version";
/// Marks a copy that a replay has written: the id of its job.
pub const SPINA_REPLAY: &str = "spina-replay";
/// Where the original of such a copy stands, as a token.
pub const SPINA_REPLAYED_FROM: &str = "spina-replayed-from";
/// Of a dead letter: why the record could not be handled.
pub const SPINA_ERROR: &str = "spina-error";

/// Longest id (event, request, correlation, causation) in bytes. Ids are kept in memory and in columns.
pub const ID_BYTES_MAX: usize = 255;

/// A record's headers or key do not say what they must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header that must be there is missing, null or empty.
    #[error("header `{name}` is missing")]
    Missing {
        /// The header.
        name: &'static str,
    },
    /// A header that is there says nothing acceptable.
    #[error("header `{name}` is not valid: {reason}")]
    Invalid {
        /// The header.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The record key is not the stream id that it must be.
    #[error("record key: {reason}")]
    Key {
        /// What is wrong with it.
        reason: String,
    },
}

/// The text of a header; `None` when it is missing, null or empty.
pub(super) fn text<'h>(headers: &'h Headers, name: &'static str) -> Result<Option<&'h str>, HeaderError> {
    let Some(bytes) = headers.get(name).filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(HeaderError::Invalid { name, reason: "it is not UTF-8".to_owned() }),
    }
}

/// The text of a header that must be there.
pub(super) fn required<'h>(headers: &'h Headers, name: &'static str) -> Result<&'h str, HeaderError> {
    text(headers, name)?.ok_or(HeaderError::Missing { name })
}

/// An id within its limit.
pub(super) fn id(headers: &Headers, name: &'static str) -> Result<Option<String>, HeaderError> {
    match text(headers, name)? {
        Some(id) if id.len() > ID_BYTES_MAX => {
            Err(HeaderError::Invalid { name, reason: format!("it is longer than {ID_BYTES_MAX} bytes") })
        }
        id => Ok(id.map(str::to_owned)),
    }
}

/// A header parsed by its type's `FromStr`.
pub(super) fn parsed<T>(name: &'static str, text: &str) -> Result<T, HeaderError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| HeaderError::Invalid { name, reason: error.to_string() })
}

/// Text for an error message: no longer than 80 characters.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
