//! Filling one table: read, project, coalesce, write, over and over.
//!
//! While a batch is being written the next one is gathered: whatever has arrived by then, up to a limit. So batches are
//! small when little happens and large when much does.
//!
//! ```text
//! run: attempt, attempt, ...    each from the checkpoint; what one throws away the log gives again
//! attempt: read -> take (parked? decided? project) -> Pending -> write, and errands of people between two batches
//! ```
//!
//! An event that the model cannot take is parked with its key while the live table is filled; a rebuild stops at it. A record
//! that is no event is told to the dead letters of its topic, too.

mod attempt;
mod errand;
mod mend;
mod order;
mod parking;
mod trouble;
mod undecodable;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use spina_core::{Change, Timestamp};
use spina_log::{Fetched, LogConfig};
use spina_rules::projection::Model;
use spina_runtime::shutdown::sleep;
use spina_store::dead_letters::{Place, Refusal, Verdict};
use spina_store::read_model::{Applied, Inputs, Lease, ModelName, Resumed, RowBatch, Slot};
use spina_store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::decode::{Decoder, NotDecoded};
use super::failure::{Failure, Poison};
use super::feed::Feed;
use super::topic::Voice;
use crate::metrics::ModelMetrics;
pub use errand::Errand;
pub use mend::Mend;
pub use order::{Order, Settled};
use parking::Parking;
pub use parking::{place_of, record_of};
use trouble::Trouble;

/// First and longest pause after a neighbour did not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Errands that may wait for a batch to end.
const ERRANDS_MAX: usize = 8;

/// What a fill works with.
#[derive(Clone)]
pub struct Parts {
    /// The model's name.
    pub name: ModelName,
    /// The model.
    pub model: Arc<Model>,
    /// The database.
    pub store: Store,
    /// The brokers.
    pub log: LogConfig,
    /// What topics are told with.
    pub voice: Voice,
    /// The events topics.
    pub inputs: Inputs,
    /// Most records of a batch.
    pub batch_records_max: usize,
    /// What is counted.
    pub metrics: ModelMetrics,
    /// Who follows the live table's rows learns of changes here.
    pub feed: Arc<Feed>,
}

impl Parts {
    /// Whether changes of the table are noted for a topic. A table beside the live one says nothing before it is live.
    pub fn tells(&self, slot: Slot) -> bool {
        self.model.has_topic() && slot == Slot::Live
    }

    /// Applies a batch, and tells those who follow the live table.
    async fn apply(&self, slot: Slot, lease: &Lease, next: &[i64], rows: RowBatch) -> Result<Applied, StoreError> {
        let rows = rows.told(self.tells(slot));
        let followed = slot == Slot::Live && self.feed.is_followed();
        let applied = self.store.apply(&self.name, slot, self.model.shape(), lease, next, &rows).await;
        if followed {
            match applied {
                Ok(Applied::Committed) => self.feed.changed(rows.keys().map(<[_]>::to_vec).collect()),
                Ok(Applied::LeaseLost) => {}
                // It may have been committed.
                Err(_) => self.feed.anything(),
            }
        }
        applied
    }
}

/// When a fill is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Never by itself.
    Forever,
    /// When a stored batch has reached the ends of all partitions.
    End,
    /// When exactly these offsets are reached; partitions that are beyond already stay where they are.
    Offsets(Vec<i64>),
}

/// How a fill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// It reached its goal.
    Reached,
}

/// What a fill tells while it runs.
pub trait Report: Send {
    /// A batch was stored and leads to where the lease stands now.
    fn stored(&mut self, lease: &Lease);
    /// A neighbour does not answer, or a person is needed.
    fn waiting(&mut self, cause: String);
    /// So many keys are parked, with so many letters together.
    fn parked(&mut self, keys: usize, letters: i64);
}

/// A fill of one table.
pub struct Fill {
    parts: Arc<Parts>,
    slot: Slot,
    lease: Lease,
    decoder: Decoder,
    errands: mpsc::Receiver<Errand>,
    /// Most records of a batch for now: less while the one that the database refuses is searched.
    records_max: usize,
    /// The event that the database refuses, once it is found.
    condemned: Option<(Place, Refusal)>,
}

impl Fill {
    /// A fill that goes on from the lease, and where it takes errands.
    pub fn new(parts: Arc<Parts>, slot: Slot, lease: Lease, decoder: Decoder) -> (Self, mpsc::Sender<Errand>) {
        let (sender, errands) = mpsc::channel(ERRANDS_MAX);
        let records_max = parts.batch_records_max;
        (Self { parts, slot, lease, decoder, errands, records_max, condemned: None }, sender)
    }

    /// Where it stands.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Runs until the goal is reached or it is told to stop, which it does between two transactions. Goes on by itself
    /// when a neighbour did not answer.
    pub async fn run(
        &mut self,
        goal: &Goal,
        stop: &CancellationToken,
        report: &mut dyn Report,
    ) -> Result<Ended, Failure> {
        let mut pause = PAUSES.0;
        loop {
            let before = self.lease.next_offsets.clone();
            let cause = match self.attempt(goal, stop, report).await {
                Ok(ended) => return Ok(ended),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Smaller) => continue,
                Err(Trouble::Passing(cause)) => cause,
            };
            report.waiting(cause);
            if self.lease.next_offsets != before {
                pause = PAUSES.0;
            }
            loop {
                if !sleep(stop, pause).await {
                    return Ok(Ended::Stopped);
                }
                pause = (pause * 2).min(PAUSES.1);
                match self.resume().await {
                    Ok(()) => {
                        report.stored(&self.lease);
                        break;
                    }
                    Err(Trouble::Final(failure)) => return Err(failure),
                    Err(Trouble::Smaller) => break,
                    Err(Trouble::Passing(cause)) => report.waiting(cause),
                }
            }
        }
    }

    /// Asks the books what is true.
    async fn resume(&mut self) -> Result<(), Trouble> {
        let Parts { store, name, .. } = &*self.parts;
        match store.resume_model(name, self.slot, self.lease.generation).await? {
            Resumed::Going(lease) => self.lease = lease,
            Resumed::Superseded => return Err(Trouble::Final(Failure::Superseded)),
        }
        Ok(())
    }

    /// What is parked, and what people decided. Only the holder of the lease changes it.
    async fn parking(&self) -> Result<Parking, Trouble> {
        let Parts { store, name, .. } = &*self.parts;
        Ok(Parking::new(store.parked_keys(name, self.slot).await?, store.verdicts(name).await?))
    }

    /// What a record of an input changes.
    async fn changes(&mut self, input: usize, record: &Fetched) -> Result<Projected, NotDecoded> {
        let Some(event) = self.decoder.decode(input, record).await? else { return Ok(Projected::default()) };
        let poison = |error| NotDecoded::Poison(Poison::from(error));
        let changes = self.parts.model.project(input, &event).map_err(poison)?;
        Ok(Projected { changes, happened: Some(event.headers.time) })
    }
}

/// What became of a record.
#[derive(Default)]
struct Projected {
    /// What it changes.
    changes: Vec<Change>,
    /// When it happened; `None` if the model does not look at it.
    happened: Option<Timestamp>,
}

/// The record as it is to be read.
pub fn with_verdict<'r>(record: &'r Fetched, verdict: Option<&Verdict>) -> Cow<'r, Fetched> {
    match verdict {
        Some(Verdict::Edit(value)) => Cow::Owned(Fetched { value: Some(value.clone().into()), ..record.clone() }),
        Some(Verdict::LeaveOut) | None => Cow::Borrowed(record),
    }
}
