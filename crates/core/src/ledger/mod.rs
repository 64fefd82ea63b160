//! The ledger of one partition: which version each stream has, and which requests were answered.
//!
//! It judges appends. A verdict may rest on windows whose transaction has not committed yet (a window is what one
//! transaction carries, and the next one is filled while the last one commits); such a verdict is *provisional* and
//! its answer must wait for them. When a window commits, what it accepted becomes certain; when one is lost, everything
//! uncommitted is forgotten and the log tells what is true.
//!
//! ```text
//!            judge                       commit(n)
//!  Ask ───────────────▶ overlay of n ───────────────▶ versions, requests
//!                           │ forget_uncommitted           ▲ learn (take-over, read-back)
//!                           ▼                              │
//!                        nothing                          log
//! ```

mod decision;
mod pieces;
mod requests;
mod table;
mod versions;

use std::collections::{HashMap, VecDeque};

pub use decision::{decided_event_id, decided_fingerprint};
use requests::Requests;
pub use requests::{Remembered, RequestLimits};
use versions::Versions;

use crate::planted::{self, Bug};
use crate::version::{Conflict, ExpectedVersion, Version};
use crate::{StreamKey, Timestamp};

/// An append, as far as the ledger needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The stream.
    pub stream: StreamKey,
    /// What the writer believes of it.
    pub expected: ExpectedVersion,
    /// Idempotency key, if the writer gave one.
    pub request: Option<StreamKey>,
    /// Hash of the payload: the same key with another payload is refused.
    pub fingerprint: u64,
    /// Number of events, at least 1.
    pub events: u32,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Append the events at this version and those after it.
    Accept {
        /// Version of the first event.
        first: Version,
    },
    /// The request was accepted before: answer the same again, append nothing.
    Repeat(Remembered),
    /// The writer's belief is wrong.
    Refuse(Conflict),
    /// The idempotency key was used with another payload.
    KeyReused,
}

/// A verdict and whether it rests on a transaction that has not committed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// True if the answer has to wait for the windows in flight.
    pub provisional: bool,
}

/// What a window accepted and the overlay must turn into certainty at commit.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    stream: StreamKey,
    last: Version,
    request: Option<(StreamKey, Remembered)>,
}

#[derive(Debug)]
struct OpenWindow {
    number: u64,
    accepted: Vec<Accepted>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Ledger {
    versions: Versions,
    requests: Requests,
    uncommitted_versions: HashMap<StreamKey, (Version, u64)>,
    uncommitted_requests: HashMap<StreamKey, Remembered>,
    windows: VecDeque<OpenWindow>,
}

impl Ledger {
    /// An empty ledger that remembers requests within the limits.
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            versions: Versions::default(),
            requests: Requests::new(limits),
            uncommitted_versions: HashMap::new(),
            uncommitted_requests: HashMap::new(),
            windows: VecDeque::new(),
        }
    }

    /// Judges an append within window `number`; numbers never fall. An accepted one is part of that window from here on.
    pub fn judge(&mut self, number: u64, ask: &Ask) -> Judged {
        if let Some(judged) = self.repeated(ask) {
            return judged;
        }
        let (current, provisional) = self.current(ask.stream);
        match self.believed(ask, current) {
            Err(conflict) => Judged { verdict: Verdict::Refuse(conflict), provisional },
            Ok(()) => {
                let first = current.plus(1);
                self.accept(number, ask, first);
                Judged { verdict: Verdict::Accept { first }, provisional: true }
            }
        }
    }

    fn believed(&self, ask: &Ask, current: Version) -> Result<(), Conflict> {
        let at_least = matches!(ask.expected, ExpectedVersion::Exact(least) if least <= current);
        if planted::is(Bug::ExpectedVersionIgnored) || (planted::is(Bug::ExpectedVersionAtLeast) && at_least) {
            return Ok(());
        }
        let of_committed = planted::is(Bug::ExpectedVersionOfCommitted);
        ask.expected.check(if of_committed { self.committed(ask.stream) } else { current })
    }

    fn repeated(&self, ask: &Ask) -> Option<Judged> {
        let request = ask.request.filter(|_| !planted::is(Bug::RepeatAppendedAgain))?;
        let in_flight = self.uncommitted_requests.get(&request);
        let (known, provisional) = match in_flight.filter(|_| !planted::is(Bug::RepeatInFlightUnseen)) {
            Some(known) => (*known, true),
            None => (self.requests.get(request)?, false),
        };
        let same_payload = known.fingerprint == ask.fingerprint || planted::is(Bug::OtherPayloadRepeated);
        let same_stream = known.stream == ask.stream || planted::is(Bug::OtherStreamRepeated);
        let verdict = if same_payload && same_stream { Verdict::Repeat(known) } else { Verdict::KeyReused };
        Some(Judged { verdict, provisional })
    }

    fn accept(&mut self, number: u64, ask: &Ask, first: Version) {
        let last = first.plus(u64::from(ask.events) - 1);
        let request = ask.request.map(|key| {
            let remembered = Remembered {
                stream: ask.stream,
                first,
                events: if planted::is(Bug::RememberedEventsMissing) { 1 } else { ask.events },
                fingerprint: ask.fingerprint,
                last_offset: Remembered::OFFSET_UNKNOWN,
            };
            self.uncommitted_requests.insert(key, remembered);
            (key, remembered)
        });
        self.uncommitted_versions.insert(ask.stream, (last, number));
        if self.windows.back().is_none_or(|window| window.number != number) {
            self.windows.push_back(OpenWindow { number, accepted: Vec::new() });
        }
        let window = self.windows.back_mut().expect("a window was just pushed");
        window.accepted.push(Accepted { stream: ask.stream, last, request });
    }

    /// The stream's version, uncommitted windows included, and whether one of them was decisive.
    pub fn current(&self, stream: StreamKey) -> (Version, bool) {
        let in_flight = self.uncommitted_versions.get(&stream);
        match in_flight.filter(|_| !planted::is(Bug::VersionsInFlightUnseen)) {
            Some((version, _)) => (*version, true),
            None => (self.versions.get(stream), false),
        }
    }

    /// The stream's last committed version; 0 if it has none.
    pub fn committed(&self, stream: StreamKey) -> Version {
        self.versions.get(stream)
    }

    /// Window `number`, the oldest in flight, has committed. `last_offsets` holds for each accepted append, in the
    /// order of judgement, the offset of its last event; `now` is when that was.
    pub fn commit(&mut self, number: u64, last_offsets: &[i64], now: Timestamp) {
        let Some(window) = self.windows.pop_front_if(|window| window.number == number) else { return };
        debug_assert_eq!(window.accepted.len(), last_offsets.len());
        for (accepted, last_offset) in window.accepted.into_iter().zip(last_offsets) {
            if !planted::is(Bug::CommittedVersionForgotten) {
                self.versions.set(accepted.stream, accepted.last);
            }
            let newest = self.uncommitted_versions.get(&accepted.stream).is_some_and(|(_, window)| *window == number);
            if newest || planted::is(Bug::LaterWindowForgotten) {
                self.uncommitted_versions.remove(&accepted.stream);
            }
            if let Some((key, remembered)) = accepted.request {
                self.uncommitted_requests.remove(&key);
                let known = !planted::is(Bug::RememberedOffsetMissing);
                let last_offset = if known { *last_offset } else { Remembered::OFFSET_UNKNOWN };
                self.requests.insert(key, Remembered { last_offset, ..remembered }, now);
            }
        }
    }

    /// Whether the request was accepted already, in a window that is not committed yet or before.
    pub fn knows(&self, request: StreamKey) -> bool {
        self.uncommitted_requests.contains_key(&request) || self.requests.get(request).is_some()
    }

    /// The answer that a committed request got, if it is still remembered.
    pub fn remembered(&self, request: StreamKey) -> Option<Remembered> {
        self.requests.get(request)
    }

    /// Drops everything that is not certain. What became of it has to be learned from the log.
    pub fn forget_uncommitted(&mut self) {
        self.windows.clear();
        if !planted::is(Bug::LostVersionsKept) {
            self.uncommitted_versions.clear();
        }
        self.uncommitted_requests.clear();
    }

    /// Learns a stream's version from the archive or the log. Versions never fall.
    pub fn learn_version(&mut self, stream: StreamKey, version: Version) {
        let known = self.versions.get(stream);
        if version > known && !(planted::is(Bug::LearnedVersionStale) && known > Version::NONE) {
            self.versions.set(stream, version);
        }
    }

    /// Learns one event's part in a request from the archive or the log, in log order: `remembered` speaks of this one
    /// event, which has this id and fingerprint; the events of one request add up. A decided event tells the fingerprint
    /// of its command instead.
    pub fn learn_request(&mut self, request: StreamKey, event_id: &str, event: Remembered, now: Timestamp) {
        match decided_fingerprint(event_id, request) {
            Some(fingerprint) => self.requests.learn_decided(request, Remembered { fingerprint, ..event }, now),
            None => self.requests.learn(request, event, now),
        }
    }

    /// Forgets requests older than the limit says.
    pub fn expire_requests(&mut self, now: Timestamp) {
        self.requests.expire(now);
    }

    /// Number of streams.
    pub fn streams(&self) -> usize {
        self.versions.len()
    }

    /// Number of requests that would be recognised.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }
}

/// The fingerprint of an append's payload: of each event's type and bytes, in order.
pub fn fingerprint<'a>(events: impl Iterator<Item = (&'a str, &'a [u8])>) -> u64 {
    events.fold(0, |sum, (event_type, payload)| extend_fingerprint(sum, event_fingerprint(event_type, payload)))
}

/// The fingerprint of one event. 64 bits of XXH3 over the payload, seeded by the type's hash.
pub fn event_fingerprint(event_type: &str, payload: &[u8]) -> u64 {
    let seed = xxhash_rust::xxh3::xxh3_64(event_type.as_bytes());
    xxhash_rust::xxh3::xxh3_64_with_seed(payload, seed)
}

fn extend_fingerprint(sum: u64, event: u64) -> u64 {
    sum.rotate_left(5).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ event
}

#[cfg(test)]
mod tests;
