//! Logs and traces of a process.
//!
//! Logs go to stdout, one JSON object a line. Traces carry the W3C context always, and are exported by OTLP only when
//! an endpoint is set; without one nothing is sampled, but an incoming trace still flows on into records and calls.
//! OpenTelemetry types stay inside this module.

pub mod messaging;
pub mod trace;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;

/// Longest time that the last spans may take to leave the process.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// Longest time for one export call.
const EXPORT_LIMIT: Duration = Duration::from_secs(3);

/// What to log and where to send traces.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// Log filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// OTLP gRPC endpoint; none: no export.
    pub otlp_endpoint: Option<String>,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter does not parse.
    #[error("log filter {filter:?} is not valid")]
    Filter {
        /// The filter as configured.
        filter: String,
        /// What is wrong with it.
        #[source]
        cause: tracing_subscriber::filter::ParseError,
    },
    /// The OTLP endpoint is not usable.
    #[error("OTLP endpoint {endpoint:?} is not usable")]
    Endpoint {
        /// The endpoint as configured.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        cause: opentelemetry_otlp::ExporterBuildError,
    },
    /// The process has a subscriber already.
    #[error("telemetry is already set up")]
    Twice(#[source] TryInitError),
}

/// Keeps telemetry going; flushes when dropped.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped"]
pub struct TelemetryGuard {
    provider: SdkTracerProvider,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // The exporter needs a runtime to make progress; where there is none any more, the limit ends the wait.
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_LIMIT) {
            tracing::debug!(%error, "last spans were not exported");
        }
    }
}

impl TelemetryGuard {
    /// Sends what is left, for at most half a second, without blocking the runtime that the exporter runs on.
    pub async fn flush(self) {
        // The only failure is a panic in the exporter, which has no one left to tell.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// Sets up logs and traces of this process. With an endpoint it has to be called inside a tokio runtime.
///
/// # Errors
/// A filter or endpoint that cannot be used, or a second call.
pub fn init(service: &'static str, config: &TelemetryConfig) -> Result<TelemetryGuard, TelemetryError> {
    let filter = EnvFilter::try_new(format!("{QUIET_CLIENT},{}", config.log))
        .map_err(|cause| TelemetryError::Filter { filter: config.log.clone(), cause })?;
    let provider = tracer_provider(service, config.otlp_endpoint.as_deref())?;
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
    tracing_subscriber::registry()
        .with(log_layer(config.log_format).with_filter(filter))
        .with(traces.with_filter(traced_targets()))
        .try_init()
        .map_err(TelemetryError::Twice)?;
    Ok(TelemetryGuard { provider })
}

fn log_layer(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = tracing_subscriber::fmt::layer();
    match format {
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => layer.with_ansi(std::io::stdout().is_terminal()).boxed(),
    }
}

/// The transactional client opens a span for each record, which costs more than writing it. The configured filter can
/// ask for it again.
const QUIET_CLIENT: &str = "krafka=warn";

/// What goes into traces, whatever the log filter says. What the exporter itself does must not: each export would
/// give cause for the next; nor the client's span for each record.
fn traced_targets() -> Targets {
    let exporter = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry", "opentelemetry_sdk"];
    let silenced = exporter.map(|target| (target, LevelFilter::OFF));
    Targets::new().with_default(LevelFilter::INFO).with_target("krafka", LevelFilter::WARN).with_targets(silenced)
}

fn tracer_provider(service: &'static str, endpoint: Option<&str>) -> Result<SdkTracerProvider, TelemetryError> {
    let resource = Resource::builder().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = endpoint else {
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(provider.with_sampler(sampler).build());
    };
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_LIMIT)
        .build()
        .map_err(|cause| TelemetryError::Endpoint { endpoint: endpoint.to_owned(), cause })?;
    // The SDK's own default sampler, so that OTEL_TRACES_SAMPLER works as its users expect.
    Ok(provider.with_batch_exporter(exporter).build())
}
