//! Server-sent events: a subscription on its way to one client.
//!
//! The client's socket asks for what it has room for: a client that does not read stops its subscription and nothing
//! piles up here. What is ready goes out together, as one chunk.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::{FutureExt, stream};
use spina_core::Token;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::EventStoreMetrics;
use crate::read::entry::Shown;
use crate::read::subscription::{Delivery, Subscription, SubscriptionError};

/// Bytes that make a chunk complete. The connection holds up to 16 chunks for a client that does not read.
const CHUNK_BYTES_MAX: usize = 8 << 10;
/// How long a place that has moved past unwanted events may stay untold.
const TELL_PLACE: Duration = Duration::from_secs(1);
/// Silence after which a comment shows that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// See the [module](self).
pub struct Feed {
    subscription: Subscription,
    draining: CancellationToken,
    metrics: EventStoreMetrics,
    /// When the client was last told anything.
    told: Instant,
    /// Whether the place has moved since.
    untold: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// Begins to tell.
    pub fn new(
        subscription: Subscription,
        draining: CancellationToken,
        metrics: EventStoreMetrics,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        metrics.subscribed();
        let told = Instant::now();
        Self { subscription, draining, metrics, told, untold: false, ended: false, _permit: permit }
    }

    /// The response: the place where it begins, then what comes.
    pub fn response(self) -> Response {
        let begun = Bytes::from(place(&self.subscription.token()));
        let first = stream::once(async move { Ok::<_, Infallible>(begun) });
        let rest = stream::unfold(self, |mut feed| async move {
            let chunk = feed.chunk().await?;
            Some((Ok(chunk), feed))
        });
        let body = Body::from_stream(futures::StreamExt::chain(first, rest));
        ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")], body).into_response()
    }

    /// What is ready, at least one message; `None` ends the response.
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut chunk = String::new();
        while chunk.is_empty() && !self.ended {
            let deadline = self.told + if self.untold { TELL_PLACE } else { KEEP_ALIVE };
            let next = self.draining.run_until_cancelled(self.subscription.next());
            match timeout_at(deadline, next).await {
                Ok(Some(delivery)) => self.put(delivery, &mut chunk),
                Ok(None) => self.ended = true,
                Err(_) if self.untold => chunk = place(&self.subscription.token()),
                Err(_) => chunk.push_str(":\n\n"),
            }
        }
        while !chunk.is_empty() && chunk.len() < CHUNK_BYTES_MAX && !self.ended {
            let Some(delivery) = self.subscription.next().now_or_never() else { break };
            self.put(delivery, &mut chunk);
        }
        if chunk.is_empty() {
            return None;
        }
        self.told = Instant::now();
        self.untold = false;
        Some(Bytes::from(chunk))
    }

    fn put(&mut self, delivery: Result<Delivery, SubscriptionError>, chunk: &mut String) {
        match delivery {
            Ok(Delivery::Event(shown)) => message(&self.subscription.token(), &shown, chunk),
            Ok(Delivery::Moved) => self.untold = true,
            Err(error) => {
                warn!(%error, "subscription ended");
                self.ended = true;
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.metrics.unsubscribed();
    }
}

fn place(token: &Token) -> String {
    format!("id: {token}\n\n")
}

/// An event is one line: JSON escapes line ends.
fn message(token: &Token, shown: &Shown, chunk: &mut String) {
    write!(chunk, "id: {token}\nevent: {}\ndata: {}\n\n", shown.name, shown.json).expect("text can be appended to");
}
