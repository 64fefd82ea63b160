//! The request's id: taken from the caller or made here, echoed, and known to whatever runs for the request.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

/// Header that carries the id, both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// Longest id taken from a caller, in bytes.
const BYTES_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers; none outside a request, and in tasks that the handler started.
#[must_use]
pub fn current_request_id() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs the rest of the stack under the request's id.
pub(super) async fn with_request_id(request: Request, next: Next) -> Response {
    let id = callers(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let header = HeaderValue::from_str(&id).expect("visible ASCII is a header value");
    let mut response = CURRENT.scope(id, next.run(request)).await;
    response.headers_mut().insert(REQUEST_ID, header);
    response
}

/// The caller's id, if it is fit to be written to logs.
fn callers(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fit = !id.is_empty() && id.len() <= BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    fit.then(|| id.to_owned())
}
