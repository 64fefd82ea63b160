//! The HTTP API: Alertmanager's, version 2, so that Prometheus and amtool need not know the difference; and our own.

mod alerts;
mod backtest;
mod incidents;
mod learn;
mod notifications;
mod silences;
mod text;

use std::sync::{Arc, OnceLock, RwLockReadGuard};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Value, json};
use spina_runtime::processor::Requests;
use spina_runtime::{Api, ApiError, ApiResult};
use utoipa::OpenApi;

use crate::backtest::History;
use crate::clock;
use crate::correlate::{Engine, Input};
use crate::incidents::View;
use crate::journal::{PARTITION, Scribe};
use crate::rules::Files;

/// How long a caller waits for its own writing to be taken.
const TAKEN_LIMIT: Duration = Duration::from_secs(20);
/// Seconds after which a caller should try again.
const RETRY_AFTER_S: u64 = 1;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Spina alert-correlator",
        description = "Turns alerts and events into incidents. Paths under /api/v2 are those of Alertmanager 0.2x: see its \
            own OpenAPI file."
    ),
    paths(
        incidents::list,
        incidents::show,
        incidents::acknowledge,
        incidents::mitigate,
        incidents::reopen,
        incidents::resolve,
        incidents::rules,
        notifications::list,
        backtest::run,
        learn::run
    )
)]
struct Description;

/// What handlers work with.
#[derive(Clone)]
pub struct Served {
    view: Arc<View>,
    files: Files,
    /// Empty until the servers have answered.
    pub scribe: Arc<OnceLock<Scribe>>,
    /// As above.
    pub history: Arc<OnceLock<History>>,
    /// Knows whether the journal's partition is served here.
    pub requests: Requests<()>,
}

impl Served {
    /// Serves what the view shows.
    pub fn new(view: Arc<View>, files: Files) -> Self {
        Self { view, files, scribe: Arc::default(), history: Arc::default(), requests: Requests::default() }
    }

    /// The engine, if it is this process that correlates.
    fn engine(&self) -> ApiResult<RwLockReadGuard<'_, Engine>> {
        if self.requests.partitions().contains(&PARTITION) {
            return Ok(self.view.engine());
        }
        let message = "this process does not correlate at the moment: it starts, or another one does";
        Err(ApiError::unavailable(message, RETRY_AFTER_S))
    }

    fn scribe(&self) -> ApiResult<&Scribe> {
        let waiting = || ApiError::unavailable("the servers have not answered yet", RETRY_AFTER_S);
        self.scribe.get().ok_or_else(waiting)
    }

    /// Writes inputs into the journal.
    async fn write(&self, inputs: &[Input]) -> ApiResult<i64> {
        let written = self.scribe()?.write(inputs, clock::now()).await;
        written.map_err(|error| ApiError::unavailable(format!("the journal takes nothing: {error:#}"), RETRY_AFTER_S))
    }

    /// Writes an input and waits until it counts.
    async fn write_and_see(&self, input: Input) -> ApiResult<()> {
        drop(self.engine()?);
        let offset = self.write(&[input]).await?;
        let seen = tokio::time::timeout(TAKEN_LIMIT, self.view.reached(offset)).await;
        seen.map_err(|_| ApiError::unavailable("it is written and not taken yet", RETRY_AFTER_S))
    }
}

/// Routes and their description.
pub fn api(served: Served) -> Api {
    let alertmanager = Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v2/receivers", get(receivers))
        .route("/api/v2/alerts", get(alerts::list).post(alerts::take))
        .route("/api/v2/alerts/groups", get(alerts::groups))
        .route("/api/v2/silences", get(silences::list).post(silences::set))
        .route("/api/v2/silence/{id}", get(silences::show).delete(silences::expire))
        .route("/-/healthy", get(async || "OK"))
        .route("/-/ready", get(async || "OK"));
    let ours = Router::new()
        .route("/v1/incidents", get(incidents::list))
        .route("/v1/incidents/{id}", get(incidents::show))
        .route("/v1/incidents/{id}/acknowledge", post(incidents::acknowledge))
        .route("/v1/incidents/{id}/mitigate", post(incidents::mitigate))
        .route("/v1/incidents/{id}/reopen", post(incidents::reopen))
        .route("/v1/incidents/{id}/resolve", post(incidents::resolve))
        .route("/v1/notifications", get(notifications::list))
        .route("/v1/rules", get(incidents::rules));
    let long =
        Router::new().route("/v1/rules/backtest", post(backtest::run)).route("/v1/rules/learn", post(learn::run));
    let routes = alertmanager.merge(ours).with_state(served.clone());
    Api::new(Description::openapi()).routes(routes).streaming(long.with_state(served))
}

/// Alertmanager's status: not clustered, and its configuration is ours.
async fn status() -> axum::Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    axum::Json(json!({
        "cluster": { "status": "disabled", "peers": [] },
        "config": { "original": "" },
        "uptime": text::instant(clock::now()),
        "versionInfo": {
            "version": version, "revision": "", "branch": "", "buildUser": "spina", "buildDate": "", "goVersion": "",
        },
    }))
}

async fn receivers(axum::extract::State(served): axum::extract::State<Served>) -> axum::Json<Value> {
    let wanted = served.files.wanted();
    let receivers = wanted.set.files.iter().flat_map(|file| &file.receivers);
    let mut names: Vec<Value> = receivers.map(|receiver| json!({ "name": receiver.name })).collect();
    if names.is_empty() {
        names.push(json!({ "name": text::NOBODY }));
    }
    axum::Json(Value::from(names))
}
