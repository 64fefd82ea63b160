//! A context's events since a place: as server-sent events, as they are committed, or in pages.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;
use serde::Deserialize;
use spina_codec::catalog::TypeKind;
use spina_core::Token;
use spina_runtime::{ApiError, ApiPath, ApiQuery, ApiResult};
use utoipa::IntoParams;

use super::error::RETRY_AFTER_S;
use super::page::{self, PageAnswer};
use super::read::limit;
use super::sse::Feed;
use super::view::EventView;
use crate::context::Context;
use crate::contexts::Contexts;
use crate::read::filter::Filter;
use crate::read::page as pages;
use crate::read::subscription::{From, Subscription, SubscriptionError};

const LAST_EVENT_ID: &str = "last-event-id";

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
    /// `earliest` (the default of a page), `latest` (the default of a stream of events) or a token, after which it
    /// begins. `Last-Event-ID` goes before.
    from: Option<String>,
    /// Asks for a page of so many events at most, 1 to 1000, instead of a stream of events.
    limit: Option<u32>,
}

/// Subscribes to events: those since `from`, then those that come, in order within each stream.
///
/// The id of each message is a token; a client that comes back with it as `Last-Event-ID` misses nothing and gets
/// nothing twice. A message with an id and no data only says that the place has moved. A client that takes nothing for
/// long is cut off, and may come back like any other.
///
/// With `limit`, or if JSON is all that the client accepts (100 events then), the answer is one page instead: what there
/// is since `from`, and the token of the next page. `at_end` says that everything acknowledged before was passed.
#[utoipa::path(
    get,
    path = "/v1/{context}/events",
    tag = "subscriptions",
    params(("context" = String, Path), SubscribeQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses(
        (status = 200, description = "events, or a page of them", content(
            (EventView = "text/event-stream"),
            (PageAnswer = "application/json"),
        )),
        (status = 422, description = "`validation.*`"),
        (status = 429, description = "`rate_limit.exceeded`: too many subscriptions"),
        (status = 503, description = "`state.unavailable`"),
    )
)]
pub async fn subscribe(
    State(contexts): State<Contexts>,
    ApiPath(context): ApiPath<String>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<SubscribeQuery>,
) -> ApiResult<Response> {
    let context = contexts.get(&context)?;
    let page = match query.limit {
        None if !accepts_only_json(&headers) => None,
        asked => Some(limit(asked)?),
    };
    let last_event_id = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default().to_owned());
    let from = last_event_id.filter(|id| !id.is_empty()).or(query.from.clone());
    let from = start(&context, from, if page.is_some() { From::Earliest } else { From::Latest })?;
    let filter = filter(&context, query)?;
    let permit = Arc::clone(&contexts.subscriptions)
        .try_acquire_owned()
        .map_err(|_| ApiError::rate_limited("too many subscriptions", RETRY_AFTER_S))?;
    let draining = contexts.draining.clone();
    if let Some(limit) = page {
        let page = draining.run_until_cancelled(pages::read(context, filter, from, limit as usize)).await;
        let page = page.ok_or_else(|| ApiError::unavailable("the process is stopping", RETRY_AFTER_S))??;
        return Ok(page::answer(&page));
    }
    let metrics = context.shared.metrics.clone();
    let subscription = Subscription::open(context, filter, from).await?;
    Ok(Feed::new(subscription, draining, metrics, permit).response())
}

/// A client that says nothing, or anything, gets a stream of events.
fn accepts_only_json(headers: &HeaderMap) -> bool {
    let accepted = || headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted().any(|value| value.contains("application/json"))
        && !accepted().any(|value| value.contains("text/event-stream"))
}

fn start(context: &Context, from: Option<String>, default: From) -> ApiResult<From> {
    match from.as_deref() {
        None => Ok(default),
        Some("latest") => Ok(From::Latest),
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
        let known =
            context.catalog.by_name(name).filter(|known| known.kind == TypeKind::Event).ok_or_else(|| {
                ApiError::invalid("validation.unknown_type", format!("there is no event type `{name}`"))
            })?;
        types.insert(known.ce_type.clone());
        let former = context.shared.schemas.readings().former_names(context.name(), &known.name);
        types.extend(former.iter().map(|name| format!("{}.{}.{name}", context.name(), known.aggregate)));
    }
    let stream = query.stream.as_deref().map(super::read::stream_id).transpose()?;
    Ok(Filter { types, category: query.category, stream, claims: false })
}

impl std::convert::From<SubscriptionError> for ApiError {
    fn from(error: SubscriptionError) -> Self {
        match error {
            SubscriptionError::Beyond { .. } => Self::invalid("validation.token", error.to_string()),
            SubscriptionError::Log(_) | SubscriptionError::NotFed => {
                Self::unavailable(error.to_string(), RETRY_AFTER_S)
            }
            SubscriptionError::Decode { .. } => Self::internal(error),
        }
    }
}
