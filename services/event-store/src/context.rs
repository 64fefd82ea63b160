//! A bounded context as this process serves it.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use spina_codec::catalog::{Catalog, SchemaCache};
use spina_codec::partitioner::partition_for;
use spina_core::ledger::RequestLimits;
use spina_core::snapshot::SnapshotPolicy;
use spina_core::{ContextName, StreamId};
use spina_log::{Admin, Lanes, LogConfig};
use spina_runtime::Tasks;
use spina_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::archive::health::ArchiveHealth;
use crate::clock;
use crate::commands::GroupOffsets;
use crate::decide::command::{Aggregates, Deciders};
use crate::decide::equipment::Equipment;
use crate::decide::partition::WindowLimits;
use crate::decide::queue::{Queue, QueueLimits};
use crate::decide::recollection::{LogAlone, Recollection, StoredArchive};
use crate::decide::reply::ReplyType;
use crate::decide::settled_log::BrokerLog;
use crate::decide::tail::Tail;
use crate::decide::window::Imprint;
use crate::forward::{Forwarder, Owners};
use crate::metrics::EventStoreMetrics;
use crate::read::hub::Hub;
use crate::read::scan;
use crate::read::snapshots::DueSnapshots;
use crate::readback;
use crate::unique::{Term, Uniques};

/// The bounds that everything works within.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Transactional ids per partition.
    pub lanes: usize,
    /// When a window is full.
    pub window: WindowLimits,
    /// How much may wait for a partition.
    pub queue: QueueLimits,
    /// Requests remembered per partition.
    pub requests: RequestLimits,
    /// Memory for events that are not archived yet, per partition.
    pub tail_bytes_max: usize,
    /// Largest encoded event.
    pub event_bytes_max: usize,
    /// Most events in one append.
    pub append_events_max: usize,
    /// Memory for a context's recent events, for subscriptions.
    pub subscription_buffer_bytes: usize,
    /// How long a request waits for its window.
    pub append_timeout: Duration,
}

/// A partition that this process owns.
#[derive(Debug, Clone)]
pub struct Owned {
    /// Takes submissions.
    pub queue: Queue,
    /// Committed events that are not archived yet.
    pub tail: Arc<Tail>,
    /// Streams whose snapshot is due.
    pub due_snapshots: Arc<DueSnapshots>,
    /// The owner's epoch.
    pub epoch: u64,
    /// Its appends of unique values.
    pub term: Arc<Term>,
}

/// See the [module](self).
pub struct Context {
    name: ContextName,
    /// Number of partitions of its topics.
    pub partitions: i32,
    /// `<context>.events.v1`.
    pub events_topic: Arc<str>,
    replies_topic: Arc<str>,
    source: Arc<str>,
    reply_type: Arc<ReplyType>,
    /// Its event types.
    pub catalog: Arc<Catalog>,
    /// What decides, and how states are folded.
    pub deciders: Deciders,
    /// When snapshots are taken, by aggregate.
    pub snapshots: HashMap<String, SnapshotPolicy>,
    /// Which fields are unique.
    pub uniques: Uniques,
    /// Whether its events are archived.
    pub archives: bool,
    /// What all contexts of the process share.
    pub shared: Shared,
    /// Who owns the partitions that this process does not.
    pub owners: Owners,
    /// Feeds its live subscriptions.
    pub hub: Hub,
    /// Bounds the readers of `ack=readback`.
    pub readbacks: Semaphore,
    /// Bounds those who look for a stream in the log.
    pub scans: Semaphore,
    owned: RwLock<HashMap<i32, Owned>>,
}

/// What a context is made of, apart from what the process has anyway.
pub struct Parts {
    /// Its name.
    pub name: ContextName,
    /// Number of partitions.
    pub partitions: i32,
    /// Its event types.
    pub catalog: Catalog,
    /// What decides, by aggregate.
    pub aggregates: Aggregates,
    /// How replies are encoded.
    pub reply_type: ReplyType,
    /// When snapshots are taken, by aggregate.
    pub snapshots: HashMap<String, SnapshotPolicy>,
    /// Which fields are unique.
    pub uniques: Uniques,
    /// Whether its events are archived.
    pub archives: bool,
}

/// What all contexts of the process share.
#[derive(Clone)]
pub struct Shared {
    /// Schemas by id.
    pub schemas: Arc<SchemaCache>,
    /// Where the log is.
    pub log: LogConfig,
    /// Asks the brokers.
    pub admin: Arc<Admin>,
    /// Opens transactional lanes.
    pub lane_factory: Arc<dyn Lanes>,
    /// The archive.
    pub store: Store,
    /// Whether it keeps up.
    pub archive_health: ArchiveHealth,
    /// Bounds.
    pub limits: Limits,
    /// Base URL of this process.
    pub endpoint: String,
    /// Passes requests on to other processes.
    pub forwarder: Forwarder,
    /// What is counted.
    pub metrics: EventStoreMetrics,
    /// Runs what outlives a handler.
    pub tasks: Tasks,
    /// One permit for each reader that catches up.
    pub catch_ups: Arc<Semaphore>,
    /// Cancelled when the process stops for good.
    pub stopping: CancellationToken,
}

impl Context {
    /// A context that owns no partition yet.
    pub fn new(parts: Parts, shared: Shared) -> Self {
        let catalog = Arc::new(parts.catalog);
        Self {
            events_topic: spina_log::names::events_topic(&parts.name).into(),
            replies_topic: spina_log::names::replies_topic(&parts.name).into(),
            source: format!("/spina/{}", parts.name).into(),
            name: parts.name,
            partitions: parts.partitions,
            reply_type: Arc::new(parts.reply_type),
            deciders: Deciders {
                catalog: Arc::clone(&catalog),
                aggregates: Arc::new(parts.aggregates),
                event_bytes_max: shared.limits.event_bytes_max,
            },
            catalog,
            hub: Hub::new(shared.limits.subscription_buffer_bytes),
            snapshots: parts.snapshots,
            uniques: parts.uniques,
            archives: parts.archives,
            shared,
            owners: Owners::default(),
            readbacks: readback::places(),
            scans: scan::places(),
            owned: RwLock::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ContextName {
        &self.name
    }

    /// The partition of a stream.
    pub fn partition_of(&self, stream: &StreamId) -> i32 {
        partition_for(stream.as_str().as_bytes(), self.partitions)
    }

    /// The partition, if this process owns it.
    pub fn owned(&self, partition: i32) -> Option<Owned> {
        self.owned.read().expect("no holder of this lock panics").get(&partition).cloned()
    }

    /// This process owns the partition from now on, or not any more.
    pub fn set_owned(&self, partition: i32, owned: Option<Owned>) {
        let mut all = self.owned.write().expect("no holder of this lock panics");
        match owned {
            Some(owned) => all.insert(partition, owned),
            None => all.remove(&partition),
        };
    }

    /// What the owner of a partition works with.
    pub fn equipment(&self, partition: i32, offsets: Arc<GroupOffsets>) -> Equipment {
        let shared = &self.shared;
        Equipment {
            context: self.name.clone(),
            imprint: self.imprint(partition),
            limits: shared.limits,
            lanes: Arc::clone(&shared.lane_factory),
            log: Arc::new(BrokerLog { config: shared.log.clone(), admin: Arc::clone(&shared.admin) }),
            archive: self.recollection(),
            offsets,
            endpoint: shared.endpoint.clone(),
            clock: Arc::new(clock::now),
            metrics: shared.metrics.partition(&self.name, partition),
            stopping: shared.stopping.clone(),
        }
    }

    fn recollection(&self) -> Arc<dyn Recollection> {
        let stored = StoredArchive { context: self.name.clone(), store: self.shared.store.clone() };
        if self.archives { Arc::new(stored) } else { Arc::new(LogAlone(stored)) }
    }

    fn imprint(&self, partition: i32) -> Imprint {
        Imprint {
            events_topic: Arc::clone(&self.events_topic),
            replies_topic: Arc::clone(&self.replies_topic),
            partition,
            source: Arc::clone(&self.source),
            epoch: 0,
            reply_type: Arc::clone(&self.reply_type),
        }
    }
}
