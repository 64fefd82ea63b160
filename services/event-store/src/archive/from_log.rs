//! Runs of events that the tail has let go, read from the log again.

use std::collections::VecDeque;

use spina_log::{Fetched, LogConfig, LogError, LogReader, ReaderOptions, Start};
use spina_store::archive::Stored;

use crate::decide::tail::{RunLimits, TailRun};
use crate::decide::takeover;

/// Records in a batch: what is read ahead of a run is at most that.
const BATCH_RECORDS_MAX: usize = 500;

/// Reads on where the last run ended.
pub struct FromLog {
    reader: LogReader,
    ahead: Ahead,
}

impl FromLog {
    /// Reads the partition from an offset on.
    pub fn open(log: &LogConfig, topic: &str, partition: i32, from: i64) -> Result<Self, LogError> {
        let options = ReaderOptions { batch_records_max: BATCH_RECORDS_MAX, queue_batches_max: 2, stop_at_end: false };
        let reader = LogReader::open(log, topic, vec![(partition, Start::At(from))], options)?;
        Ok(Self { reader, ahead: Ahead { records: VecDeque::new(), next_offset: from } })
    }

    /// The offset that the next run begins at.
    pub fn next_offset(&self) -> i64 {
        self.ahead.next_offset
    }

    /// The next run, which ends at `until` at the latest; before that everything is committed.
    ///
    /// # Errors
    /// When the log cannot be read, or no longer has what was not archived.
    pub async fn run(&mut self, until: i64, limits: RunLimits) -> Result<TailRun, LogError> {
        let mut run = TailRun { from_offset: self.ahead.next_offset, next_offset: until, events: Vec::new() };
        let mut bytes = 0;
        while !self.ahead.fill(&mut run.events, &mut bytes, until, limits) {
            let batch = self.reader.next().await.unwrap_or(Err(LogError::Stopped("log reader")))?;
            self.ahead.records.extend(batch.records);
        }
        run.next_offset = self.ahead.next_offset;
        Ok(run)
    }
}

/// Records that were read and are in no run yet.
struct Ahead {
    records: VecDeque<Fetched>,
    next_offset: i64,
}

impl Ahead {
    /// Moves records into the run; true if that makes it complete, false if it needs more. What the run does not take
    /// stays for the next one.
    fn fill(&mut self, run: &mut Vec<Stored>, bytes: &mut usize, until: i64, limits: RunLimits) -> bool {
        while self.next_offset < until && run.len() < limits.events_max && *bytes < limits.bytes_max {
            match self.records.front() {
                None => return false,
                Some(record) if record.offset >= until => self.next_offset = until,
                Some(_) => {
                    let record = self.records.pop_front().expect("there is a first record");
                    self.next_offset = record.offset + 1;
                    *bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
                    run.extend(takeover::stored(record));
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use spina_codec::headers::write_event_headers;

    use super::*;
    use crate::decide::samples;

    const LIMITS: RunLimits = RunLimits { events_max: 3, bytes_max: usize::MAX };

    fn ahead(offsets: &[i64]) -> Ahead {
        let record = |offset: &i64| {
            let headers = samples::stored("a-1", offset.unsigned_abs() + 1, *offset).headers;
            Fetched {
                topic: "test.events.v1".into(),
                partition: 0,
                offset: *offset,
                timestamp_ms: 0,
                key: Some("a-1".into()),
                value: Some("x".into()),
                headers: write_event_headers(&headers, "/spina/test"),
            }
        };
        Ahead { records: offsets.iter().map(record).collect(), next_offset: 0 }
    }

    /// Whether the run is complete, what it has, and where the next one begins.
    fn fill(ahead: &mut Ahead, until: i64) -> (bool, Vec<i64>, i64) {
        let mut run = Vec::new();
        let complete = ahead.fill(&mut run, &mut 0, until, LIMITS);
        (complete, run.iter().map(|event| event.offset).collect(), ahead.next_offset)
    }

    #[test]
    fn what_one_run_leaves_the_next_one_takes() {
        let mut ahead = ahead(&[0, 1, 3, 4, 5, 6]);
        assert_eq!(fill(&mut ahead, 2), (true, vec![0, 1], 2));
        // Meanwhile the tail has let more go.
        assert_eq!(fill(&mut ahead, 6), (true, vec![3, 4, 5], 6));
        assert_eq!(fill(&mut ahead, 9), (false, vec![6], 7));
    }

    #[test]
    fn a_run_ends_where_the_tail_begins_even_if_no_event_is_there() {
        let mut ahead = ahead(&[0, 5]);
        assert_eq!(fill(&mut ahead, 3), (true, vec![0], 3));
        assert_eq!(fill(&mut ahead, 6), (true, vec![5], 6));
    }
}
