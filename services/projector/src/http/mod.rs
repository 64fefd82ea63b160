//! The HTTP API: read models, and the projections that fill them.

mod audits;
mod changes;
mod children;
mod dead_letters;
mod described;
mod error;
mod jobs;
mod models;
mod projections;
mod rebuilds;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::routing::{get, post};
use spina_codec::catalog::SchemaCache;
use spina_core::ContextName;
use spina_log::Admin;
use spina_runtime::{Api, ApiError, ApiResult};
use spina_store::Store;
use spina_store::read_model::ModelName;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use crate::project::{Ends, Handle, Handles};
pub use described::describe;

/// Most clients that follow changes at a time.
const FOLLOWERS_MAX: usize = 256;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spina projector",
        description = "Serves read models, and shows and steers the projections that fill them. A model reads the events \
            of its context, and of others that it names, exactly once; `after` waits until it includes what an append's token names. Jobs replay events \
            to a topic or an HTTP endpoint."
    ),
    paths(
        models::get_row,
        models::list_rows,
        children::list_children,
        changes::follow,
        projections::list,
        projections::show,
        projections::rebuild,
        projections::pause,
        projections::resume,
        audits::audit,
        rebuilds::pause,
        rebuilds::resume,
        rebuilds::cancel,
        rebuilds::comparison,
        rebuilds::roll_back,
        rebuilds::drop_old,
        dead_letters::list,
        dead_letters::show,
        dead_letters::retry,
        dead_letters::skip,
        dead_letters::edit,
        dead_letters::drop_key,
        dead_letters::redrive,
        jobs::list,
        jobs::ask,
        jobs::show,
        jobs::pause,
        jobs::resume,
        jobs::cancel
    )
)]
struct Description;

/// What handlers work with.
#[derive(Clone)]
pub struct Served {
    handles: Handles,
    /// Empty until the servers have answered for the first time.
    behind: Arc<OnceLock<Behind>>,
    /// As many as may follow changes at a time.
    followers: Arc<Semaphore>,
    draining: CancellationToken,
}

/// The servers behind the API.
#[derive(Clone)]
pub struct Behind {
    /// The database.
    pub store: Store,
    /// Schemas by id.
    pub schemas: SchemaCache,
    /// The brokers.
    pub admin: Arc<Admin>,
    /// The contexts that are declared.
    pub contexts: Vec<ContextName>,
    /// The topics that they publish.
    pub published: Vec<String>,
}

impl Served {
    /// A model by the names in the path.
    fn model(&self, context: &str, model: &str) -> ApiResult<(Arc<Handle>, Arc<[Ends]>)> {
        let unknown = || ApiError::not_found(format!("there is no model {context}/{model}; see /v1/projections"));
        let context = context.parse().map_err(|_| unknown())?;
        self.handles.get(&ModelName { context, model: model.to_owned() }).ok_or_else(unknown)
    }

    fn store(&self) -> ApiResult<&Store> {
        self.behind().map(|behind| &behind.store)
    }

    fn behind(&self) -> ApiResult<&Behind> {
        self.behind.get().ok_or_else(|| ApiError::unavailable("the database has not answered yet", 1))
    }
}

/// Routes and their description.
pub fn api(
    description: utoipa::openapi::OpenApi,
    handles: Handles,
    behind: Arc<OnceLock<Behind>>,
    draining: CancellationToken,
) -> Api {
    let served = Served { handles, behind, followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)), draining };
    // Not bound to the time that other requests have.
    let lasting = Router::new()
        .route("/v1/{context}/models/{model}/changes", get(changes::follow))
        .route("/v1/projections/{context}/{model}/audit", post(audits::audit));
    let routes = Router::new()
        .route("/v1/{context}/models/{model}", get(models::list_rows))
        .route("/v1/{context}/models/{model}/{key}", get(models::get_row))
        .route("/v1/{context}/models/{model}/{key}/{children}", get(children::list_children))
        .route("/v1/projections", get(projections::list))
        .route("/v1/projections/{context}/{model}", get(projections::show))
        .route("/v1/projections/{context}/{model}/rebuild", post(projections::rebuild))
        .route("/v1/projections/{context}/{model}/rebuild/pause", post(rebuilds::pause))
        .route("/v1/projections/{context}/{model}/rebuild/resume", post(rebuilds::resume))
        .route("/v1/projections/{context}/{model}/rebuild/cancel", post(rebuilds::cancel))
        .route("/v1/projections/{context}/{model}/comparison", get(rebuilds::comparison))
        .route("/v1/projections/{context}/{model}/roll-back", post(rebuilds::roll_back))
        .route("/v1/projections/{context}/{model}/drop-old", post(rebuilds::drop_old))
        .route("/v1/projections/{context}/{model}/pause", post(projections::pause))
        .route("/v1/projections/{context}/{model}/resume", post(projections::resume))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/redrive", post(dead_letters::redrive))
        .route("/v1/dead-letters/{id}", get(dead_letters::show))
        .route("/v1/dead-letters/{id}/retry", post(dead_letters::retry))
        .route("/v1/dead-letters/{id}/skip", post(dead_letters::skip))
        .route("/v1/dead-letters/{id}/edit", post(dead_letters::edit))
        .route("/v1/dead-letters/{id}/drop", post(dead_letters::drop_key))
        .route("/v1/jobs", get(jobs::list).post(jobs::ask))
        .route("/v1/jobs/{id}", get(jobs::show))
        .route("/v1/jobs/{id}/pause", post(jobs::pause))
        .route("/v1/jobs/{id}/resume", post(jobs::resume))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .with_state(served.clone());
    Api::new(description).routes(routes).streaming(lasting.with_state(served))
}
