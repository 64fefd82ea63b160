//! Trace context as plain text, to travel in record headers and HTTP calls.
//!
//! A consumer of single records makes the record's context the parent of its span; a consumer of batches links to
//! each record's context, since a span has one parent only.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header of the W3C trace context: version, trace id, span id, flags.
pub const TRACEPARENT: &str = "traceparent";
/// Header of the W3C vendor state that goes with it.
pub const TRACESTATE: &str = "tracestate";

/// A W3C trace context as two header values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// Value of `traceparent`; none: no trace.
    pub traceparent: Option<String>,
    /// Value of `tracestate`; none: nothing to hand on.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// The context of the span that runs now.
    #[must_use]
    pub fn current() -> Self {
        Self::of(&Span::current())
    }

    /// The context of a span; empty if the span is disabled or there is no telemetry.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        let mut headers = HashMap::new();
        TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
        Self {
            traceparent: headers.remove(TRACEPARENT),
            tracestate: headers.remove(TRACESTATE).filter(|state| !state.is_empty()),
        }
    }

    /// Reads a context through a header look-up. What is malformed counts as absent.
    #[must_use]
    pub fn from_headers<'a>(get: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        Self { traceparent: get(TRACEPARENT).map(str::to_owned), tracestate: get(TRACESTATE).map(str::to_owned) }
    }

    /// Makes this context the parent of a span that has not been entered yet; nothing happens without a context.
    pub fn set_as_parent_of(&self, span: &Span) {
        if self.traceparent.is_some() {
            // Fails only for spans that the filter has disabled or that run already: then there is no trace to join.
            let _ = span.set_parent(self.decoded());
        }
    }

    /// Links a span to this context; nothing happens without a context.
    pub fn link_from(&self, span: &Span) {
        if self.traceparent.is_some() {
            span.add_link(self.decoded().span().span_context().clone());
        }
    }

    /// The trace id, 32 hexadecimal digits, if there is a trace.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }

    fn decoded(&self) -> Context {
        let pairs = [(TRACEPARENT, &self.traceparent), (TRACESTATE, &self.tracestate)];
        let headers: HashMap<String, String> =
            pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
        // An empty base context: what runs now must not become the parent by accident.
        TraceContextPropagator::new().extract_with_context(&Context::new(), &headers)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn traced(story: impl FnOnce()) {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), story);
    }

    fn incoming(traceparent: &'static str) -> TraceContext {
        TraceContext::from_headers(|name| match name {
            TRACEPARENT => Some(traceparent),
            TRACESTATE => Some("vendor=1"),
            _ => None,
        })
    }

    #[test]
    fn the_trace_goes_on_under_a_new_span_id() {
        traced(|| {
            let span = tracing::info_span!("request");
            incoming(PARENT).set_as_parent_of(&span);
            let outgoing = span.in_scope(TraceContext::current);
            assert_eq!(outgoing.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
            assert_ne!(outgoing.traceparent.as_deref(), Some(PARENT));
            assert_eq!(outgoing.tracestate.as_deref(), Some("vendor=1"));
        });
    }

    #[test]
    fn a_link_does_not_join_the_trace() {
        traced(|| {
            let span = tracing::info_span!("batch");
            incoming(PARENT).link_from(&span);
            let outgoing = TraceContext::of(&span);
            assert!(outgoing.traceparent.is_some());
            assert_ne!(outgoing.trace_id(), incoming(PARENT).trace_id());
        });
    }

    #[test]
    fn malformed_context_starts_a_new_trace() {
        traced(|| {
            let span = tracing::info_span!("request");
            incoming("00-nonsense-01").set_as_parent_of(&span);
            assert_eq!(TraceContext::of(&span).trace_id().map(str::len), Some(32));
        });
    }

    #[test]
    fn without_telemetry_there_is_no_context() {
        assert_eq!(TraceContext::of(&Span::none()), TraceContext::default());
    }
}
