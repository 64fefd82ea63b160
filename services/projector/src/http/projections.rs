//! The projections behind the models: how they are, and commands to them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use spina_runtime::{ApiJson, ApiPath, ApiResult};
use utoipa::ToSchema;

use super::Served;
use super::error::from_command;
use crate::project::{self, Command, Handle, Mark, behind, fresh};

/// A projection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Projection {
    /// Bounded context.
    context: String,
    /// Read model.
    model: String,
    /// `starting`, `running`, `waiting` (a server does not answer), `paused`, `rebuild_needed`, `failed` or `superseded`.
    state: &'static str,
    /// Token of the last records of its own context that the model includes.
    checkpoint: String,
    /// Offsets between the checkpoint and the stable end of the log, of all inputs; 0 exactly when there is nothing left to
    /// read.
    lag_records: i64,
    /// Whether the model includes everything that was committed when this was asked.
    caught_up: bool,
    /// Keys that are parked behind an event that the model cannot take; see `/v1/dead-letters`.
    parked_keys: usize,
    /// Events that are parked with them. The model does not include them.
    parked_events: i64,
    /// How far it is with each context that it reads, its own first.
    inputs: Vec<InputView>,
    /// Why it does not go on, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// The rebuild under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<Rebuild>,
}

/// How far a model is with the events of one context.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InputView {
    /// The topic of the events.
    topic: String,
    /// Token of the last records that the model includes.
    checkpoint: String,
    /// Offsets between the checkpoint and the stable end.
    lag_records: i64,
    /// When the latest event happened that the model has taken; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
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
    let mut asked = HashMap::<String, Arc<Vec<i64>>>::new();
    for (handle, all) in served.handles.all() {
        // One look at the log for each topic.
        for ends in all.iter().filter(|ends| !asked.contains_key(ends.topic())).collect::<Vec<_>>() {
            asked.insert(ends.topic().to_owned(), ends.fresh().await);
        }
        let stable: Vec<_> = all.iter().filter_map(|ends| asked.get(ends.topic()).cloned()).collect();
        projections.push(view(&handle, &stable));
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
    Ok(ApiJson(view(&handle, &fresh(&ends).await)))
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

fn view(handle: &Handle, stable: &[Arc<Vec<i64>>]) -> Projection {
    let status = handle.status();
    let marks = handle.marks();
    let is_known = |(mark, stable): (&Mark, &Arc<Vec<i64>>)| {
        !mark.next_offsets.is_empty() && mark.next_offsets.len() == stable.len()
    };
    let known = marks.len() == stable.len() && marks.iter().zip(stable).all(is_known);
    let inputs: Vec<_> = marks.iter().zip(stable).map(|(mark, stable)| view_input(mark, stable)).collect();
    let lag_records = inputs.iter().map(|input| input.lag_records).sum();
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
        checkpoint: inputs.first().map(|input| input.checkpoint.clone()).unwrap_or_default(),
        lag_records,
        caught_up: known && lag_records == 0,
        parked_keys: status.parked_keys,
        parked_events: status.parked_events,
        inputs,
        last_error,
        rebuild: status.rebuild.map(|rebuild| view_rebuild(rebuild, handle, stable)),
    }
}

fn view_input(mark: &Mark, stable: &[i64]) -> InputView {
    let known = !mark.next_offsets.is_empty() && mark.next_offsets.len() == stable.len();
    InputView {
        topic: mark.topic.clone(),
        checkpoint: mark.token().to_string(),
        lag_records: if known { behind(&mark.next_offsets, stable) } else { stable.iter().sum() },
        event_time: mark.event_time.map(|time| time.to_string()),
    }
}

fn view_rebuild(rebuild: project::Rebuild, handle: &Handle, stable: &[Arc<Vec<i64>>]) -> Rebuild {
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
    let left_of =
        |(input, stable): (usize, &Arc<Vec<i64>>)| behind(handle.inputs.part(input, &rebuild.next_offsets), stable);
    let left = stable.iter().enumerate().map(left_of).sum::<i64>();
    let running = state == "running" && rate > 0.0;
    let seconds_left = running.then(|| left as f64 / rate);
    Rebuild { state, done, total: done + left, rate, seconds_left, last_error }
}
