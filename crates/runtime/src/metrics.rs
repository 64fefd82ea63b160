//! Metrics: one registry per process, shown at `/metrics` in OpenMetrics text.
//!
//! Names are `spina_<service>_<noun>_<unit>[_total]`. The registry adds the prefix, the unit and `_total`, so callers
//! give the noun only. Ids of streams, sagas or requests are never labels.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds in seconds for durations from a local append to a slow query.
pub const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Media type of the OpenMetrics text format, version 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process's metric registry. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// A registry with the service's prefix, holding `spina_<service>_build_info{version}`.
    #[must_use]
    pub fn new(service: &str, version: &str) -> Self {
        let mut registry = Registry::with_prefix(format!("spina_{}", service.replace('-', "_")));
        let build = Info::new(vec![("version", version.to_owned())]);
        registry.register("build", "Version of the running binary", build);
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Registers metrics of any kind, such as families with labels.
    pub fn register<R>(&self, with: impl FnOnce(&mut Registry) -> R) -> R {
        with(&mut self.lock())
    }

    /// A counter, shown as `<noun>_total`.
    #[must_use]
    pub fn counter(&self, noun: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.lock().register(noun, help, counter.clone());
        counter
    }

    /// A gauge of whole numbers.
    #[must_use]
    pub fn gauge(&self, noun: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.lock().register(noun, help, gauge.clone());
        gauge
    }

    /// A histogram of durations in seconds over [`SECONDS`], shown as `<noun>_seconds`.
    #[must_use]
    pub fn durations(&self, noun: &str, help: &str) -> Histogram {
        let histogram = Histogram::new(SECONDS);
        self.lock().register_with_unit(noun, help, Unit::Seconds, histogram.clone());
        histogram
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.lock()).expect("a string takes any text");
        text
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IntoResponse for Metrics {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, OPEN_METRICS)], self.text()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_prefix_unit_and_suffix() {
        let metrics = Metrics::new("event-store", "1.2.3");
        metrics.counter("appends", "Appends answered").inc();
        metrics.durations("append_duration", "Time from request to answer").observe(0.003);
        let text = metrics.text();
        for line in [
            "spina_event_store_build_info{version=\"1.2.3\"} 1",
            "spina_event_store_appends_total 1",
            "spina_event_store_append_duration_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
