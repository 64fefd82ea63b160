//! What the projector counts, per model.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use spina_runtime::Metrics;
use spina_runtime::metrics::SECONDS;
use spina_store::read_model::ModelName;

/// A model as metric labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    context: String,
    model: String,
}

/// All metric families.
#[derive(Debug, Clone)]
pub struct ProjectorMetrics {
    records: Family<Label, Counter>,
    rows: Family<Label, Counter>,
    batches: Family<Label, Histogram, fn() -> Histogram>,
    lag: Family<Label, Gauge>,
    failed: Family<Label, Gauge>,
    parked_keys: Family<Label, Gauge>,
    parked_events: Family<Label, Gauge>,
    rebuild_done: Family<Label, Gauge>,
    rebuild_total: Family<Label, Gauge>,
    told: Family<Label, Counter>,
    topic_silent: Family<Label, Gauge>,
    audited: Family<Label, Counter>,
    drifted: Family<Label, Gauge>,
    mended: Family<Label, Counter>,
}

/// The metrics of one model.
#[derive(Debug, Clone)]
pub struct ModelMetrics {
    /// Records read, those the model does not look at too.
    pub records: Counter,
    /// Rows written, after coalescing.
    pub rows: Counter,
    /// Time from the start of a batch's transaction to its commit.
    pub batches: Histogram,
    /// Records behind the stable end of the log.
    pub lag: Gauge,
    /// 1 while the model is stopped by an error.
    pub failed: Gauge,
    /// Keys that wait for a person.
    pub parked_keys: Gauge,
    /// Events that wait with them.
    pub parked_events: Gauge,
    /// Offsets that the rebuild has passed.
    pub rebuild_done: Gauge,
    /// Offsets that the rebuild has to pass.
    pub rebuild_total: Gauge,
    /// Records written to the model's topic.
    pub told: Counter,
    /// 1 while the model's topic cannot be written.
    pub topic_silent: Gauge,
    /// Rows that audits compared with the log.
    pub audited_rows: Counter,
    /// Rows that the last audit found to be not what the log says.
    pub drifted_rows: Gauge,
    /// Rows that were replaced because of that.
    pub mended_rows: Counter,
}

impl ProjectorMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self {
            records: Family::default(),
            rows: Family::default(),
            batches: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            lag: Family::default(),
            failed: Family::default(),
            parked_keys: Family::default(),
            parked_events: Family::default(),
            rebuild_done: Family::default(),
            rebuild_total: Family::default(),
            told: Family::default(),
            topic_silent: Family::default(),
            audited: Family::default(),
            drifted: Family::default(),
            mended: Family::default(),
        };
        let registered = families.clone();
        metrics.register(move |registry| {
            registry.register("records", "Records read", registered.records);
            registry.register("rows", "Rows written after coalescing", registered.rows);
            registry.register_with_unit(
                "batch_duration",
                "Time of a batch's transaction",
                Unit::Seconds,
                registered.batches,
            );
            registry.register("lag_records", "Records behind the stable end of the log", registered.lag);
            registry.register("failed", "1 while the model is stopped by an error", registered.failed);
            registry.register(
                "parked_keys",
                "Keys parked behind an event that the model cannot take",
                registered.parked_keys,
            );
            registry.register("parked_events", "Events parked with them", registered.parked_events);
            registry.register("rebuild_done", "Offsets that the rebuild has passed", registered.rebuild_done);
            registry.register("rebuild_total", "Offsets that the rebuild has to pass", registered.rebuild_total);
            registry.register("topic_records", "Records written to the model's topic", registered.told);
            registry.register("topic_silent", "1 while the model's topic cannot be written", registered.topic_silent);
            registry.register("audited_rows", "Rows compared with the log", registered.audited);
            registry.register(
                "drifted_rows",
                "Rows that the last audit found to differ from the log",
                registered.drifted,
            );
            registry.register("mended_rows", "Rows replaced by what the log says", registered.mended);
        });
        families
    }

    /// The metrics of a model.
    pub fn of(&self, name: &ModelName) -> ModelMetrics {
        let label = Label { context: name.context.to_string(), model: name.model.clone() };
        ModelMetrics {
            records: self.records.get_or_create(&label).clone(),
            rows: self.rows.get_or_create(&label).clone(),
            batches: self.batches.get_or_create(&label).clone(),
            lag: self.lag.get_or_create(&label).clone(),
            failed: self.failed.get_or_create(&label).clone(),
            parked_keys: self.parked_keys.get_or_create(&label).clone(),
            parked_events: self.parked_events.get_or_create(&label).clone(),
            rebuild_done: self.rebuild_done.get_or_create(&label).clone(),
            rebuild_total: self.rebuild_total.get_or_create(&label).clone(),
            told: self.told.get_or_create(&label).clone(),
            topic_silent: self.topic_silent.get_or_create(&label).clone(),
            audited_rows: self.audited.get_or_create(&label).clone(),
            drifted_rows: self.drifted.get_or_create(&label).clone(),
            mended_rows: self.mended.get_or_create(&label).clone(),
        }
    }
}
