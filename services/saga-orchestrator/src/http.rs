//! The HTTP API of the saga-orchestrator: so far only what every service has.

use spina_runtime::Api;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(info(
    title = "Spina saga-orchestrator",
    description = "Runs sagas with compensations. No saga paths are served yet."
))]
struct Description;

/// Routes and their description.
pub fn api() -> Api {
    Api::new(Description::openapi())
}
