//! The one form in which an HTTP request is refused.

use std::any::Any;
use std::borrow::Cow;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::request_id::current_request_id;
use crate::tasks::panic_text;

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

/// Body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Stable name of what went wrong, such as `resource.not_found`, or a domain rule's own code.
    pub error_code: String,
    /// What went wrong and what to do about it, for people.
    pub message: String,
    /// More about it, for programs; its shape depends on the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
    /// The request's id, also in the `x-request-id` header and in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error_code}: {message}")]
pub struct ApiError {
    status: StatusCode,
    error_code: Cow<'static, str>,
    message: String,
    details: Option<Value>,
    retry_after_s: Option<u64>,
}

impl ApiError {
    /// Any status and code; the named constructors below say what is meant more clearly.
    pub fn new(status: StatusCode, error_code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let (error_code, message) = (error_code.into(), message.into());
        Self { status, error_code, message, details: None, retry_after_s: None }
    }

    /// 400: the request cannot be read. The code begins with `validation.`.
    pub fn malformed(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error_code, message)
    }

    /// 422: the request can be read, but what it says is not valid. The code begins with `validation.`.
    pub fn invalid(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error_code, message)
    }

    /// 422: the domain says no, with the code of its rule.
    pub fn rejected(rule_code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, rule_code.into(), message)
    }

    /// 413 `validation.too_large`.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "validation.too_large", message)
    }

    /// 401 `auth.unauthenticated`: the caller did not say who it is, or not credibly.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "auth.unauthenticated", message)
    }

    /// 403 `auth.forbidden`: the caller may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "auth.forbidden", message)
    }

    /// 404 `resource.not_found`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "resource.not_found", message)
    }

    /// 409 `state.conflict`: the world is not as the caller expected.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "state.conflict", message)
    }

    /// 429 `rate_limit.exceeded`: come back after so many seconds.
    pub fn rate_limited(message: impl Into<String>, retry_after_s: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit.exceeded", message).retry_after(retry_after_s)
    }

    /// 503 `state.unavailable`: nothing was done; come back after so many seconds.
    pub fn unavailable(message: impl Into<String>, retry_after_s: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "state.unavailable", message).retry_after(retry_after_s)
    }

    /// 504 `state.unknown`: it may or may not have been done; repeat with the same Idempotency-Key.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "state.unknown", message)
    }

    /// 500 `internal.error`. The cause goes to the log, here and once; the caller gets the request id.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let cause = cause.into();
        tracing::error!(error = format!("{cause:#}"), request_id = current_request_id(), "request failed");
        Self::internal_logged()
    }

    /// Adds details for programs.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Value>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable name of what went wrong.
    #[must_use]
    pub fn error_code(&self) -> &str {
        &self.error_code
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    fn internal_logged() -> Self {
        let message = "something went wrong on our side; the log tells more under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal.error", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error_code: self.error_code.into_owned(),
            message: self.message,
            details: self.details,
            request_id: current_request_id(),
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Answer to a path that no route has.
pub(super) async fn no_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no {}; see /openapi.json", uri.path()))
}

/// Answer to a method that the route does not have; the `Allow` header lists those it has.
pub(super) async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}; see /openapi.json", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "validation.method", message)
}

/// Answer to a request whose handler panicked.
pub(super) fn from_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let error = panic_text(panic.as_ref());
    tracing::error!(error, request_id = current_request_id(), "request panicked");
    ApiError::internal_logged().into_response()
}
