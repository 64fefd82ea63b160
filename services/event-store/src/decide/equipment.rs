//! What the owner of a partition works with: everything it needs, and nothing of the process around it.
//!
//! The log and the archive are behind traits, time is a function: the same owner runs on servers and in a simulation.

use std::sync::Arc;

use spina_core::{ContextName, Timestamp};
use spina_log::admin::GroupOffset;
use spina_log::{LogError, names};
use tokio_util::sync::CancellationToken;

use super::recollection::Recollection;
use super::settled_log::SettledLog;
use super::window::Imprint;
use crate::commands::GroupOffsets;
use crate::context::Limits;
use crate::metrics::PartitionMetrics;

/// Tells what time it is. It stamps records and ages requests; it never decides.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// See the [module](self). Clones share what is behind them.
#[derive(Clone)]
pub struct Equipment {
    /// The context.
    pub context: ContextName,
    /// What its records have in common, under no epoch yet: taking over gives one.
    pub imprint: Imprint,
    /// Bounds.
    pub limits: Limits,
    /// Opens transactional lanes.
    pub lanes: Arc<dyn spina_log::Lanes>,
    /// Reads the log to its stable end.
    pub log: Arc<dyn SettledLog>,
    /// What the archive remembers.
    pub archive: Arc<dyn Recollection>,
    /// Commits the offsets of commands.
    pub offsets: Arc<GroupOffsets>,
    /// Base URL of this process.
    pub endpoint: String,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: PartitionMetrics,
    /// Cancelled when the process stops for good.
    pub stopping: CancellationToken,
}

impl Equipment {
    /// The partition.
    pub fn partition(&self) -> i32 {
        self.imprint.partition
    }

    /// Where the group stands in the commands.
    ///
    /// # Errors
    /// When the log cannot be asked.
    pub async fn group_offset(&self) -> Result<GroupOffset, LogError> {
        let (group, topic) = (names::event_store_group(&self.context), names::commands_topic(&self.context));
        self.log.group_offset(&group, &topic, self.partition()).await
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
