//! What can be done with dead letters: retry, skip, edit, drop, redrive.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_codec::frame;
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiResult};
use spina_store::dead_letters::{Decision, Letter, Verdict};
use spina_store::read_model::{ModelName, Slot};
use utoipa::ToSchema;

use super::super::Served;
use super::super::error::{from_command, from_store};
use super::find;
use crate::project::{self, Handle};

/// Keys that one call tries at most.
const KEYS_MAX: u32 = 1000;
/// Keys that one call tries unless it says otherwise.
const KEYS: u32 = 100;
/// Letters of a key that are dropped at once at most; more than can be parked.
const LETTERS_MAX: usize = 20_000;
/// Longest reason and name that are kept, in characters.
const WORDS_CHARS_MAX: usize = 1000;

/// Who does it, and why. Kept with the event, and with every rebuild that does as was decided.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Why {
    /// Why.
    #[serde(default)]
    reason: String,
    /// Who.
    #[serde(default)]
    by: String,
}

/// The event as the model is to take it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Edit {
    /// All its fields, as `GET /v1/dead-letters/{id}` shows them.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// Id of the schema that the fields are of; that of the record unless given.
    #[serde(default)]
    schema_id: Option<u32>,
    /// Why.
    #[serde(default)]
    reason: String,
    /// Who.
    #[serde(default)]
    by: String,
}

/// Which keys to try again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Redrive {
    /// Bounded context.
    context: String,
    /// Read model.
    model: String,
    /// Only keys whose first letter was refused for this class of error.
    #[serde(default)]
    class: Option<String>,
    /// Only keys whose first letter has a greater number: `cursor` of the call before.
    #[serde(default)]
    cursor: i64,
    /// Most keys of this call, 1 to 1000, 100 by default: a slow redrive is many small calls.
    #[serde(default)]
    keys_max: Option<u32>,
    /// Only counts what would be tried.
    #[serde(default)]
    dry_run: bool,
}

/// What became of letters.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Outcome {
    /// Letters that the model has taken.
    applied: usize,
    /// Letters that were left out.
    left_out: usize,
    /// Keys whose first letter was refused again; they stay parked.
    refused: usize,
    /// What the last of those was refused for.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What became of a redrive.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Redriven {
    /// Keys that were tried, or would be.
    keys: usize,
    /// Letters of those keys.
    letters: i64,
    /// Give it back as `cursor` to go on; absent when there are no more keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<i64>,
    /// What became of them; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// Try a key again
///
/// The letters of the letter's key are tried in order, up to the first that is refused again.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/retry", tag = "dead letters",
    params(("id" = i64, Path, description = "Number of a letter of the key")),
    responses((status = 200, body = Outcome), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: the model is not running")))]
pub(in crate::http) async fn retry(
    State(served): State<Served>,
    ApiPath(id): ApiPath<i64>,
) -> ApiResult<ApiJson<Outcome>> {
    let letter = find(&served, id).await?;
    settle(&served, &letter, Vec::new()).await
}

/// Do without one event
///
/// Those behind it are then tried in order. A rebuild does without it too.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/skip", tag = "dead letters", request_body = Why,
    params(("id" = i64, Path, description = "Number of the letter")),
    responses((status = 200, body = Outcome), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: settled meanwhile, or the model is not running")))]
pub(in crate::http) async fn skip(
    State(served): State<Served>,
    ApiPath(id): ApiPath<i64>,
    ApiJson(why): ApiJson<Why>,
) -> ApiResult<ApiJson<Outcome>> {
    let letter = find(&served, id).await?;
    settle(&served, &letter, vec![decision(&letter, Verdict::LeaveOut, why)]).await
}

/// Take an event with other fields
///
/// The log stays as it is: the model takes this event as it is given here, now and in every rebuild. The key is tried again.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/edit", tag = "dead letters", request_body = Edit,
    params(("id" = i64, Path, description = "Number of the letter")),
    responses((status = 200, body = Outcome), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: the model is not running"),
        (status = 422, description = "`validation.schema`: the fields are not of the schema")))]
pub(in crate::http) async fn edit(
    State(served): State<Served>,
    ApiPath(id): ApiPath<i64>,
    ApiJson(edit): ApiJson<Edit>,
) -> ApiResult<ApiJson<Outcome>> {
    let letter = find(&served, id).await?;
    let written = letter.record.value.as_deref().and_then(|value| frame::split(value).ok()).map(|(id, _)| id);
    let no_schema = || ApiError::invalid("validation.schema", "the record names no schema: give schema_id");
    let schema_id = edit.schema_id.or(written).ok_or_else(no_schema)?;
    let refused = |error: String| ApiError::invalid("validation.schema", error);
    let shape = served.behind()?.schemas.resolve(schema_id).await.map_err(|error| refused(error.to_string()))?;
    let avro = shape.encode(&edit.data).map_err(|error| refused(error.to_string()))?;
    let verdict = Verdict::Edit(frame::frame(schema_id, &avro));
    let why = Why { reason: edit.reason, by: edit.by };
    settle(&served, &letter, vec![decision(&letter, verdict, why)]).await
}

/// Do without all that waits of a key
///
/// The letter's event and every other letter of its key are left out, now and in every rebuild. Later events of the key
/// are taken again.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/drop", tag = "dead letters", request_body = Why,
    params(("id" = i64, Path, description = "Number of a letter of the key")),
    responses((status = 200, body = Outcome), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: settled meanwhile, or the model is not running")))]
pub(in crate::http) async fn drop_key(
    State(served): State<Served>,
    ApiPath(id): ApiPath<i64>,
    ApiJson(why): ApiJson<Why>,
) -> ApiResult<ApiJson<Outcome>> {
    let letter = find(&served, id).await?;
    let (handle, name) = model(&served, &letter.context, &letter.model)?;
    let keys = vec![letter.record.key.clone()];
    let letters = served.store()?.queues(&name, Slot::Live, &keys, LETTERS_MAX).await.map_err(from_store)?;
    let decide =
        |letter: &Letter| decision(letter, Verdict::LeaveOut, Why { reason: why.reason.clone(), by: why.by.clone() });
    outcome(handle.settle(letters.iter().map(decide).collect(), keys).await).map(ApiJson)
}

/// Try many keys again
#[utoipa::path(post, path = "/v1/dead-letters/redrive", tag = "dead letters", request_body = Redrive,
    responses((status = 200, body = Redriven), (status = 404, description = "`resource.not_found`: no such model"),
        (status = 409, description = "`state.conflict`: the model is not running")))]
pub(in crate::http) async fn redrive(
    State(served): State<Served>,
    ApiJson(redrive): ApiJson<Redrive>,
) -> ApiResult<ApiJson<Redriven>> {
    let (handle, name) = model(&served, &redrive.context, &redrive.model)?;
    let limit = redrive.keys_max.unwrap_or(KEYS);
    if limit == 0 || limit > KEYS_MAX {
        return Err(ApiError::invalid("validation.keys_max", format!("keys_max is 1 to {KEYS_MAX}")));
    }
    let heads = served.store()?.heads(&name, redrive.class.as_deref(), redrive.cursor, limit).await;
    let heads = heads.map_err(from_store)?;
    let cursor = heads.last().filter(|_| heads.len() == limit as usize).map(|head| head.id);
    let (keys, letters) = (heads.len(), heads.iter().map(|head| head.letters).sum());
    let done = if redrive.dry_run {
        None
    } else {
        let keys = heads.into_iter().map(|head| head.key).collect();
        Some(outcome(handle.settle(Vec::new(), keys).await)?)
    };
    Ok(ApiJson(Redriven { keys, letters, cursor, outcome: done }))
}

fn model(served: &Served, context: &str, model: &str) -> ApiResult<(Arc<Handle>, ModelName)> {
    let (handle, _) = served.model(context, model)?;
    let name = handle.name.clone();
    Ok((handle, name))
}

async fn settle(served: &Served, letter: &Letter, decided: Vec<(i64, Decision)>) -> ApiResult<ApiJson<Outcome>> {
    let (handle, _) = model(served, &letter.context, &letter.model)?;
    outcome(handle.settle(decided, vec![letter.record.key.clone()]).await).map(ApiJson)
}

fn outcome(settled: Result<project::Settled, project::CommandError>) -> ApiResult<Outcome> {
    let project::Settled { applied, left_out, refused, error } = settled.map_err(from_command)?;
    Ok(Outcome { applied, left_out, refused, error })
}

fn decision(letter: &Letter, verdict: Verdict, why: Why) -> (i64, Decision) {
    let short = |words: String| words.chars().take(WORDS_CHARS_MAX).collect();
    let (reason, decided_by) = (short(why.reason), short(why.by));
    (letter.id, Decision { place: letter.record.place.clone(), verdict, reason, decided_by })
}
