//! The targets of calls, each with its bulkhead, its breaker, and its paces.
//!
//! ```text
//! call ─▶ place at the target (bulkhead) ─▶ breaker and pace ─▶ made ─▶ how it ended ─▶ breaker and pace
//! ```
//!
//! A target is `http://host:port`. What is kept of it is of this process alone, and lost with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spina_core::Timestamp;
use spina_core::target::{Breaker, Bucket, Pass, Position, Rate};
use spina_runtime::processor::Clock;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::metrics::SagaMetrics;

/// Most targets that are known at a time.
const TARGETS_MAX: usize = 1_000;
/// The pace of steps that declare none; they share it.
const RATE: Rate = Rate { per_second: 1_000, burst: 100 };
/// Longest sleep before it is looked again, so that a clock that is set is noticed.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// The pace that a step declares.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Names the step among all steps.
    pub step: String,
    /// How often.
    pub rate: Rate,
}

/// Every target that was called. Clones are one.
#[derive(Clone)]
pub struct Targets {
    known: Arc<Mutex<HashMap<String, Arc<Target>>>>,
    in_flight_max: usize,
    clock: Clock,
    metrics: SagaMetrics,
}

/// A target, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetView {
    /// Its name.
    pub target: String,
    /// Where its breaker stands.
    pub position: Position,
    /// Different calls that have failed since one succeeded.
    pub failures: usize,
    /// By how much failures have slowed the calls down: 1 is not at all, 16 the most.
    pub slowed_by: u32,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that wait for their start.
    pub waiting: usize,
}

impl Targets {
    /// None yet; each takes so many calls at a time.
    pub fn new(in_flight_max: usize, clock: Clock, metrics: SagaMetrics) -> Self {
        Self { known: Arc::default(), in_flight_max: in_flight_max.max(1), clock, metrics }
    }

    /// The target of that name; none if there are too many that are in use.
    pub fn of(&self, name: &str) -> Option<Arc<Target>> {
        let mut known = self.lock();
        if let Some(target) = known.get(name) {
            return Some(Arc::clone(target));
        }
        if known.len() >= TARGETS_MAX {
            known.retain(|name, target| {
                let used = Arc::strong_count(target) > 1 || target.gate().breaker.position() != Position::Closed;
                if !used {
                    self.metrics.forget(name);
                }
                used
            });
        }
        if known.len() >= TARGETS_MAX {
            return None;
        }
        let target = Arc::new(Target {
            name: name.to_owned(),
            places: Semaphore::new(self.in_flight_max),
            gate: Mutex::default(),
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
        });
        self.metrics.breaker(name, false);
        known.insert(name.to_owned(), Arc::clone(&target));
        Some(target)
    }

    /// All of them, by name.
    pub fn views(&self) -> Vec<TargetView> {
        let mut views: Vec<TargetView> = self.lock().values().map(|target| target.view()).collect();
        views.sort_by(|a, b| a.target.cmp(&b.target));
        views
    }

    /// Closes a breaker; false if there is no such target.
    pub fn reset(&self, name: &str) -> bool {
        let Some(target) = self.lock().get(name).cloned() else { return false };
        target.gate().breaker.reset();
        target.tell();
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Target>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the [module](self).
pub struct Target {
    name: String,
    places: Semaphore,
    gate: Mutex<Gate>,
    /// The breaker may let somebody through.
    changed: Notify,
    waiting: AtomicUsize,
    clock: Clock,
    metrics: SagaMetrics,
}

#[derive(Debug, Default)]
struct Gate {
    breaker: Breaker,
    paces: HashMap<String, Bucket>,
    in_flight: usize,
}

impl Gate {
    fn pace(&mut self, pace: Option<&Pace>) -> &mut Bucket {
        let (step, rate) = pace.map_or(("", RATE), |pace| (&pace.step, pace.rate));
        self.paces.entry(step.to_owned()).or_insert_with(|| Bucket::new(rate))
    }

    /// Lets a call through, or says when to ask again.
    fn ask(&mut self, pace: Option<&Pace>, now: Timestamp) -> Result<Pass, Option<Timestamp>> {
        self.breaker.may(now)?;
        self.pace(pace).take(now)?;
        self.in_flight += 1;
        Ok(self.breaker.enter())
    }
}

/// A call that may be made.
pub struct Entered<'t> {
    target: &'t Target,
    _place: SemaphorePermit<'t>,
    pass: Pass,
    pace: Option<&'t Pace>,
    ended: bool,
}

impl Target {
    /// Waits until a call may be made.
    pub async fn enter<'t>(&'t self, pace: Option<&'t Pace>) -> Entered<'t> {
        let _waiting = Waiting::one_of(&self.waiting);
        let place = self.places.acquire().await.expect("the places of a target are never closed");
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the question, so that no change is missed.
            changed.as_mut().enable();
            let now = (self.clock)();
            let asked = self.gate().ask(pace, now);
            let again = match asked {
                Ok(pass) => {
                    if pass == Pass::Probe {
                        self.tell();
                    }
                    return Entered { target: self, _place: place, pass, pace, ended: false };
                }
                Err(again) => again,
            };
            let pause_us = again.map(|again| again.micros().saturating_sub(now.micros()).max(0).unsigned_abs());
            let pause = pause_us.map_or(LOOK_PAUSE, |us| Duration::from_micros(us).min(LOOK_PAUSE));
            // Either way it is asked again.
            let _ = tokio::time::timeout(pause, changed).await;
        }
    }

    /// Whoever waits asks again, and the metrics show the breaker.
    fn tell(&self) {
        let open = self.gate().breaker.position() != Position::Closed;
        self.metrics.breaker(&self.name, open);
        self.changed.notify_waiters();
    }

    fn view(&self) -> TargetView {
        let gate = self.gate();
        TargetView {
            target: self.name.clone(),
            position: gate.breaker.position(),
            failures: gate.breaker.failures(),
            slowed_by: gate.paces.values().map(Bucket::slowed_by).max().unwrap_or(1),
            in_flight: gate.in_flight,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entered<'_> {
    /// The call has ended.
    pub fn ended(mut self, call: &str, well: bool) {
        self.ended = true;
        let now = (self.target.clock)();
        let mut gate = self.target.gate();
        gate.in_flight -= 1;
        gate.breaker.ended(self.pass, call, well, now);
        gate.pace(self.pace).ended(well);
        let waited_for = gate.breaker.position() != Position::Closed || self.pass == Pass::Probe;
        drop(gate);
        if waited_for {
            self.target.tell();
        }
    }
}

impl Drop for Entered<'_> {
    /// It was not made after all.
    fn drop(&mut self) {
        if !self.ended {
            let now = (self.target.clock)();
            let mut gate = self.target.gate();
            gate.in_flight -= 1;
            gate.breaker.withdrawn(self.pass, now);
            drop(gate);
            if self.pass == Pass::Probe {
                self.target.tell();
            }
        }
    }
}

/// Counts one that waits, as long as it does.
struct Waiting<'t>(&'t AtomicUsize);

impl<'t> Waiting<'t> {
    fn one_of(waiting: &'t AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use spina_runtime::Metrics;

    use super::*;

    /// Targets of two places, and their clock in microseconds.
    fn targets() -> (Targets, Arc<AtomicI64>) {
        let now = Arc::new(AtomicI64::new(0));
        let read = Arc::clone(&now);
        let clock: Clock = Arc::new(move || Timestamp::from_micros(read.load(Ordering::SeqCst)).unwrap());
        (Targets::new(2, clock, SagaMetrics::new(&Metrics::new("test", "1"))), now)
    }

    /// Whether a call is let through at once.
    async fn enters<'t>(target: &'t Target, pace: Option<&'t Pace>) -> Option<Entered<'t>> {
        tokio::time::timeout(Duration::from_millis(30), target.enter(pace)).await.ok()
    }

    #[tokio::test]
    async fn a_target_takes_as_many_calls_as_it_has_places_and_others_have_their_own() {
        let (targets, _) = targets();
        let (one, other) = (targets.of("http://a:1").unwrap(), targets.of("http://b:1").unwrap());
        let (first, second) = (enters(&one, None).await.unwrap(), enters(&one, None).await.unwrap());
        assert!(enters(&one, None).await.is_none());
        assert!(enters(&other, None).await.is_some());
        assert_eq!(targets.views()[0].in_flight, 2);
        first.ended("a", true);
        assert!(enters(&one, None).await.is_some(), "a place is free again");
        drop(second);
        assert_eq!((targets.views()[0].in_flight, targets.views()[0].waiting), (0, 0));
    }

    #[tokio::test]
    async fn an_open_breaker_lets_one_probe_through_and_a_reset_lets_all() {
        let (targets, now) = targets();
        let target = targets.of("http://a:1").unwrap();
        for call in 0..5 {
            enters(&target, None).await.unwrap().ended(&call.to_string(), false);
        }
        assert!(enters(&target, None).await.is_none());
        assert_eq!(targets.views()[0].position.name(), "open");
        now.store(1_000_000, Ordering::SeqCst);
        let probe = enters(&target, None).await.unwrap();
        assert!(enters(&target, None).await.is_none(), "there is one probe");
        drop(probe);
        assert!(enters(&target, None).await.is_some(), "a probe that was not made is another one's");
        assert!(targets.reset("http://a:1") && !targets.reset("http://z:1"));
        let both = (enters(&target, None).await, enters(&target, None).await);
        assert!(both.0.is_some() && both.1.is_some());
    }

    #[tokio::test]
    async fn each_step_has_the_pace_that_it_declares() {
        let (targets, now) = targets();
        let target = targets.of("http://a:1").unwrap();
        let slow = Pace { step: "tell".into(), rate: Rate { per_second: 1, burst: 1 } };
        enters(&target, Some(&slow)).await.unwrap().ended("a", true);
        assert!(enters(&target, Some(&slow)).await.is_none());
        assert!(enters(&target, None).await.is_some(), "others are not kept waiting");
        now.store(1_000_000, Ordering::SeqCst);
        assert!(enters(&target, Some(&slow)).await.is_some());
    }

    #[tokio::test]
    async fn so_many_targets_are_known_and_those_in_use_stay() {
        let (targets, _) = targets();
        let used = targets.of("http://used:1").unwrap();
        (1..TARGETS_MAX).for_each(|number| assert!(targets.of(&format!("http://{number}:1")).is_some()));
        assert!(targets.of("http://more:1").is_some(), "the unused ones make room");
        assert_eq!(targets.views().len(), 2);
        drop(used);
    }
}
