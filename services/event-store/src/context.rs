//! A bounded context as this process serves it.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use spina_codec::catalog::{Catalog, SchemaCache};
use spina_codec::partitioner::partition_for;
use spina_core::ledger::RequestLimits;
use spina_core::{ContextName, StreamId};
use spina_log::{Admin, Lanes, LogConfig};
use spina_store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::decide::append::Submission;
use crate::decide::partition::WindowLimits;
use crate::decide::reply::ReplyType;
use crate::decide::tail::Tail;
use crate::decide::window::Imprint;
use crate::metrics::EventStoreMetrics;

/// The bounds that everything works within.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Transactional ids per partition.
    pub lanes: usize,
    /// When a window is full.
    pub window: WindowLimits,
    /// Submissions that may wait for a partition.
    pub queue_max: usize,
    /// Requests remembered per partition.
    pub requests: RequestLimits,
    /// Memory for events that are not archived yet, per partition.
    pub tail_bytes_max: usize,
    /// Largest encoded event.
    pub event_bytes_max: usize,
    /// Most events in one append.
    pub append_events_max: usize,
    /// How long a request waits for its window.
    pub append_timeout: Duration,
}

/// A partition that this process owns.
#[derive(Debug, Clone)]
pub struct Owned {
    /// Takes submissions.
    pub queue: mpsc::Sender<Submission>,
    /// Committed events that are not archived yet.
    pub tail: Arc<Tail>,
    /// The owner's epoch.
    pub epoch: u64,
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
    pub catalog: Catalog,
    /// Snapshot period by aggregate.
    pub snapshot_every: HashMap<String, u32>,
    /// What all contexts of the process share.
    pub shared: Shared,
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
    /// How replies are encoded.
    pub reply_type: ReplyType,
    /// Snapshot period by aggregate.
    pub snapshot_every: HashMap<String, u32>,
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
    /// Bounds.
    pub limits: Limits,
    /// Base URL of this process.
    pub endpoint: String,
    /// What is counted.
    pub metrics: EventStoreMetrics,
    /// Cancelled when the process stops for good.
    pub stopping: CancellationToken,
}

impl Context {
    /// A context that owns no partition yet.
    pub fn new(parts: Parts, shared: Shared) -> Self {
        Self {
            events_topic: spina_log::names::events_topic(&parts.name).into(),
            replies_topic: spina_log::names::replies_topic(&parts.name).into(),
            source: format!("/spina/{}", parts.name).into(),
            name: parts.name,
            partitions: parts.partitions,
            reply_type: Arc::new(parts.reply_type),
            catalog: parts.catalog,
            snapshot_every: parts.snapshot_every,
            shared,
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

    /// What the records of a partition have in common.
    pub fn imprint(&self, partition: i32, epoch: u64) -> Imprint {
        Imprint {
            events_topic: Arc::clone(&self.events_topic),
            replies_topic: Arc::clone(&self.replies_topic),
            partition,
            source: Arc::clone(&self.source),
            epoch,
            reply_type: Arc::clone(&self.reply_type),
        }
    }
}
