//! The arms, and what was measured of one.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};
use spina_testkit::history::Outcome;

use crate::drive::Driven;
use crate::machine::Probe;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// Closed loop over HTTP, one event a request.
    Append,
    /// Its floor: the raw log.
    AppendRaw,
    /// HTTP alone.
    Echo,
    /// Fixed rate over HTTP.
    Paced,
    /// Its floor: a bare transaction a request.
    PacedRaw,
    /// One import.
    Import,
    /// Its floor: the raw log.
    ImportRaw,
}

impl Arm {
    /// All of them, in the order of round 1. An arm and its floor are neighbours.
    pub const ALL: [Self; 7] =
        [Self::Append, Self::AppendRaw, Self::Echo, Self::Paced, Self::PacedRaw, Self::Import, Self::ImportRaw];

    /// The order of a round: every other one runs backwards, so that neither of two neighbours is always first.
    pub fn order(round: u32) -> Vec<Self> {
        let mut arms = Self::ALL.to_vec();
        if round.is_multiple_of(2) {
            arms.reverse();
        }
        arms
    }

    /// Whether it writes the scratch topic.
    pub fn is_raw(self) -> bool {
        match self {
            Self::AppendRaw | Self::PacedRaw | Self::ImportRaw => true,
            Self::Append | Self::Echo | Self::Paced | Self::Import => false,
        }
    }

    /// Its name, also in stream ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::AppendRaw => "append-raw",
            Self::Echo => "echo",
            Self::Paced => "paced",
            Self::PacedRaw => "paced-raw",
            Self::Import => "import",
            Self::ImportRaw => "import-raw",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One arm in one round.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Which one.
    pub arm: Arm,
    /// In which round, from 1; round 0 warms up.
    pub round: u32,
    /// Events acknowledged.
    pub events: u64,
    /// Requests that were refused or not answered for certain.
    pub refused: u64,
    /// How long it took, in seconds.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Latencies in microseconds: pairs of value and count.
    #[serde(serialize_with = "pairs")]
    pub latency: Option<Histogram<u64>>,
    /// The machine before.
    pub before: Probe,
    /// The machine after.
    pub after: Probe,
    /// Processor seconds by process.
    pub cpu_s: Vec<(&'static str, f64)>,
}

impl Measured {
    /// What was driven, between two looks at the machine.
    pub fn new(
        arm: Arm,
        round: u32,
        driven: Driven,
        (before, after): (Probe, Probe),
        cpu_s: Vec<(&'static str, f64)>,
    ) -> Self {
        let acknowledged = driven.done.iter().filter(|done| matches!(done.outcome, Outcome::Ok(_))).count() as u64;
        Self {
            arm,
            round,
            events: acknowledged,
            refused: driven.done.len() as u64 - acknowledged,
            elapsed: driven.elapsed,
            latency: (!driven.latency.is_empty()).then_some(driven.latency),
            before,
            after,
            cpu_s,
        }
    }

    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    /// A latency in milliseconds, by its share of all requests.
    pub fn latency_ms(&self, share: f64) -> Option<f64> {
        self.latency.as_ref().map(|latency| latency.value_at_quantile(share) as f64 / 1e3)
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn pairs<S: Serializer>(latency: &Option<Histogram<u64>>, serializer: S) -> Result<S::Ok, S::Error> {
    let counted = |latency: &Histogram<u64>| -> Vec<(u64, u64)> {
        latency.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    };
    latency.as_ref().map(counted).serialize(serializer)
}
