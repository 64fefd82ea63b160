//! A token bucket that slows down when what it lets through fails.

use crate::Timestamp;

/// At most the 16th part of the rate is left by failures.
const HALVINGS_MAX: u32 = 4;
/// Successes in a row that take one halving back.
const SUCCESSES: u32 = 10;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a rest; at least 1.
    pub burst: u32,
}

/// See the [module](self). Kept as the time at which it is full again: the generic cell rate algorithm, ITU-T I.371.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    full_at_us: i64,
    halvings: u32,
    successes: u32,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at_us: i64::MIN, halvings: 0, successes: 0 }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// When the next one is there, if none is.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let (interval_us, now_us) = (self.interval_us(), now.micros());
        let ahead = i64::from((self.rate.burst >> self.halvings).max(1) - 1);
        let earliest_us = self.full_at_us.saturating_sub(interval_us.saturating_mul(ahead));
        if now_us < earliest_us {
            return Err(Timestamp::from_micros(earliest_us).unwrap_or(now));
        }
        self.full_at_us = self.full_at_us.max(now_us).saturating_add(interval_us);
        Ok(())
    }

    /// What was let through has ended.
    pub fn ended(&mut self, well: bool) {
        if !well {
            self.halvings = (self.halvings + 1).min(HALVINGS_MAX);
            self.successes = 0;
        } else if self.halvings > 0 {
            self.successes += 1;
            if self.successes == SUCCESSES {
                self.halvings -= 1;
                self.successes = 0;
            }
        }
    }

    /// Which part of its rate it keeps now: 1, 2, 4, 8 or 16 for a sixteenth.
    pub fn slowed_by(&self) -> u32 {
        1 << self.halvings
    }

    fn interval_us(&self) -> i64 {
        (1_000_000 / i64::from(self.rate.per_second.max(1))).max(1) << self.halvings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_micros(us).unwrap()
    }

    /// How many it lets through from one instant to another, asked as soon as it says.
    fn taken(bucket: &mut Bucket, from_us: i64, to_us: i64) -> usize {
        let (mut now, mut taken) = (at(from_us), 0);
        while now < at(to_us) {
            match bucket.take(now) {
                Ok(()) => taken += 1,
                Err(later) => now = later,
            }
        }
        taken
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 5 });
        assert_eq!((0..9).filter(|_| bucket.take(at(0)).is_ok()).count(), 5);
        assert_eq!(bucket.take(at(0)), Err(at(100_000)));
        assert_eq!(bucket.take(at(99_999)), Err(at(100_000)));
        assert_eq!(taken(&mut bucket, 0, 10_000_000), 99);
        // After a rest there is a burst again, and no more than one.
        assert_eq!((0..9).filter(|_| bucket.take(at(1_000_000_000)).is_ok()).count(), 5);
    }

    #[test]
    fn failures_slow_it_down_to_a_floor_and_successes_bring_it_back() {
        let mut bucket = Bucket::new(Rate { per_second: 160, burst: 1 });
        (0..100).for_each(|_| bucket.ended(false));
        assert_eq!((bucket.slowed_by(), taken(&mut bucket, 0, 10_000_000)), (16, 100));
        (0..9).for_each(|_| bucket.ended(true));
        assert_eq!(bucket.slowed_by(), 16);
        bucket.ended(true);
        assert_eq!((bucket.slowed_by(), taken(&mut bucket, 20_000_000, 30_000_000)), (8, 200));
        (0..30).for_each(|_| bucket.ended(true));
        assert_eq!((bucket.slowed_by(), taken(&mut bucket, 40_000_000, 50_000_000)), (1, 1_600));
    }
}
