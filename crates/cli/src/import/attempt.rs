//! One request: lines go up, answers come down, both at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use reqwest::{Body, Method, Response};
use spina_core::ContextName;
use tokio::time::Instant;

use super::answer::{self, Answer};
use super::backlog::Backlog;
use crate::client::{Client, Service, root_cause};
use crate::failure::{Exit, Failure};

/// How long lines may stay unconfirmed on a connection before another one is tried.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Longest line of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Sends what the backlog has from its first unconfirmed line on, and calls `hear` with every answer, until the last one.
pub async fn attempt(
    client: &Client,
    context: &ContextName,
    backlog: &Arc<Backlog>,
    hear: &mut impl FnMut(&Answer),
) -> Result<(), Failure> {
    let body = Body::wrap_stream(unconfirmed(Arc::clone(backlog)));
    let request = client.request(Service::EventStore, Method::POST, &format!("/v1/{context}/import"));
    let request = request.header("content-type", "application/x-ndjson").body(body);
    let sending = client.accepted(Service::EventStore, request);
    let mut response = unless_stalled(backlog, sending).await??;
    let mut received = BytesMut::new();
    while let Some(part) = unless_stalled(backlog, part(&mut response)).await?? {
        received.extend_from_slice(&part);
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let line = received.split_to(end + 1);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let answer = serde_json::from_slice(&line).map_err(|error| garbled(&format!("{error}")))?;
            hear(&answer);
            if let Answer::End { done, error_code, message, .. } = answer {
                return if done { Ok(()) } else { Err(answer::failure(error_code, message)) };
            }
        }
        if received.len() > ANSWER_BYTES_MAX {
            return Err(garbled("a line without an end"));
        }
    }
    Err(lost("it ended the answer early"))
}

/// The request's body: everything from the first unconfirmed line on.
fn unconfirmed(backlog: Arc<Backlog>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let first = backlog.confirmed() + 1;
    stream::unfold((backlog, first), |(backlog, line)| async move {
        match backlog.next_from(line).await {
            Ok(None) => None,
            Ok(Some(chunk)) => Some((Ok(chunk.bytes.clone()), (backlog, chunk.next()))),
            Err(error) => Some((Err(error), (backlog, line))),
        }
    })
    .boxed()
}

async fn part(response: &mut Response) -> Result<Option<Bytes>, Failure> {
    response.chunk().await.map_err(|error| lost(&root_cause(&error)))
}

/// Waits for the server, but not for ever once it owes an answer.
async fn unless_stalled<T>(backlog: &Backlog, waiting: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::pin!(waiting);
    let mut owing_since: Option<Instant> = None;
    loop {
        tokio::select! {
            done = &mut waiting => return Ok(done),
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                let since = owing_since.get_or_insert_with(Instant::now);
                if !backlog.is_waiting() {
                    owing_since = None;
                } else if since.elapsed() >= STALLED_AFTER {
                    return Err(lost(&format!("no answer for {} s", STALLED_AFTER.as_secs())));
                }
            }
        }
    }
}

fn lost(why: &str) -> Failure {
    Failure::new(Exit::Unavailable, "state.unavailable", format!("lost the event-store: {why}"))
}

fn garbled(why: &str) -> Failure {
    Failure::new(Exit::Failed, "internal.error", format!("the event-store's answer makes no sense: {why}"))
}
