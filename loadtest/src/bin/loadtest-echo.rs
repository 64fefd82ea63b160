//! loadtest-echo: what HTTP and JSON cost by themselves.
//!
//! Served by the same runtime as the event-store: it reads the same request in the same way, and answers in the same form
//! without having done anything.

use std::process::ExitCode;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_core::{ExpectedVersion, StreamId, Timestamp};
use spina_runtime::{Api, ApiError, ApiJson, ApiPath, ApiResult, CommonConfig, Context, ServiceConfig};
use utoipa::OpenApi;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct EchoConfig {
    #[serde(flatten)]
    common: CommonConfig,
}

impl Default for EchoConfig {
    fn default() -> Self {
        Self { common: CommonConfig::on_port(7409) }
    }
}

impl ServiceConfig for EchoConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }
}

#[derive(OpenApi)]
#[openapi(info(title = "Echo", description = "Appends nothing."))]
struct Description;

/// An append, as the event-store takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Append {
    #[serde(default, rename = "expected_version")]
    _expected_version: ExpectedVersion,
    events: Vec<Event>,
    #[serde(default, rename = "priority")]
    _priority: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(rename = "type")]
    _event_type: String,
    data: Map<String, Value>,
    id: Option<String>,
    #[serde(rename = "time")]
    _time: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Answer {
    stream: String,
    version: usize,
    events: Vec<Echoed>,
    token: String,
}

#[derive(Debug, Serialize)]
struct Echoed {
    id: String,
    version: usize,
}

async fn echo(
    ApiPath((_context, stream)): ApiPath<(String, String)>,
    ApiJson(request): ApiJson<Append>,
) -> ApiResult<(StatusCode, ApiJson<Answer>)> {
    let stream: StreamId =
        stream.parse().map_err(|_| ApiError::invalid("validation.stream", "this is no stream id"))?;
    let version = request.events.iter().map(|event| event.data.len().min(1)).sum();
    let echoed = |event: Event| Echoed { id: event.id.unwrap_or_default(), version };
    let events = request.events.into_iter().map(echoed).collect();
    let token = "bench.events.v1:0:0".to_owned();
    Ok((StatusCode::CREATED, ApiJson(Answer { stream: stream.into(), version, events, token })))
}

fn main() -> ExitCode {
    spina_runtime::run("loadtest-echo", env!("CARGO_PKG_VERSION"), async |_: Context<EchoConfig>| {
        Ok(Api::new(Description::openapi())
            .routes(Router::new().route("/v1/{context}/streams/{stream}/events", post(echo))))
    })
}
