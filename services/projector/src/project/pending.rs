//! The batch that is being gathered: coalesced changes, and how far they lead.

use std::collections::BTreeSet;
use std::time::Duration;

use spina_core::change::MergeError;
use spina_core::{Batch, Change, Timestamp};
use spina_store::dead_letters::{LetterChanges, NewLetter, Place};
use tokio::time::Instant;

/// Most bytes of record values that go into one batch.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// From the start of one batch's transaction to that of the next, at least, by how many records have gathered: few are
/// written soon, many together, because that touches fewer rows. After a quiet moment a batch is written at once.
const PAUSES: [(usize, Duration); 3] =
    [(0, Duration::from_millis(10)), (100, Duration::from_millis(40)), (2_000, Duration::from_millis(250))];

/// A batch that is being gathered.
#[derive(Debug)]
pub struct Pending {
    batch: Batch,
    /// Next offset to read by partition, after this batch. Partitions of all inputs are numbered through.
    next_offsets: Vec<i64>,
    /// When the latest event happened that the table has taken, by input.
    event_times: Vec<Option<Timestamp>>,
    letters: LetterChanges,
    records: usize,
    /// The record whose changes are all that is in it.
    only: Option<Place>,
    bytes: usize,
    moved: bool,
    /// Partitions of which the end was not reached since the last record.
    behind: BTreeSet<usize>,
}

impl Pending {
    /// Nothing yet, from there on. Every partition counts as behind until its end is seen.
    pub fn from(next_offsets: Vec<i64>, event_times: Vec<Option<Timestamp>>) -> Self {
        let behind = (0..next_offsets.len()).collect();
        let (batch, letters) = (Batch::default(), LetterChanges::default());
        Self { batch, letters, next_offsets, event_times, records: 0, only: None, bytes: 0, moved: false, behind }
    }

    /// Adds what a record changes; it may be nothing. After an error the batch holds half of it.
    pub fn add(
        &mut self,
        partition: usize,
        place: &Place,
        bytes: usize,
        changes: Vec<Change>,
    ) -> Result<(), MergeError> {
        self.pass(partition, place.offset, bytes);
        self.only = (self.records == 1).then(|| place.clone());
        changes.into_iter().try_for_each(|change| self.batch.add(change))
    }

    /// Adds a record that changes nothing.
    pub fn pass(&mut self, partition: usize, offset: i64, bytes: usize) {
        self.records += 1;
        self.only = None;
        self.bytes += bytes;
        self.advance(partition, offset + 1);
        self.behind.insert(partition);
    }

    /// Notes when an event of an input happened that was added.
    pub fn happened(&mut self, input: usize, time: Timestamp) {
        if self.event_times.len() <= input {
            self.event_times.resize(input + 1, None);
        }
        self.event_times[input] = self.event_times[input].max(Some(time));
    }

    /// Adds a record that is parked.
    pub fn park(&mut self, partition: usize, letter: NewLetter) {
        self.pass(partition, letter.record.place.offset, letter.record.value.as_ref().map_or(0, Vec::len));
        self.letters.parked.push(letter);
    }

    /// Undoes the changes; the records stay passed.
    pub fn forget_changes(&mut self) {
        self.batch = Batch::default();
    }

    /// Number of records in it.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Notes that everything before `next_offset` was seen, and that nothing follows for now.
    pub fn end(&mut self, partition: usize, next_offset: i64) {
        self.advance(partition, next_offset);
        self.behind.remove(&partition);
    }

    fn advance(&mut self, partition: usize, next_offset: i64) {
        if let Some(known) = self.next_offsets.get_mut(partition).filter(|known| next_offset > **known) {
            *known = next_offset;
            self.moved = true;
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        !self.moved
    }

    /// Whether no more records should be added.
    pub fn is_full(&self, records_max: usize) -> bool {
        self.records >= records_max || self.bytes >= BYTES_MAX
    }

    /// Whether the ends of all partitions were reached.
    pub fn at_end(&self) -> bool {
        self.behind.is_empty()
    }

    /// When it should be written, given when the batch before was.
    pub fn due(&self, last: Instant, records_max: usize) -> Instant {
        let pause = PAUSES.iter().rev().find(|(records, _)| self.records >= *records);
        if self.is_full(records_max) { last } else { last + pause.map_or(Duration::ZERO, |(_, pause)| *pause) }
    }

    /// Takes what there is; gathering goes on after it.
    pub fn take(&mut self) -> Gathered {
        let gathered = Gathered {
            batch: std::mem::take(&mut self.batch),
            letters: std::mem::take(&mut self.letters),
            records: self.records,
            only: self.only.take(),
            next_offsets: self.next_offsets.clone(),
            event_times: self.event_times.clone(),
            at_end: self.at_end(),
        };
        (self.records, self.bytes, self.moved) = (0, 0, false);
        gathered
    }
}

/// A batch that is complete.
#[derive(Debug)]
pub struct Gathered {
    /// The changes.
    pub batch: Batch,
    /// Letters of the records that are parked.
    pub letters: LetterChanges,
    /// Number of records.
    pub records: usize,
    /// The record whose changes are all that is in it, if there is just one record.
    pub only: Option<Place>,
    /// Next offsets after it.
    pub next_offsets: Vec<i64>,
    /// When the latest event happened that the table has taken after it, by input.
    pub event_times: Vec<Option<Timestamp>>,
    /// Whether it reaches the end of the log as it was then.
    pub at_end: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: i64) -> Place {
        Place { topic: "flights.events.v1".into(), partition: 0, offset }
    }

    #[test]
    fn the_latest_time_of_each_input_is_kept() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let mut pending = Pending::from(vec![0, 0], vec![Some(at(5))]);
        pending.happened(0, at(3));
        pending.happened(1, at(4));
        pending.happened(1, at(2));
        assert_eq!(pending.take().event_times, [Some(at(5)), Some(at(4))]);
    }

    #[test]
    fn the_checkpoint_follows_records_and_ends() {
        let mut pending = Pending::from(vec![5, 0], vec![]);
        assert!(pending.is_empty() && !pending.at_end());
        pending.add(0, &place(7), 10, vec![]).unwrap();
        pending.end(1, 0);
        assert!(!pending.is_empty() && !pending.at_end());
        // A transaction's marker takes an offset: the end is one further than the last record says.
        pending.end(0, 9);
        let gathered = pending.take();
        assert_eq!((gathered.next_offsets, gathered.at_end), (vec![9, 0], true));
        assert!(pending.is_empty());
        pending.end(0, 9);
        assert!(pending.is_empty(), "an end that is known already is nothing to write");
        pending.add(1, &place(0), 10, vec![]).unwrap();
        assert!(!pending.at_end());
    }

    #[test]
    fn the_pause_before_a_batch_depends_on_its_size() {
        let mut pending = Pending::from(vec![0], vec![]);
        let now = Instant::now();
        for offset in 0..4_000 {
            let millis =
                [(2_000, 250), (100, 40), (0, 10)].into_iter().find(|(records, _)| offset >= *records).unwrap().1;
            assert_eq!(pending.due(now, usize::MAX), now + Duration::from_millis(millis));
            pending.add(0, &place(offset), 10, vec![]).unwrap();
        }
        assert_eq!(pending.due(now, 4_000), now, "a full one is written at once");
        pending.take();
        assert_eq!(pending.due(now, 4_000), now + Duration::from_millis(10));
        pending.add(0, &place(4_000), BYTES_MAX, vec![]).unwrap();
        assert!(pending.is_full(4_000));
    }
}
