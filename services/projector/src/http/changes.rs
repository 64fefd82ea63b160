//! Changes of a model's rows as server-sent events.
//!
//! The client's socket asks for what it has room for: rows are read when it takes them, as they are then.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::json;
use spina_runtime::{ApiError, ApiPath, ApiResult};
use spina_store::{Store, StoreError};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::Served;
use super::models::shape;
use crate::project::{Follower, Handle, Keys, Told};

/// Silence after which a comment shows that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Rows that are read and sent at once.
const ROWS_MAX: usize = 200;
/// When to ask again if there are too many followers, in seconds.
const RETRY_AFTER_S: u64 = 5;
const LAST_EVENT_ID: &str = "last-event-id";

/// Follow the changes of a model's rows
///
/// From now on, or from `Last-Event-ID` on, each row that changed is told once its change is committed: `event: change` with
/// `data: {"key": {...}, "row": {...}}`, `row` being null where it is gone. The row is as it was when it was sent, so of
/// several changes in a row the last counts. `event: reset` says that any row may have changed: a rebuilt table took the
/// place of the former one, or the place to go on from is no longer known; read the model anew. A message with an id and no
/// data only tells the place. A client that takes nothing for long is cut off, and may come back like any other.
#[utoipa::path(get, path = "/v1/{context}/models/{model}/changes", tag = "models",
    params(("context", description = "Bounded context"), ("model", description = "Read model"),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last message that was taken")),
    responses((status = 200, description = "changes, as they come", body = String, content_type = "text/event-stream"),
        (status = 404, description = "`resource.not_found`: no such model"),
        (status = 429, description = "`rate_limit.exceeded`: too many followers"),
        (status = 503, description = "`state.unavailable`: the model is starting")))]
pub(super) async fn follow(
    State(served): State<Served>,
    ApiPath((context, model)): ApiPath<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (handle, _) = served.model(&context, &model)?;
    shape(&handle)?;
    let store = served.store()?.clone();
    let permit = Arc::clone(&served.followers)
        .try_acquire_owned()
        .map_err(|_| ApiError::rate_limited("too many followers", RETRY_AFTER_S))?;
    let from = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default());
    let follower = handle.feed.follow(from.filter(|id| !id.is_empty()));
    let begun = Bytes::from(format!("id: {}\n\n", follower.place()));
    let draining = served.draining.clone();
    let telling = Telling { follower, handle, store, draining, left: None, _permit: permit };
    let first = stream::once(async move { Ok::<_, Infallible>(begun) });
    let rest = stream::unfold(telling, |mut telling| async move {
        let chunk = telling.chunk().await?;
        Some((Ok(chunk), telling))
    });
    let body = Body::from_stream(futures::StreamExt::chain(first, rest));
    Ok(([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")], body).into_response())
}

/// One client that is told.
struct Telling {
    follower: Follower,
    handle: Arc<Handle>,
    store: Store,
    draining: CancellationToken,
    /// A batch that is told in part, and how far.
    left: Option<(Keys, usize)>,
    _permit: OwnedSemaphorePermit,
}

impl Telling {
    /// What comes next; `None` ends the response, and the client comes back with the last id.
    async fn chunk(&mut self) -> Option<Bytes> {
        let (keys, from) = match self.left.take() {
            Some(left) => left,
            None => {
                let next = self.draining.run_until_cancelled(self.follower.next());
                match tokio::time::timeout(KEEP_ALIVE, next).await {
                    Err(_) => return Some(Bytes::from_static(b":\n\n")),
                    Ok(None) => return None,
                    Ok(Some(Told::Anything)) => return Some(self.reset()),
                    Ok(Some(Told::Changed(keys))) => (keys, 0),
                }
            }
        };
        let to = keys.len().min(from + ROWS_MAX);
        let mut chunk = match self.rows(&keys[from..to]).await {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(model = %self.handle.name, %error, "a follower is let go");
                return None;
            }
        };
        if to < keys.len() {
            self.left = Some((keys, to));
        } else {
            // Only now: who comes back before is told the whole batch once more.
            chunk.push_str(&format!("id: {}\n\n", self.follower.place()));
        }
        Some(Bytes::from(chunk))
    }

    fn reset(&self) -> Bytes {
        Bytes::from(format!("id: {}\nevent: reset\ndata: {{}}\n\n", self.follower.place()))
    }

    async fn rows(&self, keys: &[Vec<spina_core::Cell>]) -> Result<String, StoreError> {
        let Some(shape) = self.handle.shape() else { return Ok(String::new()) };
        let rows = self.store.rows_of(&self.handle.name, &shape, keys).await?;
        let message = |(key, row)| format!("event: change\ndata: {}\n\n", json!({ "key": key, "row": row }));
        Ok(rows.into_iter().map(message).collect())
    }
}
