//! What the orchestrator counts.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use spina_core::saga::SagaEvent;
use spina_runtime::Metrics;
use spina_runtime::metrics::SECONDS;

/// What a saga has come to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// What has become of a step, in which direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    direction: &'static str,
    outcome: &'static str,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Partition {
    partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetName {
    target: String,
}

/// All metric families. Clones are one.
#[derive(Debug, Clone)]
pub struct SagaMetrics {
    sagas: Family<State, Counter>,
    steps: Family<Outcome, Counter>,
    unended: Family<Partition, Gauge>,
    timers: Family<Partition, Gauge>,
    lateness: Histogram,
    calls: Family<CallOutcome, Counter>,
    call_duration: Histogram,
    breakers: Family<TargetName, Gauge>,
}

impl SagaMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self {
            sagas: Family::default(),
            steps: Family::default(),
            unended: Family::default(),
            timers: Family::default(),
            lateness: Histogram::new(SECONDS),
            calls: Family::default(),
            call_duration: Histogram::new(SECONDS),
            breakers: Family::default(),
        };
        let ours = families.clone();
        metrics.register(move |registry| {
            registry.register("sagas", "Sagas that began, and what they came to", ours.sagas);
            registry.register("steps", "Steps and compensations by what became of them", ours.steps);
            registry.register("unended", "Sagas that have not ended", ours.unended);
            registry.register("timers_pending", "Sagas that something is due for", ours.timers);
            let help = "How long after it was due something was looked at";
            registry.register_with_unit("timer_lateness", help, Unit::Seconds, ours.lateness);
            registry.register("calls", "HTTP calls by how they ended", ours.calls);
            let help = "Time of a call, without that in which it waited for its start";
            registry.register_with_unit("call_duration", help, Unit::Seconds, ours.call_duration);
            registry.register("breaker_open", "1 while the breaker of a target is not closed", ours.breakers);
        });
        families
    }

    /// A batch is committed.
    pub fn committed(&self, tally: &Tally) {
        for (state, count) in &tally.sagas {
            self.sagas.get_or_create(&State { state }).inc_by(*count);
        }
        for ((undo, outcome), count) in &tally.steps {
            let direction = if *undo { "undo" } else { "do" };
            self.steps.get_or_create(&Outcome { direction, outcome }).inc_by(*count);
        }
        tally.late.iter().for_each(|late| self.lateness.observe(late.as_secs_f64()));
    }

    /// A call has ended after so long; it was never made if absent.
    pub fn called(&self, outcome: &'static str, took: Option<Duration>) {
        self.calls.get_or_create(&CallOutcome { outcome }).inc();
        if let Some(took) = took {
            self.call_duration.observe(took.as_secs_f64());
        }
    }

    /// The breaker of a target is closed, or is not.
    pub fn breaker(&self, target: &str, open: bool) {
        self.breakers.get_or_create(&TargetName { target: target.to_owned() }).set(i64::from(open));
    }

    /// A target is forgotten.
    pub fn forget(&self, target: &str) {
        self.breakers.remove(&TargetName { target: target.to_owned() });
    }

    /// The gauges of a partition that is served here.
    pub fn partition(&self, partition: i32) -> PartitionGauges {
        let label = Partition { partition };
        let unended = self.unended.get_or_create(&label).clone();
        let timers = self.timers.get_or_create(&label).clone();
        PartitionGauges { unended, timers }
    }
}

/// See [`SagaMetrics::partition`]. At 0 once it is served here no more.
#[derive(Debug)]
pub struct PartitionGauges {
    unended: Gauge,
    timers: Gauge,
}

impl PartitionGauges {
    /// So many sagas, so many of which something is due for.
    pub fn set(&self, unended: usize, timers: usize) {
        self.unended.set(i64::try_from(unended).unwrap_or(i64::MAX));
        self.timers.set(i64::try_from(timers).unwrap_or(i64::MAX));
    }
}

impl Drop for PartitionGauges {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}

/// What happened in a batch. It counts once the batch is committed.
#[derive(Debug, Default)]
pub struct Tally {
    sagas: Vec<(&'static str, u64)>,
    steps: Vec<((bool, &'static str), u64)>,
    late: Vec<Duration>,
}

impl Tally {
    /// Something happened.
    pub fn add(&mut self, event: &SagaEvent) {
        match event {
            SagaEvent::Started { .. } => count(&mut self.sagas, "started"),
            SagaEvent::UndoBegun { .. } => count(&mut self.sagas, "undoing"),
            SagaEvent::Completed => count(&mut self.sagas, "completed"),
            SagaEvent::Compensated => count(&mut self.sagas, "compensated"),
            SagaEvent::Stuck { .. } => count(&mut self.sagas, "stuck"),
            SagaEvent::Resolved { .. } => count(&mut self.sagas, "resolved"),
            SagaEvent::StepBegun { undo, .. } => count(&mut self.steps, (*undo, "begun")),
            SagaEvent::StepBeat { undo, .. } => count(&mut self.steps, (*undo, "heard_of")),
            SagaEvent::StepDone { undo, .. } => count(&mut self.steps, (*undo, "done")),
            SagaEvent::StepFailed { undo, retry_at: Some(_), .. } => count(&mut self.steps, (*undo, "to_be_retried")),
            SagaEvent::StepFailed { undo, retry_at: None, .. } => count(&mut self.steps, (*undo, "failed")),
            SagaEvent::StepSkipped { undo, .. } => count(&mut self.steps, (*undo, "skipped")),
            SagaEvent::Chosen { .. } | SagaEvent::EventKept { .. } | SagaEvent::Retried { .. } => {}
        }
    }

    /// Something was looked at so long after it was due.
    pub fn late(&mut self, late: Duration) {
        self.late.push(late);
    }
}

fn count<L: PartialEq>(counts: &mut Vec<(L, u64)>, label: L) {
    match counts.iter_mut().find(|(known, _)| *known == label) {
        Some((_, count)) => *count += 1,
        None => counts.push((label, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted_by_what_it_came_to() {
        let registry = Metrics::new("saga-orchestrator", "1");
        let metrics = SagaMetrics::new(&registry);
        let mut tally = Tally::default();
        let done = SagaEvent::StepDone { step: "a".into(), undo: true, outputs: Default::default() };
        [&done, &done, &SagaEvent::Compensated].into_iter().for_each(|event| tally.add(event));
        tally.late(Duration::from_millis(3));
        metrics.committed(&tally);
        metrics.called("done", Some(Duration::from_millis(7)));
        metrics.breaker("http://stub:1", true);
        let gauges = metrics.partition(3);
        gauges.set(5, 4);
        let told = |line: &str| registry.text().lines().any(|known| known == line);
        for line in [
            "spina_saga_orchestrator_steps_total{direction=\"undo\",outcome=\"done\"} 2",
            "spina_saga_orchestrator_sagas_total{state=\"compensated\"} 1",
            "spina_saga_orchestrator_timer_lateness_seconds_count 1",
            "spina_saga_orchestrator_calls_total{outcome=\"done\"} 1",
            "spina_saga_orchestrator_breaker_open{target=\"http://stub:1\"} 1",
            "spina_saga_orchestrator_unended{partition=\"3\"} 5",
            "spina_saga_orchestrator_timers_pending{partition=\"3\"} 4",
        ] {
            assert!(told(line), "{line} is missing in\n{}", registry.text());
        }
        drop(gauges);
        assert!(told("spina_saga_orchestrator_unended{partition=\"3\"} 0"));
        metrics.forget("http://stub:1");
        assert!(!registry.text().contains("stub"));
    }
}
