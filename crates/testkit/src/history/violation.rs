//! What the checker finds.

use std::fmt;

/// The invariants that are checked, by the numbers of the reliability rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Gapless versions.
    I1,
    /// No acknowledged loss.
    I2,
    /// No duplicate.
    I3,
    /// No phantom.
    I4,
    /// Conflicts right both ways.
    I5,
    /// Real time.
    I6,
    /// Stable retries.
    I7,
    /// Conservation of commands.
    I10,
    /// Not vacuous.
    I15,
}

/// A broken invariant, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {what}")]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What was found, with ids and places.
    pub what: String,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I1 => "I1 gapless versions",
            Self::I2 => "I2 no acknowledged loss",
            Self::I3 => "I3 no duplicate",
            Self::I4 => "I4 no phantom",
            Self::I5 => "I5 conflicts right both ways",
            Self::I6 => "I6 real time",
            Self::I7 => "I7 stable retries",
            Self::I10 => "I10 conservation of commands",
            Self::I15 => "I15 not vacuous",
        })
    }
}
