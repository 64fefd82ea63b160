//! Records as they come from the log and as they go into it.

use std::sync::Arc;

use bytes::Bytes;
use spina_codec::Headers;

/// A record read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition, from 0.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// When it was written, by its producer or by the broker (the topic decides); milliseconds since 1970, -1 if unknown.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Headers,
}

/// Header of a mark.
const MARK: &str = "spina-mark";

/// A record that says nothing and that every [`LogReader`](crate::LogReader) passes over: no value, an empty key, which is
/// no stream id, and the header `spina-mark`. A transaction needs a record to reach a partition.
pub fn mark(topic: Arc<str>, partition: i32) -> NewRecord {
    let mut headers = Headers::default();
    headers.push(MARK, None);
    NewRecord { topic, partition, key: Bytes::new(), value: None, headers, timestamp_ms: None }
}

/// Whether the record is a [`mark`].
pub(crate) fn is_mark(record: &Fetched) -> bool {
    let empty = record.value.is_none() && record.key.as_ref().is_none_or(Bytes::is_empty);
    empty && record.headers.iter().any(|(name, _)| name == MARK)
}

/// A record for a known partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
    /// The key: the stream id.
    pub key: Bytes,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Headers,
    /// Milliseconds since 1970; the client's clock when absent.
    pub timestamp_ms: Option<i64>,
}
