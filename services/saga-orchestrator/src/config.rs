//! Settings of the saga-orchestrator.

use serde::{Deserialize, Serialize};
use spina_runtime::{CommonConfig, ServiceConfig};

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SagaOrchestratorConfig {
    /// What every service has.
    #[serde(flatten)]
    pub common: CommonConfig,
    /// Name of this process among those of the consumer groups. It keeps its partitions over a restart.
    pub instance: String,
    /// How long this process may be silent before its partitions go to others, in milliseconds; at least what the brokers
    /// have for `group.min.session.timeout.ms`.
    pub session_timeout_ms: u64,
    /// Base URL under which the targets of calls reach this process, or another orchestrator, with what they have to say later;
    /// by default `http://` and the listen address.
    pub endpoint: Option<String>,
    /// Most HTTP calls of sagas under way at a time.
    pub calls_max: usize,
    /// Most of them to one target.
    pub calls_per_target_max: usize,
    /// Most inputs in a transaction.
    pub batch_inputs_max: usize,
    /// Records of the log after which what a partition remembers is kept in PostgreSQL, so that a take-over folds the rest
    /// only. More, if what is remembered is large beside it.
    pub snapshot_every_records: u64,
}

impl Default for SagaOrchestratorConfig {
    fn default() -> Self {
        Self {
            common: CommonConfig::on_port(7403),
            instance: "saga-orchestrator-1".to_owned(),
            session_timeout_ms: 3_000,
            endpoint: None,
            calls_max: 64,
            calls_per_target_max: 16,
            batch_inputs_max: 1_000,
            snapshot_every_records: 10_000,
        }
    }
}

impl SagaOrchestratorConfig {
    /// Base URL under which targets reach this process.
    pub fn endpoint(&self) -> String {
        let given = self.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        given.unwrap_or_else(|| format!("http://{}", self.common.http_listen))
    }
}

impl ServiceConfig for SagaOrchestratorConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}
