//! How requests are issued: as fast as they are answered, or at a fixed rate.

mod closed;
mod import;
mod paced;

use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use spina_testkit::history::Outcome;
use tokio::task::JoinSet;

pub use closed::closed;
pub use import::{import_raw, imported};
pub use paced::{due_after, pace, paced};

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 120_000_000;

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Its number in the script.
    pub n: u64,
    /// When it was sent, in nanoseconds since the arm began.
    pub invoked: u64,
    /// When its answer was there.
    pub completed: u64,
    /// Its answer.
    pub outcome: Outcome,
}

/// What came of driving.
#[derive(Debug)]
pub struct Driven {
    /// Every request.
    pub done: Vec<Done>,
    /// Latencies in microseconds, of every request whatever its answer; none for an import.
    pub latency: Histogram<u64>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// A histogram of latencies.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_US_MAX, 3).expect("three digits up to two minutes are fine")
}

/// What one client did.
struct Part {
    done: Vec<Done>,
    latency: Histogram<u64>,
}

impl Part {
    fn new() -> Self {
        Self { done: Vec::new(), latency: latencies() }
    }

    fn add(&mut self, done: Done, latency: Duration) {
        self.done.push(done);
        self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for all clients and puts their parts together.
async fn gather(mut clients: JoinSet<anyhow::Result<Part>>, began: Instant) -> anyhow::Result<Driven> {
    let mut whole = Part::new();
    while let Some(part) = clients.join_next().await {
        let part = part.context("join a client")??;
        whole.done.extend(part.done);
        whole.latency.add(part.latency).context("add up latencies")?;
    }
    Ok(Driven { done: whole.done, latency: whole.latency, elapsed: began.elapsed() })
}
