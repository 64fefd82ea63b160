//! The floor: the least that any writer does who appends in transactions and answers after the commit.
//!
//! Group commit on rotating transactional ids as in the event-store, with the same bounds, and nothing else: no HTTP, no
//! JSON, no versions, no deduplication, no archive.
//!
//! ```text
//! clients ─▶ queue of the partition ─▶ window ─▶ stage, commit ─▶ offsets to the clients
//! ```

use std::sync::Arc;

use anyhow::Context;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use spina_log::{Lane, LaneFactory, Lanes, LogConfig, NewRecord, Window, WriteError};
use spina_testkit::history::{Outcome, Place};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::Client;
use crate::script::{PARTITIONS, Script};

/// Transactional ids of a partition; the event-store's default.
const LANES: usize = 4;
/// Windows in flight, one committing while the next is staged; as in the event-store.
const WINDOWS_IN_FLIGHT_MAX: usize = 2;
/// Submissions that may wait for a partition; the event-store's default.
const QUEUE_MAX: usize = 1_024;

/// What makes a window.
#[derive(Debug, Clone, Copy)]
pub enum Grouping {
    /// Whatever has queued, up to the event-store's default bounds: 4,000 records or 4 MiB of values.
    Waiting,
    /// One submission: a transaction for each request.
    Single,
}

/// Records that are written in one transaction, and where their offsets go.
struct Submission {
    records: Vec<NewRecord>,
    answer: oneshot::Sender<Vec<i64>>,
}

/// A topic, written raw.
pub struct RawLog {
    topic: Arc<str>,
    queues: Vec<mpsc::Sender<Submission>>,
    writers: JoinSet<Result<(), WriteError>>,
}

impl RawLog {
    /// Opens the lanes of every partition.
    pub async fn open(config: &LogConfig, topic: &str, grouping: Grouping) -> anyhow::Result<Self> {
        let factory = LaneFactory::connect(config).await?;
        let mut raw = Self { topic: topic.into(), queues: Vec::new(), writers: JoinSet::new() };
        for partition in 0..PARTITIONS {
            let ids: Vec<String> = (0..LANES).map(|lane| format!("bench.raw.{partition}.{lane}")).collect();
            let lanes = futures::future::try_join_all(ids.iter().map(|id| factory.open(id))).await?;
            let (queue, submissions) = mpsc::channel(QUEUE_MAX);
            let writer = Writer { lanes, next: 0, turns: Arc::default(), submissions, waiting: None, grouping };
            raw.queues.push(queue);
            raw.writers.spawn(writer.run());
        }
        Ok(raw)
    }

    /// A client of it.
    pub fn client(&self) -> RawClient {
        RawClient { topic: Arc::clone(&self.topic), queues: self.queues.clone() }
    }

    /// As many clients.
    pub fn clients(&self, count: u16) -> Vec<RawClient> {
        (0..count).map(|_| self.client()).collect()
    }

    /// Ends it, once all its clients are gone.
    ///
    /// # Errors
    /// When a transaction failed. A floor has none.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.queues.clear();
        while let Some(ended) = self.writers.join_next().await {
            ended.context("join a raw writer")?.context("write raw")?;
        }
        Ok(())
    }
}

/// Submits records to a raw log.
#[derive(Clone)]
pub struct RawClient {
    topic: Arc<str>,
    queues: Vec<mpsc::Sender<Submission>>,
}

impl RawClient {
    /// Queues requests `from` to, not including, `to` of the script, a submission for each partition as in an import, and
    /// waits until they are committed.
    pub async fn append_all(&self, script: &Script, from: u64, to: u64) -> anyhow::Result<()> {
        let mut parts: Vec<Vec<NewRecord>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
        for record in (from..to).map(|n| script.record(n, &self.topic)) {
            parts[usize::try_from(record.partition).expect("partitions count from 0")].push(record);
        }
        let submitted = parts.into_iter().enumerate().filter(|(_, records)| !records.is_empty());
        futures::future::try_join_all(submitted.map(|(partition, records)| self.submit(partition, records))).await?;
        Ok(())
    }

    async fn submit(&self, partition: usize, records: Vec<NewRecord>) -> anyhow::Result<Vec<i64>> {
        let (answer, offsets) = oneshot::channel();
        let submission = Submission { records, answer };
        self.queues[partition].send(submission).await.ok().context("a raw writer has ended")?;
        offsets.await.context("a raw transaction failed")
    }
}

impl Client for RawClient {
    async fn append(&mut self, script: &Script, n: u64) -> anyhow::Result<Outcome> {
        let record = script.record(n, &self.topic);
        let partition = record.partition;
        let place = usize::try_from(partition).expect("partitions count from 0");
        let offset = self.submit(place, vec![record]).await?[0];
        Ok(Outcome::Ok(Some(Place { first: 1, last: 1, partition, offset })))
    }
}

/// Whose turn it is to stage and to commit. Both locks are fair, and the second is taken before the first is let go, so
/// windows stay in order.
#[derive(Debug, Default)]
struct Turns {
    staging: Mutex<()>,
    committing: Mutex<()>,
}

struct Writer {
    lanes: Vec<Arc<dyn Lane>>,
    next: usize,
    turns: Arc<Turns>,
    submissions: mpsc::Receiver<Submission>,
    waiting: Option<Submission>,
    grouping: Grouping,
}

impl Writer {
    async fn run(mut self) -> Result<(), WriteError> {
        let mut in_flight: FuturesOrdered<BoxFuture<'static, Result<(), WriteError>>> = FuturesOrdered::new();
        let mut closed = false;
        while !closed || !in_flight.is_empty() {
            let takes = in_flight.len() < WINDOWS_IN_FLIGHT_MAX && !closed;
            tokio::select! {
                biased;
                Some(written) = in_flight.next(), if !in_flight.is_empty() => written?,
                submission = self.submissions.recv(), if takes => match submission {
                    Some(submission) => {
                        self.waiting = Some(submission);
                        in_flight.push_back(self.window());
                    }
                    None => closed = true,
                },
            }
        }
        Ok(())
    }

    /// Fills a window from what waits, and begins to write it.
    fn window(&mut self) -> BoxFuture<'static, Result<(), WriteError>> {
        let (mut records, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        let (records_max, bytes_max) = match self.grouping {
            Grouping::Waiting => (4_000, 4 << 20),
            Grouping::Single => (1, 1),
        };
        while let Some(submission) = self.waiting.take().or_else(|| self.submissions.try_recv().ok()) {
            bytes +=
                submission.records.iter().filter_map(|record| record.value.as_ref()).map(|v| v.len()).sum::<usize>();
            answers.push((submission.answer, submission.records.len()));
            records.extend(submission.records);
            if records.len() >= records_max || bytes >= bytes_max {
                break;
            }
        }
        let lane = Arc::clone(&self.lanes[self.next]);
        self.next = (self.next + 1) % self.lanes.len();
        Box::pin(write(lane, Arc::clone(&self.turns), Window { records, consumed: None }, answers))
    }
}

async fn write(
    lane: Arc<dyn Lane>,
    turns: Arc<Turns>,
    window: Window,
    answers: Vec<(oneshot::Sender<Vec<i64>>, usize)>,
) -> Result<(), WriteError> {
    let staging = turns.staging.lock().await;
    let mut offsets = lane.stage(window).await?.into_iter();
    let _committing = turns.committing.lock().await;
    drop(staging);
    lane.commit().await?;
    for (answer, count) in answers {
        let _gone = answer.send(offsets.by_ref().take(count).collect());
    }
    Ok(())
}
