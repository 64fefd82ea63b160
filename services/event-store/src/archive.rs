//! The archiver of a partition: moves committed events from the tail into PostgreSQL, off the acknowledgement path.

use std::sync::Arc;
use std::time::Duration;

use spina_store::archive::{ArchiveOutcome, Run};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::clock;
use crate::context::{Context, Owned};
use crate::decide::tail::TailRun;
use crate::metrics::PartitionMetrics;
use crate::read::snapshots;

/// Events in one transaction of the archive.
const RUN_EVENTS_MAX: usize = 10_000;
/// Pause between runs that are not full, so that a quiet partition costs few transactions.
const QUIET_PAUSE: Duration = Duration::from_millis(100);
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
}

impl Archiver {
    /// The archiver of a partition that this process owns.
    pub fn new(context: Arc<Context>, partition: i32, owned: Owned) -> Self {
        let metrics = context.shared.metrics.partition(context.name(), partition);
        metrics.serves(owned.epoch);
        Self { context, partition, owned, metrics }
    }

    /// Archives until `stop` is cancelled; then what is left, for a bounded time.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let full = match self.owned.tail.run(RUN_EVENTS_MAX) {
                Some(run) => self.archive(run, &stop).await,
                None => {
                    let _stopped = stop.run_until_cancelled(self.owned.tail.grown()).await;
                    continue;
                }
            };
            if !full {
                let _stopped = stop.run_until_cancelled(clock::pause(QUIET_PAUSE)).await;
            }
        }
        let last_runs = async {
            let never = CancellationToken::new();
            while let Some(run) = self.owned.tail.run(RUN_EVENTS_MAX) {
                self.archive(run, &never).await;
            }
        };
        if tokio::time::timeout(LAST_RUNS_LIMIT, last_runs).await.is_err() {
            warn!(partition = self.partition, left = self.owned.tail.len(), "left for the next owner to archive");
        }
    }

    /// Archives one run, as long as it takes. True if it was a full one.
    async fn archive(&self, run: TailRun, stop: &CancellationToken) -> bool {
        let request = Run {
            context: self.context.name(),
            partition: self.partition,
            from_offset: run.from_offset,
            next_offset: run.next_offset,
            epoch: self.owned.epoch,
            events: &run.events,
        };
        match self.context.shared.store.archive(request).await {
            Ok(ArchiveOutcome::Stored) => {
                self.owned.tail.archived(run.next_offset);
                self.metrics.archived(run.events.len(), self.owned.tail.len());
                snapshots::take_due(&self.context, &run.events, self.owned.epoch).await;
            }
            Ok(ArchiveOutcome::Elsewhere(found)) if found.next_offset > run.from_offset => {
                // A commit whose answer was lost, or a predecessor's last run.
                self.owned.tail.archived(found.next_offset);
            }
            Ok(ArchiveOutcome::Elsewhere(found)) => {
                let (ours, theirs) = (run.from_offset, found.next_offset);
                error!(partition = self.partition, ours, theirs, "the archive went back; restart to fill it again");
                let _stopped = stop.run_until_cancelled(clock::pause(RETRY_PAUSE)).await;
            }
            Err(error) => {
                warn!(partition = self.partition, %error, "cannot archive, trying again");
                let _stopped = stop.run_until_cancelled(clock::pause(RETRY_PAUSE)).await;
            }
        }
        run.events.len() == RUN_EVENTS_MAX
    }
}
