//! From times to offsets.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::{Admin, CALL_TIMEOUT};
use crate::client::Quiet;
use crate::{LogConfig, LogError};

impl Admin {
    /// For each partition of the topic, the offset of the first record written at or after the time (milliseconds since
    /// 1970); the end when there is none.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`], [`LogError::Client`].
    pub async fn offsets_at(&self, topic: &str, timestamp_ms: i64) -> Result<Vec<(i32, i64)>, LogError> {
        let ends = self.ends(topic).await?;
        let partitions: Vec<i32> = ends.iter().map(|ends| ends.partition).collect();
        let (config, name) = (self.config.clone(), topic.to_owned());
        // rdkafka, since krafka takes "no such record" for an error that passes, and asks until its time is up.
        let asked = tokio::task::spawn_blocking(move || look_up(&config, &name, &partitions, timestamp_ms)).await;
        let found = asked
            .map_err(|_| LogError::Stopped("search for a time"))?
            .map_err(|error| LogError::client(format!("look up a time in {topic}"), error))?;
        let offsets = ends.into_iter().map(|ends| {
            let offset = found.iter().find(|(partition, _)| *partition == ends.partition).and_then(|(_, at)| *at);
            (ends.partition, offset.unwrap_or(ends.high))
        });
        Ok(offsets.collect())
    }
}

/// Partition and offset, without one where no record fits. Blocks.
fn look_up(
    config: &LogConfig,
    topic: &str,
    partitions: &[i32],
    timestamp_ms: i64,
) -> KafkaResult<Vec<(i32, Option<i64>)>> {
    let consumer: BaseConsumer<Quiet> = config.consumer().create_with_context(Quiet)?;
    let mut times = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        times.add_partition_offset(topic, *partition, Offset::Offset(timestamp_ms))?;
    }
    let found = consumer.offsets_for_times(times, CALL_TIMEOUT)?;
    let offset = |offset| match offset {
        Offset::Offset(offset) => Some(offset),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
    };
    let each = found.elements();
    each.iter().map(|one| one.error().map(|()| (one.partition(), offset(one.offset())))).collect::<KafkaResult<_>>()
}
