//! The events as the model sees them, and the rows that they make.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

/// An event's fields that the model looks at.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    stream: String,
    data: Data,
}

#[derive(Debug, Clone, Deserialize)]
struct Data {
    amount_cents: i64,
    balance_cents: i64,
    reference: String,
    currency: String,
}

/// The events of a round, in their order.
#[derive(Debug)]
pub struct Entries(Vec<Entry>);

/// Number of rows, and the sums of their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Rows.
    pub rows: i64,
    /// Events.
    pub entries: i64,
    /// Sum of their amounts.
    pub turnover_cents: i64,
    /// Sum of the last balance of each row.
    pub balance_cents: i64,
}

/// Rows column by column, as UNNEST takes them.
#[derive(Debug, Default)]
pub struct Rows {
    /// The key.
    pub streams: Vec<String>,
    /// Number of events.
    pub entries: Vec<i64>,
    /// Sum of their amounts.
    pub turnover_cents: Vec<i64>,
    /// Of the last event.
    pub balance_cents: Vec<i64>,
    /// Of the last event.
    pub references: Vec<String>,
    /// Of the last event.
    pub currencies: Vec<String>,
}

impl Entries {
    /// The events of an import's lines.
    pub fn read(lines: &str) -> anyhow::Result<Self> {
        let entries: Result<_, _> = lines.lines().map(serde_json::from_str).collect();
        entries.map(Self).context("read our own lines")
    }

    /// Rows of at most so many events each, coalesced by account and sorted, as the projector's batches are.
    pub fn batches(&self, events_max: usize) -> impl Iterator<Item = Rows> {
        self.0.chunks(events_max).map(coalesced)
    }

    /// A row for each event.
    pub fn rows(self) -> Rows {
        let mut rows = Rows::default();
        self.0.into_iter().for_each(|entry| rows.push(entry, 1));
        rows
    }

    /// What their rows must add up to.
    pub fn totals(&self) -> Totals {
        let rows = coalesced(&self.0);
        let sum = |column: &[i64]| column.iter().sum();
        Totals {
            rows: rows.streams.len() as i64,
            entries: sum(&rows.entries),
            turnover_cents: sum(&rows.turnover_cents),
            balance_cents: sum(&rows.balance_cents),
        }
    }
}

fn coalesced(entries: &[Entry]) -> Rows {
    let mut accounts: BTreeMap<&str, (Entry, i64)> = BTreeMap::new();
    for entry in entries {
        match accounts.get_mut(entry.stream.as_str()) {
            Some((account, count)) => {
                let turnover = account.data.amount_cents + entry.data.amount_cents;
                account.data = Data { amount_cents: turnover, ..entry.data.clone() };
                *count += 1;
            }
            None => _ = accounts.insert(&entry.stream, (entry.clone(), 1)),
        }
    }
    let mut rows = Rows::default();
    accounts.into_values().for_each(|(entry, count)| rows.push(entry, count));
    rows
}

impl Rows {
    fn push(&mut self, Entry { stream, data }: Entry, entries: i64) {
        self.streams.push(stream);
        self.entries.push(entries);
        self.turnover_cents.push(data.amount_cents);
        self.balance_cents.push(data.balance_cents);
        self.references.push(data.reference);
        self.currencies.push(data.currency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_account_become_one_row() {
        let line = |stream: &str, amount: i64, balance: i64| {
            format!(
                r#"{{"stream":"{stream}","data":{{"amount_cents":{amount},"balance_cents":{balance},"reference":"r","currency":"EUR"}}}}"#
            )
        };
        let lines = [line("b", 5, 1), line("a", 7, 2), line("b", -2, 3)].join("\n");
        let entries = Entries::read(&lines).unwrap();
        let rows: Vec<Rows> = entries.batches(10).collect();
        assert_eq!(
            (rows.len(), &rows[0].streams[..], &rows[0].entries[..]),
            (1, &["a", "b"].map(String::from)[..], &[1, 2][..])
        );
        assert_eq!((&rows[0].turnover_cents[..], &rows[0].balance_cents[..]), (&[7, 3][..], &[2, 3][..]));
        assert_eq!(entries.totals(), Totals { rows: 2, entries: 3, turnover_cents: 10, balance_cents: 5 });
        assert_eq!(entries.batches(2).count(), 2);
        assert_eq!(entries.rows().streams.len(), 3);
    }
}
