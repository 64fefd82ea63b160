//! Server-sent events: a context's events as they are committed.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use serde::Deserialize;
use spina_core::Token;
use spina_runtime::{ApiError, ApiPath, ApiQuery, ApiResult};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use utoipa::IntoParams;

use super::error::RETRY_AFTER_S;
use super::view::EventView;
use crate::context::Context;
use crate::contexts::Contexts;
use crate::read::subscription::{Delivery, Filter, From, Subscription};

const LAST_EVENT_ID: &str = "last-event-id";
/// Silence after which a comment shows that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What to subscribe to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscribeQuery {
    /// Event types, comma separated; all if missing.
    types: Option<String>,
    /// Only streams of this category.
    category: Option<String>,
    /// Only this stream.
    stream: Option<String>,
    /// `earliest`, `latest` (the default) or a token, after which it begins. `Last-Event-ID` goes before.
    from: Option<String>,
}

/// Subscribes to events: those since `from`, then those that come, in order within each stream.
///
/// The id of each message is a token; a client that comes back with it as `Last-Event-ID` misses nothing and gets
/// nothing twice. A message with an id and no data only says that the place has moved.
#[utoipa::path(
    get,
    path = "/v1/{context}/events",
    tag = "subscriptions",
    params(("context" = String, Path), SubscribeQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses(
        (status = 200, description = "events", content_type = "text/event-stream", body = EventView),
        (status = 422, description = "`validation.*`"),
        (status = 429, description = "`rate_limit.exceeded`: too many subscriptions"),
    )
)]
pub async fn subscribe(
    State(contexts): State<Contexts>,
    ApiPath(context): ApiPath<String>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<SubscribeQuery>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let context = contexts.get(&context)?;
    let last_event_id = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default().to_owned());
    let from = start(&context, last_event_id.filter(|id| !id.is_empty()).or(query.from.clone()))?;
    let filter = filter(&context, query)?;
    let permit = Arc::clone(&contexts.subscriptions)
        .try_acquire_owned()
        .map_err(|_| ApiError::rate_limited("too many subscriptions", RETRY_AFTER_S))?;
    let subscription = Subscription::open(context, filter, from)
        .await
        .map_err(|error| ApiError::unavailable(error.to_string(), RETRY_AFTER_S))?;
    let feed = Feed { subscription, draining: contexts.draining.clone(), begun: false, _permit: permit };
    let messages = stream::unfold(feed, |mut feed| async move {
        let message = feed.next().await?;
        Some((Ok(message), feed))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn start(context: &Context, from: Option<String>) -> ApiResult<From> {
    match from.as_deref() {
        None | Some("latest") => Ok(From::Latest),
        Some("earliest") => Ok(From::Earliest),
        Some(text) => {
            let invalid = |why: String| ApiError::invalid("validation.token", why);
            let token: Token =
                text.parse().map_err(|error: spina_core::position::BadToken| invalid(error.to_string()))?;
            if token.topic() != &*context.events_topic {
                return Err(invalid(format!("the token is of {}, not of {}", token.topic(), context.events_topic)));
            }
            Ok(From::Token(token))
        }
    }
}

fn filter(context: &Context, query: SubscribeQuery) -> ApiResult<Filter> {
    let mut types = HashSet::new();
    for name in query.types.iter().flat_map(|types| types.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
        let known = context
            .catalog
            .by_name(name)
            .ok_or_else(|| ApiError::invalid("validation.unknown_type", format!("there is no event type `{name}`")))?;
        types.insert(known.ce_type.clone());
    }
    let stream = query.stream.as_deref().map(super::read::stream_id).transpose()?;
    Ok(Filter { types, category: query.category, stream })
}

/// A subscription on its way to one client. A client that does not read stops it at the socket: nothing piles up here.
struct Feed {
    subscription: Subscription,
    draining: CancellationToken,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// The next message; `None` ends the response.
    async fn next(&mut self) -> Option<Event> {
        if !self.begun {
            self.begun = true;
            return Some(self.place());
        }
        let delivery = self.draining.run_until_cancelled(self.subscription.next()).await?;
        match delivery {
            Ok(Delivery::Moved) => Some(self.place()),
            Ok(Delivery::Event(event)) => {
                let name = event.headers.event_name().to_owned();
                let message = self.place().event(name).json_data(EventView::from(*event));
                message.inspect_err(|error| warn!(%error, "an event cannot be shown as JSON")).ok()
            }
            Err(error) => {
                warn!(%error, "subscription ended");
                None
            }
        }
    }

    fn place(&self) -> Event {
        Event::default().id(self.subscription.token().to_string())
    }
}
