//! The tail of a partition: events that are committed and not archived yet.
//!
//! ```text
//!  archived      │ only the log has them │ held here
//!  ──────────────┼───────────────────────┼────────────▶ offsets
//!            watermark               held_from      next_offset
//! ```
//!
//! Stream reads are archive plus tail, so they include everything acknowledged. The archive takes its runs from here.
//! The tail is bounded in bytes. While the archive stands still and the bound is reached, the oldest events are let go:
//! appends never wait for PostgreSQL, and the archiver reads from the log what is not held any more. Until it has, the
//! streams that it may belong to are not read ([`TailPart::whole`]).
//!
//! A context without an archive has a tail too, which keeps what there is room for. Its watermark says how far events were
//! looked at by those who take snapshots.

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
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Nothing is archived: events stay until the bound is reached.
    keeps: bool,
    /// Where the archive stands: the offset after the last one archived.
    watermark: i64,
    /// Every event from this offset on is held.
    held_from: i64,
    /// The offset after the last event ever put in.
    next_offset: i64,
    /// Events between watermark and `held_from`.
    let_go: u64,
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

/// What is to be archived next.
#[derive(Debug)]
pub enum Unarchived {
    /// Nothing: the archive has everything.
    Nothing,
    /// These events, which are held.
    Held(TailRun),
    /// What the log has between these offsets, the second one not included: it is not held any more.
    InLog {
        /// The watermark.
        from: i64,
        /// Where the tail begins.
        until: i64,
    },
}

/// Bounds of a run.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// Events; at least one is taken.
    pub events_max: usize,
    /// Bytes as the tail counts them; the event that passes it is the last.
    pub bytes_max: usize,
}

/// A stream's part of the tail.
#[derive(Debug)]
pub struct TailPart {
    /// The events held, in order: the newest of the stream.
    pub events: Vec<Stored>,
    /// False if there may be events before them that neither archive nor tail have.
    pub whole: bool,
    /// Every event of the partition from this offset on is held.
    pub held_from: i64,
}

impl Tail {
    /// An empty tail that follows the archive's watermark.
    pub fn new(watermark: i64, bytes_max: usize) -> Self {
        let inner = Inner { watermark, held_from: watermark, next_offset: watermark, ..Inner::default() };
        Self { inner: Mutex::new(inner), grew: Notify::new(), bytes_max }
    }

    /// An empty tail of a partition that is not archived.
    pub fn keeping(bytes_max: usize) -> Self {
        let inner = Inner { keeps: true, ..Inner::default() };
        Self { inner: Mutex::new(inner), grew: Notify::new(), bytes_max }
    }

    /// Puts committed events at the end, and lets the oldest go if they are too many. Offsets grow.
    pub fn push(&self, events: Vec<Stored>) {
        if events.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for event in events {
            let sequence = inner.first + inner.events.len() as u64;
            let key = StreamKey::of(event.headers.stream.as_str());
            inner.by_stream.entry(key).or_default().push_back(sequence);
            inner.bytes += bytes_of(&event);
            inner.next_offset = event.offset + 1;
            inner.events.push_back(event);
        }
        while inner.bytes > self.bytes_max {
            let Some(event) = inner.drop_first() else { break };
            inner.held_from = event.offset + 1;
            inner.let_go += 1;
        }
        drop(inner);
        self.grew.notify_one();
    }

    /// Whether one in so many parts of its bound is filled, or the archive is behind what it holds.
    pub fn is_filled(&self, parts: usize) -> bool {
        let inner = self.lock();
        inner.is_behind() || inner.bytes >= self.bytes_max / parts
    }

    /// The stream's events in the tail.
    pub fn of_stream(&self, stream: &StreamId) -> TailPart {
        let inner = self.lock();
        let (whole, held_from) = (!inner.is_behind(), inner.held_from);
        let Some(sequences) = inner.by_stream.get(&StreamKey::of(stream.as_str())) else {
            return TailPart { events: Vec::new(), whole, held_from };
        };
        let event = |sequence: &u64| inner.events.get(usize::try_from(sequence - inner.first).ok()?);
        // A hash names the stream; the id decides.
        let events = sequences.iter().filter_map(event).filter(|event| event.headers.stream == *stream);
        TailPart { events: events.cloned().collect(), whole, held_from }
    }

    /// What follows the watermark.
    pub fn unarchived(&self, limits: RunLimits) -> Unarchived {
        let inner = self.lock();
        if inner.watermark < inner.held_from {
            return Unarchived::InLog { from: inner.watermark, until: inner.held_from };
        }
        let mut bytes = 0;
        let within = |event: &&Stored| {
            let more = bytes < limits.bytes_max;
            bytes += bytes_of(event);
            more
        };
        let first = inner.events.partition_point(|event| event.offset < inner.watermark);
        let events: Vec<Stored> =
            inner.events.iter().skip(first).take(limits.events_max).take_while(within).cloned().collect();
        match events.last() {
            Some(last) => {
                let next_offset = last.offset + 1;
                Unarchived::Held(TailRun { from_offset: inner.watermark, next_offset, events })
            }
            None => Unarchived::Nothing,
        }
    }

    /// The archive lost what it had and stands at `watermark`, further back than it did.
    pub fn archive_went_back(&self, watermark: i64) {
        let mut inner = self.lock();
        inner.watermark = inner.watermark.min(watermark);
    }

    /// The archive stands at `watermark` now, which took `events` to get there if that is known: what is before it may go.
    pub fn archived(&self, watermark: i64, events: Option<usize>) {
        let mut inner = self.lock();
        if inner.keeps {
            inner.watermark = inner.watermark.max(watermark);
            return;
        }
        let mut held = 0;
        while inner.events.front().is_some_and(|event| event.offset < watermark) {
            inner.drop_first();
            held += 1;
        }
        inner.watermark = inner.watermark.max(watermark);
        inner.held_from = inner.held_from.max(watermark);
        let from_log = events.unwrap_or(0).saturating_sub(held) as u64;
        inner.let_go = if inner.is_behind() { inner.let_go.saturating_sub(from_log) } else { 0 };
    }

    /// Waits until there may be something to archive.
    pub async fn grown(&self) {
        self.grew.notified().await;
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

    /// Number of events that are to be archived, held or not.
    pub fn len(&self) -> usize {
        let inner = self.lock();
        if inner.keeps {
            return 0;
        }
        inner.events.len().saturating_add(usize::try_from(inner.let_go).unwrap_or(usize::MAX))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }
}

impl Inner {
    /// True if events were let go that are not archived.
    fn is_behind(&self) -> bool {
        let archived = if self.keeps { 0 } else { self.watermark };
        archived < self.held_from
    }

    fn drop_first(&mut self) -> Option<Stored> {
        let event = self.events.pop_front()?;
        self.first += 1;
        self.bytes -= bytes_of(&event);
        let key = StreamKey::of(event.headers.stream.as_str());
        if let Some(sequences) = self.by_stream.get_mut(&key) {
            sequences.pop_front();
            if sequences.is_empty() {
                self.by_stream.remove(&key);
            }
        }
        Some(event)
    }
}

fn bytes_of(event: &Stored) -> usize {
    event.value.len() + EVENT_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::stored;

    const SMALL: RunLimits = RunLimits { events_max: 2, bytes_max: usize::MAX };

    fn events(count: i64) -> Vec<Stored> {
        (0..count).map(|offset| stored("a-1", offset.unsigned_abs() + 1, offset)).collect()
    }

    fn versions(tail: &Tail, stream: &str) -> Vec<u64> {
        tail.of_stream(&stream.parse().unwrap()).events.iter().map(|event| event.headers.version.0).collect()
    }

    fn whole(tail: &Tail) -> bool {
        tail.of_stream(&"a-9".parse().unwrap()).whole
    }

    fn held(tail: &Tail, limits: RunLimits) -> (i64, i64, usize) {
        match tail.unarchived(limits) {
            Unarchived::Held(run) => (run.from_offset, run.next_offset, run.events.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stream_reads_its_part_until_it_is_archived() {
        let tail = Tail::new(0, 1 << 20);
        tail.push(vec![stored("a-1", 1, 0), stored("a-2", 1, 1), stored("a-1", 2, 4)]);
        assert_eq!((versions(&tail, "a-1"), whole(&tail)), (vec![1, 2], true));
        assert_eq!(held(&tail, SMALL), (0, 2, 2));
        tail.archived(2, Some(2));
        assert_eq!(versions(&tail, "a-1"), [2]);
        assert_eq!((tail.watermark(), tail.next_offset(), tail.len()), (2, 5, 1));
        tail.archived(5, Some(1));
        assert!(matches!(tail.unarchived(SMALL), Unarchived::Nothing));
    }

    #[test]
    fn a_run_is_bounded_in_bytes_and_never_empty() {
        let tail = Tail::new(0, 1 << 20);
        tail.push(events(5));
        let bytes = |events| RunLimits { events_max: 10, bytes_max: events * EVENT_OVERHEAD_BYTES };
        assert_eq!((held(&tail, bytes(3)).2, held(&tail, RunLimits { events_max: 10, bytes_max: 1 }).2), (3, 1));
    }

    #[test]
    fn it_tells_when_a_part_of_its_bound_is_filled_and_when_the_archive_is_behind_what_it_holds() {
        let tail = Tail::new(0, 8 * EVENT_OVERHEAD_BYTES);
        tail.push(events(1));
        assert!(!tail.is_filled(4));
        tail.push(events(2));
        assert!(tail.is_filled(4));
        let behind = Tail::new(7, EVENT_OVERHEAD_BYTES);
        behind.push(events(2));
        assert!(behind.is_filled(1));
    }

    #[test]
    fn a_full_tail_lets_the_oldest_go_and_says_so_until_the_archive_has_them() {
        let tail = Tail::new(0, 2 * EVENT_OVERHEAD_BYTES);
        tail.push(events(5));
        assert_eq!((versions(&tail, "a-1"), whole(&tail), tail.len()), (vec![4, 5], false, 5));
        assert!(matches!(tail.unarchived(SMALL), Unarchived::InLog { from: 0, until: 3 }));

        // Two of the three came from the log; meanwhile one more was appended, so one more was let go.
        tail.push(vec![stored("a-1", 6, 5)]);
        tail.archived(2, Some(2));
        assert!(matches!(tail.unarchived(SMALL), Unarchived::InLog { from: 2, until: 4 }));
        assert_eq!((whole(&tail), tail.len()), (false, 4));

        tail.archived(4, Some(2));
        assert_eq!((held(&tail, SMALL), whole(&tail), tail.len()), ((4, 6, 2), true, 2));
    }

    #[test]
    fn an_archive_that_went_back_is_filled_from_the_log() {
        let tail = Tail::new(7, 1 << 20);
        tail.push(vec![stored("a-1", 8, 7)]);
        tail.archive_went_back(3);
        assert!(matches!(tail.unarchived(SMALL), Unarchived::InLog { from: 3, until: 7 }));
        assert!(!whole(&tail));
        tail.archived(7, Some(4));
        assert_eq!((held(&tail, SMALL), whole(&tail)), ((7, 8, 1), true));
    }

    #[test]
    fn without_an_archive_events_stay_until_there_is_no_room() {
        let tail = Tail::keeping(3 * EVENT_OVERHEAD_BYTES);
        tail.push(events(3));
        tail.archived(2, Some(2));
        assert_eq!((versions(&tail, "a-1"), whole(&tail), held(&tail, SMALL)), (vec![1, 2, 3], true, (2, 3, 1)));
        tail.archived(3, None);
        assert!(matches!(tail.unarchived(SMALL), Unarchived::Nothing));
        tail.push(vec![stored("a-1", 4, 3), stored("a-1", 5, 4)]);
        assert_eq!((versions(&tail, "a-1"), whole(&tail), tail.len()), (vec![3, 4, 5], false, 0));
        assert_eq!(tail.of_stream(&"a-1".parse().unwrap()).held_from, 2);
        tail.push((5..9_i64).map(|offset| stored("a-1", offset.unsigned_abs() + 1, offset)).collect());
        assert!(matches!(tail.unarchived(SMALL), Unarchived::InLog { from: 3, until: 6 }), "not all were looked at");
    }

    #[test]
    fn an_archive_that_was_further_than_known_closes_the_gap() {
        let tail = Tail::new(0, EVENT_OVERHEAD_BYTES);
        tail.push(events(3));
        tail.archived(3, None);
        assert_eq!((whole(&tail), tail.len(), tail.watermark()), (true, 0, 3));
    }
}
