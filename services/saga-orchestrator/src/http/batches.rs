//! Steering many sagas at a time: those that a filter finds. Each batch is kept, and each saga is told who wants it and why.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spina_core::Timestamp;
use spina_core::saga::{Input, Verb};
use spina_runtime::{ApiError, ApiJson, ApiQuery, ApiResult};
use spina_store::saga_batches::{SagaBatch, SagaFilter};
use utoipa::{IntoParams, ToSchema};

use super::steer::verb_of;
use super::{Served, not_looked_up};
use crate::wire::Letter;

/// Sagas of a batch unless it says otherwise, and at most.
const LIMIT: u32 = 1_000;
const LIMIT_MAX: u32 = 10_000;
/// States that a verb can do something in.
const OPEN: [&str; 3] = ["running", "undoing", "stuck"];
/// Longest text of `by` and `reason`, in bytes.
const TEXT_BYTES_MAX: usize = 500;
/// How long the letters may be on their way to the brokers.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// Which sagas, what, who, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// `retry`, `compensate`, `cancel`, `skip` or `resolve`.
    verb: String,
    /// Only those that are `running`, `undoing` or `stuck`.
    state: Option<String>,
    /// Only those of this definition. `state` or this must be given.
    definition: Option<String>,
    /// Only those to which nothing has happened for so many seconds.
    older_than_s: Option<u32>,
    /// The step, for `skip`.
    step: Option<String>,
    /// Who. It is written into each saga's log.
    by: String,
    /// Why. It is written into each saga's log.
    reason: String,
    /// Most sagas: 1 to 10000, 1000 by default.
    limit: Option<u32>,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchTold {
    /// The batch's number; none if it was only counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    /// Sagas that are told, or would be.
    sagas: usize,
    /// Whether the filter finds more than the limit: the same request again tells others, once these have gone on.
    more: bool,
    /// Whether they were only counted.
    dry_run: bool,
}

impl BatchRequest {
    fn check(&self) -> ApiResult<Verb> {
        let malformed = |code: &'static str, message: String| Err(ApiError::malformed(code, message));
        if self.state.is_none() && self.definition.is_none() {
            return malformed("validation.filter", "name a `state` or a `definition`: not all sagas there are".into());
        }
        if let Some(other) = self.state.as_ref().filter(|state| !OPEN.contains(&state.as_str())) {
            return malformed("validation.state", format!("`{other}` is not one of {}", OPEN.join(", ")));
        }
        for (name, text) in [("by", &self.by), ("reason", &self.reason)] {
            if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
                return malformed("validation.reason", format!("`{name}` has 1 to {TEXT_BYTES_MAX} bytes"));
            }
        }
        if self.limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
            return malformed("validation.limit", format!("`limit` is from 1 to {LIMIT_MAX}"));
        }
        verb_of(&self.verb, self.step.clone())
    }

    fn filter(&self, now: Timestamp) -> SagaFilter {
        let statuses =
            self.state.as_ref().map_or_else(|| OPEN.map(str::to_owned).to_vec(), |state| vec![state.clone()]);
        let older = self.older_than_s.map(|seconds| now.micros() - i64::from(seconds) * 1_000_000);
        SagaFilter {
            statuses,
            definition: self.definition.clone(),
            changed_before: older.map(|older| Timestamp::from_micros(older).unwrap_or_default()),
            // One more, to see whether there are more.
            limit: self.limit.unwrap_or(LIMIT) + 1,
        }
    }
}

/// Steer all sagas that a filter finds
///
/// As they were a moment ago; a verb that does not fit a saga any more does nothing to it.
#[utoipa::path(post, path = "/v1/saga-batches", tag = "sagas", request_body = BatchRequest, responses(
    (status = 202, description = "they are told, or counted", body = BatchTold),
    (status = 400, description = "`validation.*`"),
    (status = 404, description = "`resource.not_found`: no such verb"),
    (status = 503, description = "`state.unavailable`: some may have been told; ask again")))]
pub async fn begin(
    State(served): State<Served>,
    ApiJson(request): ApiJson<BatchRequest>,
) -> ApiResult<(StatusCode, ApiJson<BatchTold>)> {
    let verb = request.check()?;
    let filter = request.filter((served.clock)());
    let mut ids = served.store()?.saga_ids(&filter).await.map_err(|error| not_looked_up(&error))?;
    let more = ids.len() as u64 == u64::from(filter.limit);
    ids.truncate(filter.limit as usize - 1);
    let sagas = ids.len();
    let id = if request.dry_run { None } else { Some(tell(&served, &request, verb, ids).await?) };
    Ok((StatusCode::ACCEPTED, ApiJson(BatchTold { id, sagas, more, dry_run: request.dry_run })))
}

/// Keeps the batch, then posts its letters.
async fn tell(served: &Served, request: &BatchRequest, verb: Verb, ids: Vec<String>) -> ApiResult<i64> {
    let post = served.mail()?;
    let filter = json!({ "state": request.state, "definition": request.definition,
        "older_than_s": request.older_than_s, "step": request.step });
    let batch = SagaBatch {
        verb: request.verb.clone(),
        filter,
        by: request.by.clone(),
        reason: request.reason.clone(),
        sagas: u32::try_from(ids.len()).unwrap_or(u32::MAX),
    };
    let kept = served.store()?.keep_saga_batch(&batch).await;
    let number = kept.map_err(|error| ApiError::unavailable(format!("cannot keep the batch: {error}"), 1))?;
    let letter = Letter::Input(Input::Verb { verb, by: batch.by, reason: batch.reason });
    let posted = async {
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in &ids {
            deliveries.push(post.publisher.enqueue(&post.wire.letter(id, &letter)).await?);
        }
        post.publisher.flush(POST_TIMEOUT).await?;
        for delivery in deliveries {
            delivery.wait().await?;
        }
        Ok::<(), spina_log::LogError>(())
    };
    posted.await.map_err(|error| ApiError::unavailable(format!("cannot post to the inbox: {error}"), 1))?;
    Ok(number)
}

/// Which batches are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct BatchQuery {
    /// 1 to 1000, 100 by default.
    limit: Option<u32>,
}

/// The batches that were told, the latest first
#[utoipa::path(get, path = "/v1/saga-batches", tag = "sagas", params(BatchQuery), responses(
    (status = 200, description = "`batches`, each with verb, filter, who, why and how many", body = Object),
    (status = 503, description = "`state.unavailable`: no database")))]
pub async fn list(State(served): State<Served>, ApiQuery(query): ApiQuery<BatchQuery>) -> ApiResult<ApiJson<Value>> {
    let limit = query.limit.unwrap_or(100).clamp(1, 1_000);
    let batches = served.store()?.saga_batches(limit).await.map_err(|error| not_looked_up(&error))?;
    let view = |(id, at, batch): (i64, Timestamp, SagaBatch)| {
        json!({ "id": id, "at": at, "verb": batch.verb, "filter": batch.filter, "by": batch.by,
            "reason": batch.reason, "sagas": batch.sagas })
    };
    Ok(ApiJson(json!({ "batches": batches.into_iter().map(view).collect::<Vec<_>>() })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Value) -> BatchRequest {
        let mut whole = json!({ "verb": "retry", "state": "stuck", "by": "ada", "reason": "the stub is back" });
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_batch_says_which_sagas_who_and_why() {
        assert_eq!(request(json!({})).check().unwrap(), Verb::Retry);
        for (bad, code) in [
            (json!({ "state": null }), "validation.filter"),
            (json!({ "state": "completed" }), "validation.state"),
            (json!({ "by": " " }), "validation.reason"),
            (json!({ "reason": "x".repeat(501) }), "validation.reason"),
            (json!({ "limit": 0 }), "validation.limit"),
            (json!({ "limit": 10_001 }), "validation.limit"),
            (json!({ "verb": "skip" }), "validation.step"),
            (json!({ "verb": "stop" }), "resource.not_found"),
        ] {
            assert_eq!(request(bad.clone()).check().unwrap_err().error_code(), code, "{bad}");
        }
    }

    #[test]
    fn ended_sagas_are_never_found_and_age_counts_from_now() {
        let now = Timestamp::from_micros(100_000_000).unwrap();
        let filter =
            request(json!({ "state": null, "definition": "rebook", "older_than_s": 60, "limit": 5 })).filter(now);
        assert_eq!(filter.statuses, OPEN);
        assert_eq!((filter.changed_before, filter.limit), (Timestamp::from_micros(40_000_000), 6));
        assert_eq!(request(json!({})).filter(now).changed_before, None);
    }
}
