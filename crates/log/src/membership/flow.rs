//! The way of a partition's records to its owner, bounded in number and in bytes.
//!
//! Each partition has its own, so that an owner who is busy holds back nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::Fetched;
use crate::client::BATCH_BYTES_MAX;

/// What waits.
#[derive(Debug, Default)]
struct Load {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

/// The records of one partition, in order.
#[derive(Debug)]
pub struct Inputs {
    records: mpsc::UnboundedReceiver<Fetched>,
    load: Arc<Load>,
}

impl Inputs {
    /// The next record; `None` when the partition is not ours any more, or was asked for anew. Safe to drop while it waits.
    pub async fn next(&mut self) -> Option<Fetched> {
        let record = self.records.recv().await?;
        self.load.records.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(weight(&record), Ordering::Relaxed);
        Some(record)
    }
}

/// The end that the member's thread has.
#[derive(Debug)]
pub(crate) struct Flow {
    records: mpsc::UnboundedSender<Fetched>,
    load: Arc<Load>,
    records_max: usize,
    /// Whether the client was told to fetch no more.
    pub(super) is_held: bool,
}

impl Flow {
    #[expect(
        clippy::disallowed_methods,
        reason = "the partition is held back: at most a batch more than the limit waits"
    )]
    pub(super) fn new(records_max: usize) -> (Self, Inputs) {
        let (sender, records) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        (Self { records: sender, load: Arc::clone(&load), records_max, is_held: false }, Inputs { records, load })
    }

    /// The owner may have gone: then the record comes again to the next one.
    pub(super) fn pass_on(&self, record: Fetched) {
        self.load.records.fetch_add(1, Ordering::Relaxed);
        self.load.bytes.fetch_add(weight(&record), Ordering::Relaxed);
        let _gone = self.records.send(record);
    }

    /// Whether it has to be held back now, or to flow again; `None` to leave it as it is.
    pub(super) fn turn(&mut self) -> Option<bool> {
        let (records, bytes) = (self.load.records.load(Ordering::Relaxed), self.load.bytes.load(Ordering::Relaxed));
        let hold = if self.is_held {
            // Not for every single record: what the client has fetched is fetched again after it was held back.
            records > self.records_max / 2 || bytes > BATCH_BYTES_MAX / 2
        } else {
            records >= self.records_max || bytes >= BATCH_BYTES_MAX
        };
        (std::mem::replace(&mut self.is_held, hold) != hold).then_some(hold)
    }
}

fn weight(record: &Fetched) -> usize {
    record.key.as_ref().map_or(0, |key| key.len()) + record.value.as_ref().map_or(0, |value| value.len())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use spina_codec::headers::Headers;

    use super::*;

    fn record(bytes: usize) -> Fetched {
        let value = Some(Bytes::from(vec![0; bytes]));
        let (topic, headers) = ("commands".into(), Headers::default());
        Fetched { topic, partition: 0, offset: 0, timestamp_ms: 0, key: None, value, headers }
    }

    #[tokio::test]
    async fn it_is_held_back_when_full_and_flows_again_when_half_empty() {
        let (mut flow, mut inputs) = Flow::new(4);
        let mut turns = Vec::new();
        for _ in 0..4 {
            flow.pass_on(record(1));
            turns.push(flow.turn());
        }
        assert_eq!(turns, [None, None, None, Some(true)]);
        inputs.next().await.unwrap();
        assert_eq!(flow.turn(), None);
        inputs.next().await.unwrap();
        assert_eq!(flow.turn(), Some(false));
    }

    #[tokio::test]
    async fn bytes_hold_it_back_too() {
        let (mut flow, mut inputs) = Flow::new(1_000);
        flow.pass_on(record(BATCH_BYTES_MAX));
        assert_eq!(flow.turn(), Some(true));
        inputs.next().await.unwrap();
        assert_eq!(flow.turn(), Some(false));
        drop(flow);
        assert!(inputs.next().await.is_none());
    }
}
