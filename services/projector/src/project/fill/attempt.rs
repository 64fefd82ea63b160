//! One run of the loop: everything that is thrown away when a fill has to go back to the checkpoint.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use spina_core::Position;
use spina_log::Fetched;
use spina_store::StoreError;
use spina_store::dead_letters::{Refusal, Verdict};
use spina_store::read_model::{Applied, Lease, RowBatch, Slot};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::errand::Errand;
use super::parking::{Parking, letter, order_key, place_of};
use super::trouble::{Trouble, lease_lost, told};
use super::{Ended, Fill, Goal, Parts, Report, with_verdict};
use crate::project::decode::NotDecoded;
use crate::project::failure::{Failure, Poison};
use crate::project::pending::{Gathered, Pending};
use crate::project::readers::Readers;

/// How often a fill without work asks whether the books still say what it believes: another projector may have taken
/// over, or the database may have crashed and lost its last transactions, rows and checkpoint together.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

type Writing = Pin<Box<dyn Future<Output = Result<Applied, StoreError>> + Send>>;

/// See the [module](self).
struct Attempt {
    backlog: Backlog,
    pending: Pending,
    parking: Parking,
    writing: Option<(Writing, Gathered, Instant)>,
    errand: Option<Errand>,
    last_write: Instant,
    next_check: Instant,
    /// Why nothing more is gathered.
    held: Option<Held>,
    reached_end: bool,
}

/// What was read of one input and not looked at yet.
#[derive(Default)]
struct Backlog {
    input: usize,
    records: VecDeque<Fetched>,
    /// Ends that follow the records.
    ends: Vec<(i32, i64)>,
}

/// Why nothing more is gathered. What was gathered before is written all the same.
enum Held {
    /// The fill ends.
    Failed(Failure),
    /// Nothing more can be parked; a person has to settle letters first.
    Full { cause: String, told: bool },
}

impl Fill {
    pub(super) async fn attempt(
        &mut self,
        goal: &Goal,
        stop: &CancellationToken,
        report: &mut dyn Report,
    ) -> Result<Ended, Trouble> {
        let mut readers = Readers::open(&self.parts.log, &self.parts.inputs, &self.lease.next_offsets)?;
        let mut attempt = Attempt::new(self.parking().await?, &self.lease);
        attempt.tell_parked(report);
        loop {
            if attempt.writing.is_none() {
                if attempt.reached(goal, &self.lease.next_offsets) {
                    return Ok(Ended::Reached);
                }
                if stop.is_cancelled() {
                    return Ok(Ended::Stopped);
                }
                self.between_batches(&mut attempt, report).await?;
            }
            self.gather(&mut attempt, goal).await?;
            let due = attempt.pending.due(attempt.last_write, self.records_max);
            let idle = attempt.writing.is_none();
            let reads = attempt.gathers(self.records_max) && attempt.backlog.records.is_empty();
            tokio::select! {
                applied = finish(&mut attempt.writing) => self.settle(applied, &mut attempt, report)?,
                read = readers.next(), if reads => {
                    let (input, batch) = read?;
                    attempt.backlog = Backlog { input, records: batch.records.into(), ends: batch.ends };
                }
                errand = next_errand(&mut self.errands), if attempt.errand.is_none() => attempt.errand = Some(errand),
                () = tokio::time::sleep_until(due), if idle && !attempt.pending.is_empty() => {}
                () = tokio::time::sleep_until(attempt.next_check), if idle && attempt.pending.is_empty() => {
                    self.check().await?;
                    attempt.next_check = Instant::now() + CHECK_INTERVAL;
                }
                () = stop.cancelled(), if idle => {}
            }
        }
    }

    /// Begins the next batch if it is time, or does what has waited for the end of the one before.
    async fn between_batches(&mut self, attempt: &mut Attempt, report: &mut dyn Report) -> Result<(), Trouble> {
        if attempt.pending.is_empty() {
            if let Some(Held::Failed(failure)) = attempt.held.take_if(|held| matches!(held, Held::Failed(_))) {
                return Err(Trouble::Final(failure));
            }
            if let Some(errand) = attempt.errand.take() {
                let done = self.run_errand(errand, &mut attempt.parking).await;
                attempt.tell_parked(report);
                report.stored(&self.lease);
                attempt.held = None;
                done?;
            }
            if let Some(Held::Full { cause, told }) = &mut attempt.held
                && !std::mem::replace(told, true)
            {
                report.waiting(cause.clone());
            }
            return Ok(());
        }
        let due = attempt.pending.due(attempt.last_write, self.records_max);
        if attempt.held.is_some() || attempt.errand.is_some() || due <= Instant::now() {
            let gathered = attempt.pending.take();
            self.parts.tell_undecodable(&gathered.letters).await?;
            attempt.writing = Some(self.write(gathered));
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), Trouble> {
        let Parts { store, name, .. } = &*self.parts;
        if store.lease_holds(name, self.slot, &self.lease).await? { Ok(()) } else { Err(lease_lost()) }
    }

    /// Takes what was read, as far as the batch has room.
    async fn gather(&mut self, attempt: &mut Attempt, goal: &Goal) -> Result<(), Trouble> {
        let mut taken = 0;
        while attempt.gathers(self.records_max)
            && let Some(record) = attempt.backlog.records.pop_front()
        {
            // Only partitions that have a number are read.
            let Some(number) = self.parts.inputs.number(attempt.backlog.input, record.partition) else { continue };
            if let Some(last) = beyond(goal, number, record.offset) {
                attempt.pending.end(number, last);
                continue;
            }
            taken += 1;
            self.take(record, number, attempt).await?;
        }
        if attempt.backlog.records.is_empty() {
            for (partition, next) in std::mem::take(&mut attempt.backlog.ends) {
                if let Some(number) = self.parts.inputs.number(attempt.backlog.input, partition) {
                    attempt.pending.end(number, beyond(goal, number, next).unwrap_or(next));
                }
            }
        }
        self.parts.metrics.records.inc_by(taken);
        if taken > 0 {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Projects one record of the partition that has this number, or parks it.
    async fn take(&mut self, record: Fetched, number: usize, attempt: &mut Attempt) -> Result<(), Trouble> {
        let (input, place) = (attempt.backlog.input, place_of(&record));
        let bytes = record.value.as_ref().map_or(0, bytes::Bytes::len);
        if attempt.parking.holds(&order_key(&record)) {
            // Those that the model does not look at would change nothing later either.
            if self.decoder.looks_at(input, &record).await.map_err(|error| Trouble::Passing(error.to_string()))? {
                attempt.park(record, number, None);
            } else {
                attempt.pending.pass(number, place.offset, bytes);
            }
            return Ok(());
        }
        let verdict = attempt.parking.verdicts.get(&place);
        if verdict == Some(&Verdict::LeaveOut) {
            attempt.pending.pass(number, place.offset, bytes);
            return Ok(());
        }
        let condemned = self.condemned.take_if(|(condemned, _)| *condemned == place);
        let poison = match (condemned, self.changes(input, &with_verdict(&record, verdict)).await) {
            (Some((_, refusal)), _) => Poison::Refused(refusal.error),
            (None, Ok(projected)) => match attempt.pending.add(number, &place, bytes, projected.changes) {
                Ok(()) => {
                    if let Some(time) = projected.happened {
                        attempt.pending.happened(input, time);
                    }
                    return Ok(());
                }
                // The batch holds half a change now: it is thrown away, and the event comes again with fewer others.
                Err(_) if attempt.pending.records() > 1 => {
                    self.records_max = (attempt.pending.records() / 2).max(1);
                    return Err(Trouble::Smaller);
                }
                Err(error) => {
                    attempt.pending.forget_changes();
                    error.into()
                }
            },
            (None, Err(NotDecoded::Poison(poison))) => poison,
            (None, Err(NotDecoded::Registry(error))) => return Err(Trouble::Passing(error.to_string())),
        };
        self.refuse(record, number, poison, attempt);
        Ok(())
    }

    /// The model cannot take the record: live, it is parked; a rebuild ends here.
    fn refuse(&self, record: Fetched, number: usize, poison: Poison, attempt: &mut Attempt) {
        let (partition, offset) = (record.partition, record.offset);
        if self.slot == Slot::Live {
            let (model, topic) = (&self.parts.name, &*record.topic);
            tracing::warn!(%model, topic, partition, offset, cause = %poison, "parked an event and its key");
            return attempt.park(record, number, Some(poison.refusal()));
        }
        let position = Position { topic: record.topic.to_string(), partition, offset };
        attempt.held = Some(Held::Failed(Failure::Poison { position, cause: poison }));
    }

    fn write(&self, mut gathered: Gathered) -> (Writing, Gathered, Instant) {
        let (parts, slot, lease) = (Arc::clone(&self.parts), self.slot, self.lease.clone());
        let (batch, next) = (std::mem::take(&mut gathered.batch), gathered.next_offsets.clone());
        let (letters, times) = (std::mem::take(&mut gathered.letters), gathered.event_times.clone());
        let writing = async move {
            let rows = RowBatch::from(batch).with_letters(letters).taken_until(times);
            parts.metrics.rows.inc_by(rows.len() as u64);
            parts.apply(slot, &lease, &next, rows).await
        };
        (Box::pin(writing), gathered, Instant::now())
    }

    fn settle(
        &mut self,
        applied: Result<Applied, StoreError>,
        attempt: &mut Attempt,
        report: &mut dyn Report,
    ) -> Result<(), Trouble> {
        let (_, gathered, began) = attempt.writing.take().expect("a write has just ended");
        match applied {
            Ok(Applied::Committed) => {}
            Ok(Applied::LeaseLost) => return Err(lease_lost()),
            Err(error) if error.is_refused_value() => return Err(self.condemn(&gathered, error)),
            Err(error) => return Err(error.into()),
        }
        self.parts.metrics.batches.observe(began.elapsed().as_secs_f64());
        self.records_max = (self.records_max * 2).min(self.parts.batch_records_max);
        self.lease.next_offsets = gathered.next_offsets;
        self.lease.event_times = gathered.event_times;
        attempt.last_write = began;
        attempt.next_check = Instant::now() + CHECK_INTERVAL;
        attempt.reached_end |= gathered.at_end;
        attempt.tell_parked(report);
        report.stored(&self.lease);
        Ok(())
    }

    /// The database refuses a value of the batch: the event is found by halves, and is refused when it comes again.
    fn condemn(&mut self, gathered: &Gathered, error: StoreError) -> Trouble {
        match &gathered.only {
            Some(place) => {
                let refusal = Refusal { class: "refused", error: told(&error) };
                self.condemned = Some((place.clone(), refusal));
            }
            None if gathered.records > 1 => self.records_max = (gathered.records / 2).max(1),
            // No event of it is to blame: the letters themselves are refused.
            None => return Trouble::Final(Failure::Store(error)),
        }
        Trouble::Smaller
    }
}

impl Attempt {
    fn new(parking: Parking, lease: &Lease) -> Self {
        Self {
            backlog: Backlog::default(),
            pending: Pending::from(lease.next_offsets.clone(), lease.event_times.clone()),
            parking,
            writing: None,
            errand: None,
            last_write: Instant::now(),
            next_check: Instant::now() + CHECK_INTERVAL,
            held: None,
            reached_end: false,
        }
    }

    /// Whether one more record may be taken.
    fn gathers(&self, records_max: usize) -> bool {
        self.held.is_none() && self.errand.is_none() && !self.pending.is_full(records_max)
    }

    fn park(&mut self, record: Fetched, number: usize, refusal: Option<Refusal>) {
        let key = order_key(&record).into_owned();
        match self.parking.admit(&key) {
            Ok(()) => self.pending.park(number, letter(&record, key, refusal)),
            Err(cause) => {
                self.backlog.records.push_front(record);
                self.held = Some(Held::Full { cause, told: false });
            }
        }
    }

    fn tell_parked(&self, report: &mut dyn Report) {
        let (keys, letters) = self.parking.counts();
        report.parked(keys, letters);
    }

    fn reached(&self, goal: &Goal, next_offsets: &[i64]) -> bool {
        match goal {
            Goal::Forever => false,
            Goal::End => self.reached_end || (self.pending.at_end() && self.pending.is_empty()),
            Goal::Offsets(goal) => next_offsets.iter().zip(goal).all(|(next, goal)| next >= goal),
        }
    }
}

/// The offset that the goal ends the partition at, if that is not beyond `offset`.
fn beyond(goal: &Goal, number: usize, offset: i64) -> Option<i64> {
    let Goal::Offsets(goal) = goal else { return None };
    goal.get(number).copied().filter(|last| offset >= *last)
}

/// The end of the write that is under way; pending for ever when there is none.
async fn finish(writing: &mut Option<(Writing, Gathered, Instant)>) -> Result<Applied, StoreError> {
    match writing {
        Some((writing, ..)) => writing.await,
        None => std::future::pending().await,
    }
}

/// The next errand; pending for ever when nobody can give one any more.
async fn next_errand(errands: &mut mpsc::Receiver<Errand>) -> Errand {
    match errands.recv().await {
        Some(errand) => errand,
        None => std::future::pending().await,
    }
}
