//! The cluster itself: brokers, features, settings, open transactions, a group's offsets.

use std::time::Duration;

use krafka::admin::{
    ConfigResource, DescribeClusterOptions, DescribeFeaturesOptions, DescribeProducersOptions, TopicPartition,
};

use super::Admin;
use super::topics::unanswered;
use crate::LogError;

/// What brokers have for the least session time-out unless they were told otherwise.
const SESSION_TIMEOUT_MIN_DEFAULT: Duration = Duration::from_secs(6);

/// The feature that decides how transactions are spoken.
const TRANSACTION_VERSION: &str = "transaction.version";

/// The cluster as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: String,
    /// Number of brokers that are up.
    pub brokers: usize,
    /// Level of the feature `transaction.version` all brokers agreed on; 0 when they did on none. Spina needs 2.
    pub transaction_version: i16,
    /// `min.insync.replicas` of a broker, in force for topics that set none; `None` when it may not be read.
    pub min_insync_replicas: Option<i16>,
}

/// A transaction that is open on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The producer's id, as brokers know it.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i32,
    /// Its first offset, where committed readers stop.
    pub start: i64,
    /// When it last wrote, milliseconds since 1970; -1 when unknown.
    pub last_write_ms: i64,
}

impl Admin {
    /// The cluster as it is.
    ///
    /// # Errors
    /// [`LogError::Client`].
    pub async fn cluster(&self) -> Result<Cluster, LogError> {
        let failed = |error| LogError::client("describe the cluster", error);
        let described = self.client.describe_cluster(DescribeClusterOptions::default()).await.map_err(failed)?;
        let features = self.client.describe_features(DescribeFeaturesOptions::default()).await.map_err(failed)?;
        let transactions = features.finalized.iter().find(|feature| feature.name == TRANSACTION_VERSION);
        let up: Vec<_> = described.brokers.iter().filter(|broker| !broker.is_fenced).collect();
        let mut min_insync_replicas = None;
        if let Some(broker) = up.first() {
            let configs = self.configs(ConfigResource::broker(broker.id)).await.map_err(failed)?;
            min_insync_replicas = configs.get("min.insync.replicas").and_then(|config| config.value.parse().ok());
        }
        Ok(Cluster {
            id: described.cluster_id,
            brokers: up.len(),
            transaction_version: transactions.map_or(0, |feature| feature.max_version_level),
            min_insync_replicas,
        })
    }

    /// The shortest session time-out that group members may ask for.
    ///
    /// # Errors
    /// [`LogError::Client`].
    pub async fn session_timeout_min(&self) -> Result<Duration, LogError> {
        let failed = |error| LogError::client("read the brokers' settings", error);
        let described = self.client.describe_cluster(DescribeClusterOptions::default()).await.map_err(failed)?;
        let mut least = SESSION_TIMEOUT_MIN_DEFAULT;
        if let Some(broker) = described.brokers.iter().find(|broker| !broker.is_fenced) {
            let configs = self.configs(ConfigResource::broker(broker.id)).await.map_err(failed)?;
            let set = configs.get("group.min.session.timeout.ms").and_then(|config| config.value.parse().ok());
            least = set.map_or(least, Duration::from_millis);
        }
        Ok(least)
    }

    /// The transactions that are open on the partition, earliest first.
    ///
    /// # Errors
    /// [`LogError::Client`].
    pub async fn open_transactions(&self, topic: &str, partition: i32) -> Result<Vec<OpenTransaction>, LogError> {
        let at = TopicPartition::new(topic, partition);
        let producers = self
            .client
            .describe_producers([at.clone()], DescribeProducersOptions::default())
            .await
            .and_then(|mut found| found.remove(&at).unwrap_or_else(|| Err(unanswered())))
            .map_err(|error| LogError::client(format!("ask for open transactions of {topic}/{partition}"), error))?;
        let mut open: Vec<_> = producers
            .into_iter()
            .filter_map(|producer| {
                Some(OpenTransaction {
                    producer_id: producer.producer_id,
                    producer_epoch: producer.producer_epoch,
                    start: producer.current_transaction_start_offset?,
                    last_write_ms: producer.last_timestamp,
                })
            })
            .collect();
        open.sort_by_key(|transaction| transaction.start);
        Ok(open)
    }
}
