//! Jobs as they are shown.

use serde::Serialize;
use serde_json::Value;
use spina_store::jobs::{Job, JobEntry};
use utoipa::ToSchema;
use uuid::Uuid;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct JobView {
    /// Its id.
    #[schema(value_type = String)]
    id: Uuid,
    /// Bounded context.
    context: String,
    /// `running`, `paused`, `cancelled`, `done` or `failed`.
    state: &'static str,
    /// What it is to do: `selection`, `target`, `dry_run`, `rate`.
    #[schema(value_type = Object)]
    spec: Value,
    /// Who wanted it.
    requested_by: String,
    /// Why.
    reason: String,
    /// When it was asked for.
    created_at: String,
    /// When it was last steered, or ended.
    changed_at: String,
    /// Events that matched; of a topic all of them are there.
    matched: i64,
    /// Offsets passed.
    done: i64,
    /// Offsets to pass.
    total: i64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What was done with a job.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct EntryView {
    /// `ask`, `pause`, `resume`, `cancel`, `done` or `failed`.
    verb: String,
    /// Who.
    by: String,
    /// Why.
    reason: String,
    /// When.
    at: String,
}

/// A job with all that was done with it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct WholeJob {
    #[serde(flatten)]
    job: JobView,
    /// In order.
    log: Vec<EntryView>,
}

impl WholeJob {
    /// A job and its entries.
    pub(in crate::http) fn of(job: Job, entries: Vec<JobEntry>) -> Self {
        let entry = |entry: JobEntry| EntryView {
            verb: entry.verb,
            by: entry.by,
            reason: entry.reason,
            at: entry.at.to_string(),
        };
        Self { job: job.into(), log: entries.into_iter().map(entry).collect() }
    }
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let passed = |to: &[i64]| to.iter().zip(&job.starts).map(|(to, start)| (to - start).max(0)).sum();
        Self {
            done: passed(&job.progress.next_offsets),
            total: passed(&job.ends),
            id: job.id,
            context: job.context,
            state: job.state.name(),
            spec: job.spec,
            requested_by: job.requested_by,
            reason: job.reason,
            created_at: job.created_at.to_string(),
            changed_at: job.changed_at.to_string(),
            matched: job.progress.matched,
            error: job.error,
        }
    }
}
