//! Sample values for tests.

use bytes::Bytes;
use spina_core::{EventHeaders, Timestamp, Version};
use spina_store::archive::Stored;

/// A stored event of a stream.
pub fn stored(stream: &str, version: u64, offset: i64) -> Stored {
    let headers = EventHeaders {
        id: format!("{stream}/{version}"),
        event_type: "test.a.Happened".to_owned(),
        stream: stream.parse().unwrap(),
        version: Version(version),
        time: Timestamp::from_micros(0).unwrap(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
        epoch: 1,
        request_id: None,
    };
    Stored { headers, partition: 0, offset, recorded_at: Timestamp::from_micros(0).unwrap(), value: Bytes::new() }
}
