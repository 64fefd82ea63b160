//! Copying into a topic, exactly once (ADR 0028).
//!
//! The job's transactional id is opened first: that fences whoever worked on it before and settles what that left open.
//! Then the target is read from where the database says to its end: each copy names its job and its original, so what was
//! copied since is known whatever the database has missed. Only then is anything written.

use std::sync::Arc;
use std::time::Duration;

use spina_codec::headers::{SPINA_REPLAY, SPINA_REPLAYED_FROM};
use spina_codec::partitioner::partition_for;
use spina_core::{Position, Token};
use spina_log::{Admin, Fetched, Lane, Lanes, LogConfig, LogReader, NewRecord, ReaderOptions, Start, Window};
use spina_log::{LogError, WriteError, names, settled};
use spina_store::jobs::JobProgress;

use super::Trouble;

/// How long another transaction may keep the target's end from being read.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes copies.
pub struct Copying {
    lane: Arc<dyn Lane>,
    topic: Arc<str>,
    job: String,
}

impl Copying {
    /// Takes the job's copies over; `progress` is then what has truly been copied.
    pub async fn begin(
        lanes: &dyn Lanes,
        admin: &Admin,
        log: &LogConfig,
        (job, topic): (String, &str),
        progress: &mut JobProgress,
    ) -> Result<Self, Trouble> {
        let lane = lanes.open(&names::replay_transactional_id(&job)).await.map_err(from_log)?;
        let copying = Self { lane, topic: topic.into(), job };
        copying.read_back(admin, log, progress).await?;
        Ok(copying)
    }

    async fn read_back(&self, admin: &Admin, log: &LogConfig, progress: &mut JobProgress) -> Result<(), Trouble> {
        let mut starts = Vec::new();
        for (partition, next) in (0..).zip(&mut progress.target_next) {
            // A committed reader stops at the first open transaction; copies of ours might stand behind it.
            let ends = settled::wait(admin, &self.topic, partition, SETTLE_TIMEOUT).await.map_err(from_log)?;
            *next = (*next).max(ends.earliest);
            if *next < ends.stable {
                starts.push((partition, Start::At(*next)));
            }
        }
        if starts.is_empty() {
            return Ok(());
        }
        let options = ReaderOptions { stop_at_end: true, ..ReaderOptions::default() };
        let mut reader = LogReader::open(log, &self.topic, starts, options).map_err(from_log)?;
        let known = progress.next_offsets.clone();
        while let Some(batch) = reader.next().await {
            for record in batch.map_err(from_log)?.records {
                self.recognise(&record, &known, progress);
            }
        }
        Ok(())
    }

    /// Notes a record of the target, if it is a copy of this job's that the database does not know of.
    fn recognise(&self, record: &Fetched, known: &[i64], progress: &mut JobProgress) {
        if let Some(next) = at(&mut progress.target_next, record.partition) {
            *next = (*next).max(record.offset + 1);
        }
        if record.headers.get_str(SPINA_REPLAY) != Some(self.job.as_str()) {
            return;
        }
        let original: Option<Token> = record.headers.get_str(SPINA_REPLAYED_FROM).and_then(|token| token.parse().ok());
        for (partition, offset) in original.iter().flat_map(Token::offsets) {
            let before = usize::try_from(partition).ok().and_then(|index| known.get(index));
            if before.is_some_and(|before| offset >= *before)
                && let Some(next) = at(&mut progress.next_offsets, partition)
            {
                *next = (*next).max(offset + 1);
                progress.matched += 1;
            }
        }
    }

    /// Writes copies in one transaction.
    pub async fn write(&self, events: Vec<Fetched>, progress: &mut JobProgress) -> Result<(), Trouble> {
        let partitions = i32::try_from(progress.target_next.len()).unwrap_or(i32::MAX);
        let records: Vec<NewRecord> = events.into_iter().map(|event| self.copy(event, partitions)).collect();
        let places: Vec<i32> = records.iter().map(|record| record.partition).collect();
        let offsets = self.lane.stage(Window { records, consumed: None }).await.map_err(from_write)?;
        self.lane.commit().await.map_err(from_write)?;
        for (partition, offset) in places.into_iter().zip(offsets) {
            if let Some(next) = at(&mut progress.target_next, partition) {
                *next = (*next).max(offset + 1);
            }
        }
        Ok(())
    }

    fn copy(&self, event: Fetched, partitions: i32) -> NewRecord {
        let Fetched { topic, partition, offset, key, value, mut headers, .. } = event;
        let original = Token::from(&Position { topic: topic.to_string(), partition, offset });
        headers.push(SPINA_REPLAY, Some(self.job.as_bytes()));
        headers.push(SPINA_REPLAYED_FROM, Some(original.to_string().as_bytes()));
        let key = key.unwrap_or_default();
        let partition = partition_for(&key, partitions);
        // The time of copying: with that of the original, retention would take the copies away at once.
        NewRecord { topic: Arc::clone(&self.topic), partition, key, value, headers, timestamp_ms: None }
    }
}

fn at(offsets: &mut [i64], partition: i32) -> Option<&mut i64> {
    usize::try_from(partition).ok().and_then(|index| offsets.get_mut(index))
}

/// What an error of the log means for a job.
pub fn from_log(error: LogError) -> Trouble {
    match error {
        LogError::UnknownTopic(_)
        | LogError::UnknownPartition { .. }
        | LogError::OutOfRange { .. }
        | LogError::Truncated { .. }
        | LogError::OldTransactions { .. } => Trouble::Final(error.to_string()),
        LogError::Client { .. } | LogError::Hanging { .. } | LogError::Stopped(_) => {
            Trouble::Passing(error.to_string())
        }
    }
}

/// Whatever became of the transaction, reading back finds out.
fn from_write(error: WriteError) -> Trouble {
    Trouble::Passing(error.to_string())
}
