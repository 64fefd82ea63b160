//! Dead letters: what they are, and what is to be done with them.

mod verbs;
mod view;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::dead_letters::{Letter, LetterQuery, PARKED_LIST_MAX};
use utoipa::{IntoParams, ToSchema};

use super::Served;
use super::error::from_store;
pub(super) use verbs::{
    __path_drop_key, __path_edit, __path_redrive, __path_retry, __path_skip, drop_key, edit, redrive, retry, skip,
};
use view::{LetterView, WholeLetter};

/// Letters of a page unless the query says otherwise.
const LIMIT: u32 = 100;

/// Which letters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only of this context.
    context: Option<String>,
    /// Only of this model.
    model: Option<String>,
    /// Only refused for this class of error: `undecodable`, `schema`, `expression`, `value`, `key`, `overflow`, `refused`.
    class: Option<String>,
    /// Only of this key, which is a stream.
    key: Option<String>,
    /// 1 to 1000, 100 by default.
    limit: Option<u32>,
    /// Where the page begins: `cursor` of the page before.
    cursor: Option<i64>,
}

/// A page of letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Letters {
    /// By number.
    letters: Vec<LetterView>,
    /// Give it back as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<i64>,
}

/// Dead letters
///
/// Events that a model could not take, with those that wait behind them in order.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", params(Which),
    responses((status = 200, body = Letters), (status = 400, description = "`validation.query`")))]
pub(super) async fn list(
    State(served): State<Served>,
    ApiQuery(which): ApiQuery<Which>,
) -> ApiResult<ApiJson<Letters>> {
    let limit = which.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > PARKED_LIST_MAX {
        return Err(ApiError::malformed("validation.query", format!("limit is 1 to {PARKED_LIST_MAX}")));
    }
    let query = LetterQuery {
        context: which.context,
        model: which.model,
        class: which.class,
        key: which.key.map(String::into_bytes),
        after_id: which.cursor.unwrap_or(0),
        limit,
    };
    let letters = served.store()?.letters(&query).await.map_err(from_store)?;
    let full = letters.len() == limit as usize;
    let cursor = letters.last().filter(|_| full).map(|letter| letter.id);
    Ok(ApiJson(Letters { letters: letters.iter().map(LetterView::of).collect(), cursor }))
}

/// One dead letter with all that is known of it
#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters",
    params(("id" = i64, Path, description = "Number of the letter")),
    responses((status = 200, body = WholeLetter), (status = 404, description = "`resource.not_found`: settled, or never there")))]
pub(super) async fn show(State(served): State<Served>, ApiPath(id): ApiPath<i64>) -> ApiResult<ApiJson<WholeLetter>> {
    let letter = find(&served, id).await?;
    Ok(ApiJson(WholeLetter::of(&letter, &served.behind()?.schemas).await))
}

async fn find(served: &Served, id: i64) -> ApiResult<Letter> {
    let letter = served.store()?.letter(id).await.map_err(from_store)?;
    letter.ok_or_else(|| ApiError::not_found(format!("there is no dead letter {id}; it may have been settled")))
}
