//! What the archive has of one stream, all of it at one instant: to be held against the log.

use spina_core::{ContextName, State, StreamId, Version};
use tokio_postgres::{IsolationLevel, Transaction};

use super::Stored;
use super::read::{COLUMNS, stored};
use crate::{Store, StoreError};

/// Everything that is kept of a stream.
#[derive(Debug, Clone, Default)]
pub struct Holding {
    /// Everything before this offset of the stream's partition is archived.
    pub watermark: i64,
    /// Its archived events, by version.
    pub events: Vec<Stored>,
    /// Its version in the index of streams.
    pub version: Option<Version>,
    /// Its snapshot.
    pub snapshot: Option<HeldSnapshot>,
}

/// A snapshot as it stands in the database, sound or not.
#[derive(Debug, Clone)]
pub struct HeldSnapshot {
    /// The version that it says it is of.
    pub version: Version,
    /// The state, if it can be read.
    pub state: Option<State>,
    /// The hash kept beside it.
    pub hash: u64,
    /// Names the fold it was made by.
    pub fingerprint: String,
}

const WATERMARK: &str = "SELECT next_offset FROM spina.watermarks WHERE context = $1 AND partition = $2";
const VERSION: &str = "SELECT version FROM spina.streams WHERE context = $1 AND partition = $2 AND stream = $3";
const SNAPSHOT: &str =
    "SELECT version, state, hash, fingerprint FROM spina.snapshots WHERE context = $1 AND stream = $2";
const COUNT: &str = "SELECT count(*) FROM spina.events WHERE context = $1 AND partition = $2 AND log_offset < $3";

impl Store {
    /// What is kept of the stream.
    pub async fn holding(
        &self,
        context: &ContextName,
        partition: i32,
        stream: &StreamId,
    ) -> Result<Holding, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let transaction = transaction.start().await?;
        let name = context.as_str();
        let watermark = transaction.query_opt(WATERMARK, &[&name, &partition]).await?;
        let version = transaction.query_opt(VERSION, &[&name, &partition, &stream.as_str()]).await?;
        let holding = Holding {
            watermark: watermark.map_or(0, |row| row.get(0)),
            events: events(&transaction, context, stream).await?,
            version: version.map(|row| Version(row.get::<_, i64>(0).unsigned_abs())),
            snapshot: snapshot(&transaction, context, stream).await?,
        };
        transaction.commit().await?;
        Ok(holding)
    }

    /// How many events of the partition before an offset are archived.
    pub async fn archived_before(&self, context: &ContextName, partition: i32, end: i64) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let row = client.query_one(COUNT, &[&context.as_str(), &partition, &end]).await?;
        Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
    }
}

async fn events(
    transaction: &Transaction<'_>,
    context: &ContextName,
    stream: &StreamId,
) -> Result<Vec<Stored>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM spina.events WHERE context = $1 AND stream = $2 ORDER BY version");
    let rows = transaction.query(&sql, &[&context.as_str(), &stream.as_str()]).await?;
    rows.iter().map(|row| stored(row, stream)).collect()
}

async fn snapshot(
    transaction: &Transaction<'_>,
    context: &ContextName,
    stream: &StreamId,
) -> Result<Option<HeldSnapshot>, StoreError> {
    let row = transaction.query_opt(SNAPSHOT, &[&context.as_str(), &stream.as_str()]).await?;
    row.map(|row| {
        Ok(HeldSnapshot {
            version: Version(row.try_get::<_, i64>(0)?.unsigned_abs()),
            state: serde_json::from_value(row.try_get(1)?).ok(),
            hash: row.try_get::<_, i64>(2)?.cast_unsigned(),
            fingerprint: row.try_get(3)?,
        })
    })
    .transpose()
}
