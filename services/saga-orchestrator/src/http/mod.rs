//! The HTTP API: begin sagas, look at them, steer them. Verbs are letters in the inbox, so any process takes them.

mod batches;
mod breakers;
mod calls;
mod sagas;
mod steer;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::routing::{get, post};
use spina_log::{NewRecord, Publisher};
use spina_runtime::processor::Clock;
use spina_runtime::{Api, ApiError, ApiResult};
use spina_store::sagas::SagaRow;
use spina_store::{Store, StoreError};
use utoipa::OpenApi;

use crate::calls::Targets;
use crate::definitions::Shared;
use crate::wire::{Letter, Wire};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spina saga-orchestrator",
        description = "Runs sagas: long transactions over several contexts that end completed, compensated, or stuck until a \
            person acts."
    ),
    paths(
        sagas::start,
        sagas::list,
        sagas::show,
        sagas::compensation,
        steer::act,
        batches::begin,
        batches::list,
        calls::heartbeat,
        calls::done,
        calls::refused,
        breakers::list,
        breakers::reset
    )
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
    /// Where this process calls.
    pub targets: Targets,
    /// The time.
    pub clock: Clock,
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

    fn mail(&self) -> ApiResult<&Post> {
        self.post.get().ok_or_else(|| ApiError::unavailable("the brokers have not answered yet", 1))
    }

    async fn post(&self, saga: &str, letter: &Letter) -> ApiResult<()> {
        let post = self.mail()?;
        let record: NewRecord = post.wire.letter(saga, letter);
        let posted = post.publisher.publish(&record).await;
        posted.map(|_| ()).map_err(|error| ApiError::unavailable(format!("cannot post to the inbox: {error}"), 1))
    }

    async fn row(&self, id: &str) -> ApiResult<SagaRow> {
        let found = self.store()?.saga(id).await.map_err(|error| not_looked_up(&error))?;
        found.ok_or_else(|| ApiError::not_found(format!("there is no saga {id}, or it has just begun")))
    }
}

fn not_looked_up(error: &StoreError) -> ApiError {
    ApiError::unavailable(format!("cannot look it up: {error}"), 1)
}

/// Routes and their description.
pub fn api(served: Served) -> Api {
    let routes = Router::new()
        .route("/v1/sagas", get(sagas::list))
        .route("/v1/sagas/{name}", get(sagas::show).post(sagas::start))
        .route("/v1/sagas/{name}/compensation", get(sagas::compensation))
        .route("/v1/sagas/{name}/{verb}", post(steer::act))
        .route("/v1/saga-batches", get(batches::list).post(batches::begin))
        .route("/v1/saga-calls/{saga}/{step}/{direction}/{round}/heartbeat", post(calls::heartbeat))
        .route("/v1/saga-calls/{saga}/{step}/{direction}/{round}/done", post(calls::done))
        .route("/v1/saga-calls/{saga}/{step}/{direction}/{round}/refused", post(calls::refused))
        .route("/v1/breakers", get(breakers::list))
        .route("/v1/breakers/reset", post(breakers::reset))
        .with_state(served);
    Api::new(<Description as OpenApi>::openapi()).routes(routes)
}
