//! What the targets of calls say later: that they are at it, and how it ended.
//!
//! Any orchestrator takes it and posts it to the inbox, where it is decided in order with everything else.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use spina_core::saga::{AskId, Class, Input, Refusal};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiResult};
use utoipa::ToSchema;

use super::Served;
use super::sagas::Posted;
use crate::calls::answered;
use crate::wire::Letter;

/// Status that later steps see of a call that was done later.
const DONE: u16 = 200;
/// Codes that a target may give, in bytes.
const CODE_BYTES_MAX: usize = 100;

/// How a call ended that was taken for later.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallDone {
    /// What later steps see as `reply.body`.
    #[serde(default)]
    #[schema(value_type = Object)]
    body: Value,
}

/// Why a call was not done that was taken for later.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRefused {
    /// Why, for programs; a step may `accept` it.
    code: String,
    /// Why, for people.
    #[serde(default)]
    message: String,
    /// Whether the step's policy for `unavailable` targets has it tried again.
    #[serde(default)]
    again: bool,
}

/// The parts of a call's id, as they stand in its address.
type Parts = (String, String, String, u32);

/// Say that a call is under way
///
/// For a step with `heartbeat_ms` whose call was answered with 202: without this in time it is asked again, by its policy for
/// `timed_out`. The address is that of the call's header `Spina-Callback`.
#[utoipa::path(post, path = "/v1/saga-calls/{saga}/{step}/{direction}/{round}/heartbeat", tag = "calls",
    params(("saga", description = "The saga's id"), ("step", description = "The step"),
        ("direction", description = "do or undo"), ("round" = u32, description = "The round")),
    responses(
        (status = 202, description = "its saga is told", body = Posted),
        (status = 400, description = "`validation.*`"),
        (status = 503, description = "`state.unavailable`: say it again")))]
pub async fn heartbeat(
    State(served): State<Served>,
    ApiPath(parts): ApiPath<Parts>,
) -> ApiResult<(StatusCode, ApiJson<Posted>)> {
    let ask = ask(parts)?;
    tell(&served, ask.saga.clone(), Input::Beat { ask }).await
}

/// Say that a call is done
///
/// The first word on how a call ended counts.
#[utoipa::path(post, path = "/v1/saga-calls/{saga}/{step}/{direction}/{round}/done", tag = "calls",
    params(("saga", description = "The saga's id"), ("step", description = "The step"),
        ("direction", description = "do or undo"), ("round" = u32, description = "The round")),
    request_body = CallDone, responses(
        (status = 202, description = "its saga is told", body = Posted),
        (status = 400, description = "`validation.*`"),
        (status = 503, description = "`state.unavailable`: say it again")))]
pub async fn done(
    State(served): State<Served>,
    ApiPath(parts): ApiPath<Parts>,
    ApiJson(CallDone { body }): ApiJson<CallDone>,
) -> ApiResult<(StatusCode, ApiJson<Posted>)> {
    let ask = ask(parts)?;
    tell(&served, ask.saga.clone(), Input::Reply { ask, result: Ok(answered(DONE, body)) }).await
}

/// Say that a call is not done
#[utoipa::path(post, path = "/v1/saga-calls/{saga}/{step}/{direction}/{round}/refused", tag = "calls",
    params(("saga", description = "The saga's id"), ("step", description = "The step"),
        ("direction", description = "do or undo"), ("round" = u32, description = "The round")),
    request_body = CallRefused, responses(
        (status = 202, description = "its saga is told", body = Posted),
        (status = 400, description = "`validation.*`"),
        (status = 503, description = "`state.unavailable`: say it again")))]
pub async fn refused(
    State(served): State<Served>,
    ApiPath(parts): ApiPath<Parts>,
    ApiJson(CallRefused { code, message, again }): ApiJson<CallRefused>,
) -> ApiResult<(StatusCode, ApiJson<Posted>)> {
    let ask = ask(parts)?;
    if code.is_empty() || code.len() > CODE_BYTES_MAX {
        return Err(ApiError::malformed("validation.code", format!("a code has 1 to {CODE_BYTES_MAX} bytes")));
    }
    let class = if again { Class::Unavailable } else { Class::Rejected };
    tell(
        &served,
        ask.saga.clone(),
        Input::Reply { ask, result: Err(Refusal { class, code, message, doubtful: false }) },
    )
    .await
}

fn ask((saga, step, direction, round): Parts) -> ApiResult<AskId> {
    let undo = match direction.as_str() {
        "do" => false,
        "undo" => true,
        other => return Err(ApiError::malformed("validation.direction", format!("`{other}` is neither do nor undo"))),
    };
    Ok(AskId { saga, step, undo, round })
}

async fn tell(served: &Served, id: String, input: Input) -> ApiResult<(StatusCode, ApiJson<Posted>)> {
    served.post(&id, &Letter::Input(input)).await?;
    Ok((StatusCode::ACCEPTED, ApiJson(Posted { id })))
}
