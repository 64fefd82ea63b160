//! Snapshots: disposable folds.

use spina_core::snapshot::state_hash;
use spina_core::{ContextName, State, StreamId};

use super::write::to_bigint;
use crate::{Store, StoreError};

/// A stream's state at a version, as it was folded under certain schemas.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The state; it knows its version.
    pub state: State,
    /// Fingerprint of the schemas it was folded under. A snapshot with another one is ignored.
    pub fingerprint: String,
    /// Epoch of the partition's owner that took it.
    pub epoch: u64,
    /// The stream's partition.
    pub partition: i32,
    /// The partition's log went at least this far when it was taken.
    pub log_next_offset: i64,
}

/// What is kept for a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// A snapshot that is as it was when it was written.
    Whole(Snapshot),
    /// Something that is not what was written. It is of no use.
    Damaged,
}

const READ: &str = "SELECT state, fingerprint, epoch, partition, log_next_offset, hash, version FROM spina.snapshots \
    WHERE context = $1 AND stream = $2";

/// A snapshot never goes back: neither in version nor to a former owner's.
const WRITE: &str = "INSERT INTO spina.snapshots (context, stream, version, state, fingerprint, epoch, partition, \
    log_next_offset, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (context, stream) DO UPDATE SET \
    version = excluded.version, state = excluded.state, fingerprint = excluded.fingerprint, epoch = excluded.epoch, \
    partition = excluded.partition, log_next_offset = excluded.log_next_offset, hash = excluded.hash, \
    taken_at = now() WHERE spina.snapshots.epoch <= excluded.epoch AND (spina.snapshots.version < excluded.version \
    OR spina.snapshots.fingerprint <> excluded.fingerprint)";

const FORGET: &str = "DELETE FROM spina.snapshots WHERE context = $1 AND stream = $2";

impl Store {
    /// What is kept for the stream.
    pub async fn snapshot(&self, context: &ContextName, stream: &StreamId) -> Result<Kept, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(READ).await?;
        let Some(row) = client.query_opt(&statement, &[&context.as_str(), &stream.as_str()]).await? else {
            return Ok(Kept::Nothing);
        };
        let Ok(state) = serde_json::from_value::<State>(row.try_get(0)?) else { return Ok(Kept::Damaged) };
        let hash: i64 = row.try_get(5)?;
        if state_hash(&state).cast_signed() != hash || to_bigint(state.version.0) != row.try_get::<_, i64>(6)? {
            return Ok(Kept::Damaged);
        }
        Ok(Kept::Whole(Snapshot {
            state,
            fingerprint: row.try_get(1)?,
            epoch: row.try_get::<_, i64>(2)?.unsigned_abs(),
            partition: row.try_get(3)?,
            log_next_offset: row.try_get(4)?,
        }))
    }

    /// Keeps the snapshot unless there is a newer one.
    pub async fn keep_snapshot(
        &self,
        context: &ContextName,
        stream: &StreamId,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let state = serde_json::to_value(&snapshot.state).map_err(StoreError::from)?;
        let (version, epoch) = (to_bigint(snapshot.state.version.0), to_bigint(snapshot.epoch));
        let hash = state_hash(&snapshot.state).cast_signed();
        let client = self.client().await?;
        let statement = client.prepare_cached(WRITE).await?;
        client
            .execute(
                &statement,
                &[
                    &context.as_str(),
                    &stream.as_str(),
                    &version,
                    &state,
                    &snapshot.fingerprint,
                    &epoch,
                    &snapshot.partition,
                    &snapshot.log_next_offset,
                    &hash,
                ],
            )
            .await?;
        Ok(())
    }

    /// Forgets the stream's snapshot, whatever it is: it comes back from the log.
    pub async fn forget_snapshot(&self, context: &ContextName, stream: &StreamId) -> Result<(), StoreError> {
        let client = self.client().await?;
        client.execute(FORGET, &[&context.as_str(), &stream.as_str()]).await?;
        Ok(())
    }
}
