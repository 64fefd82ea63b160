//! Extractors that refuse in the unified form. They take the place of axum's `Json`, `Path` and `Query`.

use std::error::Error;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A JSON body, in or out.
///
/// Refuses with `validation.json` 400 (not JSON), `validation.type` 422 (JSON of another shape, with the path of the
/// offending field), `validation.too_large` 413, `validation.content_type` 415.
#[derive(Debug, Clone, Copy)]
pub struct ApiJson<T>(pub T);

/// Parameters of the path. Refuses with `validation.path` 400.
#[derive(Debug, Clone, Copy)]
pub struct ApiPath<T>(pub T);

/// Parameters of the query. Refuses with `validation.query` 400.
#[derive(Debug, Clone, Copy)]
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Json::from_request(request, state).await.map(|Json(value)| Self(value)).map_err(json_refusal)
    }
}

impl<T: Serialize> IntoResponse for ApiJson<T> {
    fn into_response(self) -> Response {
        Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let refusal = |error: PathRejection| ApiError::malformed("validation.path", error.body_text());
        Path::from_request_parts(parts, state).await.map(|Path(value)| Self(value)).map_err(refusal)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let refusal = |error: QueryRejection| ApiError::malformed("validation.query", innermost(&error));
        Query::from_request_parts(parts, state).await.map(|Query(value)| Self(value)).map_err(refusal)
    }
}

fn json_refusal(rejection: JsonRejection) -> ApiError {
    match &rejection {
        JsonRejection::JsonDataError(error) => ApiError::invalid("validation.type", innermost(error)),
        JsonRejection::JsonSyntaxError(error) => ApiError::malformed("validation.json", innermost(error)),
        JsonRejection::MissingJsonContentType(_) => {
            let message = "send the body with Content-Type: application/json";
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "validation.content_type", message)
        }
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::too_large("the request body is larger than this server takes")
        }
        other => ApiError::malformed("validation.body", other.body_text()),
    }
}

/// The first cause with field path and place, without axum's introduction to it.
fn innermost(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
