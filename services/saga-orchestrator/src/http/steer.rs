//! Steering a saga.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use spina_core::saga::{Input, Verb};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiResult};
use utoipa::ToSchema;

use super::Served;
use super::sagas::Posted;
use crate::wire::Letter;

/// Who wants it, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerbRequest {
    /// Who. It is written into the saga's log.
    by: String,
    /// Why. It is written into the saga's log.
    reason: String,
    /// The step, for `skip`.
    step: Option<String>,
}

/// Steer a saga
///
/// `retry` tries at once what waits, or what it is stuck on; `compensate` (or `cancel`) takes it back; `skip` goes on as if
/// a step were done, or undone; `resolve` ends it: a person has done what was to be done.
#[utoipa::path(post, path = "/v1/sagas/{name}/{verb}", tag = "sagas",
    params(("name", description = "The saga's id"), ("verb", description = "retry, compensate, cancel, skip or resolve")),
    request_body = VerbRequest, responses(
        (status = 202, description = "it is told; what comes of it is in its log", body = Posted),
        (status = 400, description = "`validation.*`"),
        (status = 404, description = "`resource.not_found`: no such saga, no such verb"),
        (status = 409, description = "`state.conflict`: it has ended"),
        (status = 503, description = "`state.unavailable`")))]
pub async fn act(
    State(served): State<Served>,
    ApiPath((id, verb)): ApiPath<(String, String)>,
    ApiJson(request): ApiJson<VerbRequest>,
) -> ApiResult<(StatusCode, ApiJson<Posted>)> {
    let verb = verb_of(&verb, request.step)?;
    let row = served.row(&id).await?;
    if ["completed", "compensated", "resolved"].contains(&row.status.as_str()) {
        return Err(ApiError::conflict(format!("saga {id} has ended: it is {}", row.status)));
    }
    let input = Input::Verb { verb, by: request.by, reason: request.reason };
    served.post(&id, &Letter::Input(input)).await?;
    Ok((StatusCode::ACCEPTED, ApiJson(Posted { id })))
}

/// The verb of that name, for that step if it takes one.
pub fn verb_of(name: &str, step: Option<String>) -> ApiResult<Verb> {
    match (name, step) {
        ("retry", None) => Ok(Verb::Retry),
        ("compensate" | "cancel", None) => Ok(Verb::Compensate),
        ("resolve", None) => Ok(Verb::Resolve),
        ("skip", Some(step)) => Ok(Verb::Skip { step }),
        ("skip", None) => Err(ApiError::malformed("validation.step", "name the `step` to skip")),
        ("retry" | "compensate" | "cancel" | "resolve", Some(_)) => {
            Err(ApiError::malformed("validation.step", "only `skip` takes a `step`"))
        }
        (other, _) => {
            let known = "retry, compensate, cancel, skip and resolve";
            Err(ApiError::not_found(format!("a saga has no verb {other}; it has {known}")))
        }
    }
}
