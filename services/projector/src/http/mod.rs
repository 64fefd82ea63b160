//! The HTTP API: read models, and the projections that fill them.

mod error;
mod models;
mod projections;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::routing::{get, post};
use spina_runtime::{Api, ApiError, ApiResult};
use spina_store::Store;
use spina_store::read_model::ModelName;
use utoipa::OpenApi;

use crate::project::{Ends, Handle, Handles};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spina projector",
        description = "Serves read models, and shows and steers the projections that fill them. A model reads the events \
            of its context exactly once; `after` waits until it includes what an append's token names."
    ),
    paths(
        models::get_row,
        models::list_rows,
        projections::list,
        projections::show,
        projections::rebuild,
        projections::pause,
        projections::resume
    )
)]
struct Description;

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct Served {
    handles: Handles,
    /// Empty until the database has answered for the first time.
    store: Arc<OnceLock<Store>>,
}

impl Served {
    /// A model by the names in the path.
    fn model(&self, context: &str, model: &str) -> ApiResult<(Arc<Handle>, Ends)> {
        let unknown = || ApiError::not_found(format!("there is no model {context}/{model}; see /v1/projections"));
        let context = context.parse().map_err(|_| unknown())?;
        self.handles.get(&ModelName { context, model: model.to_owned() }).ok_or_else(unknown)
    }

    fn store(&self) -> ApiResult<&Store> {
        self.store.get().ok_or_else(|| ApiError::unavailable("the database has not answered yet", 1))
    }
}

/// Routes and their description.
pub fn api(handles: Handles, store: Arc<OnceLock<Store>>) -> Api {
    let routes = Router::new()
        .route("/v1/{context}/models/{model}", get(models::list_rows))
        .route("/v1/{context}/models/{model}/{key}", get(models::get_row))
        .route("/v1/projections", get(projections::list))
        .route("/v1/projections/{context}/{model}", get(projections::show))
        .route("/v1/projections/{context}/{model}/rebuild", post(projections::rebuild))
        .route("/v1/projections/{context}/{model}/pause", post(projections::pause))
        .route("/v1/projections/{context}/{model}/resume", post(projections::resume))
        .with_state(Served { handles, store });
    Api::new(Description::openapi()).routes(routes)
}
