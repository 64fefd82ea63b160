//! Forwarding: a request that arrives at a process that does not own its stream's partition goes on to the owner, once.
//!
//! ```text
//! client ─▶ this process ─ owned here? ─ yes ─▶ handler
//!                             │ no
//!                             ├─ was forwarded already ─▶ 503, never a loop
//!                             └─ owner announced? ─ yes ─▶ owner ─▶ its answer, unchanged
//!                                        └─ no, not within the patience ─▶ 503, Retry-After
//! ```
//!
//! Whom it is forwarded to is only a hint: a process that lost the partition refuses, and one that does not know it yet is
//! fenced by the broker. So a wrong hint costs a retry and never more.

mod announce;
mod claims;
mod lines;
mod owners;
mod pass;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use spina_core::StreamId;
use spina_runtime::{ApiError, ApiResult};
use spina_store::archive::Owner;
use tokio::time::Instant;

pub use announce::announce;
pub use claims::Asked;
pub use lines::NoReports;
pub use owners::Owners;
pub use pass::Forwarder;
use pass::Unanswered;

use crate::clock;
use crate::context::Context;
use crate::contexts::Contexts;

/// Header of a request that was forwarded; its value is the endpoint of the process that did.
pub const FORWARDED_BY: &str = "spina-forwarded-by";
/// Header of an answer that another process gave; its value is that process's endpoint.
pub const SERVED_BY: &str = "spina-served-by";

/// How long a request waits for a partition on the move to find its new owner: a planned move takes less than a second.
pub const PATIENCE: Duration = Duration::from_millis(1_500);
/// Pause between two looks for the owner.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Seconds after which a client may try again.
const RETRY_AFTER_S: u64 = 1;

/// Lets requests for streams of this process through, and sends the others to the owners of their partitions.
///
/// The stream is the path's, else the one that the body names.
pub async fn to_owner(State(contexts): State<Contexts>, request: Request, next: Next) -> Response {
    match place(&contexts, request).await {
        Ok((request, Some((context, partition)))) => route(&context, partition, request, next).await,
        // What is wrong with it is for its handler to say.
        Ok((request, None)) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn route(context: &Context, partition: i32, request: Request, next: Next) -> Response {
    if context.owned(partition).is_some() {
        return next.run(request).await;
    }
    let deadline = Instant::now() + PATIENCE;
    let forwarded = request.headers().contains_key(FORWARDED_BY);
    let owner = match find(context, partition, deadline).await {
        Found::Here => return next.run(request).await,
        Found::At(owner) if !forwarded => owner,
        Found::At(_) | Found::Nowhere => return not_served(partition).into_response(),
    };
    let (parts, body) = request.into_parts();
    match whole(body).await {
        Ok(body) => elsewhere(context, owner, parts, body, deadline, next).await,
        Err(refused) => refused.into_response(),
    }
}

/// Passes the request on. What could not even be sent is looked after again: an owner that is gone has a successor soon,
/// which may be this process.
async fn elsewhere(
    context: &Context,
    mut owner: Owner,
    parts: Parts,
    body: Bytes,
    deadline: Instant,
    next: Next,
) -> Response {
    loop {
        match context.shared.forwarder.pass_on(context, &owner, &parts, &body).await {
            Ok(response) => return response,
            Err(Unanswered::Lost(error)) => return error.into_response(),
            Err(Unanswered::Unsent(error)) if Instant::now() >= deadline => return error.into_response(),
            Err(Unanswered::Unsent(_)) => clock::pause(LOOK_PAUSE).await,
        }
        owner = match find(context, owner.partition, deadline).await {
            Found::Here => return next.run(Request::from_parts(parts, Body::from(body))).await,
            Found::At(owner) => owner,
            Found::Nowhere => return not_served(owner.partition).into_response(),
        };
    }
}

/// Where a partition is served.
#[derive(Debug)]
pub enum Found {
    /// By this process.
    Here,
    /// By another one.
    At(Owner),
    /// Nobody is known to serve it, and did not come to be known within the patience.
    Nowhere,
}

/// Looks for the owner until then.
pub async fn find(context: &Context, partition: i32, deadline: Instant) -> Found {
    loop {
        if context.owned(partition).is_some() {
            return Found::Here;
        }
        match context.owners.of(context, partition).await {
            Some(owner) if owner.endpoint != context.shared.endpoint => return Found::At(owner),
            // Our own row may be there although we let go: nobody can be told.
            Some(_) | None if Instant::now() >= deadline => return Found::Nowhere,
            Some(_) | None => clock::pause(LOOK_PAUSE).await,
        }
    }
}

/// The refusal for a partition that is not served where it was asked for.
pub fn not_served(partition: i32) -> ApiError {
    let message = format!("partition {partition} is between two owners or not served; nothing was stored, try again");
    ApiError::unavailable(message, RETRY_AFTER_S)
}

/// The stream that a body names.
#[derive(Deserialize)]
struct Named {
    stream: StreamId,
}

/// The context and partition that a request is about. A body that had to be read for that is put back.
async fn place(contexts: &Contexts, request: Request) -> ApiResult<(Request, Option<(Arc<Context>, i32)>)> {
    let (mut parts, body) = request.into_parts();
    let (context, stream) = path(&mut parts).await;
    let Some(context) = context.and_then(|name| contexts.get(&name).ok()) else {
        return Ok((Request::from_parts(parts, body), None));
    };
    let (stream, body) = match stream {
        Some(stream) => (stream.parse::<StreamId>().ok(), body),
        None => {
            let bytes = whole(body).await?;
            let named = serde_json::from_slice::<Named>(&bytes).ok().map(|named| named.stream);
            (named, Body::from(bytes))
        }
    };
    let place = stream.map(|stream| {
        let partition = context.partition_of(&stream);
        (context, partition)
    });
    Ok((Request::from_parts(parts, body), place))
}

async fn path(parts: &mut Parts) -> (Option<String>, Option<String>) {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok();
    let find = |name: &str| {
        let mut each = params.iter().flat_map(RawPathParams::iter);
        each.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    };
    (find("context"), find("stream"))
}

/// The whole body, within the limits of the route.
async fn whole(body: Body) -> ApiResult<Bytes> {
    let read = Bytes::from_request(Request::new(body), &()).await;
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large("the request body is larger than this server takes"),
        _ => ApiError::malformed("validation.body", rejection.body_text()),
    })
}
