//! Settings of the saga-orchestrator.

use serde::{Deserialize, Serialize};
use spina_runtime::{CommonConfig, ServiceConfig};

/// All settings. There are none of its own yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SagaOrchestratorConfig {
    /// What every service has.
    #[serde(flatten)]
    pub common: CommonConfig,
}

impl Default for SagaOrchestratorConfig {
    fn default() -> Self {
        Self { common: CommonConfig::on_port(7403) }
    }
}

impl ServiceConfig for SagaOrchestratorConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}
