//! Health: is the process alive, is it ready, and if not, why not.
//!
//! Components state named conditions on a shared [`Readiness`]; the process is ready when none of them is not. A
//! degraded condition is shown but still takes traffic.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// How one component of the process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Works.
    Ready,
    /// Works less well than it should, for this reason.
    Degraded(String),
    /// Does not work, for this reason: send no traffic.
    NotReady(String),
}

impl Condition {
    /// Works less well than it should.
    pub fn degraded(reason: impl Into<String>) -> Self {
        Self::Degraded(reason.into())
    }

    /// Does not work.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self::NotReady(reason.into())
    }
}

/// The conditions of all components. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    conditions: Arc<Mutex<BTreeMap<Cow<'static, str>, Condition>>>,
}

impl Readiness {
    /// No component yet, hence ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// States how a component is; a change is logged.
    pub fn set(&self, component: impl Into<Cow<'static, str>>, condition: Condition) {
        let component = component.into();
        let previous = self.lock().insert(component.clone(), condition.clone());
        if previous.as_ref() == Some(&condition) {
            return;
        }
        let component = component.as_ref();
        match condition {
            Condition::Ready => tracing::info!(component, "ready"),
            Condition::Degraded(reason) => tracing::warn!(component, reason, "degraded"),
            Condition::NotReady(reason) => tracing::info!(component, reason, "not ready"),
        }
    }

    /// Takes a component out, for instance a partition that moved away.
    pub fn remove(&self, component: &str) {
        self.lock().remove(component);
    }

    /// Whether no component is [`Condition::NotReady`].
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.lock().values().any(|condition| matches!(condition, Condition::NotReady(_)))
    }

    /// What `/health/ready` shows.
    #[must_use]
    pub fn report(&self) -> ReadinessReport {
        let conditions: Vec<ComponentReport> =
            self.lock().iter().map(|(component, condition)| ComponentReport::new(component, condition)).collect();
        let status = conditions.iter().map(|report| report.status).max().unwrap_or(ReadinessStatus::Ready);
        ReadinessReport { status, conditions }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Cow<'static, str>, Condition>> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How ready something is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessStatus {
    /// Takes traffic.
    Ready,
    /// Takes traffic, but something is wrong.
    Degraded,
    /// Takes no traffic.
    NotReady,
}

/// Body of `/health/ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadinessReport {
    /// The worst of all components.
    pub status: ReadinessStatus,
    /// One entry per component, by name.
    pub conditions: Vec<ComponentReport>,
}

/// One component in [`ReadinessReport`].
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentReport {
    /// Name of the component.
    pub component: String,
    /// How it is.
    pub status: ReadinessStatus,
    /// Why it is not simply ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ComponentReport {
    fn new(component: &str, condition: &Condition) -> Self {
        let (status, reason) = match condition {
            Condition::Ready => (ReadinessStatus::Ready, None),
            Condition::Degraded(reason) => (ReadinessStatus::Degraded, Some(reason.clone())),
            Condition::NotReady(reason) => (ReadinessStatus::NotReady, Some(reason.clone())),
        };
        Self { component: component.to_owned(), status, reason }
    }
}

/// Body of `/health/live`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Liveness {
    /// Always `live`: a process that is not does not answer.
    pub status: &'static str,
}

/// Is the process alive?
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = Liveness)))]
pub(crate) async fn live() -> Json<Liveness> {
    Json(Liveness { status: "live" })
}

/// Is the process ready to take traffic, and if not, why not?
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operations",
    responses(
        (status = 200, description = "ready, perhaps degraded", body = ReadinessReport),
        (status = 503, description = "not ready", body = ReadinessReport),
    )
)]
pub(crate) async fn ready(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report();
    let status = match report.status {
        ReadinessStatus::Ready | ReadinessStatus::Degraded => StatusCode::OK,
        ReadinessStatus::NotReady => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report)).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_worst_condition_decides() {
        let readiness = Readiness::new();
        assert_eq!(ready(State(readiness.clone())).await.status(), StatusCode::OK);
        readiness.set("kafka", Condition::Ready);
        readiness.set("postgres", Condition::degraded("archive lags 9 s"));
        assert_eq!(ready(State(readiness.clone())).await.status(), StatusCode::OK);
        readiness.set("kafka", Condition::not_ready("no broker answers"));
        assert!(!readiness.is_ready());
        assert_eq!(ready(State(readiness.clone())).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        let shown = serde_json::to_value(readiness.report()).expect("report is JSON");
        let expected = json!({"status": "not_ready", "conditions": [
            {"component": "kafka", "status": "not_ready", "reason": "no broker answers"},
            {"component": "postgres", "status": "degraded", "reason": "archive lags 9 s"},
        ]});
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_component_that_left_does_not_count() {
        let readiness = Readiness::new();
        readiness.set("partition", Condition::not_ready("catching up"));
        readiness.remove("partition");
        assert!(readiness.is_ready());
    }
}
