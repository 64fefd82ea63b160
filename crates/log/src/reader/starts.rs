//! From "where to begin" to offsets, checked against what the log holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::Start;
use crate::LogError;
use crate::client::{Quiet, Trouble, ends_reading};
use crate::config::REQUEST_TIMEOUT;

/// Pause before an unreachable broker is asked again.
const RETRY: Duration = Duration::from_millis(200);

/// Assigns the partitions at explicit offsets, which are returned; `None` when told to stop meanwhile.
///
/// Explicit, because assigning and then seeking races, and because a logical offset would hide an empty range.
pub(super) fn assign(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    starts: &[(i32, Start)],
    stop: &AtomicBool,
    trouble: &mut Trouble,
) -> Result<Option<Vec<(i32, i64)>>, LogError> {
    let mut positions = Vec::with_capacity(starts.len());
    for (partition, start) in starts {
        let Some((earliest, stable)) = held(consumer, topic, *partition, stop, trouble)? else { return Ok(None) };
        let offset = match start {
            Start::Earliest => earliest,
            Start::Latest => stable,
            Start::At(offset) => *offset,
        };
        // Beyond the stable end is fine here: our own commit may be acknowledged a moment before its marker is written.
        // Beyond the log's end the broker objects.
        if offset < earliest {
            let topic = topic.to_owned();
            return Err(LogError::OutOfRange { topic, partition: *partition, offset, earliest, end: stable });
        }
        positions.push((*partition, offset));
    }
    let mut assignment = TopicPartitionList::with_capacity(positions.len());
    let refused = |error| LogError::client(format!("read {topic}"), error);
    for (partition, offset) in &positions {
        assignment.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(refused)?;
    }
    consumer.assign(&assignment).map_err(refused)?;
    Ok(Some(positions))
}

/// First offset and stable end of the partition. Waits for brokers that are not reachable.
fn held(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
    stop: &AtomicBool,
    trouble: &mut Trouble,
) -> Result<Option<(i64, i64)>, LogError> {
    while !stop.load(Ordering::Relaxed) {
        let error = match consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT) {
            Ok(held) => return Ok(Some(held)),
            Err(error) => error,
        };
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                return Err(LogError::UnknownTopic(topic.to_owned()));
            }
            Some(RDKafkaErrorCode::UnknownPartition) => return Err(unknown(consumer, topic, partition)),
            Some(code) if !ends_reading(code) => trouble.note(&error),
            Some(_) | None => return Err(LogError::client(format!("ask for the ends of {topic}/{partition}"), error)),
        }
        std::thread::sleep(RETRY);
    }
    Ok(None)
}

/// Whether it is the topic or only the partition that is missing.
fn unknown(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> LogError {
    let exists = consumer
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .is_ok_and(|found| found.topics().iter().any(|t| t.name() == topic && !t.partitions().is_empty()));
    let topic = topic.to_owned();
    if exists { LogError::UnknownPartition { topic, partition } } else { LogError::UnknownTopic(topic) }
}

/// The error for the partition that lost, or never had, its next offset.
pub(super) fn out_of_range(consumer: &BaseConsumer<Quiet>, topic: &str, positions: &[(i32, i64)]) -> LogError {
    let topic = topic.to_owned();
    for (partition, offset) in positions {
        if let Ok((earliest, end)) = consumer.fetch_watermarks(&topic, *partition, REQUEST_TIMEOUT)
            && !(earliest..=end).contains(offset)
        {
            return LogError::OutOfRange { topic, partition: *partition, offset: *offset, earliest, end };
        }
    }
    LogError::Truncated { topic }
}
