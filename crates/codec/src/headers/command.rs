//! What a record on a commands topic says about itself. Anybody writes there, so nearly everything may be missing.

use spina_core::{ExpectedVersion, Timestamp};

use super::Headers;
use super::names::*;

/// The headers of a command record. What is absent is absent; what is there and means something must be valid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandHeaders {
    /// Id of the command or event, which is its idempotency key too.
    pub id: Option<String>,
    /// The type, as the sender calls it: `FlightLanded` or `flights.flight.FlightLanded`. The schema tells as well.
    pub event_type: Option<String>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// What the sender expects of the stream.
    pub expected_version: ExpectedVersion,
    /// The business transaction it belongs to.
    pub correlation_id: Option<String>,
    /// What led to it.
    pub causation_id: Option<String>,
    /// W3C trace context. Bytes that are not text count as absent: tracing never rejects a record.
    pub traceparent: Option<String>,
    /// W3C trace context, the vendors' part.
    pub tracestate: Option<String>,
}

/// Reads the headers of a command record.
///
/// # Errors
/// When a header that bears meaning is there and is not valid. To ignore it could append twice or at a wrong version.
pub fn read_command_headers(headers: &Headers) -> Result<CommandHeaders, HeaderError> {
    Ok(CommandHeaders {
        id: id(headers, CE_ID)?,
        event_type: id(headers, CE_TYPE)?,
        time: text(headers, CE_TIME)?.map(|time| parsed(CE_TIME, time)).transpose()?,
        expected_version: match text(headers, SPINA_EXPECTED_VERSION)? {
            Some(expected) => parsed(SPINA_EXPECTED_VERSION, expected)?,
            None => ExpectedVersion::Any,
        },
        correlation_id: id(headers, CE_CORRELATION_ID)?,
        causation_id: id(headers, CE_CAUSATION_ID)?,
        traceparent: headers.get_str(TRACEPARENT).map(str::to_owned),
        tracestate: headers.get_str(TRACESTATE).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use spina_core::Version;

    use super::*;

    fn with(name: &str, value: &[u8]) -> Headers {
        let mut headers = Headers::default();
        headers.push(name, Some(value));
        headers
    }

    #[test]
    fn a_record_without_headers_says_nothing() {
        assert_eq!(read_command_headers(&Headers::default()), Ok(CommandHeaders::default()));
        assert_eq!(read_command_headers(&with("id", b"42")), Ok(CommandHeaders::default()));
    }

    #[test]
    fn what_is_there_is_read() {
        let mut headers = with(CE_ID, b"order-1");
        headers.push(CE_TIME, Some(b"2013-01-01T05:15:00-05:00"));
        headers.push(SPINA_EXPECTED_VERSION, Some(b"4"));
        let read = read_command_headers(&headers).unwrap();
        assert_eq!(read.id.as_deref(), Some("order-1"));
        assert_eq!(read.time, Some("2013-01-01T10:15:00Z".parse().unwrap()));
        assert_eq!(read.expected_version, ExpectedVersion::Exact(Version(4)));
    }

    #[test]
    fn what_is_there_and_wrong_is_refused() {
        let long = vec![b'x'; ID_BYTES_MAX + 1];
        for (name, value) in [
            (CE_ID, long.as_slice()),
            (CE_ID, &[0xff]),
            (CE_TIME, b"1357035300"),
            (SPINA_EXPECTED_VERSION, b"latest"),
            (CE_CORRELATION_ID, long.as_slice()),
        ] {
            let answer = read_command_headers(&with(name, value));
            assert!(matches!(answer, Err(HeaderError::Invalid { name: n, .. }) if n == name), "{name}: {answer:?}");
        }
    }

    #[test]
    fn a_broken_trace_context_rejects_nothing() {
        assert_eq!(read_command_headers(&with(TRACEPARENT, &[0xff])), Ok(CommandHeaders::default()));
    }
}
