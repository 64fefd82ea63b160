//! The requests that would be recognised, within a bound of number and age.

use std::collections::{HashMap, VecDeque};

use super::extend_fingerprint;
use crate::planted::{self, Bug};
use crate::{StreamKey, Timestamp, Version};

/// How many requests are remembered, and for how long. About 120 bytes of memory a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Most requests; the oldest go first.
    pub keys_max: usize,
    /// Greatest age in microseconds.
    pub age_max_us: i64,
}

/// The answer that a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The stream it went to.
    pub stream: StreamKey,
    /// Version of its first event.
    pub first: Version,
    /// Number of its events.
    pub events: u32,
    /// Fingerprint of its payload.
    pub fingerprint: u64,
    /// Offset of its last event, or [`Remembered::OFFSET_UNKNOWN`] while the transaction has not committed.
    pub last_offset: i64,
}

impl Remembered {
    /// Stands for an offset that is not known yet.
    pub const OFFSET_UNKNOWN: i64 = -1;

    /// Version of the request's last event.
    pub fn last(&self) -> Version {
        self.first.plus(u64::from(self.events).saturating_sub(1))
    }
}

#[derive(Debug)]
pub(super) struct Requests {
    limits: RequestLimits,
    answers: HashMap<StreamKey, Remembered>,
    by_age: VecDeque<(StreamKey, Timestamp)>,
}

impl Requests {
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self { limits, answers: HashMap::new(), by_age: VecDeque::new() }
    }

    pub(super) fn get(&self, request: StreamKey) -> Option<Remembered> {
        self.answers.get(&request).copied()
    }

    pub(super) fn insert(&mut self, request: StreamKey, answer: Remembered, now: Timestamp) {
        if self.answers.insert(request, answer).is_none() {
            self.by_age.push_back((request, now));
        }
        while self.answers.len() > self.limits.keys_max {
            self.forget_oldest();
        }
    }

    pub(super) fn learn(&mut self, request: StreamKey, event: Remembered, now: Timestamp) {
        let answer = match self.answers.get(&request) {
            Some(_) if planted::is(Bug::LearnedEventsMissing) => return,
            Some(known) if known.stream == event.stream && event.first == known.last().plus(1) => Remembered {
                events: known.events + 1,
                fingerprint: match planted::is(Bug::LearnedFingerprintShort) {
                    true => known.fingerprint,
                    false => extend_fingerprint(known.fingerprint, event.fingerprint),
                },
                last_offset: event.last_offset,
                ..*known
            },
            Some(_) => return,
            None => Remembered { fingerprint: extend_fingerprint(0, event.fingerprint), ..event },
        };
        self.insert(request, answer, now);
    }

    /// Each event of a decision bears the fingerprint of the whole command.
    pub(super) fn learn_decided(&mut self, request: StreamKey, event: Remembered, now: Timestamp) {
        let answer = match self.answers.get(&request) {
            Some(known) if known.stream == event.stream && event.first == known.last().plus(1) => {
                Remembered { events: known.events + 1, last_offset: event.last_offset, ..*known }
            }
            Some(_) => return,
            None => event,
        };
        self.insert(request, answer, now);
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        let early = if planted::is(Bug::RequestsExpireEarly) { 100_000 } else { 1 };
        let oldest_kept = now.micros() - self.limits.age_max_us / early;
        while self.by_age.front().is_some_and(|(_, at)| at.micros() < oldest_kept) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((request, _)) = self.by_age.pop_front() {
            self.answers.remove(&request);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }
}
