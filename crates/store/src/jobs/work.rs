//! Asking for jobs, steering them, working on them.

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::read::{COLUMNS, job};
use super::{Job, JobProgress, JobState, NewJob, OPEN_MAX, Steering};
use crate::{Store, StoreError};

const LOG: &str = "INSERT INTO spina.job_log (job, verb, by, reason) VALUES ($1, $2, $3, $4)";
const ADD: &str = "INSERT INTO spina.jobs (id, context, spec, state, requested_by, reason, starts, ends, next_offsets, \
    target_next) VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $6, $8)";
const STEER: &str =
    "UPDATE spina.jobs SET state = $3, changed_at = now(), error = NULL WHERE id = $1 AND state = ANY ($2)";
const SAVE: &str = "UPDATE spina.jobs SET next_offsets = $3, target_next = $4, matched = $5, error = $6, heartbeat = now() \
    WHERE id = $1 AND epoch = $2 RETURNING state";
const RELEASE: &str = "UPDATE spina.jobs SET runner = NULL WHERE id = $1 AND epoch = $2";
const END: &str = "UPDATE spina.jobs SET runner = NULL, state = $3, error = $4, changed_at = now() \
    WHERE id = $1 AND epoch = $2 AND state = 'running'";

impl Store {
    /// Records a job; whoever works on jobs of its context will begin it.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when too many have not ended yet; when the database cannot be asked.
    pub async fn add_job(&self, new: &NewJob) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let open = "SELECT count(*) FROM spina.jobs WHERE state IN ('running', 'paused', 'failed')";
        if transaction.query_one(open, &[]).await?.try_get::<_, i64>(0)? >= OPEN_MAX {
            return Err(StoreError::Limit(format!("{OPEN_MAX} jobs have not ended: cancel some")));
        }
        let NewJob { id, context, spec, requested_by, reason, starts, ends, target_next } = new;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [id, context, spec, requested_by, reason, starts, ends, target_next];
        transaction.execute(ADD, &values).await?;
        log(&transaction, *id, "ask", requested_by, reason).await?;
        Ok(transaction.commit().await?)
    }

    /// Steers a job; `false` if that does not fit where it stands.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn steer_job(&self, id: Uuid, steering: Steering, by: &str, reason: &str) -> Result<bool, StoreError> {
        let (verb, fits, state) = steering.meaning();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let changed = transaction.execute(STEER, &[&id, &fits, &state.name()]).await? == 1;
        if changed {
            log(&transaction, id, verb, by, reason).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Takes a job of these contexts that nobody works on.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn claim_job(&self, runner: Uuid, contexts: &[String]) -> Result<Option<Job>, StoreError> {
        let sql = format!(
            "UPDATE spina.jobs SET runner = $1, epoch = epoch + 1, heartbeat = now() WHERE id = (SELECT id FROM spina.jobs \
             WHERE state = 'running' AND context = ANY ($2) AND (runner IS NULL OR heartbeat < now() - interval '10 s') \
             ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
        );
        let client = self.client().await?;
        client.query_opt(&sql, &[&runner, &contexts]).await?.as_ref().map(job).transpose()
    }

    /// Notes how far a job is and that somebody works on it; the answer is where people want it to be. `None` if another
    /// process has taken it.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn save_job(
        &self,
        id: Uuid,
        epoch: i64,
        progress: &JobProgress,
        error: Option<&str>,
    ) -> Result<Option<JobState>, StoreError> {
        let JobProgress { next_offsets, target_next, matched } = progress;
        let client = self.client().await?;
        let row = client.query_opt(SAVE, &[&id, &epoch, next_offsets, target_next, matched, &error]).await?;
        let Some(row) = row else { return Ok(None) };
        let state: String = row.try_get(0)?;
        JobState::of(&state).map(Some).ok_or(StoreError::Corrupt { what: "the state of a job" })
    }

    /// Lets go of a job, so that others need not wait.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn release_job(&self, id: Uuid, epoch: i64) -> Result<(), StoreError> {
        self.client().await?.execute(RELEASE, &[&id, &epoch]).await?;
        Ok(())
    }

    /// Ends a job that is still wanted and in the caller's hand, and lets go of it. What is said about it is kept; of one
    /// that failed it is the error.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn end_job(&self, id: Uuid, epoch: i64, state: JobState, by: &str, said: &str) -> Result<(), StoreError> {
        let error = (state == JobState::Failed).then_some(said);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if transaction.execute(END, &[&id, &epoch, &state.name(), &error]).await? == 1 {
            log(&transaction, id, state.name(), by, said).await?;
        } else {
            transaction.execute(RELEASE, &[&id, &epoch]).await?;
        }
        Ok(transaction.commit().await?)
    }
}

async fn log(transaction: &Transaction<'_>, id: Uuid, verb: &str, by: &str, reason: &str) -> Result<(), StoreError> {
    transaction.execute(LOG, &[&id, &verb, &by, &reason]).await?;
    Ok(())
}
