//! Beginning sagas and looking at them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use spina_core::saga::{SagaState, preview};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::sagas::{SagaQuery, SagaRow};
use utoipa::{IntoParams, ToSchema};

use super::{Served, not_looked_up};
use crate::wire::{Beginning, Letter, saga_id};

/// Sagas of a page unless the query says otherwise, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
/// Longest key of a saga, in bytes: ids of asks have it in them.
const KEY_BYTES_MAX: usize = 120;

/// A saga to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// What it is about: one saga of a definition for each key, for ever.
    key: String,
    /// What its steps see as `input`.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: Map<String, Value>,
}

/// What was posted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Posted {
    /// The saga's id.
    pub id: String,
}

/// Begin a saga
///
/// A second one with the same key is the same saga: nothing happens.
#[utoipa::path(post, path = "/v1/sagas/{name}", tag = "sagas", params(("name", description = "Definition")),
    request_body = StartRequest, responses(
        (status = 202, description = "it begins", body = Posted),
        (status = 400, description = "`validation.*`"),
        (status = 404, description = "`resource.not_found`: no such definition"),
        (status = 503, description = "`state.unavailable`: perhaps it begins; ask again with the same key")))]
pub async fn start(
    State(served): State<Served>,
    ApiPath(definition): ApiPath<String>,
    ApiJson(request): ApiJson<StartRequest>,
) -> ApiResult<(StatusCode, ApiJson<Posted>)> {
    if served.definitions.latest(&definition).is_none() {
        return Err(ApiError::not_found(format!("there is no saga definition {definition}")));
    }
    if request.key.is_empty() || request.key.len() > KEY_BYTES_MAX {
        return Err(ApiError::malformed("validation.key", format!("a key has 1 to {KEY_BYTES_MAX} bytes")));
    }
    let id = saga_id(&definition, &request.key);
    served.post(&id, &Letter::Start(Beginning { definition, key: request.key, input: request.input })).await?;
    Ok((StatusCode::ACCEPTED, ApiJson(Posted { id })))
}

/// Which sagas are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// `running`, `undoing`, `completed`, `compensated`, `stuck` or `resolved`.
    state: Option<String>,
    /// Name of the definition.
    definition: Option<String>,
    /// Sagas behind this id: the last one of the page before.
    after: Option<String>,
    /// 1 to 1000, 100 by default.
    limit: Option<u32>,
}

/// A saga.
#[derive(Debug, Serialize, ToSchema)]
pub struct SagaView {
    id: String,
    definition: String,
    version: u32,
    /// Where it is.
    state: String,
    /// When something last happened.
    #[schema(value_type = String)]
    changed_at: spina_core::Timestamp,
    /// All of it; in lists only why it is undone or stuck.
    #[schema(value_type = Object)]
    details: Value,
}

/// Some sagas.
#[derive(Debug, Serialize, ToSchema)]
pub struct SagaList {
    sagas: Vec<SagaView>,
    /// Give it back as `after` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

fn view(row: SagaRow) -> SagaView {
    let SagaRow { id, definition, version, status, changed_at, state, .. } = row;
    SagaView { id, definition, version, state: status, changed_at, details: state }
}

/// Sagas by state and definition, in the order of their ids; as they were a moment ago
#[utoipa::path(get, path = "/v1/sagas", tag = "sagas", params(ListQuery), responses(
    (status = 200, body = SagaList),
    (status = 503, description = "`state.unavailable`: no database")))]
pub async fn list(State(served): State<Served>, ApiQuery(query): ApiQuery<ListQuery>) -> ApiResult<ApiJson<SagaList>> {
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let wanted = SagaQuery { status: query.state, definition: query.definition, after: query.after, limit };
    let rows = served.store()?.sagas(&wanted).await.map_err(|error| not_looked_up(&error))?;
    let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let brief = |row: SagaRow| {
        let cause = row.state.get("cause").cloned().unwrap_or_default();
        SagaView { details: serde_json::json!({ "cause": cause }), ..view(row) }
    };
    let sagas: Vec<SagaView> = rows.into_iter().map(brief).collect();
    let after = sagas.last().map(|saga| saga.id.clone()).filter(|_| full);
    Ok(ApiJson(SagaList { sagas, after }))
}

/// One saga, as it was a moment ago
#[utoipa::path(get, path = "/v1/sagas/{name}", tag = "sagas", params(("name", description = "The saga's id")), responses(
    (status = 200, body = SagaView),
    (status = 404, description = "`resource.not_found`"),
    (status = 503, description = "`state.unavailable`: no database")))]
pub async fn show(State(served): State<Served>, ApiPath(id): ApiPath<String>) -> ApiResult<ApiJson<SagaView>> {
    served.row(&id).await.map(|row| ApiJson(view(row)))
}

/// What compensation would do now, step by step; it does nothing
///
/// Whoever would be asked is taken to do it. A step that is under way is `awaited` first: if it is done after all, it is
/// taken back too.
#[utoipa::path(get, path = "/v1/sagas/{name}/compensation", tag = "sagas",
    params(("name", description = "The saga's id")), responses(
        (status = 200, description = "`steps` in their order, each with its `fate`; and in which state it `ends`", body = Object),
        (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: it has ended, or its definition is not there any more"),
        (status = 503, description = "`state.unavailable`: no database")))]
pub async fn compensation(State(served): State<Served>, ApiPath(id): ApiPath<String>) -> ApiResult<ApiJson<Value>> {
    let row = served.row(&id).await?;
    let state: SagaState = serde_json::from_value(row.state).map_err(ApiError::internal)?;
    if state.status.is_end() {
        return Err(ApiError::conflict(format!("saga {id} has ended: it is {}", state.status.name())));
    }
    let Some(plan) = served.definitions.plan(&state.definition, state.version) else {
        let missing = format!("version {} of {} is not there any more", state.version, state.definition);
        return Err(ApiError::conflict(missing));
    };
    let preview = preview(plan, &state, (served.clock)());
    Ok(ApiJson(json!({ "id": id, "state": state.status, "steps": preview.steps, "ends": preview.ends })))
}
