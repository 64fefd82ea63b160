//! What a new owner of a partition needs from the archive.

use std::pin::pin;

use futures::TryStreamExt;
use spina_core::ledger::event_fingerprint;
use spina_core::{ContextName, StreamKey, Timestamp, Version};
use tokio_postgres::types::ToSql;

use super::write::{from_sql_time, to_sql_time};
use crate::{Store, StoreError};

/// How far a partition is archived, and by which owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watermark {
    /// The offset after the last one archived.
    pub next_offset: i64,
    /// The greatest epoch of an owner that stored something or was announced.
    pub epoch: u64,
}

/// One archived event's part in a request.
#[derive(Debug, Clone)]
pub struct ArchivedRequest {
    /// The idempotency key: the request's, or the event's own id.
    pub request: StreamKey,
    /// The stream.
    pub stream: StreamKey,
    /// The event's own id.
    pub event_id: String,
    /// The event's version.
    pub version: Version,
    /// The event's offset.
    pub offset: i64,
    /// Fingerprint of the event.
    pub fingerprint: u64,
    /// When it was written to the log.
    pub recorded_at: Timestamp,
}

// An owner may have written nothing and archived nothing: its announcement still counts, so that epochs grow.
const WATERMARK: &str = "SELECT coalesce(max(next_offset), 0), coalesce(max(epoch), 0) FROM ( \
    SELECT next_offset, epoch FROM spina.watermarks WHERE context = $1 AND partition = $2 \
    UNION ALL SELECT NULL, epoch FROM spina.owners WHERE context = $1 AND partition = $2) AS known";
const STREAMS: &str = "SELECT stream, version FROM spina.streams WHERE context = $1 AND partition = $2";
// The value is read only of events that were archived without their fingerprint.
const REQUESTS: &str = "SELECT coalesce(request_id, event_id), stream, version, log_offset, fingerprint, recorded_at, \
    event_id, event_type, CASE WHEN fingerprint IS NULL THEN value END FROM spina.events WHERE context = $1 AND partition = $2 AND recorded_at >= $3 \
    AND log_offset > $4 ORDER BY log_offset";
/// The last event that is too old to be told, if there are so many. That there are not can mostly be told from the first and
/// the last offset, without counting.
const TOO_OLD: &str = "SELECT log_offset, coalesce(request_id, event_id) FROM spina.events WHERE context = $1 \
    AND partition = $2 AND (SELECT max(log_offset) - min(log_offset) FROM spina.events WHERE context = $1 \
    AND partition = $2) >= $3 ORDER BY log_offset DESC OFFSET $3 LIMIT 1";

impl Store {
    /// How far the partition is archived; offset 0 if nothing is.
    pub async fn watermark(&self, context: &ContextName, partition: i32) -> Result<Watermark, StoreError> {
        let client = self.client().await?;
        let row = client.query_one(WATERMARK, &[&context.as_str(), &partition]).await?;
        Ok(Watermark { next_offset: row.get(0), epoch: row.get::<_, i64>(1).unsigned_abs() })
    }

    /// Tells every archived stream of the partition and its version. They are read in one go, not held together.
    pub async fn each_stream_version(
        &self,
        context: &ContextName,
        partition: i32,
        mut tell: impl FnMut(StreamKey, Version),
    ) -> Result<(), StoreError> {
        let client = self.client().await?;
        let arguments: [&(dyn ToSql + Sync); 2] = [&context.as_str(), &partition];
        let mut rows = pin!(client.query_raw(STREAMS, arguments).await?);
        while let Some(row) = rows.try_next().await? {
            tell(StreamKey::of(row.try_get(0)?), Version(row.try_get::<_, i64>(1)?.unsigned_abs()));
        }
        Ok(())
    }

    /// Tells the partition's requests since `since`, event by event in log order: of the newest `limit` events, without a
    /// request that began before them. They are read in one go, not held together.
    pub async fn each_request_since(
        &self,
        context: &ContextName,
        partition: i32,
        since: Timestamp,
        limit: usize,
        mut tell: impl FnMut(ArchivedRequest),
    ) -> Result<(), StoreError> {
        let client = self.client().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let too_old = client.query_opt(TOO_OLD, &[&context.as_str(), &partition, &limit]).await?;
        let after: i64 = too_old.as_ref().map_or(Ok(-1), |row| row.try_get(0))?;
        let mut cut: Option<String> = too_old.as_ref().map(|row| row.try_get(1)).transpose()?;
        let since = to_sql_time(since);
        let arguments: [&(dyn ToSql + Sync); 4] = [&context.as_str(), &partition, &since, &after];
        let mut rows = pin!(client.query_raw(REQUESTS, arguments).await?);
        while let Some(row) = rows.try_next().await? {
            let request: &str = row.try_get(0)?;
            if cut.as_deref() == Some(request) {
                continue;
            }
            cut = None;
            tell(ArchivedRequest {
                request: StreamKey::of(request),
                stream: StreamKey::of(row.try_get(1)?),
                version: Version(row.try_get::<_, i64>(2)?.unsigned_abs()),
                offset: row.try_get(3)?,
                fingerprint: match row.try_get::<_, Option<i64>>(4)? {
                    Some(fingerprint) => fingerprint.cast_unsigned(),
                    None => event_fingerprint(row.try_get(7)?, row.try_get(8)?),
                },
                recorded_at: from_sql_time(row.try_get(5)?),
                event_id: row.try_get(6)?,
            });
        }
        Ok(())
    }
}
