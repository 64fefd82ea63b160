//! Reading models.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_core::{Cell, Join, ModelShape, StreamKey, Token};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::read_model::{ListQuery, ModelName, Page, View};
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
    /// A token, as an append returns it: the answer includes the events up to it. Of a model that reads several contexts it
    /// may be a token of any of them.
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
    reach(&served, &handle, query.after.as_deref(), query.timeout_ms).await?;
    let (_, view) = view(&served, &handle)?;
    let cells = cells(&view, &key)?;
    let row = served.store()?.row(&view, &cells).await.map_err(from_store)?;
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
    reach(&served, &handle, query.after.as_deref(), query.timeout_ms).await?;
    let (_, view) = view(&served, &handle)?;
    let page = served.store()?.rows(&view, &query.list(&view)?).await.map_err(from_store)?;
    Ok(ApiJson(page.into()))
}

impl From<Page> for Rows {
    fn from(page: Page) -> Self {
        Self { rows: page.rows, cursor: page.cursor }
    }
}

/// The query of a list. Read by hand because `where` may be repeated.
#[derive(Debug)]
pub(super) struct Parameters {
    filters: Vec<String>,
    order: String,
    limit: u32,
    cursor: Option<String>,
    /// See [`After`].
    pub after: Option<String>,
    pub timeout_ms: Option<u64>,
}

impl Parameters {
    pub fn list(&self, view: &View) -> ApiResult<ListQuery> {
        ListQuery::parse(view, &self.filters, &self.order, self.limit, self.cursor.as_deref()).map_err(from_query)
    }

    pub fn read(pairs: Vec<(String, String)>) -> ApiResult<Self> {
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

/// The live table's columns, and what can be read of it and of the models that it joins.
pub(super) fn view(served: &Served, handle: &Handle) -> ApiResult<(Arc<ModelShape>, View)> {
    let own = shape(handle)?;
    let mut view = View::of(&handle.name, &own);
    for (join, other) in joined(served, handle) {
        view = view.join(&other.name, &*shape(&other)?, join);
    }
    Ok((own, view))
}

/// The models that a model joins.
fn joined<'h>(served: &Served, handle: &'h Handle) -> impl Iterator<Item = (&'h Join, Arc<Handle>)> {
    let context = &handle.name.context;
    handle.joins.iter().filter_map(move |join| {
        let other = ModelName { context: context.clone(), model: join.model.clone() };
        served.handles.get(&other).map(|(other, _)| (join, other))
    })
}

/// A key as it stands in a path.
pub(super) fn cells(view: &View, key: &str) -> ApiResult<Vec<Cell>> {
    let parts: Vec<&str> = if view.key_columns() == 1 { vec![key] } else { key.split(',').collect() };
    view.parse_key(&parts).map_err(from_query)
}

/// Waits until the model includes what the token names, and those that it joins. Of these only such count that read the
/// token's topic.
pub(super) async fn reach(
    served: &Served,
    handle: &Handle,
    after: Option<&str>,
    timeout_ms: Option<u64>,
) -> ApiResult<()> {
    let Some(after) = after else { return Ok(()) };
    let token: Token =
        after.parse().map_err(|error| ApiError::malformed("validation.query", format!("after: {error}")))?;
    let limit = timeout_ms.unwrap_or(TIMEOUT_MS).min(TIMEOUT_MS_MAX);
    let limit = Duration::from_millis(limit);
    let others = joined(served, handle).map(|(_, other)| other).filter(|other| other.reads(&token));
    let others: Vec<_> = others.collect();
    let all_others = try_join_all(others.iter().map(|other| other.reach(&token, limit)));
    if !handle.reads(&token) && !others.is_empty() {
        return all_others.await.map(|_| ()).map_err(from_wait);
    }
    let (own, others) = tokio::join!(handle.reach(&token, limit), all_others);
    own.and(others.map(|_| ())).map_err(from_wait)
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
