//! What was done with jobs and no topic was told of yet.

use serde_json::Value;
use uuid::Uuid;

use super::JobEntry;
use crate::read_model::PgTime;
use crate::{Store, StoreError};

const UNTOLD: &str = "SELECT l.number, l.job, j.context, j.spec, l.verb, l.by, l.reason, l.at FROM spina.job_log l \
    JOIN spina.jobs j ON j.id = l.job WHERE NOT l.told ORDER BY l.number LIMIT $1";

/// An entry that a topic is to be told of.
#[derive(Debug, Clone, PartialEq)]
pub struct JobNotice {
    /// Number of the entry: greater than those before it of the same job.
    pub number: i64,
    /// The job.
    pub job: Uuid,
    /// Its bounded context.
    pub context: String,
    /// What it is to do.
    pub spec: Value,
    /// What was done with it.
    pub entry: JobEntry,
}

impl Store {
    /// The first entries that were not told, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn job_notices(&self, limit: i64) -> Result<Vec<JobNotice>, StoreError> {
        let rows = self.client().await?.query(UNTOLD, &[&limit]).await?;
        let notice = |row: &tokio_postgres::Row| {
            let at = row.try_get::<_, PgTime>(7)?.0;
            let entry = JobEntry { verb: row.try_get(4)?, by: row.try_get(5)?, reason: row.try_get(6)?, at };
            let (number, job) = (row.try_get(0)?, row.try_get(1)?);
            Ok(JobNotice { number, job, context: row.try_get(2)?, spec: row.try_get(3)?, entry })
        };
        rows.iter().map(notice).collect()
    }

    /// Notes that these entries were told.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn job_notices_told(&self, numbers: &[i64]) -> Result<(), StoreError> {
        let told = "UPDATE spina.job_log SET told = true WHERE number = ANY ($1)";
        self.client().await?.execute(told, &[&numbers]).await?;
        Ok(())
    }
}
