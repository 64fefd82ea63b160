//! Who owns the partitions that this process does not: as announced in PostgreSQL, remembered for a moment.
//!
//! While PostgreSQL does not answer, the last known owners are believed: without it no partition is taken over either.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use spina_store::archive::Owner;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use crate::context::Context;

/// How long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Least time between two questions, however many requests miss.
const QUESTIONS_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for an answer: beyond it the last known owners are used.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Owners {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<i32, Owner>,
    /// Owners that did not answer or refused: not believed until they were read again.
    doubted: HashSet<i32>,
    asked: Option<Instant>,
    /// PostgreSQL did not answer the last question.
    stale: bool,
}

impl Owners {
    /// The partition's owner. At most one question is under way, and callers wait for its answer.
    pub async fn of(&self, context: &Context, partition: i32) -> Option<Owner> {
        let mut known = self.known.lock().await;
        if known.must_ask(partition, Instant::now()) {
            known.ask(context).await;
        }
        known.owners.get(&partition).cloned()
    }

    /// All owners, as for [`of`](Self::of).
    pub async fn all(&self, context: &Context) -> Vec<Owner> {
        let mut known = self.known.lock().await;
        if known.age(Instant::now()) >= BELIEVED {
            known.ask(context).await;
        }
        let mut owners: Vec<Owner> = known.owners.values().cloned().collect();
        owners.sort_by_key(|owner| owner.partition);
        owners
    }

    /// The owner did not answer, or says it is none.
    pub async fn doubt(&self, partition: i32) {
        self.known.lock().await.doubted.insert(partition);
    }
}

impl Known {
    fn age(&self, now: Instant) -> Duration {
        self.asked.map_or(Duration::MAX, |asked| now.saturating_duration_since(asked))
    }

    fn must_ask(&self, partition: i32, now: Instant) -> bool {
        let age = self.age(now);
        let in_doubt = self.doubted.contains(&partition) || !self.owners.contains_key(&partition);
        let pause = if self.stale { BELIEVED } else { QUESTIONS_PAUSE };
        age >= BELIEVED || (in_doubt && age >= pause)
    }

    async fn ask(&mut self, context: &Context) {
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, context.shared.store.owners(context.name())).await;
        self.asked = Some(Instant::now());
        let trouble = match asked {
            Ok(Ok(owners)) => {
                self.learn(owners);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ANSWER_TIMEOUT:?}"),
        };
        if !std::mem::replace(&mut self.stale, true) {
            warn!(context = %context.name(), trouble, "cannot read who owns what, going by what was known last");
        }
    }

    fn learn(&mut self, owners: Vec<Owner>) {
        self.owners = owners.into_iter().map(|owner| (owner.partition, owner)).collect();
        self.doubted.clear();
        self.stale = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(partition: i32) -> Owner {
        Owner { partition, epoch: 1, endpoint: "http://other".to_owned() }
    }

    fn known(now: Instant) -> Known {
        let mut known = Known { asked: Some(now), ..Known::default() };
        known.learn(vec![owner(0)]);
        known
    }

    #[test]
    fn what_was_read_is_believed_for_a_moment() {
        let now = Instant::now();
        let known = known(now);
        assert!(!known.must_ask(0, now));
        assert!(known.must_ask(0, now + BELIEVED));
    }

    #[test]
    fn a_miss_and_a_doubt_ask_again_but_not_for_every_request() {
        let now = Instant::now();
        let mut known = known(now);
        assert!(!known.must_ask(1, now));
        assert!(known.must_ask(1, now + QUESTIONS_PAUSE));
        known.doubted.insert(0);
        assert!(!known.must_ask(0, now));
        assert!(known.must_ask(0, now + QUESTIONS_PAUSE));
    }

    #[test]
    fn a_database_that_does_not_answer_is_not_asked_for_every_miss() {
        let now = Instant::now();
        let mut known = known(now);
        known.stale = true;
        assert!(!known.must_ask(1, now + QUESTIONS_PAUSE));
        assert!(known.must_ask(1, now + BELIEVED));
        assert_eq!(known.owners.get(&0), Some(&owner(0)), "the last known owner stays");
    }
}
