//! The HTTP API of the alert-correlator: so far only what every service has.

use spina_runtime::Api;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(info(
    title = "Spina alert-correlator",
    description = "Turns alerts and events into incidents. No alert paths are served yet."
))]
struct Description;

/// Routes and their description.
pub fn api() -> Api {
    Api::new(Description::openapi())
}
