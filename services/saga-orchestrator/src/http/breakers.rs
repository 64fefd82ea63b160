//! The breakers of the targets that this process calls.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use spina_core::Timestamp;
use spina_core::target::Position;
use spina_runtime::{ApiError, ApiJson, ApiResult};
use tracing::info;
use utoipa::ToSchema;

use super::Served;
use crate::calls::TargetView;

/// A target of calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerView {
    /// `http://host:port`.
    target: String,
    /// `closed`, `open` or `half-open`.
    state: &'static str,
    /// Until then nobody calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    open_until: Option<Timestamp>,
    /// Different calls that have failed since one succeeded.
    failures: usize,
    /// By how much failures have slowed its calls down: from 1, not at all, to 16.
    slowed_by: u32,
    /// Calls under way.
    in_flight: usize,
    /// Calls that wait for their start.
    waiting: usize,
}

/// All of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerList {
    breakers: Vec<BreakerView>,
}

fn view(of: TargetView) -> BreakerView {
    let TargetView { target, position, failures, slowed_by, in_flight, waiting } = of;
    let open_until = match position {
        Position::Open { until } => Some(until),
        Position::Closed | Position::HalfOpen => None,
    };
    BreakerView { target, state: position.name(), open_until, failures, slowed_by, in_flight, waiting }
}

/// The targets of calls and their breakers, as this process sees them
#[utoipa::path(get, path = "/v1/breakers", tag = "breakers", responses((status = 200, body = BreakerList)))]
pub async fn list(State(served): State<Served>) -> ApiJson<BreakerList> {
    ApiJson(BreakerList { breakers: served.targets.views().into_iter().map(view).collect() })
}

/// Which one, who, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    /// The target, such as `http://host:port`.
    target: String,
    /// Who. It is logged.
    by: String,
    /// Why. It is logged.
    reason: String,
}

/// Close the breaker of a target: calls that wait for it go out
#[utoipa::path(post, path = "/v1/breakers/reset", tag = "breakers", request_body = ResetRequest, responses(
    (status = 200, description = "all breakers, with this one closed", body = BreakerList),
    (status = 404, description = "`resource.not_found`: this process has not called it")))]
pub async fn reset(
    State(served): State<Served>,
    ApiJson(request): ApiJson<ResetRequest>,
) -> ApiResult<ApiJson<BreakerList>> {
    let ResetRequest { target, by, reason } = request;
    if !served.targets.reset(&target) {
        return Err(ApiError::not_found(format!("this process has not called {target}; see /v1/breakers")));
    }
    info!(target_name = target, by, reason, "the breaker of a target was reset");
    Ok(list(State(served)).await)
}
