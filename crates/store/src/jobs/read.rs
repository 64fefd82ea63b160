//! Jobs for people.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{JOBS_LIST_MAX, Job, JobEntry, JobProgress, JobState};
use crate::read_model::PgTime;
use crate::{Store, StoreError};

/// The columns of [`job`], in its order. A process that has not been heard of for a while does not count.
pub(super) const COLUMNS: &str = "id, context, spec, state, requested_by, reason, created_at, changed_at, starts, ends, \
    next_offsets, target_next, matched, error, runner IS NOT NULL AND heartbeat > now() - interval '10 s', epoch";

impl Store {
    /// Jobs, the latest first; of one state or of all, after the job given.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn jobs(&self, state: Option<&str>, after: Option<Uuid>, limit: u32) -> Result<Vec<Job>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM spina.jobs WHERE ($1::text IS NULL OR state = $1) AND ($2::uuid IS NULL OR \
             (created_at, id) < (SELECT created_at, id FROM spina.jobs WHERE id = $2)) \
             ORDER BY created_at DESC, id DESC LIMIT $3"
        );
        let client = self.client().await?;
        let rows = client.query(&sql, &[&state, &after, &i64::from(limit.min(JOBS_LIST_MAX))]).await?;
        rows.iter().map(job).collect()
    }

    /// One job.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn job(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        let client = self.client().await?;
        let row = client.query_opt(&format!("SELECT {COLUMNS} FROM spina.jobs WHERE id = $1"), &[&id]).await?;
        row.as_ref().map(job).transpose()
    }

    /// What was done with a job, in order.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn job_log(&self, id: Uuid) -> Result<Vec<JobEntry>, StoreError> {
        let sql = "SELECT verb, by, reason, at FROM spina.job_log WHERE job = $1 ORDER BY number LIMIT $2";
        let client = self.client().await?;
        let rows = client.query(sql, &[&id, &i64::from(JOBS_LIST_MAX)]).await?;
        let entry = |row: &Row| {
            Ok(JobEntry {
                verb: row.try_get(0)?,
                by: row.try_get(1)?,
                reason: row.try_get(2)?,
                at: row.try_get::<_, PgTime>(3)?.0,
            })
        };
        rows.iter().map(entry).collect()
    }
}

/// A row of [`COLUMNS`].
pub(super) fn job(row: &Row) -> Result<Job, StoreError> {
    let state: String = row.try_get(3)?;
    Ok(Job {
        id: row.try_get(0)?,
        context: row.try_get(1)?,
        spec: row.try_get(2)?,
        state: JobState::of(&state).ok_or(StoreError::Corrupt { what: "the state of a job" })?,
        requested_by: row.try_get(4)?,
        reason: row.try_get(5)?,
        created_at: row.try_get::<_, PgTime>(6)?.0,
        changed_at: row.try_get::<_, PgTime>(7)?.0,
        starts: row.try_get(8)?,
        ends: row.try_get(9)?,
        progress: JobProgress {
            next_offsets: row.try_get(10)?,
            target_next: row.try_get(11)?,
            matched: row.try_get(12)?,
        },
        error: row.try_get(13)?,
        in_hand: row.try_get(14)?,
        epoch: row.try_get(15)?,
    })
}
