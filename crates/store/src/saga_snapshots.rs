//! What owners of sagas remembered, so that their successors need not fold the whole log.

use crate::{Store, StoreError};

/// What is remembered of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaSnapshot {
    /// The partition.
    pub partition: i32,
    /// Everything before this offset of the log is in it.
    pub next_offset: i64,
    /// The record before that offset.
    pub last: String,
    /// The sagas that run.
    pub running: Vec<u8>,
    /// Those that have ended.
    pub ended: Vec<u8>,
}

const KEEP: &str = "INSERT INTO spina.saga_snapshots (partition, next_offset, format, last, running, ended) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset, \
    format = excluded.format, last = excluded.last, running = excluded.running, ended = excluded.ended, \
    taken_at = now() WHERE spina.saga_snapshots.next_offset < excluded.next_offset \
    OR spina.saga_snapshots.format < excluded.format";
const READ: &str =
    "SELECT next_offset, last, running, ended FROM spina.saga_snapshots WHERE partition = $1 AND format = $2";

impl Store {
    /// Keeps a snapshot, unless a later one is kept.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn keep_saga_snapshot(&self, format: i32, snapshot: &SagaSnapshot) -> Result<(), StoreError> {
        let SagaSnapshot { partition, next_offset, last, running, ended } = snapshot;
        self.client().await?.execute(KEEP, &[partition, next_offset, &format, last, running, ended]).await?;
        Ok(())
    }

    /// The snapshot of a partition in that format.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn saga_snapshot(&self, partition: i32, format: i32) -> Result<Option<SagaSnapshot>, StoreError> {
        let Some(row) = self.client().await?.query_opt(READ, &[&partition, &format]).await? else { return Ok(None) };
        Ok(Some(SagaSnapshot {
            partition,
            next_offset: row.try_get(0)?,
            last: row.try_get(1)?,
            running: row.try_get(2)?,
            ended: row.try_get(3)?,
        }))
    }

    /// Forgets the snapshot of a partition.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn forget_saga_snapshot(&self, partition: i32) -> Result<(), StoreError> {
        self.client().await?.execute("DELETE FROM spina.saga_snapshots WHERE partition = $1", &[&partition]).await?;
        Ok(())
    }
}
