//! `/v1/incidents`: what the correlation led to, with its reasons, and what people do about it.

use axum::extract::{RawQuery, State};
use serde::Deserialize;
use serde_json::{Value, json};
use spina_core::correlation::IncidentState;
use spina_core::correlation::incident::Move;
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiResult};
use utoipa::ToSchema;

use super::Served;
use super::text::{Query, Refused};
use crate::clock;
use crate::correlate::{Asked, Engine, Input, Kept, Muting, labels_of};

/// Most incidents of one answer.
const LIMIT_MAX: usize = 1_000;

/// What a person says of an incident.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// Who.
    by: String,
    /// What else.
    #[serde(default)]
    comment: String,
}

/// Incidents, the latest first.
#[utoipa::path(get, path = "/v1/incidents", tag = "incidents",
    params(("state" = Option<String>, Query, description = "open, acknowledged, mitigated, resolved or merged"),
        ("filter" = Option<String>, Query, description = "A matcher such as rule=\"flights/storm\"; may come several times")),
    responses((status = 200, description = "The incidents, at most 1000")))]
pub(super) async fn list(State(served): State<Served>, RawQuery(query): RawQuery) -> Result<ApiJson<Value>, Refused> {
    let query = Query::of(query.as_deref());
    let filter = query.filter()?;
    let engine = served.engine()?;
    let state = |kept: &&Kept| query.get("state").is_none_or(|asked| asked == kept.incident.state.name());
    let mut found: Vec<&Kept> = engine.incidents().iter().filter(state).collect();
    found.retain(|kept| filter.takes(&labels_of(&kept.incident)));
    found.sort_by(|a, b| (b.incident.opened_at, &b.incident.id).cmp(&(a.incident.opened_at, &a.incident.id)));
    let muting = engine.muting();
    let incidents: Vec<Value> = found.into_iter().take(LIMIT_MAX).map(|kept| shown(&muting, kept)).collect();
    Ok(ApiJson(json!({ "incidents": incidents, "account": account(&engine) })))
}

/// One incident with all that happened to it: rule, evidence, what else was considered, and which commands were asked or
/// withheld.
#[utoipa::path(get, path = "/v1/incidents/{id}", tag = "incidents",
    responses((status = 200, description = "The incident, its events and actions"), (status = 404, description = "There is none")))]
pub(super) async fn show(State(served): State<Served>, ApiPath(id): ApiPath<String>) -> ApiResult<ApiJson<Value>> {
    let engine = served.engine()?;
    let kept = engine.incidents().get(&id).ok_or_else(|| unknown(&id))?;
    let mut incident = shown(&engine.muting(), kept);
    incident["events"] = serde_json::to_value(&kept.events).map_err(ApiError::internal)?;
    incident["actions"] = serde_json::to_value(&kept.actions).map_err(ApiError::internal)?;
    Ok(ApiJson(incident))
}

/// Says that somebody looks after it.
#[utoipa::path(post, path = "/v1/incidents/{id}/acknowledge", tag = "incidents", request_body = Said,
    responses((status = 200, description = "The incident after it"), (status = 404, description = "There is none"),
        (status = 409, description = "It is over")))]
pub(super) async fn acknowledge(
    State(served): State<Served>,
    ApiPath(id): ApiPath<String>,
    ApiJson(said): ApiJson<Said>,
) -> ApiResult<ApiJson<Value>> {
    ask(served, id, Asked::Acknowledge, said).await
}

/// Says that nobody suffers from it any more. A further signal reopens it.
#[utoipa::path(post, path = "/v1/incidents/{id}/mitigate", tag = "incidents", request_body = Said,
    responses((status = 200, description = "The incident after it"), (status = 404, description = "There is none"),
        (status = 409, description = "It is over, or mitigated already")))]
pub(super) async fn mitigate(
    State(served): State<Served>,
    ApiPath(id): ApiPath<String>,
    ApiJson(said): ApiJson<Said>,
) -> ApiResult<ApiJson<Value>> {
    ask(served, id, Asked::Mitigate, said).await
}

/// Says that it is not over after all.
#[utoipa::path(post, path = "/v1/incidents/{id}/reopen", tag = "incidents", request_body = Said,
    responses((status = 200, description = "The incident after it"), (status = 404, description = "There is none"),
        (status = 409, description = "It is open, or its group has another incident by now")))]
pub(super) async fn reopen(
    State(served): State<Served>,
    ApiPath(id): ApiPath<String>,
    ApiJson(said): ApiJson<Said>,
) -> ApiResult<ApiJson<Value>> {
    ask(served, id, Asked::Reopen, said).await
}

/// Says that it is over.
#[utoipa::path(post, path = "/v1/incidents/{id}/resolve", tag = "incidents", request_body = Said,
    responses((status = 200, description = "The incident after it"), (status = 404, description = "There is none"),
        (status = 409, description = "It is over already")))]
pub(super) async fn resolve(
    State(served): State<Served>,
    ApiPath(id): ApiPath<String>,
    ApiJson(said): ApiJson<Said>,
) -> ApiResult<ApiJson<Value>> {
    ask(served, id, Asked::Resolve, said).await
}

/// The rules in force, and what each of them cost so far.
#[utoipa::path(get, path = "/v1/rules", tag = "rules", responses((status = 200, description = "The rules")))]
pub(super) async fn rules(State(served): State<Served>) -> ApiResult<ApiJson<Value>> {
    let engine = served.engine()?;
    let rules: Vec<Value> = engine
        .rules()
        .rules()
        .map(|rule| {
            let cost = engine.costs().get(&rule.name).copied().unwrap_or_default();
            json!({ "rule": rule.name, "doc": rule.doc, "severity": rule.severity, "cost": cost })
        })
        .collect();
    Ok(ApiJson(json!({ "version": engine.rules().version, "rules": rules, "account": account(&engine) })))
}

async fn ask(served: Served, incident: String, action: Asked, said: Said) -> ApiResult<ApiJson<Value>> {
    let state = served.engine()?.incidents().get(&incident).map(|kept| kept.incident.state);
    let state = state.ok_or_else(|| unknown(&incident))?;
    let next =
        state.after(action.verb()).ok_or_else(|| ApiError::conflict(why_not(&incident, state, action.verb())))?;
    let Said { by, comment } = said;
    let input = Input::IncidentAsked { incident: incident.clone(), action, by, comment, at: clock::now() };
    served.write_and_see(input).await?;
    let engine = served.engine()?;
    let kept = engine.incidents().get(&incident).ok_or_else(|| unknown(&incident))?;
    if action == Asked::Reopen && state == IncidentState::Resolved && kept.incident.state != next {
        let message =
            format!("incident {incident} stays over: its rule is gone, or its group has another incident by now");
        return Err(ApiError::conflict(message));
    }
    Ok(ApiJson(shown(&engine.muting(), kept)))
}

/// Why a move is not a legal one.
fn why_not(incident: &str, state: IncidentState, verb: Move) -> String {
    match (state, verb) {
        (IncidentState::Merged, _) => format!("incident {incident} is part of another one: see its merged_into"),
        (IncidentState::Resolved, _) => format!("incident {incident} is over"),
        (IncidentState::Open | IncidentState::Acknowledged, _) => {
            format!("incident {incident} is {} anyway", state.name())
        }
        (IncidentState::Mitigated, _) => format!("incident {incident} is mitigated: reopen or resolve it"),
    }
}

fn shown(muting: &Muting<'_>, kept: &Kept) -> Value {
    let mut incident = serde_json::to_value(&kept.incident).unwrap_or_default();
    let muted = muting.of(&labels_of(&kept.incident));
    incident["silenced_by"] = Value::from(muted.silenced_by);
    incident["inhibited_by"] = Value::from(muted.inhibited_by);
    incident
}

fn account(engine: &Engine) -> Value {
    let mut account = serde_json::to_value(engine.account()).unwrap_or_default();
    account["accounted"] = Value::from(engine.account().accounted(engine.waiting()));
    account["waiting"] = Value::from(engine.waiting());
    account["groups"] = Value::from(engine.groups());
    account
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no incident {id}; see /v1/incidents"))
}
