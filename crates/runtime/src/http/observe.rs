//! What is seen of every request: a span under the caller's trace, a count and a duration.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::request_id::current_request_id;
use crate::metrics::{Metrics, SECONDS};
use crate::telemetry::trace::TraceContext;

/// Route label of requests that no route took: paths that callers invent must not become labels.
const NO_ROUTE: &str = "none";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

/// Metrics of the HTTP server.
#[derive(Clone)]
pub(super) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
}

impl HttpMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let requests = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        metrics.register(|registry| {
            registry.register("http_requests", "HTTP requests answered", requests.clone());
            let help = "Time until the response begins";
            registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        });
        Self { requests, durations }
    }

    fn record(&self, labels: &RequestLabels, seconds: f64) {
        self.requests.get_or_create(labels).inc();
        self.durations.get_or_create(labels).observe(seconds);
    }
}

/// Runs the rest of the stack in a span and counts its outcome.
pub(super) async fn observe(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = method_label(request.method());
    let span = request_span(&request, method, &route);
    let response = next.run(request).instrument(span.clone()).await;
    let elapsed = started.elapsed();
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    span.in_scope(|| log(status, &route, elapsed.as_secs_f64() * 1e3));
    metrics.record(&RequestLabels { route, method, status: status.as_u16() }, elapsed.as_secs_f64());
    response
}

fn request_span(request: &Request, method: &'static str, route: &str) -> Span {
    let span = tracing::info_span!(
        "http",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        url.path = request.uri().path(),
        request_id = current_request_id(),
        trace_id = Empty,
        http.response.status_code = Empty,
    );
    let headers = request.headers();
    let incoming = TraceContext::from_headers(|name| headers.get(name)?.to_str().ok());
    incoming.set_as_parent_of(&span);
    if let Some(trace_id) = incoming.trace_id() {
        span.record("trace_id", trace_id);
    }
    span
}

/// Single requests are of interest only while looking for something, except those that we failed.
fn log(status: StatusCode, route: &str, elapsed_ms: f64) {
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), route, elapsed_ms, "request not served");
    } else {
        tracing::debug!(status = status.as_u16(), route, elapsed_ms, "request served");
    }
}

/// Methods that callers invent must not become labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
