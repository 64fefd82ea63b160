//! Topics: which there are, how they are made, making them.

use std::collections::BTreeMap;
use std::time::Instant;

use krafka::KrafkaError;
use krafka::admin::{
    ConfigOp, ConfigResource, CreateTopicsOptions, DeleteTopicsOptions, DescribeConfigsOptions, DescribeTopicsOptions,
    IncrementalAlterConfigsOptions, ListTopicsOptions, NewTopic,
};
use krafka::error::ErrorCode;

use super::{ADMIN_BACKOFF, Admin, CALL_TIMEOUT};
use crate::LogError;

/// What Kafka calls a setting that was made on the topic itself (`DYNAMIC_TOPIC_CONFIG`).
const SOURCE_TOPIC: i8 = 1;

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of the partition that has the fewest.
    pub replication: i16,
    /// Its settings, by name; those with secret values are left out.
    pub configs: BTreeMap<String, TopicConfig>,
}

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// The value in force.
    pub value: String,
    /// Whether it was set on the topic itself, rather than taken from the broker's settings or defaults.
    pub set_on_topic: bool,
}

/// A topic to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replication: i16,
    /// Settings that differ from the broker's.
    pub configs: BTreeMap<String, String>,
}

impl Admin {
    /// Names of all topics but Kafka's internal ones, sorted.
    ///
    /// # Errors
    /// [`LogError::Client`].
    pub async fn topics(&self) -> Result<Vec<String>, LogError> {
        self.client
            .list_topics(ListTopicsOptions::default())
            .await
            .map_err(|error| LogError::client("list topics", error))
    }

    /// The topic as it is; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`LogError::Client`].
    pub async fn describe(&self, topic: &str) -> Result<Option<TopicInfo>, LogError> {
        let failed = |error| LogError::client(format!("describe topic {topic}"), error);
        let found = self
            .client
            .describe_topics([topic], DescribeTopicsOptions::default())
            .await
            .and_then(|mut found| found.remove(topic).unwrap_or_else(|| Err(unanswered())));
        let described = match found {
            Ok(described) => described,
            Err(error) if is_unknown_topic(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let replication = described.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0);
        Ok(Some(TopicInfo {
            name: described.name,
            partitions: i32::try_from(described.partitions.len()).expect("Kafka counts partitions in 32 bits"),
            replication: i16::try_from(replication).expect("Kafka counts replicas in 16 bits"),
            configs: self.configs(ConfigResource::topic(topic)).await.map_err(failed)?,
        }))
    }

    /// Creates the topic and waits until it can be written; `false` when one of that name is there already, whatever its
    /// settings are.
    ///
    /// # Errors
    /// [`LogError::Client`]: the cluster refuses the number of replicas, a setting, the name.
    pub async fn create(&self, spec: &TopicSpec) -> Result<bool, LogError> {
        let failed = |error| LogError::client(format!("create topic {}", spec.name), error);
        let mut topic = NewTopic::new(&spec.name, spec.partitions, spec.replication).map_err(failed)?;
        topic.configs = spec.configs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let answers = self.client.create_topics([topic], CreateTopicsOptions::default()).await;
        match answers.and_then(|mut answers| answers.remove(&spec.name).unwrap_or_else(|| Err(unanswered()))) {
            Ok(()) => self.wait_for(&spec.name).await.map(|()| true),
            Err(KrafkaError::Broker { code: ErrorCode::TopicAlreadyExists, .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Sets the named settings of the topic and leaves all others as they are.
    ///
    /// # Errors
    /// [`LogError::Client`]: there is no such topic, or the cluster refuses a setting.
    pub async fn alter(&self, topic: &str, configs: &BTreeMap<String, String>) -> Result<(), LogError> {
        let of = ConfigResource::topic(topic);
        let changes = configs.iter().map(|(name, value)| ConfigOp::set(name, value)).collect();
        self.client
            .incremental_alter_configs([(of.clone(), changes)], IncrementalAlterConfigsOptions::default())
            .await
            .and_then(|mut answers| answers.remove(&of).unwrap_or_else(|| Err(unanswered())))
            .map_err(|error| LogError::client(format!("alter topic {topic}"), error))
    }

    /// Waits until every partition of a topic just created has a leader that answers. The controller says yes before the
    /// brokers know.
    async fn wait_for(&self, topic: &str) -> Result<(), LogError> {
        let begun = Instant::now();
        loop {
            match self.ends(topic).await {
                Ok(_) => return Ok(()),
                Err(LogError::UnknownTopic(_) | LogError::UnknownPartition { .. })
                    if begun.elapsed() < CALL_TIMEOUT =>
                {
                    tokio::time::sleep(ADMIN_BACKOFF).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes the topic and all its records; `false` when there is none of that name.
    ///
    /// # Errors
    /// [`LogError::Client`].
    pub async fn delete(&self, topic: &str) -> Result<bool, LogError> {
        let answers = self.client.delete_topics([topic], DeleteTopicsOptions::default()).await;
        match answers.and_then(|mut answers| answers.remove(topic).unwrap_or_else(|| Err(unanswered()))) {
            Ok(()) => Ok(true),
            Err(error) if is_unknown_topic(&error) => Ok(false),
            Err(error) => Err(LogError::client(format!("delete topic {topic}"), error)),
        }
    }

    /// Settings of a topic or broker, but secret ones.
    pub(super) async fn configs(&self, of: ConfigResource) -> Result<BTreeMap<String, TopicConfig>, KrafkaError> {
        let mut found = self.client.describe_configs([of.clone()], DescribeConfigsOptions::default()).await?;
        let entries = found.remove(&of).unwrap_or_else(|| Err(unanswered()))?;
        let configs = entries.into_iter().filter_map(|entry| {
            let set_on_topic = entry.config_source == SOURCE_TOPIC;
            entry.value.map(|value| (entry.name, TopicConfig { value, set_on_topic }))
        });
        Ok(configs.collect())
    }
}

/// A broker left something out of its answer.
pub(super) fn unanswered() -> KrafkaError {
    KrafkaError::timeout("waiting for an answer to every item")
}

pub(super) fn is_unknown_topic(error: &KrafkaError) -> bool {
    match error {
        KrafkaError::UnknownTopic { .. } => true,
        KrafkaError::Broker { code, .. } => *code == ErrorCode::UnknownTopicOrPartition,
        _ => false,
    }
}
