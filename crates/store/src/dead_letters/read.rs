//! Reading letters: lists for people, queues for whoever retries them.

use tokio_postgres::Row;

use super::{Parameter, ParkedRecord, column, place};
use crate::read_model::{ModelName, PgTime, Slot};
use crate::{Store, StoreError};
use spina_core::Timestamp;

/// Most letters of a list.
pub const PARKED_LIST_MAX: u32 = 1000;

/// A letter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Number of the letter.
    pub id: i64,
    /// The model that did not take it; the text of the context is as it was stored.
    pub context: String,
    /// The model's name within the context.
    pub model: String,
    /// The record.
    pub record: ParkedRecord,
    /// Kind of error; `None` while it only waits behind another one of its key.
    pub class: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was parked.
    pub parked_at: Timestamp,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
}

/// The first letter of a key: what holds up the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of the letter.
    pub id: i64,
    /// The key.
    pub key: Vec<u8>,
    /// Letters of the key, this one too.
    pub letters: i64,
}

/// What a list asks for; everything else is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterQuery {
    /// Only of this context.
    pub context: Option<String>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only of this class of error: such letters hold up others, they do not only wait.
    pub class: Option<String>,
    /// Only of this key.
    pub key: Option<Vec<u8>>,
    /// Only with a greater number: where the next page begins.
    pub after_id: i64,
    /// Most letters.
    pub limit: u32,
}

const COLUMNS: &str = "SELECT id, context, model, key, topic, partition, log_offset, timestamp_ms, record_key, value, \
    headers, event_type, event_id, correlation_id, traceparent, class, error, attempts, parked_at, tried_at \
    FROM spina.dead_letters";
const LIST: &str = "WHERE slot = 'live' AND id > $1 AND ($2::text IS NULL OR context = $2) \
    AND ($3::text IS NULL OR model = $3) AND ($4::text IS NULL OR class = $4) AND ($5::bytea IS NULL OR key = $5) \
    ORDER BY id LIMIT $6";
const QUEUES: &str = "WHERE context = $1 AND model = $2 AND slot = $3 AND key = ANY ($4) ORDER BY id LIMIT $5";
const THERE: &str =
    "SELECT count(*) FROM spina.dead_letters WHERE context = $1 AND model = $2 AND slot = $3 AND id = ANY ($4)";
const KEYS: &str =
    "SELECT key, count(*) FROM spina.dead_letters WHERE context = $1 AND model = $2 AND slot = $3 GROUP BY key";
const HEADS: &str = "SELECT id, key, letters FROM (SELECT DISTINCT ON (key) id, key, class, \
    count(*) OVER (PARTITION BY key) AS letters FROM spina.dead_letters \
    WHERE context = $1 AND model = $2 AND slot = 'live' ORDER BY key, id) heads \
    WHERE id > $3 AND ($4::text IS NULL OR class = $4) ORDER BY id LIMIT $5";

impl Store {
    /// Letters of live models, by number.
    pub async fn letters(&self, query: &LetterQuery) -> Result<Vec<Letter>, StoreError> {
        let limit = i64::from(query.limit.min(PARKED_LIST_MAX));
        let client = self.client().await?;
        let parameters: [Parameter<'_>; 6] =
            [&query.after_id, &query.context, &query.model, &query.class, &query.key, &limit];
        let rows = client.query(&format!("{COLUMNS} {LIST}"), &parameters).await?;
        rows.iter().map(letter).collect()
    }

    /// One letter.
    pub async fn letter(&self, id: i64) -> Result<Option<Letter>, StoreError> {
        let client = self.client().await?;
        let row = client.query_opt(&format!("{COLUMNS} WHERE slot = 'live' AND id = $1"), &[&id]).await?;
        row.as_ref().map(letter).transpose()
    }

    /// The letters of some keys of a model in the order in which they came, at most `limit`. Of one topic that is the order
    /// of the log.
    pub async fn queues(
        &self,
        name: &ModelName,
        slot: Slot,
        keys: &[Vec<u8>],
        limit: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let client = self.client().await?;
        let parameters: [Parameter<'_>; 5] = [&name.context.as_str(), &name.model, &slot.name(), &keys, &limit];
        let rows = client.query(&format!("{COLUMNS} {QUEUES}"), &parameters).await?;
        rows.iter().map(letter).collect()
    }

    /// How many of these letters there are.
    pub async fn letters_there(&self, name: &ModelName, slot: Slot, ids: &[i64]) -> Result<usize, StoreError> {
        let client = self.client().await?;
        let row = client.query_one(THERE, &[&name.context.as_str(), &name.model, &slot.name(), &ids]).await?;
        Ok(usize::try_from(column::<i64>(&row, 0)?).unwrap_or(0))
    }

    /// The keys that are parked, and how many letters each has.
    pub async fn parked_keys(&self, name: &ModelName, slot: Slot) -> Result<Vec<(Vec<u8>, i64)>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(KEYS, &[&name.context.as_str(), &name.model, &slot.name()]).await?;
        rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
    }

    /// The first letters of parked keys by number, of one class or of all, at most `limit`, after the number.
    pub async fn heads(
        &self,
        name: &ModelName,
        class: Option<&str>,
        after_id: i64,
        limit: u32,
    ) -> Result<Vec<Head>, StoreError> {
        let client = self.client().await?;
        let limit = i64::from(limit);
        let parameters: [Parameter<'_>; 5] = [&name.context.as_str(), &name.model, &after_id, &class, &limit];
        let rows = client.query(HEADS, &parameters).await?;
        rows.iter()
            .map(|row| Ok(Head { id: column(row, 0)?, key: column(row, 1)?, letters: column(row, 2)? }))
            .collect()
    }
}

fn letter(row: &Row) -> Result<Letter, StoreError> {
    let record = ParkedRecord {
        key: column(row, 3)?,
        place: place(row, 4)?,
        timestamp_ms: column(row, 7)?,
        record_key: column(row, 8)?,
        value: column(row, 9)?,
        headers: column(row, 10)?,
        said: [column(row, 11)?, column(row, 12)?, column(row, 13)?, column(row, 14)?],
    };
    Ok(Letter {
        id: column(row, 0)?,
        context: column(row, 1)?,
        model: column(row, 2)?,
        record,
        class: column(row, 15)?,
        error: column(row, 16)?,
        attempts: column(row, 17)?,
        parked_at: column::<PgTime>(row, 18)?.0,
        tried_at: column::<Option<PgTime>>(row, 19)?.map(|time| time.0),
    })
}
