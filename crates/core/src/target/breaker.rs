//! A circuit breaker: a target that fails is left alone for a while.
//!
//! | position | what happens | becomes |
//! |---|---|---|
//! | closed | the fifth different call in a row fails | open, for 1 s |
//! | closed | a call succeeds | closed, nothing counts against it |
//! | open | its pause is over and somebody enters, as a probe | half-open |
//! | half-open | the probe succeeds | closed |
//! | half-open | the probe fails | open, for twice as long, 30 s at most |
//! | half-open | the probe is not made | open, and another call is the probe |
//! | any | it is reset | closed |
//!
//! Calls that began before it opened change nothing when they end later. A call that is tried again and again and fails each
//! time says something about itself and nothing about the target: failures count once for each call.

use crate::Timestamp;

/// Different calls in a row whose failures open it.
const FAILURES: usize = 5;
/// First pause, and the longest one.
const PAUSE_FIRST_US: i64 = 1_000_000;
const PAUSE_MOST_US: i64 = 30_000_000;

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Calls go through.
    Closed,
    /// None does.
    Open {
        /// Until then.
        until: Timestamp,
    },
    /// One does, to see.
    HalfOpen,
}

impl Position {
    /// Its name: `half-open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// As what a call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// As one of many.
    Through,
    /// As the one that tells how the target is.
    Probe,
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Breaker {
    position: Position,
    /// Calls that failed since one succeeded, each once.
    failed: Vec<String>,
    pause_us: i64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { position: Position::Closed, failed: Vec::new(), pause_us: PAUSE_FIRST_US }
    }
}

impl Breaker {
    /// Whether a call may enter.
    ///
    /// # Errors
    /// When to ask again; once the probe has ended if absent.
    pub fn may(&self, now: Timestamp) -> Result<(), Option<Timestamp>> {
        match self.position {
            Position::Closed => Ok(()),
            Position::Open { until } if now < until => Err(Some(until)),
            Position::Open { .. } => Ok(()),
            Position::HalfOpen => Err(None),
        }
    }

    /// A call enters that [may](Self::may).
    pub fn enter(&mut self) -> Pass {
        match self.position {
            Position::Closed => Pass::Through,
            Position::Open { .. } | Position::HalfOpen => {
                self.position = Position::HalfOpen;
                Pass::Probe
            }
        }
    }

    /// A call has ended.
    pub fn ended(&mut self, pass: Pass, call: &str, well: bool, now: Timestamp) {
        match (self.position, pass, well) {
            (Position::Closed, _, true) | (Position::HalfOpen, Pass::Probe, true) => self.reset(),
            (Position::Closed, _, false) => {
                if !self.failed.iter().any(|known| known == call) {
                    self.failed.push(call.to_owned());
                }
                if self.failed.len() >= FAILURES {
                    self.open(now);
                }
            }
            (Position::HalfOpen, Pass::Probe, false) => {
                self.pause_us = (self.pause_us * 2).min(PAUSE_MOST_US);
                self.open(now);
            }
            (Position::HalfOpen, Pass::Through, _) | (Position::Open { .. }, _, _) => {}
        }
    }

    /// A call that has entered was not made: if it was the probe, another one is.
    pub fn withdrawn(&mut self, pass: Pass, now: Timestamp) {
        if self.position == Position::HalfOpen && pass == Pass::Probe {
            self.position = Position::Open { until: now };
        }
    }

    /// As if nothing had ever failed.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many different calls have failed since one succeeded.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    fn open(&mut self, now: Timestamp) {
        let until = now.micros().saturating_add(self.pause_us);
        self.position = Position::Open { until: Timestamp::from_micros(until).unwrap_or(now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_micros(us).unwrap()
    }

    /// One that five different calls have opened at 0.
    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for call in ["a", "b", "c", "d", "e"] {
            assert_eq!(breaker.may(at(0)), Ok(()));
            let pass = breaker.enter();
            breaker.ended(pass, call, false, at(0));
        }
        breaker
    }

    #[test]
    fn five_different_calls_in_a_row_open_it() {
        let breaker = open();
        assert_eq!((breaker.position(), breaker.failures()), (Position::Open { until: at(1_000_000) }, 5));
        assert_eq!(breaker.may(at(999_999)), Err(Some(at(1_000_000))));
        assert_eq!(breaker.may(at(1_000_000)), Ok(()));
    }

    #[test]
    fn neither_one_call_that_fails_for_ever_nor_failures_with_successes_between_do() {
        let mut breaker = Breaker::default();
        (0..1_000).for_each(|_| breaker.ended(Pass::Through, "a", false, at(0)));
        assert_eq!((breaker.position(), breaker.failures()), (Position::Closed, 1));
        for call in 0..1_000 {
            breaker.ended(Pass::Through, &call.to_string(), call % 4 == 0, at(0));
            assert_eq!(breaker.position(), Position::Closed);
        }
    }

    #[test]
    fn one_probe_decides_and_each_failed_one_doubles_the_pause_up_to_a_limit() {
        let (mut breaker, mut now_us, mut pauses) = (open(), 1_000_000, Vec::new());
        for _ in 0..7 {
            assert_eq!((breaker.enter(), breaker.position()), (Pass::Probe, Position::HalfOpen));
            assert_eq!(breaker.may(at(now_us)), Err(None), "there is one probe");
            breaker.ended(Pass::Through, "late", true, at(now_us));
            assert_eq!(breaker.position(), Position::HalfOpen, "a late answer does not decide");
            breaker.ended(Pass::Probe, "a", false, at(now_us));
            let Position::Open { until } = breaker.position() else { panic!("{breaker:?}") };
            pauses.push((until.micros() - now_us) / 1_000_000);
            now_us = until.micros();
        }
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30]);
        breaker.enter();
        breaker.ended(Pass::Probe, "a", true, at(now_us));
        assert_eq!((breaker.position(), breaker.failures()), (Position::Closed, 0));
        assert_eq!(breaker.pause_us, PAUSE_FIRST_US, "the next time it is short again");
    }

    #[test]
    fn late_answers_do_not_close_it_and_a_reset_does() {
        let mut breaker = open();
        breaker.ended(Pass::Through, "late", true, at(1));
        assert_eq!(breaker.position().name(), "open");
        breaker.reset();
        assert_eq!((breaker.position(), breaker.enter()), (Position::Closed, Pass::Through));
    }
}
