//! What the correlator counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use spina_runtime::Metrics;

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
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
    outcome: Outcome,
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
        self.actions.get_or_create(&Acted { outcome }).inc();
    }
}
