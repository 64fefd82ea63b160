//! Questions about transactions that hang.

use std::time::Duration;

use krafka::KrafkaError;
use krafka::admin::{DescribeTransactionsOptions, ListConsumerGroupOffsetsOptions, TopicPartition};
use krafka::error::ErrorCode;

use super::Admin;
use crate::LogError;

/// How long an offset may be pending before its transaction is said to hang. Settling takes milliseconds.
const STABLE_LIMIT: Duration = Duration::from_secs(3);

/// Where a group stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupOffset {
    /// What it consumes next: the committed offset, or the first one there is.
    pub next: i64,
    /// Whether a transaction hangs that would change it. Clients cannot begin to consume there.
    pub hangs: bool,
}

impl Admin {
    /// The producer id that the coordinator has for each transactional id, in their order; none if it was never used.
    ///
    /// # Errors
    /// [`LogError::Client`].
    pub async fn producers_of(&self, transactional_ids: &[String]) -> Result<Vec<Option<i64>>, LogError> {
        let described = self
            .client
            .describe_transactions(transactional_ids, DescribeTransactionsOptions::default())
            .await
            .map_err(|error| LogError::client("ask for the producers of transactional ids", error))?;
        let producer = |id| Some(described.get(id)?.as_ref().ok()?.producer_id);
        Ok(transactional_ids.iter().map(producer).collect())
    }

    /// Where the group stands in the partition, once no transaction is open that would change it, or after 3 s.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`] (also when there is no such topic), [`LogError::Client`].
    pub async fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Result<GroupOffset, LogError> {
        let at = TopicPartition::new(topic, partition);
        let asked = ListConsumerGroupOffsetsOptions::default().partitions(vec![at.clone()]);
        let stable = asked.clone().require_stable(true).timeout(STABLE_LIMIT);
        let failed = |error| LogError::client(format!("ask where {group} stands in {topic}/{partition}"), error);
        let (mut found, hangs) = match self.client.list_consumer_group_offsets(group, stable).await {
            Ok(found) => (found, false),
            Err(error) if is_unstable(&error) => {
                (self.client.list_consumer_group_offsets(group, asked).await.map_err(failed)?, true)
            }
            Err(error) => return Err(failed(error)),
        };
        let committed = found.remove(&at).transpose().map_err(failed)?;
        let next = match committed.and_then(|committed| committed.offset) {
            Some(next) => next,
            None => self.partition_ends(topic, partition).await?.earliest,
        };
        Ok(GroupOffset { next, hangs })
    }
}

fn is_unstable(error: &KrafkaError) -> bool {
    matches!(error, KrafkaError::Broker { code: ErrorCode::UnstableOffsetCommit, .. })
}
