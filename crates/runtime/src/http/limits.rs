//! Limits of a request: how large, how long.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{RequestExt, Router};

use super::error::ApiError;

/// Limits of the HTTP server.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Longest time until a response begins, reading the body included.
    pub timeout: Duration,
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
    /// Most connections open at once.
    pub connections_max: usize,
    /// Longest time that a client may take nothing of a response that waits for it.
    pub stall: Duration,
}

/// Routes with time-out and body limit.
pub(super) fn limited(routes: Router, limits: &HttpLimits) -> Router {
    routes
        .layer(from_fn_with_state(limits.timeout, end_in_time))
        .layer(from_fn(limit_body))
        .layer(DefaultBodyLimit::max(limits.body_bytes_max))
}

/// Routes that look after themselves.
pub(super) fn unlimited(routes: Router) -> Router {
    routes.layer(DefaultBodyLimit::disable())
}

/// `DefaultBodyLimit` alone binds only axum's extractors; this binds handlers that read the raw body, too.
async fn limit_body(request: Request, next: Next) -> Response {
    next.run(request.with_limited_body().map(Body::new)).await
}

async fn end_in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => late(limit, reading).into_response(),
    }
}

/// A read that took too long did nothing; a write may have done it.
fn late(limit: Duration, reading: bool) -> ApiError {
    let seconds = limit.as_secs_f64();
    if reading {
        ApiError::unavailable(format!("no answer within {seconds} s"), 1)
    } else {
        let hint = "it may still be carried out; repeat with the same Idempotency-Key";
        ApiError::unknown(format!("no answer within {seconds} s; {hint}"))
    }
}
