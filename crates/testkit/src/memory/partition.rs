//! One partition: records and the ends of transactions, in order.

use std::collections::BTreeSet;

use spina_log::{Fetched, NewRecord};

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
enum Entry {
    Record {
        transaction: usize,
        record: Fetched,
    },
    /// The end of a transaction takes an offset, and no reader sees it.
    Marker,
}

/// Its offsets are the places in `entries`.
#[derive(Debug, Default)]
pub(super) struct Partition {
    entries: Vec<Entry>,
    open: BTreeSet<usize>,
}

impl Partition {
    pub(super) fn append(&mut self, transaction: usize, new: NewRecord) -> i64 {
        let offset = self.end();
        let record = Fetched {
            topic: new.topic,
            partition: new.partition,
            offset,
            timestamp_ms: new.timestamp_ms.unwrap_or(-1),
            key: Some(new.key),
            value: new.value,
            headers: new.headers,
        };
        self.entries.push(Entry::Record { transaction, record });
        self.open.insert(transaction);
        offset
    }

    pub(super) fn end_transaction(&mut self, transaction: usize) {
        if self.open.remove(&transaction) {
            self.entries.push(Entry::Marker);
        }
    }

    pub(super) fn end(&self) -> i64 {
        i64::try_from(self.entries.len()).expect("a log in memory has fewer records than an i64 counts")
    }

    pub(super) fn stable_end(&self, fates: &[Fate]) -> i64 {
        let first_open = self.entries.iter().position(|entry| match entry {
            Entry::Record { transaction, .. } => fates[transaction - 1] == Fate::Open,
            Entry::Marker => false,
        });
        first_open.map_or(self.end(), |at| i64::try_from(at).expect("it is less than the end"))
    }

    pub(super) fn committed(&self, fates: &[Fate]) -> Vec<Fetched> {
        let stable = self.stable_end(fates);
        let committed = |entry: &Entry| match entry {
            Entry::Record { transaction, record } if fates[transaction - 1] == Fate::Committed => Some(record.clone()),
            Entry::Record { .. } | Entry::Marker => None,
        };
        self.entries.iter().filter_map(committed).take_while(|record| record.offset < stable).collect()
    }
}
