//! Which partitions the archive is behind in, and why: degraded, not down. Appends go on, the log has everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use spina_core::ContextName;
use spina_runtime::{Condition, Readiness};

const COMPONENT: &str = "archive";

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct ArchiveHealth {
    behind: Arc<Mutex<BTreeMap<(String, i32), Behind>>>,
    readiness: Readiness,
}

struct Behind {
    why: String,
    events: usize,
}

impl ArchiveHealth {
    /// Nothing is behind so far.
    pub fn new(readiness: Readiness) -> Self {
        Self { behind: Arc::default(), readiness }
    }

    /// The partition has so many events that are not archived, for this reason.
    pub fn behind(&self, context: &ContextName, partition: i32, why: &str, events: usize) {
        self.lock().insert((context.to_string(), partition), Behind { why: why.to_owned(), events });
        self.tell();
    }

    /// The partition is archived as fast as it grows, or not ours any more.
    pub fn keeps_up(&self, context: &ContextName, partition: i32) {
        if self.lock().remove(&(context.to_string(), partition)).is_some() {
            self.tell();
        }
    }

    fn tell(&self) {
        let behind = self.lock();
        let condition = match behind.values().next() {
            None => Condition::Ready,
            Some(first) => {
                let events = rounded(behind.values().map(|partition| partition.events).sum());
                let partitions: Vec<String> = behind.keys().map(|(context, p)| format!("{context}/{p}")).collect();
                let (partitions, why) = (partitions.join(", "), &first.why);
                Condition::degraded(format!(
                    "about {events} events of {partitions} are not archived: {why}. Appends go on, the log has them; \
                     reads that need the archive wait"
                ))
            }
        };
        // Under the lock: what is told last is what is so.
        self.readiness.set(COMPONENT, condition);
        drop(behind);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, i32), Behind>> {
        self.behind.lock().expect("no holder of this lock panics")
    }
}

/// To one digit: every change of the reason is logged. The exact number is a metric.
fn rounded(events: usize) -> usize {
    let unit = 10_usize.pow(events.checked_ilog10().unwrap_or(0));
    events.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_behind_is_degraded_with_reason_and_amount_until_it_keeps_up() {
        let readiness = Readiness::new();
        let health = ArchiveHealth::new(readiness.clone());
        let context: ContextName = "flights".parse().unwrap();
        health.behind(&context, 1, "database is not available", 1_234);
        health.behind(&context, 3, "database is not available", 0);
        assert!(readiness.is_ready());
        let report = serde_json::to_value(readiness.report()).unwrap();
        assert_eq!(report["status"], "degraded");
        let reason = report["conditions"][0]["reason"].as_str().unwrap();
        assert!(reason.starts_with("about 2000 events of flights/1, flights/3 are not archived: database"), "{reason}");
        health.keeps_up(&context, 1);
        health.keeps_up(&context, 3);
        assert_eq!(serde_json::to_value(readiness.report()).unwrap()["status"], "ready");
    }

    #[test]
    fn amounts_are_told_to_one_digit_and_never_too_small() {
        assert_eq!([0, 7, 10, 11, 1_999, 20_000].map(rounded), [0, 7, 10, 20, 2_000, 20_000]);
    }
}
