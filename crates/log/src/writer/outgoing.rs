//! From our records to the client's.

use bytes::{Bytes, BytesMut};
use krafka::Record;
use krafka::consumer::ConsumerGroupMetadata;
use krafka::producer::TopicPartitionOffset;
use spina_codec::Headers;

use super::Consumed;
use crate::NewRecord;

/// The client's record.
pub(super) fn record(new: NewRecord) -> Record {
    let mut record =
        Record::new(new.topic.as_ref(), new.value.clone().unwrap_or_default()).partition(new.partition).key(new.key);
    record.value = new.value;
    record.timestamp = new.timestamp_ms;
    record.headers = headers(&new.headers);
    record
}

/// The client's headers. All values share one allocation.
fn headers(headers: &Headers) -> krafka::Headers {
    let bytes = headers.iter().map(|(_, value)| value.map_or(0, <[u8]>::len)).sum();
    let mut values = BytesMut::with_capacity(bytes);
    for (_, value) in headers.iter() {
        values.extend_from_slice(value.unwrap_or_default());
    }
    let mut values: Bytes = values.freeze();
    headers.iter().map(|(name, value)| (name.to_owned(), value.map(|value| values.split_to(value.len())))).collect()
}

/// The client's words for what was consumed.
pub(super) fn consumed(consumed: Consumed) -> (Vec<TopicPartitionOffset>, ConsumerGroupMetadata) {
    let Consumed { member, offsets } = consumed;
    let offsets = offsets
        .into_iter()
        .map(|(topic, partition, next)| TopicPartitionOffset::new(topic.as_ref(), partition, next))
        .collect();
    (offsets, ConsumerGroupMetadata::new(member.group, member.generation, member.member_id, member.instance_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_order_repeats_and_nulls() {
        let mut ours = Headers::default();
        ours.push("a", Some(b"one"));
        ours.push("b", None);
        ours.push("a", Some(b""));
        let expected = [("a", Some("one")), ("b", None), ("a", Some(""))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(Bytes::from)));
        assert_eq!(headers(&ours), expected);
    }

    #[test]
    fn a_tombstone_is_not_an_empty_value() {
        let new = |value| NewRecord {
            topic: "t".into(),
            partition: 2,
            key: Bytes::from_static(b"k"),
            value,
            headers: Headers::default(),
            timestamp_ms: Some(7),
        };
        assert_eq!(record(new(None)).value, None);
        assert_eq!(record(new(Some(Bytes::new()))).value, Some(Bytes::new()));
        let sent = record(new(None));
        assert_eq!((sent.partition, sent.timestamp, sent.key), (Some(2), Some(7), Some(Bytes::from_static(b"k"))));
    }
}
