//! Sample values for tests.

use spina_core::{EventHeaders, Timestamp, Version};
use spina_store::archive::Stored;

/// An event of a stream; its offset is its version.
pub fn event(stream: &str, version: u64) -> Stored {
    let headers = EventHeaders {
        id: format!("{stream}/{version}"),
        event_type: "test.a.Happened".to_owned(),
        stream: stream.parse().unwrap(),
        version: Version(version),
        time: Timestamp::default(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
        epoch: 1,
        request_id: None,
    };
    let offset = i64::try_from(version).unwrap();
    Stored { headers, partition: 0, offset, recorded_at: Timestamp::default(), value: vec![1].into() }
}
