//! Sending a command to a stream, which decides what becomes of it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_core::{ExpectedVersion, StreamId, Timestamp, Token, Version};
use spina_runtime::telemetry::trace::TraceContext;
use spina_runtime::{ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::archive::StreamRange;
use utoipa::ToSchema;

use super::append::{IDEMPOTENCY, idempotency_key};
use super::error::refusal;
use super::view::EventView;
use crate::context::Context;
use crate::contexts::Contexts;
use crate::decide::append::{Outcome, Place, Trace};
use crate::prepare::{self, CommandInput};
use crate::read::stream;
use crate::readback::{self, Ack, AckQuery};
use crate::submit;

/// A command for one stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// The stream that decides.
    #[schema(example = "account-42")]
    stream: String,
    /// The command: `PayIn`, or in full `bank.account.PayIn`.
    #[serde(rename = "type")]
    command_type: String,
    /// Its fields, as its schema names them.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// What the sender believes of the stream: `any`, `no_stream`, `stream_exists` or a version.
    #[serde(default)]
    #[schema(value_type = Object, example = "any")]
    expected_version: ExpectedVersion,
    /// When it happened, RFC 3339; now if it is missing. Its events bear it.
    #[schema(value_type = Option<String>, format = DateTime)]
    time: Option<Timestamp>,
    /// The business transaction it belongs to.
    correlation_id: Option<String>,
}

/// What a command led to.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommandAnswer {
    stream: String,
    /// Version of the stream after the command.
    #[schema(value_type = u64)]
    version: Version,
    /// Its events; none if there was nothing to do.
    events: Vec<EventView>,
    /// Place of the last event; `after=` of a read model waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "bank.events.v1:3:1287")]
    token: Option<Token>,
}

/// Sends a command. A command that was accepted has the same answer each time it is sent under the same key; one that
/// was rejected left no trace and is decided anew.
#[utoipa::path(
    post,
    path = "/v1/{context}/commands",
    tag = "streams",
    params(
        ("context" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = IDEMPOTENCY),
        ("ack" = Option<Ack>, Query, description = "`readback`: answered when a committed reader has seen the events"),
    ),
    request_body = CommandRequest,
    responses(
        (status = 201, description = "its events are committed, now or before under the same key", body = CommandAnswer),
        (status = 409, description = "`state.conflict`: the stream is at another version; `state.value_taken`: another stream \
            holds a unique value"),
        (status = 422, description = "the rule's own code: the domain says no. Or `validation.*`. Nothing was stored"),
        (status = 429, description = "`rate_limit.exceeded`: the partition's queue is full"),
        (status = 503, description = "`state.unavailable`: nothing was stored"),
        (status = 504, description = "`state.unknown`: repeat with the same key"),
    )
)]
pub async fn send(
    State(contexts): State<Contexts>,
    ApiPath(context): ApiPath<String>,
    ApiQuery(AckQuery { ack }): ApiQuery<AckQuery>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<CommandRequest>,
) -> ApiResult<(StatusCode, Json<CommandAnswer>)> {
    let context = contexts.get(&context)?;
    let stream = super::read::stream_id(&request.stream)?;
    let trace = TraceContext::current();
    let input = CommandInput {
        name: request.command_type,
        data: request.data,
        request_id: idempotency_key(&headers)?,
        expected: request.expected_version,
        time: request.time,
        correlation_id: request.correlation_id,
        trace: Trace { parent: trace.traceparent, state: trace.tracestate },
    };
    let intent = prepare::command(&context, stream.clone(), input)?;
    let outcome = submit::command(&context, intent).await?;
    readback::acknowledged(&context, ack, &outcome).await?;
    let answer = match outcome {
        Outcome::Appended(place) | Outcome::Repeated(place) => answer(&context, &stream, place).await?,
        Outcome::Nothing(version) => {
            CommandAnswer { stream: stream.to_string(), version, events: Vec::new(), token: None }
        }
        outcome @ (Outcome::Conflict(_)
        | Outcome::KeyReused
        | Outcome::Rejected(_)
        | Outcome::ValueTaken(_)
        | Outcome::Unavailable(_)
        | Outcome::Unknown) => return Err(refusal(&outcome)),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The events as they stand in the log, so that a repeat is answered with the same.
async fn answer(context: &Context, stream: &StreamId, place: Place) -> ApiResult<CommandAnswer> {
    let limit = u32::try_from(place.last.0 - place.first.0 + 1).unwrap_or(u32::MAX);
    let range = StreamRange { from: place.first, backward: false, limit };
    let part = stream::read(context, stream, range).await?;
    Ok(CommandAnswer {
        stream: stream.to_string(),
        version: place.last,
        events: part.events.into_iter().map(EventView::from).collect(),
        token: Some(Token::at(context.events_topic.to_string(), place.partition, place.offset)),
    })
}
