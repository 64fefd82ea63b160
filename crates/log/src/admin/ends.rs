//! Where partitions begin and end.

use krafka::admin::{DescribeTopicsOptions, ListOffsetsOptions, OffsetSpec, TopicPartition};

use super::Admin;
use super::topics::{is_unknown_topic, unanswered};
use crate::LogError;

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionEnds {
    /// The partition.
    pub partition: i32,
    /// Offset of the first record that is still there.
    pub earliest: i64,
    /// Where committed readers stop: at the first open transaction, else at the end.
    pub stable: i64,
    /// One past the last offset. Transaction markers take offsets too, so no record may ever have `high - 1`.
    pub high: i64,
}

impl Admin {
    /// The ends of every partition of the topic, in order.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`], [`LogError::Client`].
    pub async fn ends(&self, topic: &str) -> Result<Vec<PartitionEnds>, LogError> {
        let count = self.partitions(topic).await?;
        self.ends_of(topic, (0..count).collect()).await
    }

    /// The ends of one partition.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`] (also when there is no such topic), [`LogError::Client`].
    pub async fn partition_ends(&self, topic: &str, partition: i32) -> Result<PartitionEnds, LogError> {
        let found = self.ends_of(topic, vec![partition]).await?;
        found.into_iter().next().ok_or_else(|| LogError::UnknownPartition { topic: topic.to_owned(), partition })
    }

    /// Where committed readers of these partitions stop, in their order.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`] (also when there is no such topic), [`LogError::Client`].
    pub async fn stable_ends(&self, topic: &str, partitions: &[i32]) -> Result<Vec<(i32, i64)>, LogError> {
        let ends = self.look_up(topic, partitions, OffsetSpec::Latest, true).await?;
        Ok(partitions.iter().copied().zip(ends).collect())
    }

    /// The ends of these partitions, open transactions included, in their order.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`] (also when there is no such topic), [`LogError::Client`].
    pub async fn high_ends(&self, topic: &str, partitions: &[i32]) -> Result<Vec<(i32, i64)>, LogError> {
        let ends = self.look_up(topic, partitions, OffsetSpec::Latest, false).await?;
        Ok(partitions.iter().copied().zip(ends).collect())
    }

    pub(super) async fn partitions(&self, topic: &str) -> Result<i32, LogError> {
        let found = self
            .client
            .describe_topics([topic], DescribeTopicsOptions::default())
            .await
            .and_then(|mut found| found.remove(topic).unwrap_or_else(|| Err(unanswered())));
        match found {
            Ok(described) => Ok(i32::try_from(described.partitions.len()).expect("Kafka counts partitions in 32 bits")),
            Err(error) if is_unknown_topic(&error) => Err(LogError::UnknownTopic(topic.to_owned())),
            Err(error) => Err(LogError::client(format!("describe topic {topic}"), error)),
        }
    }

    async fn ends_of(&self, topic: &str, partitions: Vec<i32>) -> Result<Vec<PartitionEnds>, LogError> {
        let earliest = self.look_up(topic, &partitions, OffsetSpec::Earliest, false).await?;
        // The end first: a transaction that ends in between then shows as settled, and never a settled one as open.
        let high = self.look_up(topic, &partitions, OffsetSpec::Latest, false).await?;
        let stable = self.look_up(topic, &partitions, OffsetSpec::Latest, true).await?;
        let offsets = earliest.into_iter().zip(stable).zip(high);
        let ends = partitions.into_iter().zip(offsets).map(|(partition, ((earliest, stable), high))| PartitionEnds {
            partition,
            earliest,
            stable,
            // What is stable is there, too: the log may have grown between the two questions.
            high: high.max(stable),
        });
        Ok(ends.collect())
    }

    /// One offset for each of the partitions, in their order.
    async fn look_up(
        &self,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
        committed: bool,
    ) -> Result<Vec<i64>, LogError> {
        let failed = |error| LogError::client(format!("ask for the ends of {topic}"), error);
        let asked = partitions.iter().map(|partition| (TopicPartition::new(topic, *partition), spec));
        let options = ListOffsetsOptions::default().read_committed(committed);
        let mut found = self.client.list_offsets(asked, options).await.map_err(failed)?;
        let mut offsets = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let answer = found.remove(&TopicPartition::new(topic, *partition)).unwrap_or_else(|| Err(unanswered()));
            match answer {
                Ok(listed) => offsets.push(listed.offset),
                Err(error) if is_unknown_topic(&error) => {
                    return Err(LogError::UnknownPartition { topic: topic.to_owned(), partition: *partition });
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(offsets)
    }
}
