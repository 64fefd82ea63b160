//! Filling one table: read, project, coalesce, write, over and over.
//!
//! While a batch is being written the next one is gathered: whatever has arrived by then, up to a limit. So batches are
//! small when little happens and large when much does.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use spina_core::Position;
use spina_log::{Batch, LogConfig, LogError, LogReader, ReaderOptions, Start};
use spina_rules::projection::Model;
use spina_runtime::shutdown::sleep;
use spina_store::read_model::{Applied, Lease, ModelName, Resumed, RowBatch, Slot};
use spina_store::{Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decode::{Decoder, NotDecoded};
use super::failure::{Failure, Poison, log_may_recover};
use super::pending::{Gathered, Pending};
use crate::metrics::ModelMetrics;

/// First and longest pause after a neighbour did not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often a fill without work asks whether the books still say what it believes: another projector may have taken
/// over, or the database may have crashed and lost its last transactions, rows and checkpoint together.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What a fill works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The model's name.
    pub name: ModelName,
    /// The model.
    pub model: Arc<Model>,
    /// The database.
    pub store: Store,
    /// The brokers.
    pub log: LogConfig,
    /// The events topic.
    pub topic: String,
    /// Most records of a batch.
    pub batch_records_max: usize,
    /// What is counted.
    pub metrics: ModelMetrics,
}

/// When a fill is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Never by itself.
    Forever,
    /// When a stored batch has reached the ends of all partitions.
    End,
    /// When these offsets are reached.
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
    /// A batch was stored and leads to these offsets.
    fn stored(&mut self, next_offsets: &[i64]);
    /// A neighbour does not answer.
    fn waiting(&mut self, cause: String);
}

/// A fill of one table.
pub struct Fill {
    parts: Arc<Parts>,
    slot: Slot,
    lease: Lease,
    decoder: Decoder,
}

type Writing = Pin<Box<dyn Future<Output = Result<Applied, StoreError>> + Send>>;

/// Why an attempt ended before its time.
enum Trouble {
    /// Nothing will help.
    Final(Failure),
    /// Going on from the checkpoint may help.
    Passing(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            Self::Passing(format!("{error}{cause}"))
        } else {
            Self::Final(Failure::Store(error))
        }
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        if log_may_recover(&error) { Self::Passing(error.to_string()) } else { Self::Final(Failure::Log(error)) }
    }
}

/// One run of the loop: everything that is thrown away when it has to go back to the checkpoint.
struct Attempt {
    pending: Pending,
    writing: Option<(Writing, Gathered, Instant)>,
    last_write: Instant,
    next_check: Instant,
    failure: Option<Failure>,
    reached_end: bool,
}

impl Fill {
    /// A fill that goes on from the lease.
    pub fn new(parts: Arc<Parts>, slot: Slot, lease: Lease, decoder: Decoder) -> Self {
        Self { parts, slot, lease, decoder }
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
                        report.stored(&self.lease.next_offsets);
                        break;
                    }
                    Err(Trouble::Final(failure)) => return Err(failure),
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

    async fn attempt(
        &mut self,
        goal: &Goal,
        stop: &CancellationToken,
        report: &mut dyn Report,
    ) -> Result<Ended, Trouble> {
        let mut reader = self.reader()?;
        let mut attempt = Attempt {
            pending: Pending::from(self.lease.next_offsets.clone()),
            writing: None,
            last_write: Instant::now(),
            next_check: Instant::now() + CHECK_INTERVAL,
            failure: None,
            reached_end: false,
        };
        let records_max = self.parts.batch_records_max;
        loop {
            if attempt.writing.is_none() {
                if attempt.reached(goal, &self.lease) {
                    return Ok(Ended::Reached);
                }
                if stop.is_cancelled() {
                    return Ok(Ended::Stopped);
                }
                if attempt.pending.is_empty()
                    && let Some(failure) = attempt.failure.take()
                {
                    return Err(Trouble::Final(failure));
                }
                let due = attempt.pending.due(attempt.last_write, records_max);
                if !attempt.pending.is_empty() && (attempt.failure.is_some() || due <= Instant::now()) {
                    attempt.writing = Some(self.write(attempt.pending.take()));
                }
            }
            let due = attempt.pending.due(attempt.last_write, records_max);
            let idle = attempt.writing.is_none();
            tokio::select! {
                applied = finish(&mut attempt.writing) => self.settle(applied?, &mut attempt, report)?,
                batch = reader.next(), if attempt.failure.is_none() && !attempt.pending.is_full(records_max) => {
                    let batch = batch.unwrap_or(Err(LogError::Stopped("log reader")))?;
                    self.gather(&batch, &mut attempt).await?;
                }
                () = tokio::time::sleep_until(due), if idle && !attempt.pending.is_empty() => {}
                () = tokio::time::sleep_until(attempt.next_check), if idle && attempt.pending.is_empty() => {
                    self.check().await?;
                    attempt.next_check = Instant::now() + CHECK_INTERVAL;
                }
                () = stop.cancelled(), if idle => {}
            }
        }
    }

    async fn check(&self) -> Result<(), Trouble> {
        let Parts { store, name, .. } = &*self.parts;
        if store.lease_holds(name, self.slot, &self.lease).await? { Ok(()) } else { Err(lease_lost()) }
    }

    fn reader(&self) -> Result<LogReader, LogError> {
        // Offset 0 may have been deleted by retention before the model existed; any other must be there.
        let start = |next: &i64| if *next == 0 { Start::Earliest } else { Start::At(*next) };
        let starts = (0..).zip(self.lease.next_offsets.iter().map(start)).collect();
        LogReader::open(&self.parts.log, &self.parts.topic, starts, ReaderOptions::default())
    }

    /// Projects a batch of the reader's. A poisonous event ends the gathering; what came before it is kept.
    async fn gather(&mut self, batch: &Batch, attempt: &mut Attempt) -> Result<(), Trouble> {
        self.parts.metrics.records.inc_by(batch.records.len() as u64);
        for record in &batch.records {
            let failed = |cause: Poison| Failure::Poison {
                position: Position {
                    topic: record.topic.to_string(),
                    partition: record.partition,
                    offset: record.offset,
                },
                cause,
            };
            let changes = match self.decoder.decode(record).await {
                Ok(Some(event)) => self.parts.model.project(&event).map_err(Poison::from),
                Ok(None) => Ok(Vec::new()),
                Err(NotDecoded::Poison(poison)) => Err(poison),
                Err(NotDecoded::Registry(error)) => return Err(Trouble::Passing(error.to_string())),
            };
            let changes = match changes {
                Ok(changes) => changes,
                Err(poison) => {
                    attempt.failure = Some(failed(poison));
                    return Ok(());
                }
            };
            let bytes = record.value.as_ref().map_or(0, bytes::Bytes::len);
            let added = attempt.pending.add(record.partition, record.offset, bytes, changes);
            // The batch now holds half a change: it must not be written.
            added.map_err(|error| Trouble::Final(failed(error.into())))?;
        }
        for (partition, next_offset) in &batch.ends {
            attempt.pending.end(*partition, *next_offset);
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    fn write(&self, mut gathered: Gathered) -> (Writing, Gathered, Instant) {
        let (parts, slot, lease) = (Arc::clone(&self.parts), self.slot, self.lease.clone());
        let (batch, next) = (std::mem::take(&mut gathered.batch), gathered.next_offsets.clone());
        let writing = async move {
            let rows = RowBatch::from(batch);
            parts.metrics.rows.inc_by(rows.len() as u64);
            parts.store.apply(&parts.name, slot, parts.model.shape(), &lease, &next, &rows).await
        };
        (Box::pin(writing), gathered, Instant::now())
    }

    fn settle(&mut self, applied: Applied, attempt: &mut Attempt, report: &mut dyn Report) -> Result<(), Trouble> {
        let (_, gathered, began) = attempt.writing.take().expect("a write has just ended");
        match applied {
            Applied::LeaseLost => return Err(lease_lost()),
            Applied::Committed => {}
        }
        self.parts.metrics.batches.observe(began.elapsed().as_secs_f64());
        self.lease.next_offsets = gathered.next_offsets;
        attempt.last_write = began;
        attempt.next_check = Instant::now() + CHECK_INTERVAL;
        attempt.reached_end |= gathered.at_end;
        report.stored(&self.lease.next_offsets);
        Ok(())
    }
}

impl Attempt {
    fn reached(&self, goal: &Goal, lease: &Lease) -> bool {
        match goal {
            Goal::Forever => false,
            Goal::End => self.reached_end || (self.pending.at_end() && self.pending.is_empty()),
            Goal::Offsets(goal) => lease.next_offsets.iter().zip(goal).all(|(next, goal)| next >= goal),
        }
    }
}

fn lease_lost() -> Trouble {
    Trouble::Passing("the checkpoint is not what was expected".to_owned())
}

/// The end of the write that is under way; pending for ever when there is none.
async fn finish(writing: &mut Option<(Writing, Gathered, Instant)>) -> Result<Applied, StoreError> {
    match writing {
        Some((writing, ..)) => writing.await,
        None => std::future::pending().await,
    }
}
