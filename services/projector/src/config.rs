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
    /// Most connections to PostgreSQL.
    pub connections_max: usize,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self { common: CommonConfig::on_port(7402), batch_records_max: 20_000, connections_max: 12 }
    }
}

impl ServiceConfig for ProjectorConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}
