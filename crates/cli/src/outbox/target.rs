//! The commands topic: rows in, a transaction each batch.

use std::sync::Arc;

use spina_log::{Admin, Lane, LaneFactory, Lanes, LogConfig, LogError, Window, WriteError};

use super::record::{self, Row};
use crate::failure::{Exit, Failure};

/// Writes rows to the topic.
pub struct Target {
    lane: Arc<dyn Lane>,
    topic: Arc<str>,
    partitions: i32,
}

impl Target {
    /// Opens the transactional id, which shuts out a relay that was thought dead.
    pub async fn open(kafka: &str, topic: &str, transactional_id: &str) -> Result<Self, Failure> {
        let log = LogConfig::new(kafka, "spina-outbox");
        let admin = Admin::connect(&log).await.map_err(of_log)?;
        let found = admin.describe(topic).await.map_err(of_log)?.ok_or_else(|| {
            let failure = Failure::not_found(format!("topic {topic} does not exist"));
            failure.help("`spina topology apply` creates it")
        })?;
        let lanes = LaneFactory::connect(&log).await.map_err(of_log)?;
        let lane = lanes.open(transactional_id).await.map_err(of_log)?;
        Ok(Self { lane, topic: topic.into(), partitions: found.partitions })
    }

    /// Writes the rows' records, all or none.
    pub async fn write(&self, rows: &[Row]) -> Result<(), Failure> {
        let records = rows.iter().map(|row| record::of_row(row, &self.topic, self.partitions));
        let window = Window { records: records.collect::<Result<_, _>>()?, consumed: None };
        self.lane.stage(window).await.map_err(of_write)?;
        self.lane.commit().await.map_err(of_write)
    }
}

fn of_log(error: LogError) -> Failure {
    let passing = match error {
        LogError::Client { .. } | LogError::Hanging { .. } | LogError::Stopped(_) => true,
        LogError::UnknownTopic(_)
        | LogError::UnknownPartition { .. }
        | LogError::OutOfRange { .. }
        | LogError::Truncated { .. }
        | LogError::OldTransactions { .. } => false,
    };
    let message = format!("Kafka: {:#}", anyhow::Error::from(error));
    if passing { unavailable(message) } else { Failure::new(Exit::Failed, "internal.error", message) }
}

/// Whatever became of the records: the rows are still there, and are sent again under the same ids.
fn of_write(error: WriteError) -> Failure {
    unavailable(format!("Kafka: {error}"))
}

fn unavailable(message: String) -> Failure {
    Failure::new(Exit::Unavailable, "state.unavailable", message)
}
