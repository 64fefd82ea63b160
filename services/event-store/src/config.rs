//! Settings of the event-store.

use serde::{Deserialize, Serialize};
use spina_core::ledger::RequestLimits;
use spina_runtime::{CommonConfig, ServiceConfig};

use crate::context::Limits;
use crate::decide::partition::WindowLimits;
use crate::decide::queue::QueueLimits;

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventStoreConfig {
    /// What every service has.
    #[serde(flatten)]
    pub common: CommonConfig,
    /// Name of this process among those of the consumer group. It keeps its partitions over a restart.
    pub instance: String,
    /// How long this process may be silent before its partitions go to others, in milliseconds; at least what the brokers
    /// have for `group.min.session.timeout.ms`. A shorter time finds a crash sooner, a process that is thrown out while it
    /// still lives loses a moment and no data.
    pub session_timeout_ms: u64,
    /// Base URL under which other processes reach this one; by default `http://` and the listen address.
    pub endpoint: Option<String>,
    /// Transactional ids per partition, 2 to 4 of them take turns.
    pub lanes: usize,
    /// Events that fill a window.
    pub window_events_max: usize,
    /// Bytes that fill a window.
    pub window_bytes_max: usize,
    /// Submissions that may wait for a partition.
    pub queue_max: usize,
    /// Memory for everything that a partition has taken and not answered, in bytes.
    pub queue_bytes_max: u32,
    /// Requests remembered per partition, at most 80 bytes each.
    pub requests_max: usize,
    /// How long requests are remembered, in seconds.
    pub requests_age_s: u32,
    /// Memory for committed events that are not archived yet, per partition. Beyond it the log alone has them until the
    /// archive has caught up; appends do not wait.
    pub tail_bytes_max: usize,
    /// Largest encoded event.
    pub event_bytes_max: usize,
    /// Most events in one append.
    pub append_events_max: usize,
    /// How long a request waits for its window, in milliseconds, before it is told that the outcome is unknown.
    pub append_timeout_ms: u64,
    /// Most subscriptions (server-sent events) at a time.
    pub subscriptions_max: usize,
    /// Memory for the recent events of a context that live subscriptions are fed from, in bytes.
    pub subscription_buffer_bytes: usize,
    /// Most subscriptions that read the log by themselves at a time, because the buffer does not reach back to them.
    pub catch_ups_max: usize,
}

impl Default for EventStoreConfig {
    fn default() -> Self {
        Self {
            common: CommonConfig::on_port(7401),
            instance: "event-store-1".to_owned(),
            session_timeout_ms: 3_000,
            endpoint: None,
            lanes: 4,
            window_events_max: 4_000,
            window_bytes_max: 4 << 20,
            queue_max: 4_096,
            queue_bytes_max: 32 << 20,
            requests_max: 5_000_000,
            requests_age_s: 24 * 60 * 60,
            tail_bytes_max: 256 << 20,
            event_bytes_max: 1 << 20,
            append_events_max: 1_000,
            append_timeout_ms: 15_000,
            subscriptions_max: 2_000,
            subscription_buffer_bytes: 64 << 20,
            catch_ups_max: 8,
        }
    }
}

impl ServiceConfig for EventStoreConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}

impl EventStoreConfig {
    /// The bounds that the partitions work within.
    pub fn limits(&self) -> Limits {
        Limits {
            lanes: self.lanes.clamp(1, 16),
            window: WindowLimits { events_max: self.window_events_max, bytes_max: self.window_bytes_max },
            queue: QueueLimits { submissions_max: self.queue_max, bytes_max: self.queue_bytes_max },
            requests: RequestLimits {
                keys_max: self.requests_max,
                age_max_us: i64::from(self.requests_age_s) * 1_000_000,
            },
            tail_bytes_max: self.tail_bytes_max,
            event_bytes_max: self.event_bytes_max,
            append_events_max: self.append_events_max,
            subscription_buffer_bytes: self.subscription_buffer_bytes,
            append_timeout: std::time::Duration::from_millis(self.append_timeout_ms),
        }
    }

    /// Base URL under which other processes reach this one.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| format!("http://{}", self.common.http_listen))
    }
}
