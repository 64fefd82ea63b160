//! Signals: what was observed.

use serde::{Deserialize, Serialize};

use super::Labels;
use super::labels::BadLabels;
use crate::Timestamp;

/// How far ahead of its arrival a signal may claim to be, in milliseconds: one clock that is wrong must not make the
/// signals of all others late.
pub const AHEAD_MS_MAX: i64 = 5 * 60 * 1_000;

/// What kind of observation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A condition ended.
    Resolved,
    /// A condition began; it lasts until it is resolved or its end passes.
    Firing,
    /// It happened, and that was it.
    Occurrence,
}

/// Something that was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Who tells: a context's name.
    pub source: String,
    /// Which part of it: the partition of its topic. Each part has a clock of its own.
    pub part: u32,
    /// The same observation has the same id, however often it is told.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What kind it is.
    pub kind: Kind,
    /// What tells it apart.
    pub labels: Labels,
    /// What else there is to know.
    #[serde(default)]
    pub annotations: Labels,
    /// Of a firing condition: when it ends unless it is told again. `None`: after the time that the rules say.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// Where to look, for people.
    #[serde(default)]
    pub link: Option<String>,
}

/// Why a signal cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignal {
    /// Its labels.
    #[error(transparent)]
    Labels(#[from] BadLabels),
    /// It claims to come from the future.
    #[error("its time is more than {AHEAD_MS_MAX} ms ahead of its arrival")]
    Ahead,
}

impl Signal {
    /// Whether it can be taken at that time.
    pub fn check(&self, arrived: Timestamp) -> Result<(), BadSignal> {
        self.labels.check()?;
        if self.time.millis() > arrived.millis().saturating_add(AHEAD_MS_MAX) {
            return Err(BadSignal::Ahead);
        }
        Ok(())
    }
}
