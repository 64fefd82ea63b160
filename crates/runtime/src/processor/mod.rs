//! The record loop: a state machine per partition of an input topic, exactly once.
//!
//! ```text
//!   input topic ─▶ Membership ─▶ queue of p ─▶ read ─▶ apply ─▶ one transaction { records, input offset } ─▶ after
//!   requests, ticks ───────────────▲                    ▲
//!   state topic of p ── restore ────────────────────────┘  (once the lanes of p are open: fence before read)
//! ```
//!
//! Being assigned a partition makes this process its one writer. It opens the partition's transactional ids, which fences
//! the predecessor, waits until nothing is open in the state topic's partition, folds that to its end, and takes inputs from
//! there. Whatever has queued while a transaction was under way is the next batch.
//!
//! A transaction has four outcomes. Committed: go on. Aborted: nothing was seen, so the very same batch is written again.
//! Fenced or unknown: what is in memory may be wrong, so it is thrown away; the group is asked whether the partition is
//! still ours, and if so it is taken over as if from somebody else. That settles the transaction, and the group's offset
//! tells which inputs it had.
//!
//! Time enters as an argument: [`Processor::due`] says when the next tick is wanted.

mod own;
mod partition;
mod requests;
mod restore;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use spina_core::Timestamp;
use spina_log::{Fetched, NewRecord};

pub use own::{Process, run};
pub use requests::{NotHere, Requests};
pub use restore::{BrokerLog, StateLog};

/// Tells what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a processor takes, in the order in which it came.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<I, R> {
    /// A record of the input topic.
    Record(I),
    /// A request made of this process directly. It is not in any log: if the process dies, its sender hears so.
    Request(R),
    /// It is later than the processor has asked for with [`Processor::due`].
    Tick,
}

/// What a batch of inputs leads to.
#[derive(Debug)]
pub struct Output<E> {
    /// Written in one transaction with the offsets of the inputs.
    pub records: Vec<NewRecord>,
    /// Done once that is committed, and never before.
    pub effects: Vec<E>,
}

impl<E> Default for Output<E> {
    fn default() -> Self {
        Self { records: Vec::new(), effects: Vec::new() }
    }
}

/// The state machine of one partition: pure, and as big as what it remembers.
pub trait Processor: Send + Sync + 'static {
    /// A record of the input topic, decoded.
    type Input: Send + 'static;
    /// A direct request.
    type Request: Send + 'static;
    /// What is to be done after a commit.
    type Effect: Send + 'static;

    /// Judges inputs in order. Its state may run ahead of the log: it is thrown away if the batch does not commit.
    fn apply(&mut self, inputs: Vec<Input<Self::Input, Self::Request>>, now: Timestamp) -> Output<Self::Effect>;

    /// When the next tick is wanted; it comes then or later, never earlier.
    fn due(&self) -> Option<Timestamp>;
}

/// What surrounds the state machines of one service: decoding, restoring, effects.
#[async_trait]
pub trait Stage: Send + Sync + 'static {
    /// The state machine.
    type Processor: Processor;

    /// A new state machine for a partition that was just fenced, and the first offset of the state topic that it has not
    /// folded yet: 0, or with a snapshot that of the last record in it. That record is read again: it shows whether the
    /// snapshot is of this log, and [`Stage::restore`] must pass over it.
    ///
    /// # Errors
    /// What keeps the snapshot from being read. The take-over is tried again.
    async fn open(&self, partition: i32) -> anyhow::Result<(Self::Processor, i64)>;

    /// Folds committed records of the state topic, in order.
    ///
    /// # Errors
    /// What keeps them from being read. The take-over is tried again.
    async fn restore(&self, processor: &mut Self::Processor, records: Vec<Fetched>) -> anyhow::Result<()>;

    /// The log ends before the offset that [`Stage::open`] told: what it began from is of another log, and must not be begun
    /// from again.
    async fn distrust(&self, _partition: i32) {}

    /// A batch is committed that wrote to the state topic, and this is the offset behind it. The time for snapshots; the
    /// partition waits.
    async fn written(&self, _partition: i32, _processor: &mut Self::Processor, _next_offset: i64) {}

    /// Decodes records of the input topic. What cannot be decoded must still become an input (one that is reported, or
    /// passed over), else it would never be consumed.
    async fn read(&self, records: Vec<Fetched>) -> Vec<<Self::Processor as Processor>::Input>;

    /// Does what is due after a commit. The partition waits for it, so long work belongs in a task.
    async fn after(&self, partition: i32, effects: Vec<<Self::Processor as Processor>::Effect>);
}

/// Where a processor reads and under which names it writes.
#[derive(Debug, Clone)]
pub struct Place {
    /// Consumer group; the transactional ids are derived from it.
    pub group: String,
    /// What is consumed.
    pub input_topic: Arc<str>,
    /// What state is folded from; none if there is no state. Its partitions are the input topic's.
    pub state_topic: Option<Arc<str>>,
    /// Most records in a batch.
    pub batch_inputs_max: usize,
}
