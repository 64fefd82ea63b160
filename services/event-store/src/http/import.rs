//! The import route.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use spina_runtime::{ApiPath, ApiResult};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::contexts::Contexts;
use crate::forward::FORWARDED_BY;
use crate::import;
use crate::import::{ImportLine, Sender};

/// Reports that wait for a slow client.
const REPORTS_MAX: usize = 16;

/// Imports NDJSON lines, each an append of one event, and answers with NDJSON lines of progress while it reads.
///
/// A report `{"lines", "appended", "duplicates", "rejected"}` says that lines 1 to `lines` are durable or refused. The
/// last one has `"done"`: true, or false with `error_code`; then resume at line `lines` + 1, or send everything again.
/// Any event-store of the context will do: lines of partitions that another one owns are passed on to it.
#[utoipa::path(
    post,
    path = "/v1/{context}/import",
    tag = "streams",
    params(("context" = String, Path)),
    request_body(content = ImportLine, content_type = "application/x-ndjson"),
    responses((status = 200, description = "NDJSON reports", content_type = "application/x-ndjson", body = String))
)]
pub async fn import(
    State(contexts): State<Contexts>,
    ApiPath(context): ApiPath<String>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let context = contexts.get(&context)?;
    let (reports, reported) = mpsc::channel(REPORTS_MAX);
    let sender = if headers.contains_key(FORWARDED_BY) { Sender::EventStore } else { Sender::Client };
    let draining = contexts.draining.clone();
    let body = body.into_data_stream();
    contexts.tasks.spawn("import", async move {
        import::run(context, body, sender, reports, draining).await;
        Ok(())
    });
    let lines = ReceiverStream::new(reported).map(Ok::<_, std::convert::Infallible>);
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}
