//! What the archive knows that the log should have: if the log does not, it was lost.

use spina_core::ContextName;

use crate::{Store, StoreError};

/// The last event archived of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastArchived {
    /// Its offset.
    pub offset: i64,
    /// Its id.
    pub event_id: String,
    /// Its stream.
    pub stream: String,
}

const AHEAD: &str = "SELECT stream, max(version) FROM (\
    SELECT stream, version FROM spina.events WHERE context = $1 AND partition = $2 AND log_offset >= $3 \
    UNION ALL SELECT stream, version FROM spina.snapshots \
    WHERE context = $1 AND partition = $2 AND log_next_offset > $3) AS newer \
    GROUP BY stream ORDER BY stream LIMIT $4";

const LAST: &str = "SELECT log_offset, event_id, stream FROM spina.events WHERE context = $1 AND partition = $2 \
    ORDER BY log_offset DESC LIMIT 1";

impl Store {
    /// Streams of the partition with events or snapshots from beyond `end`, where its log ends, and the version that they
    /// have here; at most `limit`.
    pub async fn ahead_of_log(
        &self,
        context: &ContextName,
        partition: i32,
        end: i64,
        limit: i64,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(AHEAD, &[&context.as_str(), &partition, &end, &limit]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs()))).collect()
    }

    /// The partition's last archived event.
    pub async fn last_archived(
        &self,
        context: &ContextName,
        partition: i32,
    ) -> Result<Option<LastArchived>, StoreError> {
        let client = self.client().await?;
        let row = client.query_opt(LAST, &[&context.as_str(), &partition]).await?;
        row.map(|row| Ok(LastArchived { offset: row.try_get(0)?, event_id: row.try_get(1)?, stream: row.try_get(2)? }))
            .transpose()
    }
}
