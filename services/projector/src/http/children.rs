//! Reading the rows that belong to a row.

use axum::extract::State;
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use spina_store::read_model::View;

use super::Served;
use super::error::from_store;
use super::models::{Parameters, Rows, cells, reach, view};

/// Children of a row by condition and order
///
/// A table of child rows that the model declares under `children`. Its rows have the columns of the parent's key first.
#[utoipa::path(get, path = "/v1/{context}/models/{model}/{key}/{children}", tag = "models",
    params(
        ("context", description = "Bounded context"),
        ("model", description = "Read model"),
        ("key", description = "Key of the parent"),
        ("children", description = "Table of child rows"),
        ("where" = Option<Vec<String>>, Query, description = "As for rows of a model"),
        ("order" = Option<String>, Query, description = "As for rows of a model"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 by default"),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `cursor` of the page before, same order"),
        ("after" = Option<String>, Query, description = "A token, as an append returns it: the answer includes the events up to it"),
        ("timeout_ms" = Option<u64>, Query, description = "How long to wait for that, at most 30000")),
    responses(
        (status = 200, body = Rows),
        (status = 400, description = "`validation.*`"),
        (status = 404, description = "`resource.not_found`: no such model, parent or table of child rows"),
        (status = 503, description = "`state.unavailable`: not caught up with `after` yet, or no database")))]
pub(super) async fn list_children(
    State(served): State<Served>,
    ApiPath((context, model, key, children)): ApiPath<(String, String, String, String)>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
) -> ApiResult<ApiJson<Rows>> {
    let (handle, _) = served.model(&context, &model)?;
    let query = Parameters::read(pairs)?;
    reach(&served, &handle, query.after.as_deref(), query.timeout_ms).await?;
    let (shape, parents) = view(&served, &handle)?;
    let unknown = || ApiError::not_found(format!("the rows of {context}/{model} have no children {children}"));
    let child = shape.child(&children).ok_or_else(unknown)?;
    let parent = cells(&parents, &key)?;
    let view = View::of_children(&handle.name, child);
    let list = query.list(&view)?.under(&view, &parent);
    let store = served.store()?;
    let page = store.rows(&view, &list).await.map_err(from_store)?;
    if page.rows.is_empty() && store.row(&parents, &parent).await.map_err(from_store)?.is_none() {
        return Err(ApiError::not_found(format!("{context}/{model} has no row {key}")));
    }
    Ok(ApiJson(page.into()))
}
