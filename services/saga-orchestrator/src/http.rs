//! The HTTP API: begin sagas, look at them, steer them. Verbs are letters in the inbox, so any process takes them.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_core::saga::{Input, Verb};
use spina_log::{NewRecord, Publisher};
use spina_runtime::{Api, ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::Store;
use spina_store::sagas::{SagaQuery, SagaRow};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::definitions::Shared;
use crate::wire::{Letter, Wire, saga_id};

/// Sagas of a page unless the query says otherwise, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
/// Longest key of a saga, in bytes: ids of asks have it in them.
const KEY_BYTES_MAX: usize = 120;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spina saga-orchestrator",
        description = "Runs sagas: long transactions over several contexts that end completed, compensated, or stuck until a \
            person acts."
    ),
    paths(start, list, show, act)
)]
struct Description;

/// What handlers work with.
#[derive(Clone)]
pub struct Served {
    /// The sagas.
    pub definitions: Shared,
    /// Empty until the database has answered for the first time.
    pub store: Arc<OnceLock<Store>>,
    /// Empty until brokers and registry have.
    pub post: Arc<OnceLock<Post>>,
}

/// Where letters are posted.
pub struct Post {
    /// How they are written.
    pub wire: Arc<Wire>,
    /// Publishes them.
    pub publisher: Publisher,
}

impl Served {
    fn store(&self) -> ApiResult<&Store> {
        self.store.get().ok_or_else(|| ApiError::unavailable("the database has not answered yet", 1))
    }

    async fn post(&self, saga: &str, letter: &Letter) -> ApiResult<()> {
        let post = self.post.get().ok_or_else(|| ApiError::unavailable("the brokers have not answered yet", 1))?;
        let record: NewRecord = post.wire.letter(saga, letter);
        let posted = post.publisher.publish(&record).await;
        posted.map(|_| ()).map_err(|error| ApiError::unavailable(format!("cannot post to the inbox: {error}"), 1))
    }

    async fn row(&self, id: &str) -> ApiResult<SagaRow> {
        let found = self.store()?.saga(id).await;
        let found = found.map_err(|error| ApiError::unavailable(format!("cannot look it up: {error}"), 1))?;
        found.ok_or_else(|| ApiError::not_found(format!("there is no saga {id}, or it has just begun")))
    }
}

/// Routes and their description.
pub fn api(served: Served) -> Api {
    let routes = Router::new()
        .route("/v1/sagas", get(list))
        .route("/v1/sagas/{name}", get(show).post(start))
        .route("/v1/sagas/{name}/{verb}", post(act))
        .with_state(served);
    Api::new(Description::openapi()).routes(routes)
}

/// A saga to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartRequest {
    /// What it is about: one saga of a definition for each key, for ever.
    key: String,
    /// What its steps see as `input`.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: Map<String, Value>,
}

/// What was posted.
#[derive(Debug, Serialize, ToSchema)]
struct Posted {
    /// The saga's id.
    id: String,
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
async fn start(
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
    served.post(&id, &Letter::Start { definition, key: request.key, input: request.input }).await?;
    Ok((StatusCode::ACCEPTED, ApiJson(Posted { id })))
}

/// Which sagas are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
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
struct SagaView {
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
struct SagaList {
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
async fn list(State(served): State<Served>, ApiQuery(query): ApiQuery<ListQuery>) -> ApiResult<ApiJson<SagaList>> {
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let wanted = SagaQuery { status: query.state, definition: query.definition, after: query.after, limit };
    let rows = served.store()?.sagas(&wanted).await;
    let rows = rows.map_err(|error| ApiError::unavailable(format!("cannot look them up: {error}"), 1))?;
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
async fn show(State(served): State<Served>, ApiPath(id): ApiPath<String>) -> ApiResult<ApiJson<SagaView>> {
    served.row(&id).await.map(|row| ApiJson(view(row)))
}

/// Who wants it, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerbRequest {
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
async fn act(
    State(served): State<Served>,
    ApiPath((id, verb)): ApiPath<(String, String)>,
    ApiJson(request): ApiJson<VerbRequest>,
) -> ApiResult<(StatusCode, ApiJson<Posted>)> {
    let verb = match (verb.as_str(), request.step) {
        ("retry", None) => Verb::Retry,
        ("compensate" | "cancel", None) => Verb::Compensate,
        ("resolve", None) => Verb::Resolve,
        ("skip", Some(step)) => Verb::Skip { step },
        ("skip", None) => return Err(ApiError::malformed("validation.step", "name the `step` to skip")),
        ("retry" | "compensate" | "cancel" | "resolve", Some(_)) => {
            return Err(ApiError::malformed("validation.step", "only `skip` takes a `step`"));
        }
        (other, _) => {
            let known = "retry, compensate, cancel, skip and resolve";
            return Err(ApiError::not_found(format!("a saga has no verb {other}; it has {known}")));
        }
    };
    let row = served.row(&id).await?;
    if ["completed", "compensated", "resolved"].contains(&row.status.as_str()) {
        return Err(ApiError::conflict(format!("saga {id} has ended: it is {}", row.status)));
    }
    let input = Input::Verb { verb, by: request.by, reason: request.reason };
    served.post(&id, &Letter::Input(input)).await?;
    Ok((StatusCode::ACCEPTED, ApiJson(Posted { id })))
}
