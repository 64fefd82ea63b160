//! Reading committed records of a topic from given offsets, outside any consumer group.
//!
//! ```text
//!   broker --> librdkafka's queue --> thread of this reader: copies records into batches --> bounded channel --> next()
//! ```
//!
//! The thread never waits to fill a batch: it sends what there is. A caller that is slower than the log fills the channel,
//! then librdkafka's queue, then the broker is no longer asked; nothing grows without bound.

mod pump;
mod starts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::mpsc;

use crate::{Fetched, LogConfig, LogError};
use pump::{Pump, Sent};

/// Where to begin in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is still there.
    Earliest,
    /// Behind the last committed record.
    Latest,
    /// At this offset: the next one wanted, not the last one seen.
    At(i64),
}

/// How a reader behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Most records in a batch.
    pub batch_records_max: usize,
    /// Most batches waiting for the caller.
    pub queue_batches_max: usize,
    /// Whether to end once every partition's stable end was reached, else go on for ever.
    pub stop_at_end: bool,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { batch_records_max: 2_000, queue_batches_max: 4, stop_at_end: false }
    }
}

/// Some records, in order within each partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The records.
    pub records: Vec<Fetched>,
    /// Partitions whose stable end was reached, and the next offset there. It is greater than the last record's offset
    /// plus one where transaction markers or aborted records follow it.
    pub ends: Vec<(i32, i64)>,
}

impl Batch {
    /// Whether there is neither a record nor an end in it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.ends.is_empty()
    }
}

/// Reads some partitions of a topic. Dropping it stops it and never blocks.
#[derive(Debug)]
pub struct LogReader {
    batches: mpsc::Receiver<Sent>,
    stop: Arc<AtomicBool>,
    finished: bool,
}

impl LogReader {
    /// Begins to read. Does not block: what is wrong with topic, partitions or offsets comes from the first
    /// [`LogReader::next`], and brokers that are not reachable are waited for.
    ///
    /// # Errors
    /// [`LogError::Client`] when the client refuses its settings or the system another thread.
    pub fn open(
        config: &LogConfig,
        topic: &str,
        starts: Vec<(i32, Start)>,
        options: ReaderOptions,
    ) -> Result<Self, LogError> {
        Self::open_isolated(config, topic, starts, options, "read_committed")
    }

    /// Like [`open`](Self::open), and shows what is not committed, or was aborted, too; ends are the log's. For looking at a
    /// transaction that hangs.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_uncommitted(
        config: &LogConfig,
        topic: &str,
        starts: Vec<(i32, Start)>,
        options: ReaderOptions,
    ) -> Result<Self, LogError> {
        Self::open_isolated(config, topic, starts, options, "read_uncommitted")
    }

    fn open_isolated(
        config: &LogConfig,
        topic: &str,
        starts: Vec<(i32, Start)>,
        options: ReaderOptions,
        isolation: &str,
    ) -> Result<Self, LogError> {
        let consumer =
            pump::consumer(config, isolation).map_err(|error| LogError::client(format!("read {topic}"), error))?;
        let (sender, batches) = mpsc::channel(options.queue_batches_max.max(1));
        let stop = Arc::new(AtomicBool::new(false));
        let pump = Pump::new(topic, options, sender, Arc::clone(&stop));
        // A thread of its own, and the consumer is dropped there: polling and dropping it block.
        thread::Builder::new()
            .name("log-reader".to_owned())
            .spawn(move || pump.run(consumer, starts))
            .map_err(|error| LogError::client(format!("read {topic}"), error))?;
        Ok(Self { batches, stop, finished: false })
    }

    /// The next batch; `None` when a bounded read is complete, or after an error. Safe to drop while it waits.
    ///
    /// # Errors
    /// What cannot be mended by waiting: [`LogError::UnknownTopic`], [`LogError::UnknownPartition`],
    /// [`LogError::OutOfRange`], [`LogError::Truncated`], [`LogError::Client`], [`LogError::Stopped`].
    pub async fn next(&mut self) -> Option<Result<Batch, LogError>> {
        if self.finished {
            return None;
        }
        match self.batches.recv().await {
            Some(Sent::Batch(batch)) => Some(Ok(batch)),
            Some(Sent::Complete) => {
                self.finished = true;
                None
            }
            Some(Sent::Failed(error)) => {
                self.finished = true;
                Some(Err(error))
            }
            None => {
                self.finished = true;
                Some(Err(LogError::Stopped("log reader")))
            }
        }
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
