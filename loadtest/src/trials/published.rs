//! Events as if they had been appended, written by us.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use spina_codec::headers::write_event_headers;
use spina_codec::partitioner::partition_for;
use spina_core::{EventHeaders, StreamId, Timestamp, Version};
use spina_log::NewRecord;

/// When the first of them happened, in milliseconds since 1970.
const BEGAN_MS: i64 = 1_700_000_000_000;

/// The first event of a stream, so many milliseconds after the first of all, for a topic of so many partitions.
pub fn event(
    (topic, partitions): (&Arc<str>, i32),
    event_type: &str,
    id: String,
    stream: StreamId,
    after_ms: u64,
    value: Bytes,
) -> anyhow::Result<NewRecord> {
    let key = Bytes::copy_from_slice(stream.as_str().as_bytes());
    let headers = EventHeaders {
        id,
        event_type: event_type.to_owned(),
        stream,
        version: Version(1),
        time: Timestamp::from_millis(BEGAN_MS + i64::try_from(after_ms)?).context("tell the time")?,
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
        epoch: 1,
        request_id: None,
    };
    Ok(NewRecord {
        topic: Arc::clone(topic),
        partition: partition_for(&key, partitions),
        key,
        value: Some(value),
        headers: write_event_headers(&headers, "/spina/bench"),
        timestamp_ms: None,
    })
}
