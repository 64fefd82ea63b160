//! Storing a run of a partition's events.

use std::collections::HashMap;
use std::pin::pin;

use postgres_types::{ToSql, Type};
use spina_core::ledger::event_fingerprint;
use spina_core::{ContextName, Timestamp};
use time::OffsetDateTime;
use tokio_postgres::Transaction;
use tokio_postgres::binary_copy::BinaryCopyInWriter;

use super::Stored;
use crate::{Store, StoreError};

/// A run of one partition's events, in offset order and without anything left out.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The context.
    pub context: &'a ContextName,
    /// The partition.
    pub partition: i32,
    /// The watermark that the run continues: the offset after the last one archived.
    pub from_offset: i64,
    /// The watermark after the run.
    pub next_offset: i64,
    /// The writer's epoch as owner of the partition.
    pub epoch: u64,
    /// The events.
    pub events: &'a [Stored],
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveOutcome {
    /// It is stored.
    Stored,
    /// The watermark stands elsewhere, or an owner with a greater epoch wrote it: nothing was stored.
    Elsewhere(super::Watermark),
}

const COPY_EVENTS: &str = "COPY spina.events (context, stream, version, partition, log_offset, event_type, event_id, \
    happened_at, recorded_at, epoch, request_id, correlation_id, causation_id, traceparent, tracestate, value, \
    fingerprint) FROM STDIN BINARY";

const COPY_TYPES: [Type; 17] = [
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT4,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::BYTEA,
    Type::INT8,
];

const UPSERT_STREAMS: &str = "INSERT INTO spina.streams (context, partition, stream, version) \
    SELECT $1, $2, s.stream, s.version FROM unnest($3::text[], $4::bigint[]) AS s(stream, version) \
    ON CONFLICT (context, partition, stream) DO UPDATE SET version = excluded.version \
    WHERE spina.streams.version < excluded.version";

const LOCK_WATERMARK: &str = "INSERT INTO spina.watermarks (context, partition, next_offset, epoch) \
    VALUES ($1, $2, 0, 0) ON CONFLICT (context, partition) DO UPDATE SET context = excluded.context \
    RETURNING next_offset, epoch";

const MOVE_WATERMARK: &str = "UPDATE spina.watermarks SET next_offset = $3, epoch = $4 \
    WHERE context = $1 AND partition = $2";

impl Store {
    /// Stores a run in one transaction, durably: what is archived may go from the owner's memory, so a crash of the
    /// database must not take it back. A run is many events, so this is one flush for many.
    pub async fn archive(&self, run: Run<'_>) -> Result<ArchiveOutcome, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL synchronous_commit = on").await?;
        let found = lock_watermark(&transaction, run).await?;
        if found.next_offset != run.from_offset || found.epoch > run.epoch {
            transaction.rollback().await?;
            return Ok(ArchiveOutcome::Elsewhere(found));
        }
        copy_events(&transaction, run).await?;
        upsert_streams(&transaction, run).await?;
        let epoch = to_bigint(run.epoch);
        transaction.execute(MOVE_WATERMARK, &[&run.context.as_str(), &run.partition, &run.next_offset, &epoch]).await?;
        transaction.commit().await?;
        Ok(ArchiveOutcome::Stored)
    }
}

async fn lock_watermark(transaction: &Transaction<'_>, run: Run<'_>) -> Result<super::Watermark, StoreError> {
    let row = transaction.query_one(LOCK_WATERMARK, &[&run.context.as_str(), &run.partition]).await?;
    Ok(super::Watermark { next_offset: row.get(0), epoch: row.get::<_, i64>(1).unsigned_abs() })
}

async fn copy_events(transaction: &Transaction<'_>, run: Run<'_>) -> Result<(), StoreError> {
    if run.events.is_empty() {
        return Ok(());
    }
    let sink = transaction.copy_in(COPY_EVENTS).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &COPY_TYPES));
    let context = run.context.as_str();
    for event in run.events {
        let headers = &event.headers;
        let version = to_bigint(headers.version.0);
        let (happened_at, recorded_at) = (to_sql_time(headers.time), to_sql_time(event.recorded_at));
        let (stream, epoch, value) = (headers.stream.as_str(), to_bigint(headers.epoch), event.value.as_ref());
        let fingerprint = event_fingerprint(&headers.event_type, value).cast_signed();
        let row: [&(dyn ToSql + Sync); 17] = [
            &context,
            &stream,
            &version,
            &event.partition,
            &event.offset,
            &headers.event_type,
            &headers.id,
            &happened_at,
            &recorded_at,
            &epoch,
            &headers.request_id,
            &headers.correlation_id,
            &headers.causation_id,
            &headers.traceparent,
            &headers.tracestate,
            &value,
            &fingerprint,
        ];
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}

async fn upsert_streams(transaction: &Transaction<'_>, run: Run<'_>) -> Result<(), StoreError> {
    let mut newest: HashMap<&str, i64> = HashMap::with_capacity(run.events.len());
    for event in run.events {
        newest.insert(event.headers.stream.as_str(), to_bigint(event.headers.version.0));
    }
    let (streams, versions): (Vec<&str>, Vec<i64>) = newest.into_iter().unzip();
    transaction.execute(UPSERT_STREAMS, &[&run.context.as_str(), &run.partition, &streams, &versions]).await?;
    Ok(())
}

/// PostgreSQL has no unsigned 64-bit integer. Versions and epochs never get near 2^63.
pub(super) fn to_bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn to_sql_time(timestamp: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp.micros()) * 1_000)
        .expect("a timestamp is within the years 0 to 9999")
}

pub(super) fn from_sql_time(instant: OffsetDateTime) -> Timestamp {
    let micros = i64::try_from(instant.unix_timestamp_nanos() / 1_000).unwrap_or_default();
    Timestamp::from_micros(micros).unwrap_or_default()
}
