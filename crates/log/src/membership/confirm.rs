//! Asking the group whether a member still is one, without leaving its place.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::callbacks::Callbacks;

/// Commits the offset that the group has committed for the partition once more. That changes nothing, and succeeds only for
/// a member of today's generation: a process that slept through its session is told so here, before it takes anything from
/// its successor.
///
/// Offsets of an open transaction are waited for, so none of this owner's can be committed in between: those of one that had
/// not reached the group yet never are. Blocks.
pub(super) fn with_the_group(
    consumer: &BaseConsumer<Callbacks>,
    topic: &str,
    partition: i32,
    limit: Duration,
) -> KafkaResult<()> {
    let mut asked = TopicPartitionList::with_capacity(1);
    asked.add_partition(topic, partition);
    let committed = consumer.committed_offsets(asked, limit)?;
    let offset = committed.elements().first().map_or(Offset::Invalid, |element| element.offset());
    let next = match offset {
        Offset::Offset(next) => next,
        // Nothing is committed yet: the first offset there is stands for it.
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => {
            consumer.fetch_watermarks(topic, partition, limit)?.0
        }
    };
    let mut place = TopicPartitionList::with_capacity(1);
    place.add_partition_offset(topic, partition, Offset::Offset(next))?;
    consumer.commit(&place, CommitMode::Sync)
}
