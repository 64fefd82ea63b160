//! Reading a stream's archived events.

use bytes::Bytes;
use spina_core::{ContextName, EventHeaders, StreamId, Version};
use tokio_postgres::Row;

use super::Stored;
use super::write::{from_sql_time, to_bigint};
use crate::{Store, StoreError};

/// A part of a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamRange {
    /// First version wanted (or the last, when reading backward).
    pub from: Version,
    /// Backward from `from` instead of forward.
    pub backward: bool,
    /// Most events wanted.
    pub limit: u32,
}

const COLUMNS: &str = "stream, version, partition, log_offset, event_type, event_id, happened_at, recorded_at, epoch, \
    request_id, correlation_id, causation_id, traceparent, tracestate, value";

impl Store {
    /// The stream's archived events in the range, in the range's order.
    pub async fn read_stream(
        &self,
        context: &ContextName,
        stream: &StreamId,
        range: StreamRange,
    ) -> Result<Vec<Stored>, StoreError> {
        let (comparison, order) = if range.backward { ("<=", "DESC") } else { (">=", "ASC") };
        let sql = format!(
            "SELECT {COLUMNS} FROM spina.events WHERE context = $1 AND stream = $2 AND version {comparison} $3 \
             ORDER BY version {order} LIMIT $4"
        );
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let (from, limit) = (to_bigint(range.from.0), i64::from(range.limit));
        let rows = client.query(&statement, &[&context.as_str(), &stream.as_str(), &from, &limit]).await?;
        rows.iter().map(|row| stored(row, stream)).collect()
    }
}

fn stored(row: &Row, stream: &StreamId) -> Result<Stored, StoreError> {
    Ok(Stored {
        headers: EventHeaders {
            stream: stream.clone(),
            version: Version(row.try_get::<_, i64>(1)?.unsigned_abs()),
            event_type: row.try_get(4)?,
            id: row.try_get(5)?,
            time: from_sql_time(row.try_get(6)?),
            epoch: row.try_get::<_, i64>(8)?.unsigned_abs(),
            request_id: row.try_get(9)?,
            correlation_id: row.try_get(10)?,
            causation_id: row.try_get(11)?,
            traceparent: row.try_get(12)?,
            tracestate: row.try_get(13)?,
        },
        partition: row.try_get(2)?,
        offset: row.try_get(3)?,
        recorded_at: from_sql_time(row.try_get(7)?),
        value: Bytes::from(row.try_get::<_, Vec<u8>>(14)?),
    })
}
