//! A stream of a context that is not archived, looked for in the log: where memory does not reach back to it.
//!
//! It costs a read of the partition from where the stream may begin, so there are few at a time, and each has little time.

use std::collections::VecDeque;
use std::time::Duration;

use spina_core::{StreamId, Version};
use spina_log::{LogError, LogReader, ReaderOptions, Start};
use spina_store::archive::{Stored, StreamRange, TimeRange};
use tokio::sync::Semaphore;

use super::stream::ReadError;
use crate::context::Context;
use crate::decide::takeover;

/// Scans at a time, for each context; each is a consumer with a thread. Further ones wait.
const SCANS_MAX: usize = 4;
/// How long one may take, the wait for its turn included.
const SCAN_LIMIT: Duration = Duration::from_secs(10);
/// Reads what is there and ends.
const TO_THE_END: ReaderOptions = ReaderOptions { batch_records_max: 2_000, queue_batches_max: 4, stop_at_end: true };

/// As many places as there may be scans.
pub fn places() -> Semaphore {
    Semaphore::new(SCANS_MAX)
}

/// Part of a partition: from an offset, and before another.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind its last event.
    pub until: i64,
}

/// What a stretch of the log has of a stream: the events of the range, in its order, and the last version of all.
pub async fn scan(
    context: &Context,
    stream: &StreamId,
    stretch: Stretch,
    range: StreamRange,
    times: TimeRange,
) -> Result<(Vec<Stored>, Version), ReadError> {
    let mut wanted = Wanted::new(range, times);
    if stretch.from >= stretch.until {
        return Ok(wanted.found());
    }
    let found = async {
        let _place = context.scans.acquire().await;
        read(context, stream, stretch, &mut wanted).await
    };
    let partition = stretch.partition;
    match tokio::time::timeout(SCAN_LIMIT, found).await {
        Ok(Ok(true)) => Ok(wanted.found()),
        Ok(Ok(false)) => Err(ReadError::Hidden(partition)),
        Ok(Err(error)) => Err(ReadError::Log(error)),
        Err(_) => Err(ReadError::TooFar { partition, limit: SCAN_LIMIT }),
    }
}

/// False if the log ends before the stretch does.
async fn read(context: &Context, stream: &StreamId, stretch: Stretch, wanted: &mut Wanted) -> Result<bool, LogError> {
    let starts = vec![(stretch.partition, Start::At(stretch.from))];
    let mut reader = LogReader::open(&context.shared.log, &context.events_topic, starts, TO_THE_END)?;
    let mut next = stretch.from;
    while next < stretch.until
        && let Some(batch) = reader.next().await
    {
        for record in batch?.records.into_iter().take_while(|record| record.offset < stretch.until) {
            next = record.offset + 1;
            if record.key.as_deref() == Some(stream.as_str().as_bytes()) {
                takeover::stored(record).into_iter().for_each(|event| wanted.offer(event));
            }
        }
    }
    Ok(next >= stretch.until)
}

/// Gathers the events of a range as they come, oldest first; of those that are wanted backward, the last ones.
struct Wanted {
    range: StreamRange,
    times: TimeRange,
    events: VecDeque<Stored>,
    last: Version,
}

impl Wanted {
    fn new(range: StreamRange, times: TimeRange) -> Self {
        Self { range, times, events: VecDeque::new(), last: Version::NONE }
    }

    fn offer(&mut self, event: Stored) {
        let StreamRange { from, backward, limit } = self.range;
        self.last = event.headers.version;
        let before = if backward { self.last > from } else { self.last < from };
        if before || !self.times.contains(event.headers.time) {
            return;
        }
        if backward {
            self.events.push_front(event);
            self.events.truncate(limit as usize);
        } else if self.events.len() < limit as usize {
            self.events.push_back(event);
        }
    }

    fn found(self) -> (Vec<Stored>, Version) {
        (self.events.into(), self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::stored;

    fn found(from: u64, backward: bool, limit: u32) -> (Vec<u64>, u64) {
        let range = StreamRange { from: Version(from), backward, limit };
        let mut wanted = Wanted::new(range, TimeRange::default());
        (1..=5).for_each(|version| wanted.offer(stored("a-1", version, 0)));
        let (events, last) = wanted.found();
        (events.iter().map(|event| event.headers.version.0).collect(), last.0)
    }

    #[test]
    fn a_range_is_gathered_in_its_order_and_not_more_of_it() {
        assert_eq!(found(1, false, 9), (vec![1, 2, 3, 4, 5], 5));
        assert_eq!(found(2, false, 2), (vec![2, 3], 5));
        assert_eq!(found(4, true, 2), (vec![4, 3], 5));
        assert_eq!(found(9, true, 9), (vec![5, 4, 3, 2, 1], 5));
        assert_eq!(found(6, false, 2), (vec![], 5));
    }
}
