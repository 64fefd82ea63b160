//! How far event time has come.
//!
//! A source is late by at most `lateness` behind its newest signal; what is older than that has been told. While a source
//! says nothing its event time flows on at the pace of the clock, so that windows close without further signals. Time is
//! an argument: the clock's readings are records of the journal, so a replay sees the same ones.

use crate::Timestamp;

/// The event time of one part of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceClock {
    newest: Option<Timestamp>,
    /// When the newest arrived, or when the wait for a first one began.
    since: Option<Timestamp>,
    mark_micros: Option<i64>,
}

impl SourceClock {
    /// Something of that time arrived.
    pub fn saw(&mut self, time: Timestamp, arrived: Timestamp) {
        if self.newest.is_none_or(|newest| time > newest) {
            self.newest = Some(time);
            self.since = Some(arrived);
        }
    }

    /// The watermark: nothing older is waited for. `None` while nothing was heard, which holds back everybody who waits
    /// for this source, unless that has been so for longer than `idle_micros`: then it counts as past everything.
    ///
    /// It never goes back.
    pub fn watermark(&mut self, now: Timestamp, lateness_micros: i64, idle_micros: i64) -> Option<i64> {
        let since = *self.since.get_or_insert(now);
        let flown = (now.micros() - since.micros()).max(0);
        let reached = match self.newest {
            Some(newest) => newest.micros() - lateness_micros + flown,
            None if flown > idle_micros => i64::MAX,
            None => return None,
        };
        // A source that begins to speak after all takes its place from then on.
        let held = self.mark_micros.filter(|mark| *mark != i64::MAX);
        let mark = held.map_or(reached, |mark| mark.max(reached));
        self.mark_micros = Some(mark);
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * SECOND).unwrap()
    }

    #[test]
    fn the_watermark_trails_the_newest_signal_and_never_goes_back() {
        let mut clock = SourceClock::default();
        clock.saw(at(100), at(1_000));
        assert_eq!(clock.watermark(at(1_000), 10 * SECOND, 0), Some(90 * SECOND));
        clock.saw(at(95), at(1_001));
        assert_eq!(clock.watermark(at(1_001), 10 * SECOND, 0), Some(91 * SECOND));
        clock.saw(at(101), at(1_003));
        assert_eq!(clock.watermark(at(1_003), 10 * SECOND, 0), Some(91 * SECOND));
    }

    #[test]
    fn time_flows_on_while_a_source_is_silent() {
        let mut clock = SourceClock::default();
        clock.saw(at(100), at(1_000));
        assert_eq!(clock.watermark(at(1_060), 10 * SECOND, 0), Some(150 * SECOND));
    }

    #[test]
    fn a_source_that_never_spoke_holds_the_others_for_the_idle_time_only() {
        let mut clock = SourceClock::default();
        assert_eq!(clock.watermark(at(0), 0, 30 * SECOND), None);
        assert_eq!(clock.watermark(at(30), 0, 30 * SECOND), None);
        assert_eq!(clock.watermark(at(31), 0, 30 * SECOND), Some(i64::MAX));
        clock.saw(at(5), at(40));
        assert_eq!(clock.watermark(at(40), 0, 30 * SECOND), Some(5 * SECOND));
    }
}
