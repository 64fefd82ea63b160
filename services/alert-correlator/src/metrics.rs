//! What the correlator counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use spina_runtime::Metrics;

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its command was written.
    Asked,
    /// What it is about was muted, or the rule's formulas gave no command.
    Withheld,
    /// Its command could not be written down.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Acted {
    outcome: &'static str,
}

/// All metric families. Clones are one.
#[derive(Debug, Clone)]
pub struct CorrelatorMetrics {
    actions: Family<Acted, Counter>,
}

impl CorrelatorMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self { actions: Family::default() };
        let ours = families.clone();
        metrics.register(|registry| {
            registry.register("actions", "Actions of incidents by what became of them", ours.actions);
        });
        families
    }

    /// What became of an action is committed.
    pub fn acted(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Asked => "asked",
            Outcome::Withheld => "withheld",
            Outcome::Failed => "failed",
        };
        self.actions.get_or_create(&Acted { outcome }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_counted_by_what_became_of_them() {
        let metrics = Metrics::new("alert-correlator", "1");
        let ours = CorrelatorMetrics::new(&metrics);
        [Outcome::Asked, Outcome::Withheld, Outcome::Asked].into_iter().for_each(|outcome| ours.acted(outcome));
        for line in ["{outcome=\"asked\"} 2", "{outcome=\"withheld\"} 1"] {
            let line = format!("spina_alert_correlator_actions_total{line}");
            assert!(metrics.text().lines().any(|found| found == line), "{line}: {}", metrics.text());
        }
    }
}
