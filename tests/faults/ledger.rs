//! What was written with which outcome, and whether the log agrees.

use std::collections::BTreeMap;

use spina_log::{Fetched, WriteError};

/// What its writer was told about a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Committed,
    /// It will never be visible.
    NotThere,
    /// Either, but as a whole.
    Unknown,
}

impl Told {
    /// By the outcome of a commit.
    pub fn of_commit(outcome: &Result<(), WriteError>) -> Self {
        match outcome {
            Ok(()) => Self::Committed,
            Err(
                WriteError::Aborted { .. } | WriteError::Broken { .. } | WriteError::Fenced { in_doubt: false, .. },
            ) => Self::NotThere,
            Err(WriteError::Unknown { .. } | WriteError::Fenced { in_doubt: true, .. }) => Self::Unknown,
        }
    }
}

/// Every window that was tried: by its name, how many records it has and what its writer was told.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<String, (usize, Told)>);

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Harm {
    /// Windows of which a part is visible.
    pub torn: usize,
    /// Windows that should not be visible, and are.
    pub resurrected: usize,
    /// Windows that were committed, and are not visible.
    pub lost: usize,
    /// Records that are there twice.
    pub doubled: usize,
    /// Records before an earlier one of their window and partition.
    pub disordered: usize,
}

impl Ledger {
    /// Notes a window whose records have the values `<name>/<n>`, n from 0.
    pub fn note(&mut self, name: &str, records: usize, told: Told) {
        let before = self.0.insert(name.to_owned(), (records, told));
        assert_eq!(before, None, "{name} was noted before");
    }

    /// Windows that were tried.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Windows of which their writer was told so.
    pub fn told(&self, told: Told) -> usize {
        self.0.values().filter(|(_, of_it)| *of_it == told).count()
    }

    /// Compares with the log: records as `(partition, value)`, in the order of each partition.
    pub fn compare<'a>(&self, log: impl IntoIterator<Item = (i32, &'a str)>) -> Harm {
        let mut seen: BTreeMap<&str, Vec<(i32, usize)>> = BTreeMap::new();
        for (partition, value) in log {
            let (name, n) = value.rsplit_once('/').expect("a value is <name>/<n>");
            assert!(self.0.contains_key(name), "nobody wrote {value}");
            seen.entry(name).or_default().push((partition, n.parse().expect("n is a number")));
        }
        let mut harm = Harm::default();
        for (name, (records, told)) in &self.0 {
            let visible = seen.remove(name.as_str()).unwrap_or_default();
            let mut numbers: Vec<usize> = visible.iter().map(|(_, n)| *n).collect();
            harm.disordered += disordered(&visible);
            numbers.sort_unstable();
            numbers.dedup();
            harm.doubled += visible.len() - numbers.len();
            match told {
                _ if !numbers.is_empty() && numbers.len() < *records => harm.torn += 1,
                Told::Committed if numbers.is_empty() => harm.lost += 1,
                Told::NotThere if !numbers.is_empty() => harm.resurrected += 1,
                Told::Committed | Told::NotThere | Told::Unknown => {}
            }
        }
        harm
    }

    /// Compares with records whose values begin with `<name>/<n>` and a space.
    pub fn compare_records(&self, log: &[Fetched]) -> Harm {
        self.compare(log.iter().map(|record| {
            let value = std::str::from_utf8(record.value.as_deref().unwrap()).unwrap();
            (record.partition, value.split(' ').next().unwrap_or_default())
        }))
    }
}

fn disordered(visible: &[(i32, usize)]) -> usize {
    let mut last: BTreeMap<i32, usize> = BTreeMap::new();
    visible.iter().filter(|(partition, n)| last.insert(*partition, *n).is_some_and(|before| before > *n)).count()
}

impl Harm {
    /// All of it.
    pub fn total(&self) -> usize {
        self.torn + self.resurrected + self.lost + self.doubled + self.disordered
    }

    /// As figures of a report.
    pub fn figures(&self) -> serde_json::Value {
        let Self { torn, resurrected, lost, doubled, disordered } = self;
        serde_json::json!({
            "torn": torn, "resurrected": resurrected, "lost": lost, "doubled": doubled, "disordered": disordered
        })
    }
}

#[test]
fn every_kind_of_harm_is_seen() {
    let mut ledger = Ledger::default();
    ledger.note("whole", 2, Told::Committed);
    ledger.note("torn", 2, Told::Committed);
    ledger.note("gone", 2, Told::Committed);
    ledger.note("back", 1, Told::NotThere);
    ledger.note("away", 1, Told::NotThere);
    ledger.note("maybe", 2, Told::Unknown);
    ledger.note("half", 2, Told::Unknown);
    let log = ["whole/1", "whole/0", "torn/1", "back/0", "back/0", "half/0"];
    let harm = ledger.compare(log.into_iter().map(|value| (0, value)));
    assert_eq!(harm, Harm { torn: 2, resurrected: 1, lost: 1, doubled: 1, disordered: 1 });
    assert_eq!(harm.total(), 6);
}
