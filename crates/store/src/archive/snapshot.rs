//! Snapshots: disposable folds.

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
}

const READ: &str = "SELECT state, fingerprint, epoch FROM spina.snapshots WHERE context = $1 AND stream = $2";

/// A snapshot never goes back: neither in version nor to a former owner's.
const WRITE: &str = "INSERT INTO spina.snapshots (context, stream, version, state, fingerprint, epoch) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (context, stream) DO UPDATE SET version = excluded.version, \
    state = excluded.state, fingerprint = excluded.fingerprint, epoch = excluded.epoch, taken_at = now() \
    WHERE spina.snapshots.epoch <= excluded.epoch AND (spina.snapshots.version < excluded.version \
    OR spina.snapshots.fingerprint <> excluded.fingerprint)";

impl Store {
    /// The stream's snapshot, if there is one.
    pub async fn snapshot(&self, context: &ContextName, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(READ).await?;
        let Some(row) = client.query_opt(&statement, &[&context.as_str(), &stream.as_str()]).await? else {
            return Ok(None);
        };
        // A state that cannot be read back is as good as none: the log has it.
        let state = serde_json::from_value(row.try_get(0)?).ok();
        let (fingerprint, epoch) = (row.try_get(1)?, row.try_get::<_, i64>(2)?.unsigned_abs());
        Ok(state.map(|state| Snapshot { state, fingerprint, epoch }))
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
        let client = self.client().await?;
        let statement = client.prepare_cached(WRITE).await?;
        client
            .execute(
                &statement,
                &[&context.as_str(), &stream.as_str(), &version, &state, &snapshot.fingerprint, &epoch],
            )
            .await?;
        Ok(())
    }
}
