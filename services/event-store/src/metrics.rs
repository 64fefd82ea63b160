//! What the event-store counts. Labels are context and partition, never an id.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use spina_core::ContextName;
use spina_runtime::Metrics;

/// Label set of everything that belongs to a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PartitionLabels {
    context: String,
    partition: i32,
}

/// The event-store's metrics.
#[derive(Debug, Clone, Default)]
pub struct EventStoreMetrics {
    events: Family<PartitionLabels, Counter>,
    windows: Family<PartitionLabels, Counter>,
    windows_lost: Family<PartitionLabels, Counter>,
    archived: Family<PartitionLabels, Counter>,
    unarchived: Family<PartitionLabels, Gauge>,
    epoch: Family<PartitionLabels, Gauge>,
}

impl EventStoreMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            registry.register("events", "events committed", own.events.clone());
            registry.register("windows", "windows committed", own.windows.clone());
            registry.register("windows_lost", "windows lost and settled", own.windows_lost.clone());
            registry.register("archived_events", "events archived", own.archived.clone());
            registry.register("unarchived_events", "events in the tail", own.unarchived.clone());
            registry.register("owner_epoch", "epoch of this owner", own.epoch.clone());
        });
        own
    }

    /// Those of one partition.
    pub fn partition(&self, context: &ContextName, partition: i32) -> PartitionMetrics {
        let labels = PartitionLabels { context: context.to_string(), partition };
        PartitionMetrics {
            events: self.events.get_or_create_owned(&labels),
            windows: self.windows.get_or_create_owned(&labels),
            windows_lost: self.windows_lost.get_or_create_owned(&labels),
            archived: self.archived.get_or_create_owned(&labels),
            unarchived: self.unarchived.get_or_create_owned(&labels),
            epoch: self.epoch.get_or_create_owned(&labels),
        }
    }
}

/// Metrics of one partition.
#[derive(Debug, Clone)]
pub struct PartitionMetrics {
    events: Counter,
    windows: Counter,
    windows_lost: Counter,
    archived: Counter,
    unarchived: Gauge,
    epoch: Gauge,
}

impl PartitionMetrics {
    /// A window with so many events has committed.
    pub fn committed(&self, events: usize) {
        self.events.inc_by(events as u64);
        self.windows.inc();
    }

    /// So many windows were lost.
    pub fn lost(&self, windows: usize) {
        self.windows_lost.inc_by(windows as u64);
    }

    /// So many events were archived, so many are left.
    pub fn archived(&self, events: usize, left: usize) {
        self.archived.inc_by(events as u64);
        self.unarchived.set(i64::try_from(left).unwrap_or(i64::MAX));
    }

    /// The partition is served under this epoch.
    pub fn serves(&self, epoch: u64) {
        self.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
    }
}
