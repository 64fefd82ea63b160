//! The OpenAPI 3.1 document of a service: its own paths plus those that every service has.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::OpenApi;

use crate::http::ErrorBody;

/// Paths and schemas that every service has.
#[derive(OpenApi)]
#[openapi(
    paths(crate::health::live, crate::health::ready, metrics, document),
    components(schemas(ErrorBody)),
    tags((name = "operations", description = "Health, metrics and this document"))
)]
struct Shared;

/// The document as it is served; rendered once.
#[derive(Clone)]
pub(crate) struct Document(Arc<str>);

impl Document {
    /// The service's own document with the shared paths added.
    pub(crate) fn new(own: utoipa::openapi::OpenApi) -> Self {
        let whole = own.merge_from(Shared::openapi());
        Self(whole.to_json().expect("an OpenAPI document is JSON").into())
    }
}

/// Metrics of the process in OpenMetrics text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn metrics(State(metrics): State<crate::Metrics>) -> crate::Metrics {
    metrics
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses((status = 200, body = Object)))]
pub(crate) async fn document(State(document): State<Document>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document.0.to_string())
}
