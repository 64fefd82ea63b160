//! The archiver of a partition: moves committed events into PostgreSQL, off the acknowledgement path.
//!
//! ```text
//!  tail ────────────────┐ held
//!                       ├─▶ run ─▶ one transaction ─▶ watermark ─▶ snapshots that came due
//!  log ── FromLog ──────┘ let go while PostgreSQL was away
//! ```
//!
//! Appends go first: while a partition has much to answer, its runs wait for a while, as long as the tail is small enough.
//!
//! A run that was not stored is kept and tried again, as long as it takes. Memory is the tail's bound and one run. Of a
//! context that is not archived nothing is stored: its runs are only looked at for snapshots that come due.

mod from_log;
pub mod health;

use std::sync::Arc;
use std::time::Duration;

use spina_runtime::failpoint;
use spina_store::archive::{ArchiveOutcome, Run};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock;
use crate::context::{Context, Owned};
use crate::decide::tail::{RunLimits, TailRun, Unarchived};
use crate::metrics::PartitionMetrics;
use crate::read::snapshots;
use from_log::FromLog;

/// What one transaction of the archive carries at most.
const RUN: RunLimits = RunLimits { events_max: 10_000, bytes_max: 32 << 20 };
/// Pause between runs that are not full, so that a quiet partition costs few transactions.
const QUIET_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that wait to be answered in a partition that is busy, as [`Submission::weight`] counts them: some 300 small ones.
///
/// [`Submission::weight`]: crate::decide::append::Submission::weight
const BUSY_BYTES: usize = 256 << 10;
/// The part of the tail's bound that may be filled by giving way.
const GIVEN_WAY_PART: usize = 4;
/// How often a run that gives way looks whether it still has to: 5 s in all.
const GIVE_WAY_LOOKS_MAX: u32 = 50;
/// Pause between two looks.
const GIVE_WAY_PAUSE: Duration = Duration::from_millis(100);
/// Pause after PostgreSQL did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long the last runs may take when the partition is given up; what is left the next owner reads from the log.
const LAST_RUNS_LIMIT: Duration = Duration::from_secs(2);

/// See the [module](self).
pub struct Archiver {
    context: Arc<Context>,
    partition: i32,
    owned: Owned,
    metrics: PartitionMetrics,
    from_log: Option<FromLog>,
    /// A run that was not stored yet.
    waiting: Option<TailRun>,
}

impl Archiver {
    /// The archiver of a partition that this process owns.
    pub fn new(context: Arc<Context>, partition: i32, owned: Owned) -> Self {
        let metrics = context.shared.metrics.partition(context.name(), partition);
        metrics.serves(owned.epoch);
        if !context.archives {
            // What was read when the partition was taken over was looked at by those before.
            owned.tail.archived(owned.tail.next_offset(), None);
        }
        Self { context, partition, owned, metrics, from_log: None, waiting: None }
    }

    /// Archives until `stop` is cancelled; then what is left, for a bounded time.
    pub async fn run(mut self, stop: CancellationToken) {
        let (context, owned) = (Arc::clone(&self.context), self.owned.clone());
        let work = Box::pin(async { tokio::join!(self.archive_all(true), snapshots::take_due(&context, &owned)) });
        let _stopped = stop.run_until_cancelled(work).await;
        if tokio::time::timeout(LAST_RUNS_LIMIT, self.archive_all(false)).await.is_err() {
            warn!(partition = self.partition, left = self.owned.tail.len(), "left for the next owner to archive");
        }
        self.context.shared.archive_health.keeps_up(self.context.name(), self.partition);
    }

    /// Archives what there is, and then, if it is to wait for more, for ever. Dropping it half-way loses nothing: what
    /// the database says decides where the next run begins.
    async fn archive_all(&mut self, waits: bool) {
        loop {
            if waits {
                self.give_way().await;
            }
            let Some(run) = self.next_run().await else {
                if !waits {
                    return;
                }
                self.owned.tail.grown().await;
                continue;
            };
            let quiet = run.events.len() < RUN.events_max;
            match self.store(&run).await {
                Ok(()) if quiet && waits => clock::pause(QUIET_PAUSE).await,
                Ok(()) => {}
                Err(why) => {
                    self.is_behind(&why);
                    self.waiting = Some(run);
                    clock::pause(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Lets appends have the processors while they need them. A burst is then taken at the log's pace, and archived when
    /// it is over; when it lasts, both go on side by side.
    async fn give_way(&self) {
        for _ in 0..GIVE_WAY_LOOKS_MAX {
            if self.owned.queue.unanswered_bytes() < BUSY_BYTES || self.owned.tail.is_filled(GIVEN_WAY_PART) {
                return;
            }
            clock::pause(GIVE_WAY_PAUSE).await;
        }
    }

    /// The run that was not stored, or what follows the watermark; `None` if everything is archived.
    async fn next_run(&mut self) -> Option<TailRun> {
        loop {
            if let Some(run) = self.waiting.take() {
                return Some(run);
            }
            match self.owned.tail.unarchived(RUN) {
                Unarchived::Nothing => return None,
                Unarchived::Held(run) => {
                    self.from_log = None;
                    self.context.shared.archive_health.keeps_up(self.context.name(), self.partition);
                    return Some(run);
                }
                Unarchived::InLog { from, until } => match self.read_log(from, until).await {
                    Ok(run) => {
                        self.is_behind("it is catching up");
                        return Some(run);
                    }
                    Err(why) => {
                        warn!(partition = self.partition, from, why, "cannot read from the log what is to be archived");
                        self.is_behind(&why);
                        self.from_log = None;
                        clock::pause(RETRY_PAUSE).await;
                    }
                },
            }
        }
    }

    async fn read_log(&mut self, from: i64, until: i64) -> Result<TailRun, String> {
        let (shared, topic) = (&self.context.shared, &self.context.events_topic);
        let reader = match self.from_log.take().filter(|reader| reader.next_offset() == from) {
            Some(reader) => reader,
            None => FromLog::open(&shared.log, topic, self.partition, from).map_err(|error| error.to_string())?,
        };
        self.from_log.insert(reader).run(until, RUN).await.map_err(|error| error.to_string())
    }

    /// Stores one run; if that did not succeed, why.
    async fn store(&self, run: &TailRun) -> Result<(), String> {
        if !self.context.archives {
            self.is_past(run);
            return Ok(());
        }
        let request = Run {
            context: self.context.name(),
            partition: self.partition,
            from_offset: run.from_offset,
            next_offset: run.next_offset,
            epoch: self.owned.epoch,
            events: &run.events,
        };
        failpoint::reach("before_archive");
        match self.context.shared.store.archive(request).await {
            Ok(ArchiveOutcome::Stored) => {
                failpoint::reach("after_archive");
                self.is_past(run);
                self.metrics.archived(run.events.len(), self.owned.tail.len());
                Ok(())
            }
            Ok(ArchiveOutcome::Elsewhere(found)) if found.next_offset > run.from_offset => {
                // A commit whose answer was lost, or a predecessor's last run.
                self.owned.tail.archived(found.next_offset, None);
                Ok(())
            }
            Ok(ArchiveOutcome::Elsewhere(found)) => {
                let (ours, theirs) = (run.from_offset, found.next_offset);
                if found.epoch > self.owned.epoch {
                    return Err("another owner archives it".to_owned());
                }
                warn!(partition = self.partition, ours, theirs, "the archive went back, filling it from the log");
                self.owned.tail.archive_went_back(found.next_offset);
                Ok(())
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                warn!(partition = self.partition, %error, cause, "cannot archive, trying again");
                Err(error.to_string())
            }
        }
    }

    fn is_past(&self, run: &TailRun) {
        self.owned.tail.archived(run.next_offset, Some(run.events.len()));
        snapshots::note_archived(&self.context, &run.events, &self.owned.due_snapshots);
    }

    fn is_behind(&self, why: &str) {
        if !self.context.archives {
            return;
        }
        let left = self.owned.tail.len();
        self.metrics.archived(0, left);
        self.context.shared.archive_health.behind(self.context.name(), self.partition, why, left);
    }
}
