//! A log in memory that keeps the promises of a transactional one.
//!
//! ```text
//! open(id) ─▶ Lane ─stage─▶ records, hidden ─commit─▶ visible up to the stable end
//!    └ fences the lane before, aborts what it left open
//! ```
//!
//! As in Kafka, the end of a transaction takes an offset in every partition it wrote, committed readers stop at the first
//! open transaction and pass over aborted records, and a lane whose id was opened again is fenced. There is no clock and no
//! randomness: the same calls in the same order give the same log. [`MemoryLog::fail`] makes a chosen transaction end badly,
//! [`MemoryLog::hold_staging`] keeps one from being written until the test lets it.

mod lane;
mod partition;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use spina_log::{Fetched, Lane, Lanes, LogError, WriteError};
use tokio::sync::oneshot;

use lane::MemoryLane;
use partition::{Fate, Partition};

/// How a transaction is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Staging fails; the lane has aborted it and is ready for the next one.
    StageAborted,
    /// The commit is refused; the lane has aborted it and is ready for the next one.
    CommitAborted,
    /// The commit is applied and its answer lost: unknown to the writer, visible to readers.
    UnknownCommitted,
    /// The commit is lost: unknown to the writer, open until the id is opened again, then aborted.
    UnknownAborted,
    /// Another owner opens the id before anything of the window is written.
    FencedAtStage,
    /// Another owner opens the id between staging and commit.
    FencedAtCommit,
}

/// See the [module](self). Clones share one log.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
}

/// Offsets that a group has committed, by group, topic and partition.
type Offsets = BTreeMap<(String, Arc<str>, i32), i64>;

#[derive(Debug, Default)]
struct Inner {
    partitions: BTreeMap<(Arc<str>, i32), Partition>,
    /// What became of each transaction; they are numbered from 1 in the order of staging.
    fates: Vec<Fate>,
    ids: BTreeMap<String, Id>,
    consumed: Offsets,
    faults: BTreeMap<usize, Fault>,
    held: BTreeMap<usize, oneshot::Receiver<()>>,
}

/// A transactional id.
#[derive(Debug, Default)]
struct Id {
    /// Grows with each opening; a lane of an older epoch is fenced.
    epoch: u64,
    open: Option<usize>,
    /// Offsets that the open transaction commits with its records.
    offsets: Offsets,
}

impl MemoryLog {
    /// Transaction `number` ends as `fault` says. Transactions are numbered from 1 in the order in which they are staged;
    /// empty windows are none.
    pub fn fail(&self, number: usize, fault: Fault) {
        self.lock().faults.insert(number, fault);
    }

    /// Transaction `number` is not written before the returned sender is used or dropped.
    #[must_use]
    pub fn hold_staging(&self, number: usize) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        self.lock().held.insert(number, held);
        release
    }

    /// The committed records of a partition up to its stable end, in order.
    pub fn committed(&self, topic: &str, partition: i32) -> Vec<Fetched> {
        let inner = self.lock();
        let fates = &inner.fates;
        inner.partition(topic, partition).map(|found| found.committed(fates)).unwrap_or_default()
    }

    /// Where committed readers stop: at the first open transaction, else at the end.
    pub fn stable_end(&self, topic: &str, partition: i32) -> i64 {
        let inner = self.lock();
        inner.partition(topic, partition).map_or(0, |found| found.stable_end(&inner.fates))
    }

    /// One past the last offset.
    pub fn end(&self, topic: &str, partition: i32) -> i64 {
        self.lock().partition(topic, partition).map_or(0, Partition::end)
    }

    /// The next offset that the group would consume.
    pub fn consumed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.lock().consumed.get(&(group.to_owned(), topic.into(), partition)).copied()
    }

    /// Number of transactions staged so far.
    pub fn transactions(&self) -> usize {
        self.lock().fates.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }
}

#[async_trait]
impl Lanes for MemoryLog {
    async fn open(&self, transactional_id: &str) -> Result<Arc<dyn Lane>, LogError> {
        let epoch = self.lock().open_id(transactional_id);
        Ok(Arc::new(MemoryLane::new(self.clone(), transactional_id, epoch)))
    }
}

impl Inner {
    fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.partitions.get(&(Arc::from(topic), partition))
    }

    /// A new epoch of the id; what its last lane left open is aborted.
    fn open_id(&mut self, id: &str) -> u64 {
        self.end_transaction(id, Fate::Aborted);
        let id = self.ids.entry(id.to_owned()).or_default();
        id.epoch += 1;
        id.epoch
    }

    fn end_transaction(&mut self, id: &str, fate: Fate) {
        let Some(id) = self.ids.get_mut(id) else { return };
        let Some(number) = id.open.take() else { return };
        self.fates[number - 1] = fate;
        self.partitions.values_mut().for_each(|partition| partition.end_transaction(number));
        let offsets = std::mem::take(&mut id.offsets);
        if fate == Fate::Committed {
            self.consumed.extend(offsets);
        }
    }

    /// The id still belongs to the lane of that epoch.
    fn check_owner(&self, id: &str, epoch: u64, in_doubt: bool) -> Result<(), WriteError> {
        let current = self.ids.get(id).map_or(0, |id| id.epoch);
        if current == epoch {
            return Ok(());
        }
        Err(WriteError::Fenced { in_doubt, reason: format!("epoch {epoch} of {id} is over, it is {current} now") })
    }
}

#[cfg(test)]
mod tests;
