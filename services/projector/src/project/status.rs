//! How a model, its rebuild and its dead letters are, as values.

use std::time::Duration;

use spina_core::Timestamp;
use spina_store::read_model::Lease;

/// How a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not taken over yet.
    Starting,
    /// Its events are read as they come.
    Running,
    /// A neighbour does not answer; it goes on by itself.
    Waiting(String),
    /// A person has paused it.
    Paused,
    /// Its definition and its table are not of one kind: a rebuild is needed. The table can be read as it stands.
    RebuildNeeded(String),
    /// It cannot go on, and says why.
    Failed(String),
    /// Another projector has taken it over.
    Superseded,
}

/// How a rebuild is.
#[derive(Debug, Clone, PartialEq)]
pub enum RebuildState {
    /// Others are being rebuilt; it waits for its turn.
    Waiting,
    /// Reading the log into the shadow table.
    Running,
    /// A person has paused it.
    Paused,
    /// A person has cancelled it; the live table is as it was.
    Cancelled,
    /// Taking the live table's place.
    Switching,
    /// The shadow table has become the live one.
    Done,
    /// It could not go on, and says why.
    Failed(String),
}

/// Progress of a rebuild, in offsets of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuild {
    /// How it is.
    pub state: RebuildState,
    /// Next offsets of the shadow table.
    pub next_offsets: Vec<i64>,
    /// Offsets passed since it began or was taken up again, and the time that took.
    pub pace: (i64, Duration),
}

/// State, rebuild and dead letters together.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// How the model is.
    pub state: State,
    /// Its rebuild, the last one if it is over.
    pub rebuild: Option<Rebuild>,
    /// Keys that are parked.
    pub parked_keys: usize,
    /// Events that are parked with them.
    pub parked_events: i64,
}

/// How far the live table is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Next offset to read, by partition, over all inputs; empty before the model was taken over.
    pub next_offsets: Vec<i64>,
    /// When the latest event happened that the table has taken, by input; shorter where that is not known.
    pub event_times: Vec<Option<Timestamp>>,
}

impl From<&Lease> for Progress {
    fn from(lease: &Lease) -> Self {
        Self { next_offsets: lease.next_offsets.clone(), event_times: lease.event_times.clone() }
    }
}
