//! From the client's message to a record of our own.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use crate::{Fetched, native};

/// Copies the message; the client may free it afterwards. Key and value share one allocation.
pub(crate) fn fetched(topic: &Arc<str>, message: &BorrowedMessage<'_>) -> Fetched {
    let (key, value) = (message.key(), message.payload());
    let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let mut both = BytesMut::with_capacity(length(key) + length(value));
    both.put_slice(key.unwrap_or_default());
    both.put_slice(value.unwrap_or_default());
    let mut both: Bytes = both.freeze();
    let key_bytes = both.split_to(length(key));
    Fetched {
        topic: Arc::clone(topic),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: key.map(|_| key_bytes),
        value: value.map(|_| both),
        headers: native::headers(message),
    }
}
