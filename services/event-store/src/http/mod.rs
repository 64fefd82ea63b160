//! The HTTP API: architecture.md section 8. JSON in and out, one error format.

mod append;
mod claims;
mod commands;
mod contexts;
pub mod error;
mod import;
mod page;
mod read;
mod sse;
mod subscribe;
pub mod view;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use spina_runtime::Api;
use utoipa::OpenApi;

use crate::contexts::Contexts;
use crate::forward;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spina event-store",
        description = "Publishes, reads and subscribes to the events of bounded contexts. Appends are conditional on the \
            stream's version, idempotent by key, and acknowledged after their transaction has committed."
    ),
    paths(
        append::append,
        commands::send,
        read::read_events,
        read::read_state,
        read::take_snapshot,
        import::import,
        subscribe::subscribe,
        contexts::list
    )
)]
struct Description;

/// Routes and their description.
pub fn api(contexts: Contexts) -> Api {
    let routes = Router::new()
        .route("/v1/{context}/streams/{stream}/events", get(read::read_events).post(append::append))
        .route("/v1/{context}/streams/{stream}", get(read::read_state))
        .route("/v1/{context}/commands", post(commands::send))
        .route("/v1/{context}/streams/{stream}/snapshot", post(read::take_snapshot))
        .route_layer(from_fn_with_state(contexts.clone(), forward::to_owner))
        .route("/v1/contexts", get(contexts::list))
        .route("/v1/{context}/claims", post(claims::answer))
        .with_state(contexts.clone());
    let streaming = Router::new()
        .route("/v1/{context}/import", post(import::import))
        .route("/v1/{context}/events", get(subscribe::subscribe))
        .with_state(contexts);
    Api::new(Description::openapi()).routes(routes).streaming(streaming)
}
