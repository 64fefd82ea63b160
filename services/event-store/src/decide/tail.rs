//! The tail of a partition: events that are committed and not archived yet.
//!
//! Stream reads are archive plus tail, so they include everything acknowledged. The archive takes its runs from here.
//! The tail is bounded in bytes; when it is full the partition takes no more appends until the archive catches up.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use spina_core::{StreamId, StreamKey};
use spina_store::archive::Stored;
use tokio::sync::Notify;

/// Bytes counted for an event besides its value: headers, strings and index entries, from the struct sizes.
const EVENT_OVERHEAD_BYTES: usize = 600;

/// See the [module](self).
#[derive(Debug)]
pub struct Tail {
    inner: Mutex<Inner>,
    grew: Notify,
    shrank: Notify,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Where the archive stands: the offset after the last one archived.
    watermark: i64,
    /// The offset after the last event ever put in.
    next_offset: i64,
    /// Sequence number of the first event in `events`.
    first: u64,
    events: VecDeque<Stored>,
    by_stream: HashMap<StreamKey, VecDeque<u64>, ahash::RandomState>,
    bytes: usize,
}

/// A run of events that follows the watermark.
#[derive(Debug)]
pub struct TailRun {
    /// The watermark it follows.
    pub from_offset: i64,
    /// The watermark after it.
    pub next_offset: i64,
    /// The events.
    pub events: Vec<Stored>,
}

impl Tail {
    /// An empty tail that follows the archive's watermark.
    pub fn new(watermark: i64, bytes_max: usize) -> Self {
        let inner = Inner { watermark, next_offset: watermark, ..Inner::default() };
        Self { inner: Mutex::new(inner), grew: Notify::new(), shrank: Notify::new(), bytes_max }
    }

    /// Puts committed events at the end. Offsets grow.
    pub fn push(&self, events: Vec<Stored>) {
        if events.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for event in events {
            let sequence = inner.first + inner.events.len() as u64;
            let key = StreamKey::of(event.headers.stream.as_str());
            inner.by_stream.entry(key).or_default().push_back(sequence);
            inner.bytes += event.value.len() + EVENT_OVERHEAD_BYTES;
            inner.next_offset = event.offset + 1;
            inner.events.push_back(event);
        }
        drop(inner);
        self.grew.notify_one();
    }

    /// The stream's events in the tail, in order.
    pub fn of_stream(&self, stream: &StreamId) -> Vec<Stored> {
        let inner = self.lock();
        let Some(sequences) = inner.by_stream.get(&StreamKey::of(stream.as_str())) else { return Vec::new() };
        let event = |sequence: &u64| inner.events.get(usize::try_from(sequence - inner.first).ok()?);
        // A hash names the stream; the id decides.
        sequences.iter().filter_map(event).filter(|event| event.headers.stream == *stream).cloned().collect()
    }

    /// At most `events_max` events that follow the watermark; `None` if everything is archived.
    pub fn run(&self, events_max: usize) -> Option<TailRun> {
        let inner = self.lock();
        let events: Vec<Stored> = inner.events.iter().take(events_max).cloned().collect();
        let next_offset = events.last()?.offset + 1;
        Some(TailRun { from_offset: inner.watermark, next_offset, events })
    }

    /// The archive stands at `watermark` now: what is before it may go.
    pub fn archived(&self, watermark: i64) {
        let mut inner = self.lock();
        while inner.events.front().is_some_and(|event| event.offset < watermark) {
            inner.drop_first();
        }
        inner.watermark = inner.watermark.max(watermark);
        drop(inner);
        self.shrank.notify_waiters();
    }

    /// Waits until there may be something to archive.
    pub async fn grown(&self) {
        self.grew.notified().await;
    }

    /// Waits until the tail is within its bound.
    pub async fn has_room(&self) {
        loop {
            let shrank = self.shrank.notified();
            if !self.is_full() {
                return;
            }
            shrank.await;
        }
    }

    /// True if there is no room.
    pub fn is_full(&self) -> bool {
        self.lock().bytes >= self.bytes_max
    }

    /// Where the archive stands.
    #[cfg(test)]
    pub fn watermark(&self) -> i64 {
        self.lock().watermark
    }

    /// The offset after the last event.
    pub fn next_offset(&self) -> i64 {
        self.lock().next_offset
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.lock().events.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }
}

impl Inner {
    fn drop_first(&mut self) {
        let Some(event) = self.events.pop_front() else { return };
        self.first += 1;
        self.bytes -= event.value.len() + EVENT_OVERHEAD_BYTES;
        let key = StreamKey::of(event.headers.stream.as_str());
        if let Some(sequences) = self.by_stream.get_mut(&key) {
            sequences.pop_front();
            if sequences.is_empty() {
                self.by_stream.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::stored;

    #[test]
    fn a_stream_reads_its_part_until_it_is_archived() {
        let tail = Tail::new(0, 1 << 20);
        tail.push(vec![stored("a-1", 1, 0), stored("a-2", 1, 1), stored("a-1", 2, 4)]);
        let versions = |tail: &Tail| -> Vec<u64> {
            tail.of_stream(&"a-1".parse().unwrap()).iter().map(|event| event.headers.version.0).collect()
        };
        assert_eq!(versions(&tail), [1, 2]);
        let run = tail.run(2).unwrap();
        assert_eq!((run.from_offset, run.next_offset, run.events.len()), (0, 2, 2));
        tail.archived(2);
        assert_eq!(versions(&tail), [2]);
        assert_eq!((tail.watermark(), tail.next_offset(), tail.len()), (2, 5, 1));
    }

    #[tokio::test]
    async fn a_full_tail_has_no_room_until_the_archive_moves() {
        let tail = Tail::new(0, EVENT_OVERHEAD_BYTES);
        tail.has_room().await;
        tail.push(vec![stored("a-1", 1, 0)]);
        let room = tail.has_room();
        tokio::pin!(room);
        assert!(futures::poll!(&mut room).is_pending());
        tail.archived(1);
        room.await;
    }
}
