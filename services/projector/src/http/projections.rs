//! The projections behind the models: how they are, and commands to them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use spina_runtime::{ApiJson, ApiPath, ApiResult};
use utoipa::ToSchema;

use super::Served;
use super::error::from_command;
use crate::project::{self, Command, Handle, behind};

/// A projection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Projection {
    /// Bounded context.
    context: String,
    /// Read model.
    model: String,
    /// `starting`, `running`, `waiting` (a server does not answer), `paused`, `rebuild_needed`, `failed` or `superseded`.
    state: &'static str,
    /// Token of the last records that the model includes.
    checkpoint: String,
    /// Offsets between the checkpoint and the stable end of the log; 0 exactly when there is nothing left to read.
    lag_records: i64,
    /// Whether the model includes everything that was committed when this was asked.
    caught_up: bool,
    /// Keys that are parked behind an event that the model cannot take; see `/v1/dead-letters`.
    parked_keys: usize,
    /// Events that are parked with them. The model does not include them.
    parked_events: i64,
    /// Why it does not go on, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// The rebuild under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<Rebuild>,
}

/// A rebuild.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rebuild {
    /// `waiting` for its turn, `running`, `paused`, `switching`, `done`, `cancelled` or `failed`.
    state: &'static str,
    /// Offsets passed.
    done: i64,
    /// Offsets to pass, which grows while events come in.
    total: i64,
    /// Offsets per second.
    rate: f64,
    /// Seconds left at that rate; absent while that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// All projections.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Projections {
    /// By context and model.
    projections: Vec<Projection>,
}

/// A command was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Where to look for what becomes of it.
    job: String,
}

/// All projections
#[utoipa::path(get, path = "/v1/projections", tag = "projections", responses((status = 200, body = Projections)))]
pub(super) async fn list(State(served): State<Served>) -> ApiJson<Projections> {
    let mut projections = Vec::new();
    let mut asked: Option<(String, std::sync::Arc<Vec<i64>>)> = None;
    for (handle, ends) in served.handles.all() {
        // Models are sorted by context: one look at the log for each topic.
        let stable = match &asked {
            Some((topic, stable)) if *topic == handle.topic => stable.clone(),
            Some(_) | None => ends.fresh().await,
        };
        projections.push(view(&handle, &stable));
        asked = Some((handle.topic.clone(), stable));
    }
    ApiJson(Projections { projections })
}

/// One projection
#[utoipa::path(get, path = "/v1/projections/{context}/{model}", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 200, body = Projection), (status = 404, description = "`resource.not_found`")))]
pub(super) async fn show(
    State(served): State<Served>,
    ApiPath((context, model)): ApiPath<(String, String)>,
) -> ApiResult<ApiJson<Projection>> {
    let (handle, ends) = served.model(&context, &model)?;
    Ok(ApiJson(view(&handle, &ends.fresh().await)))
}

/// Rebuild a model from the start of the log
///
/// A shadow table is filled beside the live one, compared with it (see `comparison`), and takes its place in one step when it
/// has caught up. The former table stays for a `roll-back` until the next rebuild or `drop-old`. An event that the model
/// cannot take ends the rebuild, unless a person has decided about it; the live table stays then.
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/rebuild", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: a rebuild is under way, or the model is paused")))]
pub(super) async fn rebuild(
    State(served): State<Served>,
    path: ApiPath<(String, String)>,
) -> ApiResult<(StatusCode, ApiJson<Accepted>)> {
    command(&served, path, Command::Rebuild).await
}

/// Stop reading events
///
/// The model can still be read. It stays paused over restarts.
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/pause", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted), (status = 404, description = "`resource.not_found`"), (status = 409, description = "`state.conflict`")))]
pub(super) async fn pause(
    State(served): State<Served>,
    path: ApiPath<(String, String)>,
) -> ApiResult<(StatusCode, ApiJson<Accepted>)> {
    command(&served, path, Command::Pause).await
}

/// Go on reading events
///
/// After a pause, and after a failure whose cause was mended.
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/resume", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted), (status = 404, description = "`resource.not_found`"), (status = 409, description = "`state.conflict`")))]
pub(super) async fn resume(
    State(served): State<Served>,
    path: ApiPath<(String, String)>,
) -> ApiResult<(StatusCode, ApiJson<Accepted>)> {
    command(&served, path, Command::Resume).await
}

pub(super) async fn command(
    served: &Served,
    ApiPath((context, model)): ApiPath<(String, String)>,
    command: Command,
) -> ApiResult<(StatusCode, ApiJson<Accepted>)> {
    let (handle, _) = served.model(&context, &model)?;
    handle.command(command).await.map_err(from_command)?;
    let job = format!("/v1/projections/{context}/{model}");
    Ok((StatusCode::ACCEPTED, ApiJson(Accepted { job })))
}

fn view(handle: &Handle, stable: &[i64]) -> Projection {
    let status = handle.status();
    let next_offsets = handle.next_offsets();
    let known = !next_offsets.is_empty() && next_offsets.len() == stable.len();
    let lag_records = if known { behind(&next_offsets, stable) } else { stable.iter().sum() };
    let (state, last_error) = match status.state {
        project::State::Starting => ("starting", None),
        project::State::Running => ("running", None),
        project::State::Waiting(cause) => ("waiting", Some(cause)),
        project::State::Paused => ("paused", None),
        project::State::RebuildNeeded(cause) => ("rebuild_needed", Some(cause)),
        project::State::Failed(cause) => ("failed", Some(cause)),
        project::State::Superseded => ("superseded", None),
    };
    Projection {
        context: handle.name.context.to_string(),
        model: handle.name.model.clone(),
        state,
        checkpoint: handle.token().to_string(),
        lag_records,
        caught_up: known && lag_records == 0,
        parked_keys: status.parked_keys,
        parked_events: status.parked_events,
        last_error,
        rebuild: status.rebuild.map(|rebuild| view_rebuild(rebuild, stable)),
    }
}

fn view_rebuild(rebuild: project::Rebuild, stable: &[i64]) -> Rebuild {
    let (state, last_error) = match rebuild.state {
        project::RebuildState::Waiting => ("waiting", None),
        project::RebuildState::Running => ("running", None),
        project::RebuildState::Paused => ("paused", None),
        project::RebuildState::Cancelled => ("cancelled", None),
        project::RebuildState::Switching => ("switching", None),
        project::RebuildState::Done => ("done", None),
        project::RebuildState::Failed(cause) => ("failed", Some(cause)),
    };
    let done: i64 = rebuild.next_offsets.iter().sum();
    let (passed, time) = rebuild.pace;
    let rate = if time.is_zero() { 0.0 } else { passed as f64 / time.as_secs_f64() };
    let left = behind(&rebuild.next_offsets, stable);
    let running = state == "running" && rate > 0.0;
    let seconds_left = running.then(|| left as f64 / rate);
    Rebuild { state, done, total: done + left, rate, seconds_left, last_error }
}
