//! What is tried again, and when.

use super::event::Class;

/// How one class of failures is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often it is tried in all; 1 is never again.
    pub attempts: u32,
    /// First pause, in microseconds; each further one is twice as long.
    pub first_us: i64,
    /// Longest pause, in microseconds.
    pub most_us: i64,
}

/// The policies of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// When the answer was no.
    pub rejected: Policy,
    /// When it could not be asked.
    pub unavailable: Policy,
    /// When there was no answer.
    pub timed_out: Policy,
}

/// Never again.
const ONCE: Policy = Policy { attempts: 1, first_us: 0, most_us: 0 };
/// Ten tries in about two minutes.
const PATIENT: Policy = Policy { attempts: 10, first_us: 200_000, most_us: 30_000_000 };

impl Default for Retry {
    fn default() -> Self {
        Self { rejected: ONCE, unavailable: PATIENT, timed_out: PATIENT }
    }
}

impl Retry {
    /// The pause before the next try, in microseconds; none if there is none. `failures` counts from 1, `seed` tells this
    /// step from others, so that what failed together is not tried again together.
    pub fn pause_us(&self, class: Class, failures: u32, seed: &str) -> Option<i64> {
        let policy = match class {
            Class::Rejected => self.rejected,
            Class::Unavailable => self.unavailable,
            Class::TimedOut => self.timed_out,
            Class::Definition => ONCE,
        };
        if failures >= policy.attempts {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(40);
        let full = policy.first_us.saturating_mul(1 << doublings).min(policy.most_us);
        // From half of the pause to all of it.
        let part = i64::from(hash(seed, failures) % 1_024);
        Some(full / 2 + full / 2 / 1_024 * part)
    }
}

/// FNV-1a of the seed and the number.
fn hash(seed: &str, number: u32) -> u32 {
    let bytes = seed.bytes().chain(number.to_le_bytes());
    bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_have_a_limit_and_differ_between_sagas() {
        let retry = Retry::default();
        let pauses: Vec<i64> = (1..10).filter_map(|n| retry.pause_us(Class::TimedOut, n, "a")).collect();
        assert_eq!(pauses.len(), 9);
        assert!(pauses.iter().zip(&pauses[1..]).take(6).all(|(a, b)| a < b), "{pauses:?}");
        assert!(pauses.iter().all(|pause| (100_000..=30_000_000).contains(pause)), "{pauses:?}");
        assert_ne!(retry.pause_us(Class::TimedOut, 1, "a"), retry.pause_us(Class::TimedOut, 1, "b"));
        assert_eq!(retry.pause_us(Class::TimedOut, 10, "a"), None);
        assert_eq!(retry.pause_us(Class::Rejected, 1, "a"), None);
    }
}
