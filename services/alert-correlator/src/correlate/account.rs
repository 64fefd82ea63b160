//! What became of every signal: nothing is lost without being counted.

use serde::{Deserialize, Serialize};

/// Signals by what became of them.
///
/// `taken = correlated + unmatched + late + duplicate + rejected + shed + waiting`, where `waiting` is how many the engine
/// holds until their time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// All that came.
    pub taken: u64,
    /// At least one rule took it.
    pub correlated: u64,
    /// No rule wanted it.
    pub unmatched: u64,
    /// It came after its time had passed.
    pub late: u64,
    /// It had been told before.
    pub duplicate: u64,
    /// It was not valid.
    pub rejected: u64,
    /// There was no room for it.
    pub shed: u64,
}

/// How much the engine holds of one domain. Signals beyond are shed, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most signals that wait for their time: about 300 bytes each.
    pub waiting: usize,
    /// Most conditions that last at the same time: about 600 bytes each.
    pub conditions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 500_000, conditions: 200_000 }
    }
}

/// What a rule cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuleAccount {
    /// Signals it took.
    pub matched: u64,
    /// Incidents it opened.
    pub opened: u64,
    /// Signals that it had no room for: its groups were at their limit.
    pub shed: u64,
    /// Signals on which its condition failed.
    pub failed: u64,
    /// Commands that it asked, or would have asked if they were not withheld.
    pub actions: u64,
}

impl Account {
    /// All that are accounted for, with those that wait.
    pub fn accounted(&self, waiting: usize) -> u64 {
        self.correlated + self.unmatched + self.late + self.duplicate + self.rejected + self.shed + waiting as u64
    }
}
