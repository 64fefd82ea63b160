//! Catching up: reading the log for one subscription that stands below the live feed.
//!
//! Readers cost a thread and a connection, so their number is bounded. Who wants one waits in line; a turn ends when it
//! has read its share while others wait, or when the subscriber does not take what was read. The next turn begins behind
//! what the subscriber has had, at the end of the line.

use std::sync::Arc;
use std::time::Duration;

use spina_log::{LogError, LogReader, ReaderOptions, Start};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::entry::Group;
use super::filter::Filter;
use super::places::Places;
use crate::context::Context;

/// Records in a batch: small, so that a turn holds little.
const BATCH_RECORDS_MAX: usize = 500;
/// Records read in a turn before those who wait come to theirs.
const TURN_RECORDS_MAX: usize = 20_000;
/// How long a turn waits for its subscriber to take a group.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// A turn: groups as they are read. It is over when there are no more; then the next one is due.
pub type Turn = mpsc::Receiver<Result<Group, LogError>>;

/// Stands in line for a turn that begins at the places. Dropping the turn gives it up.
pub fn stand_in_line(context: &Arc<Context>, filter: &Filter, places: &Places) -> Turn {
    let (groups, turn) = mpsc::channel(1);
    let starts = places.iter().map(|(partition, next)| {
        let start = if next > 0 { Start::At(next) } else { Start::Earliest };
        (partition, start)
    });
    let reading = Reading { context: Arc::clone(context), filter: filter.clone(), groups };
    let starts = starts.collect();
    context.shared.tasks.spawn("catch-up", async move {
        reading.wait_and_read(starts).await;
        Ok(())
    });
    turn
}

struct Reading {
    context: Arc<Context>,
    filter: Filter,
    groups: mpsc::Sender<Result<Group, LogError>>,
}

impl Reading {
    async fn wait_and_read(self, starts: Vec<(i32, Start)>) {
        let stopping = self.context.shared.stopping.clone();
        let turn = async {
            // First come, first served.
            let _permit = self.context.shared.catch_ups.acquire().await.expect("the semaphore is never closed");
            self.context.shared.metrics.catches_up();
            if let Err(error) = self.read(starts).await {
                let _gone = timeout(TURN_PATIENCE, self.groups.send(Err(error))).await;
            }
        };
        tokio::select! {
            () = turn => {}
            () = self.groups.closed() => {}
            () = stopping.cancelled() => {}
        }
    }

    async fn read(&self, starts: Vec<(i32, Start)>) -> Result<(), LogError> {
        let shared = &self.context.shared;
        let options = ReaderOptions { batch_records_max: BATCH_RECORDS_MAX, queue_batches_max: 2, stop_at_end: false };
        let mut reader = LogReader::open(&shared.log, &self.context.events_topic, starts, options)?;
        let mut read = 0;
        while read < TURN_RECORDS_MAX || shared.catch_ups.available_permits() > 0 {
            let batch = reader.next().await.unwrap_or(Err(LogError::Stopped("log reader")))?;
            read += batch.records.len();
            for group in Group::cut(batch, &self.filter) {
                match timeout(TURN_PATIENCE, self.groups.send(Ok(group))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return Ok(()),
                }
            }
        }
        Ok(())
    }
}
