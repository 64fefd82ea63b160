//! When a second window is opened beside the one in flight.
//!
//! A transaction costs the broker about the same whatever it carries, so few large ones serve more than many small ones.
//! But whoever waits for more to come serves an idle partition slowly. So the first window is opened at once, always. A
//! second one, which is staged while the first commits, is opened when at least half of those who have been asking lately
//! wait: then the two take turns with half of them each, instead of one with nearly all and many with hardly any. At a low
//! rate half of them is one. Nobody waits longer than for the commit that is under way.

/// Submissions that are worth a transaction of their own, however many more there may be.
const WORTH_MAX: usize = 256;
/// The part of the load that is forgotten with each window: after a burst, 20 windows later little is left of it.
const FORGOTTEN: usize = 8;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Pace {
    /// The most submissions that lately were in flight or waited at once.
    load: usize,
}

impl Pace {
    /// Whether a window is to be opened with what waits, beside so many submissions in flight.
    pub fn opens(&mut self, waiting: usize, in_flight: usize) -> bool {
        self.load = self.load.max(waiting + in_flight);
        waiting > 0 && (in_flight == 0 || waiting >= (self.load / 2).min(WORTH_MAX))
    }

    /// A window has ended.
    pub fn settled(&mut self) {
        self.load -= self.load.div_ceil(FORGOTTEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_partition_waits_for_nobody() {
        let mut pace = Pace { load: 1_000 };
        assert!(pace.opens(1, 0));
        assert!(!pace.opens(0, 0));
    }

    #[test]
    fn at_a_low_rate_the_second_request_does_not_wait_for_the_first() {
        assert!(Pace::default().opens(1, 1));
    }

    #[test]
    fn those_who_ask_are_halved_between_two_windows() {
        let mut pace = Pace::default();
        assert!(pace.opens(16, 0));
        pace.settled();
        assert!(pace.opens(1, 0), "nothing is in flight");
        let second = (1..16).find(|waiting| pace.opens(*waiting, 1));
        assert_eq!(second, Some(8 - 1), "half of 14, which is left of 16");
    }

    #[test]
    fn a_burst_is_forgotten() {
        let mut pace = Pace::default();
        pace.opens(400, 0);
        assert!(!pace.opens(2, 1));
        (0..40).for_each(|_| pace.settled());
        assert!(pace.opens(2, 1));
    }

    #[test]
    fn what_is_worth_a_transaction_does_not_wait_for_more() {
        let mut pace = Pace { load: 100_000 };
        assert!(!pace.opens(WORTH_MAX - 1, 4_000));
        assert!(pace.opens(WORTH_MAX, 4_000));
    }
}
