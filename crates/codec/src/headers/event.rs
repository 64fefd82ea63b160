//! An event's headers: what Spina writes, and what it requires when it reads them back.

use spina_core::{EventHeaders, StreamId, Timestamp, Version};

use super::Headers;
use super::names::*;

/// The record headers of an event. `source` is the `ce_source` attribute, a URI reference naming the writer.
pub fn write_event_headers(event: &EventHeaders, source: &str) -> Headers {
    let mut headers = Headers::with_capacity(13, 512);
    let mut put = |name: &str, value: &str| headers.push(name, Some(value.as_bytes()));
    put(CE_SPECVERSION, CE_SPECVERSION_VALUE);
    put(CE_ID, &event.id);
    put(CE_TYPE, &event.event_type);
    put(CE_SOURCE, source);
    put(CE_TIME, &event.time.to_string());
    put(CE_SUBJECT, event.stream.as_str());
    put(CE_SEQUENCE, &event.version.to_string());
    put(SPINA_EPOCH, &event.epoch.to_string());
    let optional = [
        (CE_CORRELATION_ID, &event.correlation_id),
        (CE_CAUSATION_ID, &event.causation_id),
        (TRACEPARENT, &event.traceparent),
        (TRACESTATE, &event.tracestate),
        (SPINA_REQUEST, &event.request_id),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            put(name, value);
        }
    }
    headers
}

/// Reads an event's headers. Strict: on an events topic only Spina writes, so anything missing or odd is a defect.
///
/// # Errors
/// When a required header is missing, or a header or the key is not what it must be.
pub fn read_event_headers(headers: &Headers, key: &[u8]) -> Result<EventHeaders, HeaderError> {
    check_specversion(required(headers, CE_SPECVERSION)?)?;
    let id = id(headers, CE_ID)?.ok_or(HeaderError::Missing { name: CE_ID })?;
    Ok(EventHeaders {
        id,
        event_type: event_type(required(headers, CE_TYPE)?)?,
        stream: stream(key, required(headers, CE_SUBJECT)?)?,
        version: version(required(headers, CE_SEQUENCE)?)?,
        time: parsed::<Timestamp>(CE_TIME, required(headers, CE_TIME)?)?,
        correlation_id: super::names::id(headers, CE_CORRELATION_ID)?,
        causation_id: super::names::id(headers, CE_CAUSATION_ID)?,
        traceparent: text(headers, TRACEPARENT)?.map(str::to_owned),
        tracestate: text(headers, TRACESTATE)?.map(str::to_owned),
        epoch: parsed(SPINA_EPOCH, required(headers, SPINA_EPOCH)?)?,
        request_id: super::names::id(headers, SPINA_REQUEST)?,
    })
}

fn check_specversion(version: &str) -> Result<(), HeaderError> {
    if version == CE_SPECVERSION_VALUE {
        return Ok(());
    }
    let reason = format!("`{}` is not {CE_SPECVERSION_VALUE}", shortened(version));
    Err(HeaderError::Invalid { name: CE_SPECVERSION, reason })
}

fn event_type(text: &str) -> Result<String, HeaderError> {
    if text.split('.').count() == 3 && text.split('.').all(|part| !part.is_empty()) {
        return Ok(text.to_owned());
    }
    let reason = format!("`{}` is not <context>.<aggregate>.<Event>", shortened(text));
    Err(HeaderError::Invalid { name: CE_TYPE, reason })
}

fn stream(key: &[u8], subject: &str) -> Result<StreamId, HeaderError> {
    if subject.as_bytes() != key {
        let reason = format!("the record key is `{}`", shortened(&String::from_utf8_lossy(key)));
        return Err(HeaderError::Invalid { name: CE_SUBJECT, reason });
    }
    subject.parse().map_err(|error: spina_core::stream::NameError| HeaderError::Key { reason: error.to_string() })
}

fn version(text: &str) -> Result<Version, HeaderError> {
    let version: u64 = parsed(CE_SEQUENCE, text)?;
    if version == 0 {
        return Err(HeaderError::Invalid { name: CE_SEQUENCE, reason: "versions begin at 1".to_owned() });
    }
    Ok(Version(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed() -> EventHeaders {
        EventHeaders {
            id: "e-1".to_owned(),
            event_type: "flights.flight.FlightLanded".to_owned(),
            stream: "flight-UA1545".parse().unwrap(),
            version: Version(3),
            time: "2013-01-01T10:15:00Z".parse().unwrap(),
            correlation_id: None,
            causation_id: Some("c-1".to_owned()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            tracestate: None,
            epoch: 7,
            request_id: Some("r-1".to_owned()),
        }
    }

    /// The headers of `landed` with one replaced or, for `None`, left out.
    fn altered(name: &str, value: Option<&str>) -> Headers {
        let mut headers = Headers::default();
        for (known, old) in write_event_headers(&landed(), "/spina").iter().filter(|(known, _)| *known != name) {
            headers.push(known, old);
        }
        if let Some(value) = value {
            headers.push(name, Some(value.as_bytes()));
        }
        headers
    }

    #[test]
    fn headers_survive_the_round_trip() {
        let headers = write_event_headers(&landed(), "/spina/event-store/flights");
        assert_eq!(headers.get_str(CE_SOURCE), Some("/spina/event-store/flights"));
        assert_eq!(headers.get_str(CE_SEQUENCE), Some("3"));
        assert_eq!(headers.get(CE_CORRELATION_ID), None);
        assert_eq!(read_event_headers(&headers, b"flight-UA1545"), Ok(landed()));
    }

    #[test]
    fn every_required_header_is_required() {
        for name in [CE_SPECVERSION, CE_ID, CE_TYPE, CE_TIME, CE_SUBJECT, CE_SEQUENCE, SPINA_EPOCH] {
            let missing = Err(HeaderError::Missing { name });
            assert_eq!(read_event_headers(&altered(name, None), b"flight-UA1545"), missing);
            assert_eq!(read_event_headers(&altered(name, Some("")), b"flight-UA1545"), missing);
        }
    }

    #[test]
    fn headers_that_say_nonsense_are_refused() {
        let long = "x".repeat(ID_BYTES_MAX + 1);
        for (name, value) in [
            (CE_SPECVERSION, "0.3"),
            (CE_ID, long.as_str()),
            (CE_TYPE, "FlightLanded"),
            (CE_TYPE, "flights..FlightLanded"),
            (CE_TIME, "yesterday"),
            (CE_SUBJECT, "flight-other"),
            (CE_SEQUENCE, "0"),
            (CE_SEQUENCE, "-1"),
            (SPINA_EPOCH, "one"),
        ] {
            let answer = read_event_headers(&altered(name, Some(value)), b"flight-UA1545");
            assert!(matches!(answer, Err(HeaderError::Invalid { name: n, .. }) if n == name), "{name}: {answer:?}");
        }
        let keyed = read_event_headers(&altered(CE_SUBJECT, Some("flight")), b"flight");
        assert!(matches!(keyed, Err(HeaderError::Key { .. })), "{keyed:?}");
    }
}
