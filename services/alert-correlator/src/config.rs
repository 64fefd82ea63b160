//! Settings of the alert-correlator.

use serde::{Deserialize, Serialize};
use spina_runtime::{CommonConfig, ServiceConfig};

/// All settings. There are none of its own yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertCorrelatorConfig {
    /// What every service has.
    #[serde(flatten)]
    pub common: CommonConfig,
}

impl Default for AlertCorrelatorConfig {
    fn default() -> Self {
        Self { common: CommonConfig::on_port(7404) }
    }
}

impl ServiceConfig for AlertCorrelatorConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}
