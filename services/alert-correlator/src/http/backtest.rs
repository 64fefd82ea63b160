//! `POST /v1/rules/backtest`: rules over history, without telling anybody.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use spina_core::Timestamp;
use spina_runtime::{ApiError, ApiJson, ApiResult};
use utoipa::ToSchema;

use super::{RETRY_AFTER_S, Served};
use crate::backtest;

/// What is to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// The context whose events are looked at.
    context: String,
    /// The text of a correlation.yaml; what is in the files if absent.
    #[serde(default)]
    rules: Option<String>,
    /// Signals from this instant on.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Signals before this instant.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    to: Option<Timestamp>,
}

/// Runs rules over the history of a context: incidents, noise removed, cost of each rule.
#[utoipa::path(post, path = "/v1/rules/backtest", tag = "rules", request_body = Draft,
    responses((status = 200, description = "What the rules would have led to"),
        (status = 422, description = "The rules cannot be used: each problem with file, line and column")))]
pub(super) async fn run(State(served): State<Served>, ApiJson(draft): ApiJson<Draft>) -> ApiResult<ApiJson<Value>> {
    let waiting = || ApiError::unavailable("the servers have not answered yet", RETRY_AFTER_S);
    let history = served.history.get().ok_or_else(waiting)?;
    let in_files = || served.files.wanted().set.texts.get(&draft.context).cloned();
    let text = draft.rules.clone().or_else(in_files);
    let no_rules = || ApiError::not_found(format!("context {} has no rules: send some", draft.context));
    let texts = BTreeMap::from([(draft.context.clone(), text.ok_or_else(no_rules)?)]);
    let invalid = |error: anyhow::Error| ApiError::invalid("validation.rules", format!("{error:#}"));
    let wanted = served.files.compile(&texts).map_err(invalid)?;
    let tried = backtest::run(history, wanted, &draft.context, draft.from, draft.to).await;
    let result = tried.map_err(|error| ApiError::unavailable(format!("{error:#}"), RETRY_AFTER_S))?;
    Ok(ApiJson(result))
}
