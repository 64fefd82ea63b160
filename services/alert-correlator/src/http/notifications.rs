//! `/v1/notifications`: who was told of what, what is on its way, and what was given up.

use axum::extract::{RawQuery, State};
use serde_json::{Value, json};
use spina_runtime::{ApiJson, ApiResult};

use super::Served;
use super::text::Query;
use crate::correlate::Delivery;

/// Most notifications of one answer.
const LIMIT_MAX: usize = 1_000;

/// Notifications, the latest first.
#[utoipa::path(get, path = "/v1/notifications", tag = "notifications",
    params(("outcome" = Option<String>, Query, description = "pending, delivered or dead (given up)"),
        ("receiver" = Option<String>, Query, description = "Only those of a receiver")),
    responses((status = 200, description = "Those on their way, and the latest 1000 each that were delivered or given up; at most 1000")))]
pub(super) async fn list(State(served): State<Served>, RawQuery(query): RawQuery) -> ApiResult<ApiJson<Value>> {
    let query = Query::of(query.as_deref());
    let mut found = served.engine()?.notices().deliveries();
    let fits = |delivery: &Delivery| {
        query.get("outcome").is_none_or(|asked| json!(delivery.outcome) == asked)
            && query.get("receiver").is_none_or(|asked| delivery.notification.receiver == asked)
    };
    found.retain(fits);
    found.sort_by(|a, b| {
        (b.notification.at, &b.notification.notification).cmp(&(a.notification.at, &a.notification.notification))
    });
    found.truncate(LIMIT_MAX);
    Ok(ApiJson(json!({ "notifications": found })))
}
