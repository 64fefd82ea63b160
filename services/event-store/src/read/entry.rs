//! Events on their way to subscribers: decoded and written as JSON once, however many want them.

use std::sync::Arc;

use spina_codec::SchemaCache;
use spina_log::{Batch, Fetched};
use tokio::sync::OnceCell;

use super::decode::{self, DecodeFailure};
use super::filter::Filter;
use crate::http::view::EventView;

/// Bytes that make a group complete. A subscriber holds one group at a time, or one event where that is larger.
pub const GROUP_BYTES_MAX: usize = 64 << 10;
/// Bytes counted for an event besides key and value: its headers and the structures around them.
const ENTRY_OVERHEAD_BYTES: usize = 700;
/// The JSON of an event is about so many times as long as its value.
const JSON_FACTOR: usize = 4;

/// What an event looks like to its subscribers.
#[derive(Debug)]
pub struct Shown {
    /// Its name: `FlightLanded`.
    pub name: String,
    /// The event as the API shows it, in one line.
    pub json: String,
}

/// One record.
#[derive(Debug)]
pub struct Entry {
    /// As it was read.
    pub record: Fetched,
    shown: OnceCell<Arc<Shown>>,
}

impl Entry {
    /// A record that nobody has asked for yet.
    pub fn new(record: Fetched) -> Self {
        Self { record, shown: OnceCell::new() }
    }

    /// The event as the API shows it; made for the first who asks. Trouble is not kept.
    pub async fn shown(&self, schemas: &SchemaCache) -> Result<Arc<Shown>, DecodeFailure> {
        let show = || async {
            let event = decode::record(&self.record, schemas).await?;
            let name = event.headers.event_name().to_owned();
            let json = serde_json::to_string(&EventView::from(event)).expect("maps have text for keys");
            Ok(Arc::new(Shown { name, json }))
        };
        self.shown.get_or_try_init(show).await.cloned()
    }

    fn bytes(&self) -> usize {
        let length = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
        length(&self.record.key) + (1 + JSON_FACTOR) * length(&self.record.value) + ENTRY_OVERHEAD_BYTES
    }
}

/// Some records in the order of the log, held together.
#[derive(Debug, Default)]
pub struct Group {
    /// The records.
    pub entries: Vec<Entry>,
    /// Partitions and next offsets behind the entries: what was passed over after the last of them.
    pub passed: Vec<(i32, i64)>,
    /// Memory it is counted for, JSON included.
    pub bytes: usize,
}

impl Group {
    /// Cuts a batch into groups of those records that are wanted. What is not wanted only moves the place, at the end.
    pub fn cut(batch: Batch, filter: &Filter) -> Vec<Self> {
        let (mut groups, mut group) = (Vec::new(), Self::default());
        let mut passed = batch.ends;
        for record in batch.records {
            if !filter.wants(&record) {
                pass(&mut passed, record.partition, record.offset + 1);
                continue;
            }
            let entry = Entry::new(record);
            group.bytes += entry.bytes();
            group.entries.push(entry);
            if group.bytes >= GROUP_BYTES_MAX {
                groups.push(std::mem::take(&mut group));
            }
        }
        group.passed = passed;
        if !group.entries.is_empty() || !group.passed.is_empty() {
            groups.push(group);
        }
        groups
    }
}

fn pass(passed: &mut Vec<(i32, i64)>, partition: i32, next: i64) {
    match passed.iter_mut().find(|(known, _)| *known == partition) {
        Some((_, place)) => *place = next.max(*place),
        None => passed.push((partition, next)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::samples::record;

    #[test]
    fn a_batch_is_cut_where_it_gets_too_large_and_the_unwanted_moves_the_place() {
        let records = (0..200).map(|offset| record("flight-1", "f.flight.A", 0, offset));
        let mut records: Vec<Fetched> = records.collect();
        records.push(record("order-1", "f.order.B", 1, 9));
        let filter = Filter { category: Some("flight".to_owned()), ..Filter::default() };
        let groups = Group::cut(Batch { records, ends: vec![(0, 201), (2, 4)] }, &filter);

        assert!(groups.len() > 1, "{}", groups.len());
        let offsets = groups.iter().flat_map(|group| &group.entries).map(|entry| entry.record.offset);
        assert!(offsets.eq(0..200));
        let one_more = Entry::new(record("flight-1", "f.flight.A", 0, 0)).bytes();
        assert!(groups.iter().all(|group| group.bytes < GROUP_BYTES_MAX + one_more));
        let (last, before) = groups.split_last().unwrap();
        assert_eq!(last.passed, [(0, 201), (2, 4), (1, 10)]);
        assert!(before.iter().all(|group| group.passed.is_empty()));
    }
}
