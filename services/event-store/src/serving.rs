//! Which assigned partitions are not served yet, and why: what readiness tells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use spina_core::ContextName;
use spina_runtime::{Condition, Readiness};

const COMPONENT: &str = "partitions";

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Serving {
    waiting: Arc<Mutex<Waiting>>,
    readiness: Readiness,
}

/// Why contexts and partitions are not served.
type Waiting = BTreeMap<(String, i32), String>;

/// Stands between two reasons.
const BETWEEN: &str = "; ";

/// Stands for a context whose partitions are not known yet.
const NOT_ASSIGNED: i32 = -1;

impl Serving {
    /// Nothing is served of these contexts so far.
    pub fn new(readiness: Readiness, contexts: impl Iterator<Item = ContextName>) -> Self {
        let own = Self { waiting: Arc::default(), readiness };
        contexts.for_each(|context| own.waits(&context, NOT_ASSIGNED, "waits for its partitions"));
        own.tell(&own.lock());
        own
    }

    /// The partition is not served, for this reason.
    pub fn waits(&self, context: &ContextName, partition: i32, reason: &str) {
        let mut waiting = self.lock();
        // Reasons are told apart by the semicolons between them.
        waiting.insert((context.to_string(), partition), reason.replace(BETWEEN, ", "));
        self.tell(&waiting);
    }

    /// The context as a whole waits, for this reason.
    pub fn context_waits(&self, context: &ContextName, reason: &str) {
        self.waits(context, NOT_ASSIGNED, reason);
    }

    /// The partition is served.
    pub fn serves(&self, context: &ContextName, partition: i32) {
        self.left(context, partition);
    }

    /// The partition is not ours any more.
    pub fn left(&self, context: &ContextName, partition: i32) {
        let mut waiting = self.lock();
        waiting.remove(&(context.to_string(), partition));
        waiting.remove(&(context.to_string(), NOT_ASSIGNED));
        self.tell(&waiting);
    }

    /// The process has left the group: nothing of the context is its to serve, not even what it had asked the group for.
    pub fn left_all(&self, context: &ContextName) {
        let mut waiting = self.lock();
        waiting.retain(|(of, _), _| *of != context.as_str());
        self.tell(&waiting);
    }

    /// Tells readiness while the lock is held: two partitions served at once would else tell in the wrong order, and the
    /// process would stay unready for ever.
    fn tell(&self, waiting: &Waiting) {
        let reasons: Vec<String> = waiting
            .iter()
            .map(|((context, partition), reason)| {
                if *partition == NOT_ASSIGNED {
                    format!("{context} {reason}")
                } else {
                    format!("{context}/{partition} {reason}")
                }
            })
            .collect();
        let condition = if reasons.is_empty() { Condition::Ready } else { Condition::not_ready(reasons.join(BETWEEN)) };
        self.readiness.set(COMPONENT, condition);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn partitions_that_are_served_at_once_leave_the_process_ready() {
        let readiness = Readiness::new();
        let context: ContextName = "flights".parse().unwrap();
        let serving = Serving::new(readiness.clone(), [context.clone()].into_iter());
        for _ in 0..2_000 {
            (0..4).for_each(|partition| serving.waits(&context, partition, "is taken over"));
            assert!(!readiness.is_ready());
            thread::scope(|scope| {
                for partition in 0..4 {
                    let (serving, context) = (&serving, &context);
                    scope.spawn(move || serving.serves(context, partition));
                }
            });
            assert!(readiness.is_ready(), "{:?}", readiness.report());
        }
    }

    #[test]
    fn who_has_left_the_group_does_not_wait_for_what_it_had_asked_for() {
        let readiness = Readiness::new();
        let (left, other): (ContextName, ContextName) = ("flights".parse().unwrap(), "booking".parse().unwrap());
        let serving = Serving::new(readiness.clone(), [left.clone(), other.clone()].into_iter());
        serving.serves(&left, 3);
        serving.waits(&left, 3, "was lost, the group is asked for it");
        serving.left_all(&left);
        assert!(!readiness.is_ready(), "the other context waits for its partitions");
        serving.serves(&other, 0);
        assert!(readiness.is_ready(), "{:?}", readiness.report());
    }
}
