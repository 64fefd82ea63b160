//! The way of a partition's records to its owner: a queue of the client's own for each partition.
//!
//! The owner takes from it directly, so that one who is busy holds back nobody else: the client fetches ahead until the
//! partition's queue is full, and no further. Holding partitions back by pausing them would throw away what was fetched,
//! and a partition that is let go on waits behind the long poll of the others: that cost most of the throughput.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use tokio::sync::Notify;
use tokio::task::coop;

use super::callbacks::Callbacks;
use crate::record::is_mark;
use crate::{Fetched, copy};

/// Records copied out of the client at a time.
const BATCH_RECORDS_MAX: usize = 256;

/// Where the records come from.
#[derive(Default)]
enum Source {
    /// The client has not gone to the offset yet.
    #[default]
    Waiting,
    Open(PartitionQueue<Callbacks>),
    /// The partition is not ours any more, or was asked for anew.
    Closed,
}

#[derive(Default)]
struct Shared {
    source: Mutex<Source>,
    /// Told when there may be records, or when none come any more.
    arrived: Notify,
    /// What the client said instead of a record, for the member's thread to judge.
    error: Mutex<Option<KafkaError>>,
}

impl Shared {
    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().expect("nothing panics while it holds the lock")
    }

    fn error(&self) -> MutexGuard<'_, Option<KafkaError>> {
        self.error.lock().expect("nothing panics while it holds the lock")
    }
}

/// The records of one partition, in order.
pub struct Inputs {
    shared: Arc<Shared>,
    topic: Arc<str>,
    ready: VecDeque<Fetched>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs").field("topic", &self.topic).field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

impl Inputs {
    /// The next record; `None` when the partition is not ours any more, or was asked for anew. Safe to drop while it waits.
    pub async fn next(&mut self) -> Option<Fetched> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(record);
            }
            // Taking from the client never waits, so others get their turn here.
            coop::consume_budget().await;
            if !self.take() {
                return None;
            }
            if self.ready.is_empty() {
                self.shared.arrived.notified().await;
            }
        }
    }

    /// Copies what the client has, as much as fits a batch. False if nothing will come any more.
    fn take(&mut self) -> bool {
        let source = self.shared.source();
        let queue = match &*source {
            Source::Waiting => return true,
            Source::Open(queue) => queue,
            Source::Closed => return false,
        };
        let mut looks_left = BATCH_RECORDS_MAX;
        while looks_left > 0
            && let Some(polled) = queue.poll(Duration::ZERO)
        {
            looks_left -= 1;
            match polled {
                Ok(message) => self.ready.push_back(copy::fetched(&self.topic, &message)),
                Err(error) => *self.shared.error() = Some(error),
            }
        }
        drop(source);
        self.ready.retain(|record| !is_mark(record));
        if looks_left == 0 {
            // All were marks, or there is more: nobody will be told of what lies there already.
            self.shared.arrived.notify_one();
        }
        true
    }
}

/// The end that the member's thread has. Dropping it ends the [`Inputs`].
pub(crate) struct Flow {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").finish_non_exhaustive()
    }
}

impl Flow {
    pub(super) fn new(topic: Arc<str>) -> (Self, Inputs) {
        let shared = Arc::<Shared>::default();
        (Self { shared: Arc::clone(&shared) }, Inputs { shared, topic, ready: VecDeque::new() })
    }

    /// Lets the records of the queue flow.
    pub(super) fn open(&self, mut queue: PartitionQueue<Callbacks>) {
        let shared = Arc::downgrade(&self.shared);
        queue.set_nonempty_callback(move || {
            if let Some(shared) = shared.upgrade() {
                shared.arrived.notify_one();
            }
        });
        *self.shared.source() = Source::Open(queue);
        self.shared.arrived.notify_one();
    }

    /// What the client said instead of a record, once.
    pub(super) fn take_error(&self) -> Option<KafkaError> {
        self.shared.error().take()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The client is closed only when no queue of its is left.
        *self.shared.source() = Source::Closed;
        self.shared.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn before_the_client_is_ready_it_waits_and_then_ends_with_the_flow() {
        let (flow, mut inputs) = Flow::new("commands".into());
        assert!(inputs.next().now_or_never().is_none());
        drop(flow);
        assert!(inputs.next().await.is_none());
    }
}
