//! Settings of the projector.

use serde::{Deserialize, Serialize};
use spina_runtime::{CommonConfig, ServiceConfig};

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProjectorConfig {
    /// What every service has.
    #[serde(flatten)]
    pub common: CommonConfig,
    /// Most records of one batch, which is one transaction.
    pub batch_records_max: usize,
    /// Most rebuilds that run at a time; others wait for their turn.
    pub rebuilds_max: usize,
    /// Most replay jobs that this process works on at a time; others wait for their turn.
    pub jobs_max: usize,
    /// Most connections to PostgreSQL.
    pub connections_max: usize,
    /// Name of this process among those that fill published topics. It keeps its partitions over a restart; each process
    /// needs its own.
    pub instance: String,
    /// How long this process may be silent before its partitions of published topics go to others, in milliseconds; at
    /// least what the brokers have for `group.min.session.timeout.ms`.
    pub session_timeout_ms: u64,
    /// Most events that are published in one transaction.
    pub publish_batch_max: usize,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self {
            common: CommonConfig::on_port(7402),
            batch_records_max: 20_000,
            rebuilds_max: 2,
            jobs_max: 2,
            connections_max: 12,
            instance: "projector-1".to_owned(),
            session_timeout_ms: 3_000,
            publish_batch_max: 1_000,
        }
    }
}

impl ServiceConfig for ProjectorConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}
