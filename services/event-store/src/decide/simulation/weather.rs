//! The network of a simulated world: how long requests take, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use spina_testkit::{Journey, Network, Passage, Request};

use super::rng::Rng;

/// How bad it is: requests in a hundred that do not simply go through. 0 is calm.
#[derive(Clone, Default)]
pub struct Severity(Arc<AtomicU64>);

impl Severity {
    /// From now on.
    pub fn set(&self, percent: u64) {
        self.0.store(percent, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the [module](self).
pub struct Weather {
    rng: Rng,
    severity: Severity,
}

impl Weather {
    /// The weather of a seed.
    pub fn new(seed: u64, severity: Severity) -> Self {
        Self { rng: Rng::new(seed, 2), severity }
    }

    fn journey(&mut self, request: Request) -> Journey {
        let severity = self.severity.get();
        if !self.rng.percent(severity) {
            return Journey::Through;
        }
        match (request, self.rng.below(5)) {
            (Request::Open, 0 | 1) => Journey::Hangs(self.rng.below(300)),
            (Request::Open | Request::Read, _) => Journey::Lost,
            (Request::Stage | Request::Commit | Request::Abort, 0) => Journey::Lost,
            (Request::Stage | Request::Commit | Request::Abort, 1) => Journey::Refused,
            (Request::Stage | Request::Commit | Request::Abort, 2) => Journey::AnswerLost,
            (Request::Stage | Request::Commit | Request::Abort, _) => Journey::Stray(self.rng.below(120)),
        }
    }
}

impl Network for Weather {
    fn passage(&mut self, request: Request) -> Passage {
        let journey = self.journey(request);
        let slow = if self.rng.percent(self.severity.get()) { 40 } else { 4 };
        Passage { request_ms: self.rng.below(slow), answer_ms: self.rng.below(slow), journey }
    }
}
