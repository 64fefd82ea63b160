//! Settings of the alert-correlator.

use serde::{Deserialize, Serialize};
use spina_runtime::{CommonConfig, ServiceConfig};

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertCorrelatorConfig {
    /// What every service has.
    #[serde(flatten)]
    pub common: CommonConfig,
    /// Lasting name of this process in its consumer groups.
    pub instance: String,
    /// How long the process may be silent before another takes its place, in milliseconds.
    pub session_timeout_ms: u64,
    /// How often the rules' files are looked at, in milliseconds.
    pub rules_poll_ms: u64,
    /// How often a notification is sent before it is given up.
    pub notify_attempts_max: u32,
    /// Pause before the second attempt, in milliseconds; it doubles from one to the next.
    pub notify_pause_ms: u64,
    /// Longest pause between two attempts, in milliseconds.
    pub notify_pause_max_ms: u64,
    /// How long a receiver may take to answer, in milliseconds.
    pub notify_timeout_ms: u64,
    /// Most notifications that are sent at the same time.
    pub notify_at_once_max: usize,
    /// How often the platform's own conditions are looked at, in milliseconds.
    pub probe_every_ms: u64,
    /// Base URLs of the services whose metrics are looked at, comma separated; none: nothing is known of their answers.
    pub probe_services: String,
    /// Where people reach this service: told in notifications as Alertmanager writes them.
    pub external_url: String,
}

impl Default for AlertCorrelatorConfig {
    fn default() -> Self {
        Self {
            common: CommonConfig::on_port(7404),
            instance: "alert-correlator-1".to_owned(),
            session_timeout_ms: 6_000,
            rules_poll_ms: 2_000,
            notify_attempts_max: 10,
            notify_pause_ms: 500,
            notify_pause_max_ms: 60_000,
            notify_timeout_ms: 10_000,
            notify_at_once_max: 32,
            probe_every_ms: 15_000,
            probe_services: String::new(),
            external_url: String::new(),
        }
    }
}

impl ServiceConfig for AlertCorrelatorConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}
