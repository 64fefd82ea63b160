//! HTTP: one way in for all services.
//!
//! ```text
//! connection (limit, header time-out) -> request id -> span and metrics -> panic guard -> body limit, time-out -> route
//! ```
//!
//! Whatever goes wrong on the way, from an unknown route to a panic, the answer has the form of [`ErrorBody`].

mod error;
mod extract;
mod limits;
mod observe;
mod request_id;
mod serve;
mod stall;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use crate::health::{self, Readiness};
use crate::metrics::Metrics;
use crate::openapi::{self, Document};

pub use error::{ApiError, ApiResult, ErrorBody};
pub use extract::{ApiJson, ApiPath, ApiQuery};
pub use limits::HttpLimits;
pub use request_id::{REQUEST_ID, current_request_id};
pub use serve::{listen, serve};
pub use stall::StallLimit;

/// The routes of a service and their description.
pub struct Api {
    routes: Router,
    streaming: Router,
    description: utoipa::openapi::OpenApi,
}

impl Api {
    /// No routes yet. The description lists the service's own paths; those of every service are added to it.
    #[must_use]
    pub fn new(description: utoipa::openapi::OpenApi) -> Self {
        Self { routes: Router::new(), streaming: Router::new(), description }
    }

    /// Adds routes that answer at once: they have a time-out and a body limit.
    #[must_use]
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Adds routes with long requests or responses, such as server-sent events and imports: no time-out, no body
    /// limit. They limit what they hold themselves, and end when `Shutdown::draining` is cancelled.
    #[must_use]
    pub fn streaming(mut self, routes: Router) -> Self {
        self.streaming = self.streaming.merge(routes);
        self
    }

    /// The whole router: the service's routes, the shared ones, and the layers around both.
    pub fn into_router(self, limits: &HttpLimits, metrics: &Metrics, readiness: &Readiness) -> Router {
        limits::limited(self.routes.merge(shared(self.description, metrics, readiness)), limits)
            .merge(limits::unlimited(self.streaming))
            .fallback(error::no_route)
            .method_not_allowed_fallback(error::no_method)
            .layer(CatchPanicLayer::custom(error::from_panic))
            .layer(from_fn_with_state(observe::HttpMetrics::new(metrics), observe::observe))
            .layer(from_fn(request_id::with_request_id))
    }
}

fn shared(description: utoipa::openapi::OpenApi, metrics: &Metrics, readiness: &Readiness) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready).with_state(readiness.clone()))
        .route("/metrics", get(openapi::metrics).with_state(metrics.clone()))
        .route("/openapi.json", get(openapi::document).with_state(Document::new(description)))
}

#[cfg(test)]
mod tests;
