//! Rebuilds: pausing, resuming, cancelling, what the comparison found, and the way back.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiResult};
use spina_store::read_model::{self, Slot};
use utoipa::ToSchema;

use super::Served;
use super::error::from_store;
use super::projections::{Accepted, command};
use crate::project::Command;

/// What the last rebuilt table had that the live one had not, both over the same events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Comparison {
    /// Rows that only the rebuilt table had.
    added: i64,
    /// Rows that only the live table had.
    removed: i64,
    /// Rows that both had, with another value in a column of both.
    changed: i64,
    /// Columns and tables of child rows that only the rebuilt table had, or with another type.
    columns_added: Vec<String>,
    /// Columns and tables of child rows that only the live table had, or with another type.
    columns_removed: Vec<String>,
    /// A few rows of each kind.
    samples: Vec<Difference>,
    /// The same for each table of child rows that both had.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(no_recursion)]
    children: BTreeMap<String, Self>,
}

/// A row that differs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Difference {
    /// As the live table had it; absent if the row was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    live: Option<Map<String, Value>>,
    /// As the rebuilt table had it; absent if the row was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    rebuilt: Option<Map<String, Value>>,
}

type Taken = ApiResult<(StatusCode, ApiJson<Accepted>)>;

/// Let a rebuild rest
///
/// It stays paused over restarts, and goes on where it was.
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/rebuild/pause", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted), (status = 409, description = "`state.conflict`: no rebuild is under way")))]
pub(super) async fn pause(State(served): State<Served>, path: ApiPath<(String, String)>) -> Taken {
    command(&served, path, Command::PauseRebuild).await
}

/// Go on with a paused rebuild
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/rebuild/resume", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted), (status = 409, description = "`state.conflict`: no rebuild is paused")))]
pub(super) async fn resume(State(served): State<Served>, path: ApiPath<(String, String)>) -> Taken {
    command(&served, path, Command::ResumeRebuild).await
}

/// Give a rebuild up
///
/// The shadow table is dropped, the live one is as it was.
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/rebuild/cancel", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted), (status = 409, description = "`state.conflict`: no rebuild is under way")))]
pub(super) async fn cancel(State(served): State<Served>, path: ApiPath<(String, String)>) -> Taken {
    command(&served, path, Command::CancelRebuild).await
}

/// What the last rebuild changed
#[utoipa::path(get, path = "/v1/projections/{context}/{model}/comparison", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 200, body = Comparison), (status = 404, description = "`resource.not_found`: nothing was compared")))]
pub(super) async fn comparison(
    State(served): State<Served>,
    ApiPath((context, model)): ApiPath<(String, String)>,
) -> ApiResult<ApiJson<Comparison>> {
    let (handle, _) = served.model(&context, &model)?;
    let found = served.store()?.comparison(&handle.name, Slot::Live).await.map_err(from_store)?;
    let nothing = || ApiError::not_found("the live table was not compared with a former one: it was not rebuilt yet");
    Ok(ApiJson(found.ok_or_else(nothing)?.into()))
}

impl From<read_model::Comparison> for Comparison {
    fn from(found: read_model::Comparison) -> Self {
        let read_model::Comparison { added, removed, changed, columns_added, columns_removed, samples, children } =
            found;
        let samples = samples.into_iter().map(|row| Difference { live: row.live, rebuilt: row.rebuilt }).collect();
        let children = children.into_iter().map(|(name, found)| (name, found.into())).collect();
        Self { added, removed, changed, columns_added, columns_removed, samples, children }
    }
}

/// Put the former table back
///
/// The table that the last rebuild took the place of is live again, with its checkpoint and its dead letters, and goes on
/// from there if the definition is still its own. The rebuilt one is put aside in its stead: rolling back again leads
/// forward.
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/roll-back", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted), (status = 409, description = "`state.conflict`: no former table is kept")))]
pub(super) async fn roll_back(State(served): State<Served>, path: ApiPath<(String, String)>) -> Taken {
    command(&served, path, Command::RollBack).await
}

/// Drop the table that was put aside
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/drop-old", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model")),
    responses((status = 202, body = Accepted)))]
pub(super) async fn drop_old(State(served): State<Served>, path: ApiPath<(String, String)>) -> Taken {
    command(&served, path, Command::DropOld).await
}
