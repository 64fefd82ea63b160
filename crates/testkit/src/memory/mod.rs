//! A log in memory that keeps the promises of a transactional one.
//!
//! ```text
//! open(id) ─▶ Lane ─stage─▶ records, hidden ─commit─▶ visible up to the stable end
//!    └ fences the lane before, aborts what it left open
//! ```
//!
//! As in Kafka, the end of a transaction takes an offset in every partition it wrote, committed readers stop at the first
//! open transaction and pass over aborted records, and a lane whose id was opened again is fenced. There is no clock and no
//! randomness of its own: the same calls in the same order give the same log. With a [`Network`] requests take time, get
//! lost and arrive late. [`MemoryLog::fail`] makes a chosen transaction end badly,
//! [`MemoryLog::hold_staging`] keeps one from being written until the test lets it.

mod lane;
mod network;
mod partition;
mod read;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use spina_core::planted::{self, Bug};
use spina_log::{Fetched, Lane, Lanes, LogError, Window, WriteError};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep};

use lane::MemoryLane;
use network::{Effect, Sent, Way};
pub use network::{Journey, Network, Passage, Request};
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
    network: Option<Way>,
    under_way: BTreeMap<(Instant, u64), Sent>,
    sent: u64,
    /// Of each group, its generation: offsets from a member of an older one are refused.
    generations: BTreeMap<String, i32>,
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

    /// From now on offsets from members of an older generation are refused.
    pub fn set_generation(&self, group: &str, generation: i32) {
        self.lock().generations.insert(group.to_owned(), generation);
    }

    /// Number of transactions staged so far.
    pub fn transactions(&self) -> usize {
        self.lock().fates.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        inner.deliver();
        inner
    }
}

#[async_trait]
impl Lanes for MemoryLog {
    async fn open(&self, transactional_id: &str) -> Result<Arc<dyn Lane>, LogError> {
        let Some(passage) = self.passage(Request::Open) else {
            let epoch = self.lock().open_id(transactional_id);
            return Ok(Arc::new(MemoryLane::new(self.clone(), transactional_id, epoch)));
        };
        sleep(Duration::from_millis(passage.request_ms)).await;
        let opened = match passage.journey {
            Journey::Lost | Journey::Refused | Journey::Stray(_) => None,
            Journey::Hangs(for_ms) => Some(self.lock().open_hanging(transactional_id, for_ms)),
            Journey::Through | Journey::AnswerLost => Some(self.lock().open_id(transactional_id)),
        };
        sleep(Duration::from_millis(passage.answer_ms)).await;
        let answered = opened.filter(|_| passage.journey != Journey::AnswerLost);
        let epoch = answered.ok_or_else(|| unreachable_log(&format!("open {transactional_id}")))?;
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

    /// Like [`open_id`](Self::open_id), but what was open stays so for a while.
    fn open_hanging(&mut self, id: &str, for_ms: u64) -> u64 {
        if let Some(number) = self.ids.get_mut(id).and_then(|id| id.open.take()) {
            let until = Instant::now() + Duration::from_millis(for_ms);
            let id = id.to_owned();
            self.arrives(until, Sent { id, epoch: 0, number, effect: Effect::Settle, answer: Arc::default() });
        }
        self.open_id(id)
    }

    fn end_transaction(&mut self, id: &str, fate: Fate) {
        let Some(id) = self.ids.get_mut(id) else { return };
        let Some(number) = id.open.take() else { return };
        let offsets = std::mem::take(&mut id.offsets);
        self.settle(number, fate);
        if fate == Fate::Committed {
            self.consumed.extend(offsets);
        }
    }

    fn settle(&mut self, number: usize, fate: Fate) {
        self.fates[number - 1] = fate;
        self.partitions.values_mut().for_each(|partition| partition.end_transaction(number));
    }

    /// Puts a window into the log, hidden, unless its transaction is over or belongs to a fenced lane.
    fn write(&mut self, id: &str, epoch: u64, number: usize, window: Window) -> Result<Vec<i64>, WriteError> {
        let open = self.ids.get(id).and_then(|id| id.open);
        let stray_joins = planted::is(Bug::StrayWriteJoinsNextTransaction) && open.is_some_and(|open| open != number);
        if !stray_joins {
            self.check_owner(id, epoch, false)?;
            if self.fates[number - 1] != Fate::Open {
                return Err(WriteError::Aborted { reason: "its transaction is over".to_owned() });
            }
        }
        let number = open.unwrap_or(number);
        let id = self.ids.get_mut(id).expect("an open lane has an id");
        id.open = Some(number);
        id.offsets.clear();
        if let Some(consumed) = window.consumed {
            let member = consumed.member;
            if self.generations.get(&member.group).is_some_and(|current| member.generation < *current) {
                return Err(WriteError::Aborted { reason: "the group has a newer generation".to_owned() });
            }
            let offsets = consumed.offsets.into_iter();
            id.offsets =
                offsets.map(|(topic, partition, next)| ((member.group.clone(), topic, partition), next)).collect();
        }
        let place = |record: spina_log::NewRecord| {
            let partition = self.partitions.entry((record.topic.clone(), record.partition)).or_default();
            partition.append(number, record)
        };
        Ok(window.records.into_iter().map(place).collect())
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

fn unreachable_log(action: &str) -> LogError {
    LogError::Client { action: action.to_owned(), source: "the log in memory was not reached".into() }
}

#[cfg(test)]
mod tests;
