//! Reading models.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_core::{ModelShape, StreamKey, Token};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::read_model::{ListQuery, parse_key};
use utoipa::{IntoParams, ToSchema};

use super::Served;
use super::error::{from_query, from_store, from_wait};
use crate::project::Handle;

/// How long a read waits for its token unless it says otherwise, in milliseconds.
const TIMEOUT_MS: u64 = 5_000;
/// Longest that a read may wait for its token, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 30_000;
/// Rows of a page unless the query says otherwise.
const LIMIT: u32 = 100;

/// Reading what was just written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// A token, as an append returns it: the answer includes the events up to it.
    after: Option<String>,
    /// How long to wait for that, at most 30000.
    timeout_ms: Option<u64>,
}

/// A page of rows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rows {
    /// Rows, each an object of the model's columns.
    rows: Vec<Map<String, Value>>,
    /// Give it back as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// One row by key
///
/// The parts of a key of several columns are separated by commas, in the model's order.
#[utoipa::path(get, path = "/v1/{context}/models/{model}/{key}", tag = "models",
    params(("context", description = "Bounded context"), ("model", description = "Read model"), ("key", description = "Key"), After),
    responses(
        (status = 200, description = "the row, an object of the model's columns; `ETag` changes whenever the row does", body = Object),
        (status = 304, description = "the row is still the one that `If-None-Match` names"),
        (status = 400, description = "`validation.*`"),
        (status = 404, description = "`resource.not_found`"),
        (status = 503, description = "`state.unavailable`: not caught up with `after` yet, or no database")))]
pub(super) async fn get_row(
    State(served): State<Served>,
    ApiPath((context, model, key)): ApiPath<(String, String, String)>,
    ApiQuery(query): ApiQuery<After>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (handle, _) = served.model(&context, &model)?;
    reach(&handle, query.after.as_deref(), query.timeout_ms).await?;
    let shape = shape(&handle)?;
    let parts: Vec<&str> = if shape.key.len() == 1 { vec![key.as_str()] } else { key.split(',').collect() };
    let cells = parse_key(&shape, &parts).map_err(from_query)?;
    let row = served.store()?.row(&handle.name, &shape, &cells).await.map_err(from_store)?;
    let row = row.ok_or_else(|| ApiError::not_found(format!("{context}/{model} has no row {key}")))?;
    let tag = tag(&row);
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|tags| tags.split(',')).any(|known| matches_tag(known, &tag));
    let answer = if known { StatusCode::NOT_MODIFIED.into_response() } else { ApiJson(row).into_response() };
    Ok(([(ETAG, tag)], answer).into_response())
}

/// A tag that follows from what the row says, so that it is the same after a rebuild that changes nothing.
fn tag(row: &Map<String, Value>) -> String {
    let text = row.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect::<String>();
    format!("\"{:032x}\"", StreamKey::of(&text).0)
}

/// Whether a tag of a condition is this one, or any.
fn matches_tag(known: &str, tag: &str) -> bool {
    let known = known.trim();
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}

/// Rows by condition and order
#[utoipa::path(get, path = "/v1/{context}/models/{model}", tag = "models",
    params(
        ("context", description = "Bounded context"),
        ("model", description = "Read model"),
        ("where" = Option<Vec<String>>, Query, description = "`field:op:value`, repeatable, all must hold; op is eq, ne, lt, le, gt, ge, \
            prefix (text), null (true or false)"),
        ("order" = Option<String>, Query, description = "`field[:asc|:desc]`, separated by commas; nulls come last; the key decides ties"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 by default"),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `cursor` of the page before, same order"),
        After),
    responses(
        (status = 200, body = Rows),
        (status = 400, description = "`validation.*`"),
        (status = 404, description = "`resource.not_found`: no such model"),
        (status = 503, description = "`state.unavailable`: not caught up with `after` yet, or no database")))]
pub(super) async fn list_rows(
    State(served): State<Served>,
    ApiPath((context, model)): ApiPath<(String, String)>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
) -> ApiResult<ApiJson<Rows>> {
    let (handle, _) = served.model(&context, &model)?;
    let query = Parameters::read(pairs)?;
    reach(&handle, query.after.as_deref(), query.timeout_ms).await?;
    let shape = shape(&handle)?;
    let cursor = query.cursor.as_deref();
    let list = ListQuery::parse(&shape, &query.filters, &query.order, query.limit, cursor).map_err(from_query)?;
    let page = served.store()?.rows(&handle.name, &shape, &list).await.map_err(from_store)?;
    Ok(ApiJson(Rows { rows: page.rows, cursor: page.cursor }))
}

/// The query of a list. Read by hand because `where` may be repeated.
#[derive(Debug)]
struct Parameters {
    filters: Vec<String>,
    order: String,
    limit: u32,
    cursor: Option<String>,
    after: Option<String>,
    timeout_ms: Option<u64>,
}

impl Parameters {
    fn read(pairs: Vec<(String, String)>) -> ApiResult<Self> {
        let mut query = Self {
            filters: Vec::new(),
            order: String::new(),
            limit: LIMIT,
            cursor: None,
            after: None,
            timeout_ms: None,
        };
        for (name, value) in pairs {
            match name.as_str() {
                "where" => query.filters.push(value),
                "order" => query.order = value,
                "limit" => query.limit = number("limit", &value)?,
                "cursor" => query.cursor = Some(value),
                "after" => query.after = Some(value),
                "timeout_ms" => query.timeout_ms = Some(number("timeout_ms", &value)?),
                _ => {
                    let message = format!("unknown parameter `{name}`: where, order, limit, cursor, after, timeout_ms");
                    return Err(ApiError::malformed("validation.query", message));
                }
            }
        }
        Ok(query)
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> ApiResult<T> {
    text.parse().map_err(|_| ApiError::malformed("validation.query", format!("{name} is a whole number")))
}

pub(super) fn shape(handle: &Handle) -> ApiResult<Arc<ModelShape>> {
    handle.shape().ok_or_else(|| ApiError::unavailable("the model is starting", 1))
}

/// Waits until the model includes what the token names.
async fn reach(handle: &Handle, after: Option<&str>, timeout_ms: Option<u64>) -> ApiResult<()> {
    let Some(after) = after else { return Ok(()) };
    let token: Token =
        after.parse().map_err(|error| ApiError::malformed("validation.query", format!("after: {error}")))?;
    let limit = timeout_ms.unwrap_or(TIMEOUT_MS).min(TIMEOUT_MS_MAX);
    handle.reach(&token, Duration::from_millis(limit)).await.map_err(from_wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_follows_from_the_row_and_is_found_in_conditions() {
        let row = |depot: &str| Map::from_iter([("depot".to_owned(), Value::from(depot)), ("n".to_owned(), 1.into())]);
        let first = tag(&row("EWR"));
        assert_eq!(first, tag(&row("EWR")));
        assert_ne!(first, tag(&row("LGA")));
        assert!(matches_tag(&first, &first) && matches_tag(&format!(" W/{first}"), &first) && matches_tag("*", &first));
        assert!(!matches_tag(&tag(&row("LGA")), &first) && !matches_tag("", &first));
    }
}
