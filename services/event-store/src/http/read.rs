//! Reading a stream and its state.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_core::{State as Fold, StreamId, Timestamp, Version};
use spina_runtime::{ApiError, ApiPath, ApiQuery, ApiResult};
use spina_store::archive::{StreamRange, TimeRange};
use utoipa::{IntoParams, ToSchema};

use super::view::EventView;
use crate::contexts::Contexts;
use crate::read::state::{self, Until};
use crate::read::{snapshots, stream};

const LIMIT_MAX: u32 = 1_000;
const LIMIT_DEFAULT: u32 = 100;

/// The direction of a read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From old to new.
    #[default]
    Forward,
    /// From new to old.
    Backward,
}

/// Which part of a stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// First version; by default 1 forward and the last backward.
    from_version: Option<u64>,
    /// Only events that happened at this time or later, RFC 3339.
    #[param(value_type = Option<String>)]
    from_time: Option<Timestamp>,
    /// Only events that happened before this time, RFC 3339.
    #[param(value_type = Option<String>)]
    to_time: Option<Timestamp>,
    /// Most events, 1 to 1000, by default 100.
    limit: Option<u32>,
    /// `forward` or `backward`.
    #[serde(default)]
    direction: Direction,
}

/// A part of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsAnswer {
    stream: String,
    /// Version of the stream.
    #[schema(value_type = u64)]
    version: Version,
    events: Vec<EventView>,
    /// `from_version` of the next part in the same direction; missing when this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    next_from_version: Option<Version>,
}

/// Reads a stream's events. Everything acknowledged is included.
///
/// Times are those at which the events happened, the ones in the answer; they need not grow with the versions.
#[utoipa::path(
    get,
    path = "/v1/{context}/streams/{stream}/events",
    tag = "streams",
    params(("context" = String, Path), ("stream" = String, Path), EventsQuery),
    responses(
        (status = 200, body = EventsAnswer),
        (status = 404, description = "`resource.not_found`: the stream has no event"),
        (status = 503, description = "`state.unavailable`"),
    )
)]
pub async fn read_events(
    State(contexts): State<Contexts>,
    ApiPath((context, stream)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> ApiResult<Json<EventsAnswer>> {
    let context = contexts.get(&context)?;
    let stream = stream_id(&stream)?;
    let limit = limit(query.limit)?;
    let backward = query.direction == Direction::Backward;
    let first = if backward { u64::MAX >> 1 } else { 1 };
    let from = Version(query.from_version.unwrap_or(first).min(u64::MAX >> 1));
    let times = TimeRange { from: query.from_time, to: query.to_time };
    let part = stream::read_within(&context, &stream, StreamRange { from, backward, limit }, times).await?;
    if part.last == Version::NONE {
        return Err(no_stream(&stream));
    }
    let full = part.events.len() == limit as usize;
    let reached = part.events.last().map(|event| event.headers.version).filter(|_| full);
    let next_from_version = reached.and_then(|reached| next_from(reached, part.last, backward));
    let events = part.events.into_iter().map(EventView::from).collect();
    Ok(Json(EventsAnswer { stream: stream.into(), version: part.last, events, next_from_version }))
}

/// Where the part behind `reached` begins, if the stream goes on there.
fn next_from(reached: Version, last: Version, backward: bool) -> Option<Version> {
    if backward {
        (reached > Version(1)).then(|| Version(reached.0 - 1))
    } else {
        (reached < last).then(|| reached.plus(1))
    }
}

/// Until where the state is folded.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// The state as of this version.
    version: Option<u64>,
    /// The state as of this time, RFC 3339.
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
}

/// The state of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct StateAnswer {
    stream: String,
    /// Version of the last event in the state.
    #[schema(value_type = u64)]
    version: Version,
    /// Time of the last event in the state.
    #[schema(value_type = Option<String>, format = DateTime)]
    time: Option<Timestamp>,
    /// The merged fields and `status`.
    #[schema(value_type = Object)]
    state: Map<String, Value>,
}

/// Folds a stream: now, at a version, or at a time.
#[utoipa::path(
    get,
    path = "/v1/{context}/streams/{stream}",
    tag = "streams",
    params(("context" = String, Path), ("stream" = String, Path), StateQuery),
    responses(
        (status = 200, body = StateAnswer),
        (status = 404, description = "`resource.not_found`: the stream has no event, or none until then"),
        (status = 503, description = "`state.unavailable`"),
    )
)]
pub async fn read_state(
    State(contexts): State<Contexts>,
    ApiPath((context, stream)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<StateQuery>,
) -> ApiResult<Json<StateAnswer>> {
    let context = contexts.get(&context)?;
    let stream = stream_id(&stream)?;
    let until = match (query.version, query.at) {
        (None, None) => Until::Now,
        (Some(version), None) => Until::Version(Version(version)),
        (None, Some(at)) => Until::Time(at),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("validation.query", "give `version` or `at`, not both"));
        }
    };
    let folded = state::fold(&context, &stream, until).await?;
    if until != Until::Now && folded.version == Version::NONE {
        return Err(ApiError::not_found(format!("stream `{stream}` has no event until then")));
    }
    if let Until::Version(asked) = until
        && folded.version < asked
    {
        let message = format!("stream `{stream}` has only {} versions", folded.version);
        return Err(ApiError::not_found(message));
    }
    answer(stream, folded).map(Json)
}

/// Takes a snapshot of a stream now.
#[utoipa::path(
    post,
    path = "/v1/{context}/streams/{stream}/snapshot",
    tag = "streams",
    params(("context" = String, Path), ("stream" = String, Path)),
    responses((status = 201, body = StateAnswer), (status = 404), (status = 503))
)]
pub async fn take_snapshot(
    State(contexts): State<Contexts>,
    ApiPath((context, stream)): ApiPath<(String, String)>,
) -> ApiResult<(StatusCode, Json<StateAnswer>)> {
    let context = contexts.get(&context)?;
    let stream = stream_id(&stream)?;
    let partition = context.partition_of(&stream);
    let owned = context.owned(partition).ok_or(stream::ReadError::NotOwner(partition))?;
    let folded = snapshots::take(&context, &stream, &owned).await?;
    Ok((StatusCode::CREATED, Json(answer(stream, folded)?)))
}

fn answer(stream: StreamId, folded: Fold) -> ApiResult<StateAnswer> {
    if folded.version == Version::NONE {
        return Err(no_stream(&stream));
    }
    Ok(StateAnswer { stream: stream.into(), version: folded.version, time: folded.time, state: folded.data })
}

/// A stream id from the path.
pub fn stream_id(text: &str) -> ApiResult<StreamId> {
    text.parse()
        .map_err(|error: spina_core::stream::NameError| ApiError::invalid("validation.stream", error.to_string()))
}

/// The number of events asked for.
pub fn limit(asked: Option<u32>) -> ApiResult<u32> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::invalid("validation.limit", format!("limit must be 1 to {LIMIT_MAX}")))
}

fn no_stream(stream: &StreamId) -> ApiError {
    ApiError::not_found(format!("stream `{stream}` has no events"))
}
