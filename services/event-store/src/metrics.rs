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
    forwarded: Family<PartitionLabels, Counter>,
    subscriptions: Gauge,
    subscriptions_behind: Counter,
    catch_ups: Counter,
    healed: Family<PartitionLabels, Counter>,
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
            registry.register("healed_transactions", "hanging transactions ended", own.healed.clone());
            registry.register("forwarded", "requests passed on to the partition's owner", own.forwarded.clone());
            registry.register("subscriptions", "subscriptions open", own.subscriptions.clone());
            let behind = own.subscriptions_behind.clone();
            registry.register("subscriptions_behind", "live subscriptions that the buffer left behind", behind);
            registry.register("catch_ups", "turns of reading the log for one subscription", own.catch_ups.clone());
        });
        own
    }

    /// A request was passed on to the owner of the partition.
    pub fn forwarded(&self, context: &ContextName, partition: i32) {
        self.forwarded.get_or_create(&PartitionLabels { context: context.to_string(), partition }).inc();
    }

    /// A subscription has begun.
    pub fn subscribed(&self) {
        self.subscriptions.inc();
    }

    /// A subscription has ended.
    pub fn unsubscribed(&self) {
        self.subscriptions.dec();
    }

    /// A live subscription was left behind by the buffer.
    pub fn fell_behind(&self) {
        self.subscriptions_behind.inc();
    }

    /// A turn of catching up has begun.
    pub fn catches_up(&self) {
        self.catch_ups.inc();
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
            healed: self.healed.get_or_create_owned(&labels),
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
    healed: Counter,
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

    /// A transaction of ours hung and was ended.
    pub fn healed(&self) {
        self.healed.inc();
    }

    /// The partition is served under this epoch.
    pub fn serves(&self, epoch: u64) {
        self.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
    }
}
