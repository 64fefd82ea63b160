//! Conditions that have begun and not ended: alerts, by what they are told apart by.

use std::collections::BTreeMap;

use spina_core::Timestamp;
use spina_core::correlation::Signal;

/// A condition that lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// As it was told first.
    pub signal: Signal,
    /// When it is over unless it is told again, in event time.
    pub expires: Timestamp,
    /// When it was told last, by the clock.
    pub told_at: Timestamp,
}

/// The active conditions of one domain, by source and fingerprint.
pub type Actives = BTreeMap<(String, u64), Active>;

/// What a condition that is told again does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was known: it lasts longer, and nothing else happens.
    Again,
    /// It is new, or began anew.
    New,
}

/// Tells a condition to those that are active. `expires` is when it ends unless it is told again.
pub fn tell(actives: &mut Actives, signal: &Signal, expires: Timestamp, now: Timestamp) -> Told {
    let key = (signal.source.clone(), signal.labels.fingerprint());
    match actives.get_mut(&key) {
        // Who tells it with a later beginning forgot the first one, as a restarted Prometheus does: it still lasts.
        Some(active) if active.expires >= signal.time => {
            active.expires = active.expires.max(expires);
            active.told_at = active.told_at.max(now);
            Told::Again
        }
        Some(_) | None => Told::New,
    }
}
