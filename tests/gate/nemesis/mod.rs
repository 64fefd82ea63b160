//! Faults: which, when, and how long it took to recover from each.

pub mod perform;
pub mod schedule;

use std::time::Duration;

use serde::Serialize;

use super::arena::Arena;
use crate::proxy::{Act, Api, Matching};

/// How late [`Trouble::WritesLate`] makes a request; all behind it on its connection wait as well.
const LATE: Duration = Duration::from_millis(300);
/// More requests than come while a fault lasts.
const ALL_REQUESTS: usize = 1_000_000;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// `kill -9` of an event-store, which is started again after a while.
    KillStore {
        /// Which one.
        store: usize,
        /// How long it stays away.
        away_ms: u64,
    },
    /// SIGSTOP of an event-store beyond all time-outs, then SIGCONT.
    FreezeStore {
        /// Which one.
        store: usize,
        /// How long it stands still.
        frozen_ms: u64,
    },
    /// SIGTERM of an event-store, which hands its partitions over and is started again.
    StopStore {
        /// Which one.
        store: usize,
    },
    /// `kill -9` of a broker, which leads partitions and coordinates transactions.
    KillBroker {
        /// Which one.
        broker: usize,
        /// How long it stays away, at least.
        away_ms: u64,
    },
    /// `kill -9` of all brokers but one: fewer than a write needs, and no majority of controllers.
    KillMostBrokers {
        /// The one that goes on.
        spared: usize,
        /// How long the others stay away, at least.
        away_ms: u64,
    },
    /// SIGSTOP of a broker, then SIGCONT.
    FreezeBroker {
        /// Which one.
        broker: usize,
        /// How long it stands still.
        frozen_ms: u64,
    },
    /// `kill -9` of PostgreSQL.
    KillPostgres {
        /// How long it stays away, at least.
        away_ms: u64,
    },
    /// `kill -9` of the projector.
    KillProjector,
    /// The network harms requests of the event-stores' transactions.
    Network {
        /// Which, and how.
        trouble: Trouble,
        /// How long.
        lasts_ms: u64,
    },
}

/// What the network does to requests of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Commits take effect, and nobody is told.
    CommitAnswersLost,
    /// Commits never arrive.
    CommitsLost,
    /// Commits arrive twice.
    CommitsDoubled,
    /// Connections break while records are sent.
    WritesCut,
    /// Records arrive late.
    WritesLate,
}

impl Trouble {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::CommitAnswersLost, Self::CommitsLost, Self::CommitsDoubled, Self::WritesCut, Self::WritesLate];

    /// The requests, and what the proxy does with them.
    fn on_the_wire(self) -> (Matching, Act) {
        let commits = Matching::next(Api::EndTxn).commits(true);
        let writes = Matching::next(Api::Produce);
        match self {
            Self::CommitAnswersLost => (commits, Act::DropResponse),
            Self::CommitsLost => (commits, Act::DropRequest),
            Self::CommitsDoubled => (commits, Act::Duplicate),
            Self::WritesCut => (writes, Act::Cut),
            Self::WritesLate => (writes, Act::Delay(LATE)),
        }
    }
}

impl Fault {
    /// A name for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KillStore { .. } => "event-store kill -9",
            Self::FreezeStore { .. } => "event-store SIGSTOP",
            Self::StopStore { .. } => "event-store SIGTERM",
            Self::KillBroker { .. } => "broker kill -9",
            Self::KillMostBrokers { .. } => "most brokers kill -9",
            Self::FreezeBroker { .. } => "broker SIGSTOP",
            Self::KillPostgres { .. } => "PostgreSQL kill -9",
            Self::KillProjector => "projector kill -9",
            Self::Network { trouble: Trouble::CommitAnswersLost, .. } => "commit answers lost",
            Self::Network { trouble: Trouble::CommitsLost, .. } => "commits lost",
            Self::Network { trouble: Trouble::CommitsDoubled, .. } => "commits doubled",
            Self::Network { trouble: Trouble::WritesCut, .. } => "writes cut off",
            Self::Network { trouble: Trouble::WritesLate, .. } => "writes late",
        }
    }
}

/// A fault that happened, by the arena's clock in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Happened {
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
    /// When it began.
    pub began_us: u64,
    /// When its cause was gone: the process started again or woken.
    pub healed_us: u64,
    /// How long it took from the beginning until every partition had acknowledged an append that was sent after it.
    pub recovered_us: Option<u64>,
}

impl Happened {
    /// Fills in how long recovering took, once the swarm has ended.
    pub fn measure(&mut self, arena: &Arena) {
        let all = arena.recovered_after(self.began_us);
        self.recovered_us = all.into_iter().collect::<Option<Vec<u64>>>().and_then(|all| all.into_iter().max());
    }
}
