//! Records for tests.

use bytes::Bytes;
use spina_codec::Headers;
use spina_codec::headers::CE_TYPE;
use spina_log::Fetched;

/// A record of a stream that nobody decodes.
pub fn record(stream: &str, event_type: &str, partition: i32, offset: i64) -> Fetched {
    let mut headers = Headers::default();
    headers.push(CE_TYPE, Some(event_type.as_bytes()));
    Fetched {
        topic: spina_log::names::events_topic(&"f".parse().expect("a context")).into(),
        partition,
        offset,
        timestamp_ms: 0,
        key: Some(Bytes::copy_from_slice(stream.as_bytes())),
        value: Some(Bytes::from_static(b"value")),
        headers,
    }
}
