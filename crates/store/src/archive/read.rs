//! Reading a stream's archived events.

use bytes::Bytes;
use spina_core::{ContextName, EventHeaders, StreamId, Timestamp, Version};
use tokio_postgres::Row;

use super::Stored;
use super::write::{from_sql_time, to_bigint, to_sql_time};
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

/// When wanted events happened: from an instant, and before another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant wanted; the first of all if missing.
    pub from: Option<Timestamp>,
    /// The first instant not wanted any more.
    pub to: Option<Timestamp>,
}

impl TimeRange {
    /// Whether something that happened then is wanted.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }
}

/// Archived events of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamPart {
    /// The events, in the order asked for.
    pub events: Vec<Stored>,
    /// Last version archived; 0 if there is none.
    pub last: Version,
}

pub(super) const COLUMNS: &str = "stream, version, partition, log_offset, event_type, event_id, happened_at, recorded_at, epoch, \
    request_id, correlation_id, causation_id, traceparent, tracestate, value";

impl Store {
    /// The stream's archived events in the range that happened in time, in the range's order, and its last version: in
    /// one question, both along the primary key.
    pub async fn read_stream(
        &self,
        context: &ContextName,
        stream: &StreamId,
        range: StreamRange,
        times: TimeRange,
    ) -> Result<StreamPart, StoreError> {
        let (comparison, order) = if range.backward { ("<=", "DESC") } else { (">=", "ASC") };
        let sql = format!(
            "SELECT {COLUMNS}, ({LAST}) FROM spina.events WHERE context = $1 AND stream = $2 \
             AND version {comparison} $3 AND happened_at >= COALESCE($5, '-infinity'::timestamptz) \
             AND happened_at < COALESCE($6, 'infinity'::timestamptz) ORDER BY version {order} LIMIT $4"
        );
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let (context, name) = (context.as_str(), stream.as_str());
        let (from, limit) = (to_bigint(range.from.0), i64::from(range.limit));
        let (after, before) = (times.from.map(to_sql_time), times.to.map(to_sql_time));
        let rows = client.query(&statement, &[&context, &name, &from, &limit, &after, &before]).await?;
        let last = match rows.first() {
            Some(row) => row.try_get::<_, Option<i64>>(15)?,
            None => {
                let statement = client.prepare_cached(LAST).await?;
                client.query_one(&statement, &[&context, &name]).await?.try_get(0)?
            }
        };
        let events = rows.iter().map(|row| stored(row, stream)).collect::<Result<_, _>>()?;
        Ok(StreamPart { events, last: Version(last.unwrap_or_default().unsigned_abs()) })
    }
}

const LAST: &str = "SELECT max(version) FROM spina.events WHERE context = $1 AND stream = $2";

pub(super) fn stored(row: &Row, stream: &StreamId) -> Result<Stored, StoreError> {
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
