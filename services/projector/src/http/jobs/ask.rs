//! Asking for a job.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use spina_core::{ContextName, Selection, StreamId, Timestamp, Token};
use spina_log::admin::PartitionEnds;
use spina_log::{LogError, names};
use spina_runtime::{ApiError, ApiJson, ApiResult};
use spina_store::StoreError;
use spina_store::jobs::NewJob;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::error::from_store;
use super::super::{Behind, Served};
use super::view::JobView;
use super::{find, words};
use crate::replay::{Spec, Target};

/// Most values of one condition.
const VALUES_MAX: usize = 1000;
/// Longest URL.
const URL_BYTES_MAX: usize = 2048;

/// What is to be replayed, and where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Asked {
    /// Bounded context.
    context: String,
    /// The topic to copy into, each event exactly once. It must exist; none that only Spina writes, none that is compacted.
    #[serde(default)]
    topic: Option<String>,
    /// The endpoint to post to, each event at least once, if not to a topic.
    #[serde(default)]
    url: Option<String>,
    /// The read model whose rows are made anew where the events touch them, if neither. Nothing counts twice: each such row
    /// is folded from its first event on, and replaced if it differs.
    #[serde(default)]
    projection: Option<String>,
    /// Only events of these types, by name or in full.
    #[serde(default)]
    types: Vec<String>,
    /// Only events of these streams.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    streams: Vec<StreamId>,
    /// Only events of these business transactions.
    #[serde(default)]
    correlation_ids: Vec<String>,
    /// Only events that happened at this instant or later.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Only events that happened before this instant.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// Only what the log has after this token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    after: Option<Token>,
    /// Only what the log has up to this token; partitions that it does not name are left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    until: Option<Token>,
    /// Most events a second.
    #[serde(default)]
    rate: Option<u32>,
    /// Only count what matches.
    #[serde(default)]
    dry_run: bool,
    /// Why.
    #[serde(default)]
    reason: String,
    /// Who.
    #[serde(default)]
    by: String,
}

/// Replay events
///
/// The job takes what the log has now, in the order of the log within each stream, and touches no consumer group. It goes
/// on when this process dies. Copies have the headers of their originals, and `spina-replay` (the job) and
/// `spina-replayed-from` (the original's token) beside them.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = Asked,
    responses((status = 201, body = JobView), (status = 404, description = "`resource.not_found`: no such context or topic"),
        (status = 409, description = "`state.conflict`: too many jobs have not ended"),
        (status = 422, description = "`validation.target`, `validation.job`")))]
pub(in crate::http) async fn ask(
    State(served): State<Served>,
    ApiJson(asked): ApiJson<Asked>,
) -> ApiResult<(StatusCode, ApiJson<JobView>)> {
    let behind = served.behind()?;
    let unknown = || ApiError::not_found(format!("there is no context {}", asked.context));
    let context = behind.contexts.iter().find(|known| known.as_str() == asked.context).ok_or_else(unknown)?.clone();
    check(&asked)?;
    let topic = names::events_topic(&context);
    let ends = behind.admin.ends(&topic).await.map_err(from_log)?;
    let (starts, ends) = (starts(&ends, &topic, asked.after.as_ref())?, stops(&ends, &topic, asked.until.as_ref())?);
    let (target, target_next) = target(&served, behind, &asked).await?;
    let (by, reason) = (words(&asked.by), words(&asked.reason));
    let (rate, dry_run) = (asked.rate, asked.dry_run);
    let spec = Spec { selection: selection(behind, &context, asked), target, dry_run, rate };
    let new = NewJob {
        id: Uuid::now_v7(),
        context: context.to_string(),
        spec: serde_json::to_value(spec).map_err(ApiError::internal)?,
        requested_by: by,
        reason,
        ends: ends.iter().zip(&starts).map(|(end, start)| *end.max(start)).collect(),
        starts,
        target_next,
    };
    behind.store.add_job(&new).await.map_err(|error| match error {
        StoreError::Limit(message) => ApiError::conflict(message),
        other => from_store(other),
    })?;
    find(&served, new.id).await.map(|job| (StatusCode::CREATED, ApiJson(job.into())))
}

fn check(asked: &Asked) -> ApiResult<()> {
    let many = [asked.types.len(), asked.streams.len(), asked.correlation_ids.len()];
    if many.iter().any(|count| *count > VALUES_MAX) {
        return Err(ApiError::invalid("validation.job", format!("a condition has at most {VALUES_MAX} values")));
    }
    if asked.types.iter().chain(&asked.correlation_ids).any(|value| value.len() > 255 || value.contains('\0')) {
        return Err(ApiError::invalid("validation.job", "a type or correlation id has at most 255 bytes"));
    }
    if asked.rate == Some(0) {
        return Err(ApiError::invalid("validation.job", "rate is at least 1 event a second"));
    }
    Ok(())
}

/// With the names that the types had formerly.
fn selection(behind: &Behind, context: &ContextName, asked: Asked) -> Selection {
    let readings = behind.schemas.readings();
    let former = |name: &String| readings.former_names(context, name.rsplit('.').next().unwrap_or(name));
    let former: Vec<String> = asked.types.iter().flat_map(former).collect();
    Selection {
        types: [asked.types, former].concat(),
        streams: asked.streams,
        correlation_ids: asked.correlation_ids,
        from: asked.from,
        to: asked.to,
    }
}

async fn target(served: &Served, behind: &Behind, asked: &Asked) -> ApiResult<(Target, Vec<i64>)> {
    let refused = |message: String| Err(ApiError::invalid("validation.target", message));
    match (&asked.topic, &asked.url, &asked.projection) {
        (Some(topic), None, None) if is_written_by_us(topic, &behind.published) => {
            refused(format!("only Spina writes to {topic}: name a topic of your own"))
        }
        (Some(topic), None, None) => {
            let missing = || ApiError::not_found(format!("topic {topic} does not exist: create it"));
            let found = behind.admin.describe(topic).await.map_err(from_log)?.ok_or_else(missing)?;
            if found.configs.get("cleanup.policy").is_some_and(|policy| policy.value.contains("compact")) {
                return refused(format!("topic {topic} is compacted: copies would be lost"));
            }
            let ends = behind.admin.ends(topic).await.map_err(from_log)?;
            Ok((Target::Topic(topic.clone()), ends.iter().map(|ends| ends.high).collect()))
        }
        (None, Some(url), None) if url.len() > URL_BYTES_MAX || reqwest::Url::parse(url).is_err() => {
            refused("url is not an address".to_owned())
        }
        (None, Some(url), None) if url.starts_with("http://") || url.starts_with("https://") => {
            Ok((Target::Http(url.clone()), Vec::new()))
        }
        (None, Some(_), None) => refused("url begins with http:// or https://".to_owned()),
        (None, None, Some(model)) => {
            served.model(&asked.context, model)?;
            Ok((Target::Projection(model.clone()), Vec::new()))
        }
        (None, None, None) | (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            refused("name a topic, a url or a projection, one of them".to_owned())
        }
    }
}

/// Whether only Spina writes to the topic: copies among its records would pass for them.
fn is_written_by_us(topic: &str, published: &[String]) -> bool {
    names::is_ours(topic) || published.iter().any(|ours| ours == topic)
}

/// The first offset of each partition.
fn starts(ends: &[PartitionEnds], topic: &str, after: Option<&Token>) -> ApiResult<Vec<i64>> {
    of_topic(after, topic)?;
    let start = |end: &PartitionEnds| {
        let after = after.and_then(|token| token.offset(end.partition));
        after.map_or(end.earliest, |offset| offset.saturating_add(1)).max(end.earliest)
    };
    Ok(ends.iter().map(start).collect())
}

/// The offset of each partition to stop before.
fn stops(ends: &[PartitionEnds], topic: &str, until: Option<&Token>) -> ApiResult<Vec<i64>> {
    of_topic(until, topic)?;
    let stop = |end: &PartitionEnds| {
        until.map_or(end.stable, |token| token.offset(end.partition).map_or(0, |offset| offset.saturating_add(1)))
    };
    Ok(ends.iter().map(|end| stop(end).min(end.stable)).collect())
}

fn of_topic(token: Option<&Token>, topic: &str) -> ApiResult<()> {
    match token {
        Some(token) if token.topic() != topic => {
            let message = format!("the token is of {}, the events are in {topic}", token.topic());
            Err(ApiError::invalid("validation.job", message))
        }
        Some(_) | None => Ok(()),
    }
}

fn from_log(error: LogError) -> ApiError {
    match error {
        LogError::UnknownTopic(_) | LogError::UnknownPartition { .. } => ApiError::not_found(error.to_string()),
        other => ApiError::unavailable(other.to_string(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_copied_to_where_only_we_write() {
        let published = ["flights.late-landings.v1".to_owned()];
        for topic in ["flights.late-landings.v1", "flights.events.v1", "flights.late-landings.v1.dlq"] {
            assert!(is_written_by_us(topic, &published), "{topic}");
        }
        assert!(!is_written_by_us("flights.late-landings.v2", &published));
    }
}
