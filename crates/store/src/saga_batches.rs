//! Many sagas that are steered at a time: which ones, and what was wanted of them.

use serde_json::Value;
use spina_core::Timestamp;

use crate::{Store, StoreError};

/// Which sagas a batch is about.
#[derive(Debug, Clone)]
pub struct SagaFilter {
    /// Of one of these statuses.
    pub statuses: Vec<String>,
    /// Of this definition.
    pub definition: Option<String>,
    /// To which nothing has happened since.
    pub changed_before: Option<Timestamp>,
    /// Most of them.
    pub limit: u32,
}

/// What was wanted of sagas.
#[derive(Debug, Clone, PartialEq)]
pub struct SagaBatch {
    /// The verb.
    pub verb: String,
    /// Which sagas, as was asked.
    pub filter: Value,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub sagas: u32,
}

const IDS: &str = "SELECT id FROM spina.sagas WHERE status = ANY($1) AND ($2::text IS NULL OR definition = $2) \
    AND ($3::bigint IS NULL OR changed_us < $3) ORDER BY id LIMIT $4";
const KEEP: &str =
    "INSERT INTO spina.saga_batches (verb, filter, by, reason, sagas) VALUES ($1, $2, $3, $4, $5) RETURNING id";
const LIST: &str = "SELECT id, (extract(epoch FROM at) * 1000000)::bigint, verb, filter, by, reason, sagas \
    FROM spina.saga_batches ORDER BY id DESC LIMIT $1";

impl Store {
    /// The ids of the sagas that a filter finds, in order.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn saga_ids(&self, filter: &SagaFilter) -> Result<Vec<String>, StoreError> {
        let SagaFilter { statuses, definition, changed_before, limit } = filter;
        let (before, limit) = (changed_before.map(Timestamp::micros), i64::from(*limit));
        let rows = self.client().await?.query(IDS, &[statuses, definition, &before, &limit]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Keeps a batch; tells its number.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn keep_saga_batch(&self, batch: &SagaBatch) -> Result<i64, StoreError> {
        let SagaBatch { verb, filter, by, reason, sagas } = batch;
        let kept = self.client().await?.query_one(KEEP, &[verb, filter, by, reason, &i64::from(*sagas)]).await?;
        Ok(kept.try_get(0)?)
    }

    /// The latest batches, each with its number and its time.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn saga_batches(&self, limit: u32) -> Result<Vec<(i64, Timestamp, SagaBatch)>, StoreError> {
        let rows = self.client().await?.query(LIST, &[&i64::from(limit)]).await?;
        let read = |row: &tokio_postgres::Row| {
            let batch = SagaBatch {
                verb: row.try_get(2)?,
                filter: row.try_get(3)?,
                by: row.try_get(4)?,
                reason: row.try_get(5)?,
                sagas: u32::try_from(row.try_get::<_, i64>(6)?).unwrap_or(u32::MAX),
            };
            Ok((row.try_get(0)?, Timestamp::from_micros(row.try_get(1)?).unwrap_or_default(), batch))
        };
        rows.iter().map(read).collect()
    }
}
