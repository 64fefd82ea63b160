//! What all clients and the nemesis share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spina_codec::partitioner::partition_for;
use spina_log::LogConfig;

use super::event::Events;
use crate::context::Context;
use crate::stack::Stack;

/// Longest that a client waits for one answer. Shorter than the store's own limit: a client that heard nothing asks
/// another process.
const REQUEST_LIMIT: Duration = Duration::from_secs(6);

/// See the [module](self).
pub struct Arena {
    /// The servers.
    pub stack: Stack,
    /// What is written to.
    pub context: Context,
    /// Makes events.
    pub events: Events,
    /// Number of partitions.
    pub partitions: i32,
    /// Base URLs of the event-stores.
    pub urls: Vec<String>,
    /// Requests of all clients.
    pub client: reqwest::Client,
    /// Events acknowledged so far.
    pub acknowledged: AtomicU64,
    begun: Instant,
    stop: AtomicBool,
    /// Of each partition, the event-store that answered last.
    routes: Vec<AtomicUsize>,
    /// Of each partition, when the appends that were acknowledged had begun, and when the answer came.
    acks: Vec<Mutex<Vec<(u64, u64)>>>,
}

impl Arena {
    /// A place for clients of these event-stores.
    pub async fn new(stack: Stack, context: Context, partitions: i32, urls: Vec<String>) -> Self {
        let client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(1));
        Self {
            events: Events::of(&stack, &context).await,
            client: client.timeout(REQUEST_LIMIT).build().unwrap(),
            acknowledged: AtomicU64::new(0),
            begun: Instant::now(),
            stop: AtomicBool::new(false),
            routes: (0..partitions).map(|_| AtomicUsize::new(0)).collect(),
            acks: (0..partitions).map(|_| Mutex::default()).collect(),
            stack,
            context,
            partitions,
            urls,
        }
    }

    /// Microseconds since the gate opened: the clock of all journals.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap()
    }

    /// Where Kafka is.
    pub fn log(&self) -> LogConfig {
        LogConfig::new(&self.stack.kafka, "gate")
    }

    /// What the transactional ids of the event-stores begin with.
    pub fn lanes(&self) -> String {
        format!("event-store.{}.", self.context.name)
    }

    /// No more appends from now on.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether clients are to end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The partition of a stream.
    pub fn partition_of(&self, stream: &str) -> i32 {
        partition_for(stream.as_bytes(), self.partitions)
    }

    /// A stream whose name begins with `prefix` and which lies in the partition.
    pub fn stream_in(&self, partition: i32, prefix: &str) -> String {
        let name = |n: u64| format!("{prefix}x{n}");
        (0..).map(name).find(|name| self.partition_of(name) == partition).expect("some name hashes to it")
    }

    /// The event-store that is asked first for a partition.
    pub fn route(&self, partition: i32) -> usize {
        self.routes[partition as usize].load(Ordering::Relaxed) % self.urls.len()
    }

    /// That one did not serve the partition: ask the next.
    pub fn reroute(&self, partition: i32, from: usize) {
        let next = (from + 1) % self.urls.len();
        let _moved = self.routes[partition as usize].compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// An append of so many events was acknowledged.
    pub fn acknowledge(&self, partition: i32, invoked: u64, events: usize) {
        self.acknowledged.fetch_add(events as u64, Ordering::Relaxed);
        let mut acks = self.acks[partition as usize].lock().unwrap();
        let now = self.now_us();
        // One in ten milliseconds tells enough.
        if acks.last().is_none_or(|(_, last)| last + 10_000 < now || invoked > *last) {
            acks.push((invoked, now));
        }
    }

    /// Of each partition, how long after `since` the first append was acknowledged that had begun after it.
    pub fn recovered_after(&self, since: u64) -> Vec<Option<u64>> {
        let first = |acks: &Mutex<Vec<(u64, u64)>>| {
            let acks = acks.lock().unwrap();
            acks.iter().filter(|(invoked, _)| *invoked >= since).map(|(_, completed)| completed - since).min()
        };
        self.acks.iter().map(first).collect()
    }
}
