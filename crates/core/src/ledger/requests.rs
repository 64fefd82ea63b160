//! The requests that would be recognised, within a bound of number and age.
//!
//! ```text
//! index (256 tables): key ─▶ number          answers, oldest first, in pieces: │ 0 1 2 … │ … │ … n │
//!    4 bytes, up to nine tenths full                72 bytes each               forgotten from here ─▶
//! ```
//!
//! At most 80 bytes a request, see the test. The index has numbers only; the keys are with the answers.

use super::extend_fingerprint;
use super::pieces::Pieces;
use super::table::{Key, SHARDS, Slot, Table, shard};
use crate::planted::{self, Bug};
use crate::{StreamKey, Timestamp, Version};

/// How many requests are remembered, and for how long. At most 80 bytes of memory a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Most requests; the oldest go first. Two thousand million are the most that there can be.
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

/// A request with its answer.
#[derive(Debug, Clone, Copy)]
struct Answered {
    request: Key,
    stream: Key,
    first: Version,
    fingerprint: u64,
    last_offset: i64,
    at: Timestamp,
    events: u32,
}

impl Answered {
    fn new(request: Key, answer: Remembered, at: Timestamp) -> Self {
        let Remembered { stream, first, events, fingerprint, last_offset } = answer;
        Self { request, stream: Key::of(stream), first, fingerprint, last_offset, at, events }
    }

    fn answer(&self) -> Remembered {
        let Self { stream, first, fingerprint, last_offset, events, .. } = *self;
        Remembered { stream: stream.whole(), first, events, fingerprint, last_offset }
    }
}

/// The lower 31 bits of an answer's number, with the top bit set: 0 is free.
#[derive(Debug, Clone, Copy)]
struct Number(u32);

const NUMBERS: u32 = 1 << 31;

impl Number {
    fn of(number: u64) -> Self {
        Self(number as u32 | NUMBERS)
    }

    /// How far it is behind the number of the oldest.
    fn behind(self, oldest: u64) -> usize {
        (self.0.wrapping_sub(oldest as u32) % NUMBERS) as usize
    }
}

impl Slot for Number {
    const FREE: Self = Self(0);

    fn is_free(&self) -> bool {
        self.0 == 0
    }
}

#[derive(Debug)]
pub(super) struct Requests {
    limits: RequestLimits,
    index: Vec<Table<Number>>,
    answers: Pieces<Answered>,
    /// Number of the oldest answer.
    oldest: u64,
}

impl Requests {
    pub(super) fn new(limits: RequestLimits) -> Self {
        let limits = RequestLimits { keys_max: limits.keys_max.min(NUMBERS as usize - 1), ..limits };
        Self { limits, index: vec![Table::default(); SHARDS], answers: Pieces::default(), oldest: 0 }
    }

    pub(super) fn get(&self, request: StreamKey) -> Option<Remembered> {
        self.answers.get(self.place(request)?).map(Answered::answer)
    }

    /// How many answers are older than that of the request.
    fn place(&self, request: StreamKey) -> Option<usize> {
        let key_of = |number: &Number| request_of(&self.answers, self.oldest, *number);
        let number = self.index[shard(request)].get(Key::of(request), key_of)?;
        Some(number.behind(self.oldest))
    }

    pub(super) fn insert(&mut self, request: StreamKey, answer: Remembered, now: Timestamp) {
        let key = Key::of(request);
        if let Some(known) = self.place(request).and_then(|place| self.answers.get_mut(place)) {
            *known = Answered::new(key, answer, known.at);
            return;
        }
        let (answers, oldest) = (&self.answers, self.oldest);
        let key_of = |number: &Number| request_of(answers, oldest, *number);
        self.index[shard(request)].set(key, Number::of(oldest + answers.len() as u64), key_of);
        self.answers.push(Answered::new(key, answer, now));
        while self.answers.len() > self.limits.keys_max {
            self.forget_oldest();
        }
    }

    pub(super) fn learn(&mut self, request: StreamKey, event: Remembered, now: Timestamp) {
        let answer = match self.get(request) {
            Some(_) if planted::is(Bug::LearnedEventsMissing) => return,
            Some(known) if known.stream == event.stream && event.first == known.last().plus(1) => Remembered {
                events: known.events + 1,
                fingerprint: match planted::is(Bug::LearnedFingerprintShort) {
                    true => known.fingerprint,
                    false => extend_fingerprint(known.fingerprint, event.fingerprint),
                },
                last_offset: event.last_offset,
                ..known
            },
            Some(_) => return,
            None => Remembered { fingerprint: extend_fingerprint(0, event.fingerprint), ..event },
        };
        self.insert(request, answer, now);
    }

    /// Each event of a decision bears the fingerprint of the whole command.
    pub(super) fn learn_decided(&mut self, request: StreamKey, event: Remembered, now: Timestamp) {
        let answer = match self.get(request) {
            Some(known) if known.stream == event.stream && event.first == known.last().plus(1) => {
                Remembered { events: known.events + 1, last_offset: event.last_offset, ..known }
            }
            Some(_) => return,
            None => event,
        };
        self.insert(request, answer, now);
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        let early = if planted::is(Bug::RequestsExpireEarly) { 100_000 } else { 1 };
        let oldest_kept = now.micros() - self.limits.age_max_us / early;
        while self.answers.get(0).is_some_and(|oldest| oldest.at.micros() < oldest_kept) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(forgotten) = self.answers.get(0).map(|oldest| oldest.request) else { return };
        let (answers, oldest) = (&self.answers, self.oldest);
        let key_of = |number: &Number| request_of(answers, oldest, *number);
        self.index[shard(forgotten.whole())].remove(forgotten, key_of);
        self.answers.drop_first();
        self.oldest += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Bytes that it takes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.index.iter().map(Table::bytes).sum::<usize>() + self.answers.bytes()
    }
}

/// The request that an answer's number stands for.
fn request_of(answers: &Pieces<Answered>, oldest: u64, number: Number) -> Key {
    answers.get(number.behind(oldest)).map_or(Key::ZERO, |answered| answered.request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: u64) -> Remembered {
        Remembered { stream: StreamKey(7), first: Version(first), events: 1, fingerprint: first, last_offset: 9 }
    }

    /// Spread like a hash, by the golden ratio, and quicker to make than one.
    fn request(number: u64) -> StreamKey {
        StreamKey(u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
    }

    #[test]
    fn a_request_takes_at_most_80_bytes_while_it_fills_and_when_it_is_full() {
        const FULL: u64 = 1_000_000;
        let mut requests = Requests::new(RequestLimits { keys_max: FULL as usize, age_max_us: i64::MAX });
        for number in 0..FULL * 11 / 10 {
            requests.insert(request(number), answer(number), Timestamp::default());
            if number % 50_000 == 49_999 {
                let bytes = requests.bytes() / requests.len();
                assert!((76..=80).contains(&bytes), "{bytes} bytes each of {}", requests.len());
            }
        }
        assert_eq!(requests.len() as u64, FULL);
        let (first, last) = (FULL / 10, FULL * 11 / 10 - 1);
        assert_eq!(requests.get(request(first - 1)), None);
        assert_eq!(
            (requests.get(request(first)), requests.get(request(last))),
            (Some(answer(first)), Some(answer(last)))
        );
    }

    #[test]
    fn the_oldest_go_first_and_numbers_may_wrap_around() {
        let mut requests = Requests::new(RequestLimits { keys_max: 3_000, age_max_us: 10_000 });
        requests.oldest = u64::from(NUMBERS) - 1_000;
        let at = |number| Timestamp::from_micros(i64::try_from(number).unwrap()).unwrap();
        for number in 0..9_000 {
            requests.insert(request(number), answer(number), at(number));
            let oldest = number.saturating_sub(2_999);
            assert_eq!(requests.get(request(oldest)), Some(answer(oldest)));
            assert!(number < 3_000 || requests.get(request(oldest - 1)).is_none());
        }
        requests.expire(at(18_500));
        assert_eq!(
            (requests.len(), requests.get(request(8_499)), requests.get(request(8_500))),
            (500, None, Some(answer(8_500)))
        );
        requests.expire(at(30_000));
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn an_answer_that_changes_keeps_its_age() {
        let mut requests = Requests::new(RequestLimits { keys_max: 2, age_max_us: i64::MAX });
        for number in [1, 2, 1, 3] {
            requests.insert(request(number), answer(number + 10), Timestamp::default());
        }
        assert_eq!((requests.get(request(1)), requests.get(request(2))), (None, Some(answer(12))));
    }
}
