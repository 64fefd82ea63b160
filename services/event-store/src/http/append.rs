//! Appending to a stream.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use spina_core::{ExpectedVersion, StreamId, Token, Version};
use spina_runtime::telemetry::trace::TraceContext;
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::archive::StreamRange;
use utoipa::ToSchema;

use super::error::refusal;
use crate::context::Context;
use crate::contexts::Contexts;
use crate::decide::append::{Append, Outcome, Place, Trace};
use crate::prepare::{self, EventInput, Invalid};
use crate::read::stream;
use crate::readback::{self, Ack, AckQuery};
use crate::submit;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What a key is good for, and for how long.
pub(super) const IDEMPOTENCY: &str = "A repeat with the same key gets the same answer; another payload under it is refused. \
    Keys are remembered for a day by default, the newest 5 million of each partition. Beyond that a repeat is still \
    recognised if it says `no_stream` or a version; with `any` or `stream_exists` it is a new request";

/// Events for one stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendRequest {
    /// What the writer believes: `any`, `no_stream`, `stream_exists` or a version.
    #[serde(default)]
    #[schema(value_type = Object, example = "no_stream")]
    expected_version: ExpectedVersion,
    /// The events, appended all or none.
    events: Vec<EventInput>,
    /// Closes the window at once.
    #[serde(default)]
    priority: bool,
}

/// Where the events stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppendAnswer {
    stream: String,
    /// Version of the stream after the append.
    #[schema(value_type = u64)]
    version: Version,
    events: Vec<AppendedEvent>,
    /// Place of the last event; `after=` of a read model waits for it.
    #[schema(value_type = String, example = "flights.events.v1:3:1287")]
    token: Token,
}

/// One appended event.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppendedEvent {
    id: String,
    #[schema(value_type = u64)]
    version: Version,
}

/// Appends events to a stream, all or none.
#[utoipa::path(
    post,
    path = "/v1/{context}/streams/{stream}/events",
    tag = "streams",
    params(
        ("context" = String, Path), ("stream" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = IDEMPOTENCY),
        ("ack" = Option<Ack>, Query, description = "`readback`: answered when a committed reader has seen the events"),
    ),
    request_body = AppendRequest,
    responses(
        (status = 201, description = "committed, now or before under the same key", body = AppendAnswer),
        (status = 409, description = "`state.conflict`: the stream is at another version; `state.value_taken`: another stream \
            holds a unique value"),
        (status = 413, description = "`validation.too_large`"),
        (status = 422, description = "`validation.*`: nothing was stored; `validation.idempotency_key`: the key was used with another payload"),
        (status = 429, description = "`rate_limit.exceeded`: the partition's queue is full"),
        (status = 503, description = "`state.unavailable`: nothing was stored"),
        (status = 504, description = "`state.unknown`: repeat with the same key"),
    )
)]
pub async fn append(
    State(contexts): State<Contexts>,
    ApiPath((context, stream)): ApiPath<(String, String)>,
    ApiQuery(AckQuery { ack }): ApiQuery<AckQuery>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<AppendRequest>,
) -> ApiResult<(StatusCode, Json<AppendAnswer>)> {
    let context = contexts.get(&context)?;
    let stream = super::read::stream_id(&stream)?;
    let key = idempotency_key(&headers)?;
    let (priority, expected) = (request.priority, request.expected_version);
    let events = prepare_events(&context, &stream, request.events)?;
    let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    let trace = TraceContext::current();
    let trace = Trace { parent: trace.traceparent, state: trace.tracestate };
    let append = Append::new(stream.clone(), expected, key, events, trace);
    let outcome = submit::one(&context, append, priority).await?;
    readback::acknowledged(&context, ack, &outcome).await?;
    match outcome {
        Outcome::Appended(place) => Ok((StatusCode::CREATED, Json(answer(&context, &stream, place, ids)))),
        Outcome::Repeated(place) => {
            let ids = recorded_ids(&context, &stream, place).await?;
            Ok((StatusCode::CREATED, Json(answer(&context, &stream, place, ids))))
        }
        outcome @ (Outcome::Conflict(_)
        | Outcome::KeyReused
        | Outcome::Rejected(_)
        | Outcome::ValueTaken(_)
        | Outcome::Nothing(_)
        | Outcome::Unavailable(_)
        | Outcome::Unknown) => Err(refusal(&outcome)),
    }
}

/// The request's idempotency key, if it bears one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().map(str::to_owned).ok();
    prepare::check_id("Idempotency-Key", key.as_ref().or(Some(&String::new())))?;
    Ok(key)
}

fn prepare_events(
    context: &Context,
    stream: &StreamId,
    inputs: Vec<EventInput>,
) -> Result<Vec<crate::decide::append::NewEvent>, ApiError> {
    let most = context.shared.limits.append_events_max;
    if inputs.is_empty() || inputs.len() > most {
        let message = format!("an append has 1 to {most} events, this one has {}", inputs.len());
        return Err(Invalid::new("validation.events", message).into());
    }
    let prepared = inputs.into_iter().enumerate().map(|(index, input)| {
        prepare::event(context, stream.category(), input).map_err(|invalid| Invalid {
            path: Some(match &invalid.path {
                Some(path) => format!("events[{index}].{path}"),
                None => format!("events[{index}]"),
            }),
            ..invalid
        })
    });
    prepared.collect::<Result<Vec<_>, Invalid>>().map_err(ApiError::from)
}

fn answer(context: &Context, stream: &StreamId, place: Place, ids: Vec<String>) -> AppendAnswer {
    let events =
        ids.into_iter().zip(place.first.0..).map(|(id, version)| AppendedEvent { id, version: Version(version) });
    AppendAnswer {
        stream: stream.to_string(),
        version: place.last,
        events: events.collect(),
        token: Token::at(context.events_topic.to_string(), place.partition, place.offset),
    }
}

/// The ids under which a repeated request's events were recorded the first time.
async fn recorded_ids(context: &Context, stream: &StreamId, place: Place) -> ApiResult<Vec<String>> {
    let limit = u32::try_from(place.last.0 - place.first.0 + 1).unwrap_or(u32::MAX);
    let range = StreamRange { from: place.first, backward: false, limit };
    let part = stream::read(context, stream, range).await?;
    Ok(part.events.into_iter().map(|event| event.headers.id).collect())
}
