//! Replay jobs: asking for them, seeing how far they are, steering them.

mod ask;
mod view;

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::jobs::{JOBS_LIST_MAX, Job, Steering};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Served;
use super::error::from_store;
pub(super) use ask::{__path_ask, ask};
use view::{JobView, WholeJob};

/// Jobs of a page unless the query says otherwise.
const LIMIT: u32 = 100;
/// Longest reason and name that are kept, in characters.
const WORDS_CHARS_MAX: usize = 1000;
/// How long a verb waits for the process that works on the job; it looks up twice a second.
const LET_GO_MAX: Duration = Duration::from_secs(5);
/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only `running`, `paused`, `cancelled`, `done` or `failed` ones.
    state: Option<String>,
    /// 1 to 1000, 100 by default.
    limit: Option<u32>,
    /// Where the page begins: `cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Uuid>,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Jobs {
    /// The latest first.
    jobs: Vec<JobView>,
    /// Give it back as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cursor: Option<Uuid>,
}

/// Who does it, and why. Kept with the job.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// Why.
    #[serde(default)]
    reason: String,
    /// Who.
    #[serde(default)]
    by: String,
}

/// Replay jobs
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(Which),
    responses((status = 200, body = Jobs), (status = 400, description = "`validation.query`")))]
pub(super) async fn list(State(served): State<Served>, ApiQuery(which): ApiQuery<Which>) -> ApiResult<ApiJson<Jobs>> {
    let limit = which.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > JOBS_LIST_MAX {
        return Err(ApiError::malformed("validation.query", format!("limit is 1 to {JOBS_LIST_MAX}")));
    }
    let found = served.store()?.jobs(which.state.as_deref(), which.cursor, limit).await.map_err(from_store)?;
    let cursor = found.last().filter(|_| found.len() == limit as usize).map(|job| job.id);
    Ok(ApiJson(Jobs { jobs: found.into_iter().map(JobView::from).collect(), cursor }))
}

/// A job with all that was done with it
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id", description = "Its id")),
    responses((status = 200, body = WholeJob), (status = 404, description = "`resource.not_found`")))]
pub(super) async fn show(State(served): State<Served>, ApiPath(id): ApiPath<Uuid>) -> ApiResult<ApiJson<WholeJob>> {
    let job = find(&served, id).await?;
    let entries = served.store()?.job_log(id).await.map_err(from_store)?;
    Ok(ApiJson(WholeJob::of(job, entries)))
}

/// Let a job rest
///
/// Once this is answered nothing more is written, unless the process that works on it does not answer: then within 10 s.
#[utoipa::path(post, path = "/v1/jobs/{id}/pause", tag = "jobs", request_body = Why,
    params(("id", description = "Its id")),
    responses((status = 200, body = JobView), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: it is not running")))]
pub(super) async fn pause(served: State<Served>, id: ApiPath<Uuid>, why: ApiJson<Why>) -> ApiResult<ApiJson<JobView>> {
    steer(served, id, why, Steering::Pause).await
}

/// Go on with a job that was paused, or that failed
#[utoipa::path(post, path = "/v1/jobs/{id}/resume", tag = "jobs", request_body = Why,
    params(("id", description = "Its id")),
    responses((status = 200, body = JobView), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: it is neither paused nor failed")))]
pub(super) async fn resume(served: State<Served>, id: ApiPath<Uuid>, why: ApiJson<Why>) -> ApiResult<ApiJson<JobView>> {
    steer(served, id, why, Steering::Resume).await
}

/// Give a job up
///
/// What it has written stays.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", request_body = Why,
    params(("id", description = "Its id")),
    responses((status = 200, body = JobView), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: it has ended")))]
pub(super) async fn cancel(served: State<Served>, id: ApiPath<Uuid>, why: ApiJson<Why>) -> ApiResult<ApiJson<JobView>> {
    steer(served, id, why, Steering::Cancel).await
}

async fn steer(
    State(served): State<Served>,
    ApiPath(id): ApiPath<Uuid>,
    ApiJson(why): ApiJson<Why>,
    steering: Steering,
) -> ApiResult<ApiJson<JobView>> {
    let (by, reason) = (words(&why.by), words(&why.reason));
    let changed = served.store()?.steer_job(id, steering, &by, &reason).await.map_err(from_store)?;
    let mut job = find(&served, id).await?;
    if !changed {
        return Err(ApiError::conflict(format!("the job is {}", job.state.name())));
    }
    let deadline = Instant::now() + LET_GO_MAX;
    while steering != Steering::Resume && job.in_hand && Instant::now() < deadline {
        tokio::time::sleep(LOOK_PAUSE).await;
        job = find(&served, id).await?;
    }
    Ok(ApiJson(job.into()))
}

async fn find(served: &Served, id: Uuid) -> ApiResult<Job> {
    let found = served.store()?.job(id).await.map_err(from_store)?;
    found.ok_or_else(|| ApiError::not_found(format!("there is no job {id}; see /v1/jobs")))
}

/// Words of a person as they are kept: PostgreSQL knows no U+0000.
fn words(text: &str) -> String {
    text.chars().filter(|char| *char != '\0').take(WORDS_CHARS_MAX).collect()
}
