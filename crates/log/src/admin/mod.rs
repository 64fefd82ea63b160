//! Questions to the cluster, and creating topics. No consumer group is involved.

mod cluster;
mod ends;
mod hanging;
mod times;
mod topics;

use std::time::Duration;

use krafka::admin::AdminClient;

use crate::{LogConfig, LogError};

pub use cluster::{Cluster, OpenTransaction};
pub use ends::PartitionEnds;
pub use hanging::GroupOffset;
pub use topics::{TopicConfig, TopicInfo, TopicSpec};

/// How long a call may take, retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// First pause before a question is asked again.
const ADMIN_BACKOFF: Duration = Duration::from_millis(20);

/// Asks and administers a cluster, on a connection pool of its own.
#[derive(Debug)]
pub struct Admin {
    config: LogConfig,
    client: AdminClient,
}

impl Admin {
    /// Connects to the brokers.
    ///
    /// # Errors
    /// [`LogError::Client`] when none is reachable.
    pub async fn connect(config: &LogConfig) -> Result<Self, LogError> {
        let kafka = config.krafka().await?;
        let client = kafka.admin().default_api_timeout(CALL_TIMEOUT).retry_backoff(ADMIN_BACKOFF);
        Ok(Self { config: config.clone(), client })
    }
}
