//! Sagas as they were last seen, for lists and for people. Lagging, and never read to decide anything.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;
use spina_core::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::{Store, StoreError};

/// A saga. Its state is written from anything that is JSON when it is serialized.
#[derive(Debug, Clone, PartialEq)]
pub struct SagaRow<S = Value> {
    /// Its id.
    pub id: String,
    /// Name of its definition.
    pub definition: String,
    /// Version of its definition.
    pub version: u32,
    /// Where it is: `running`, `undoing`, `completed`, `compensated`, `stuck`, `resolved`.
    pub status: String,
    /// Number of its events: a row is never replaced by an older one.
    pub events: u64,
    /// When something last happened.
    pub changed_at: Timestamp,
    /// All of it.
    pub state: S,
}

/// Which sagas are wanted.
#[derive(Debug, Clone, Default)]
pub struct SagaQuery {
    /// Only those of this status.
    pub status: Option<String>,
    /// Only those of this definition.
    pub definition: Option<String>,
    /// Only those behind this id, in the order of ids.
    pub after: Option<String>,
    /// Most rows.
    pub limit: u32,
}

const SHOW: &str = "INSERT INTO spina.sagas (id, definition, version, status, events, changed_us, state) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::jsonb[]) \
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, status = excluded.status, events = excluded.events, \
    changed_us = excluded.changed_us, state = excluded.state WHERE spina.sagas.events < excluded.events";
const COLUMNS: &str = "id, definition, version, status, events, changed_us, state";

impl Store {
    /// Shows sagas as they are; rows that are newer stay.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn show_sagas<S>(&self, rows: &[SagaRow<S>]) -> Result<(), StoreError>
    where
        S: Serialize + Debug + Sync,
    {
        let client = self.client().await?;
        let bigint = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let texts = |of: fn(&SagaRow<S>) -> &str| rows.iter().map(of).collect::<Vec<&str>>();
        let versions: Vec<i64> = rows.iter().map(|row| i64::from(row.version)).collect();
        let events: Vec<i64> = rows.iter().map(|row| bigint(row.events)).collect();
        let changed: Vec<i64> = rows.iter().map(|row| row.changed_at.micros()).collect();
        let states: Vec<Json<&S>> = rows.iter().map(|row| Json(&row.state)).collect();
        let (ids, definitions, statuses) =
            (texts(|row| &row.id), texts(|row| &row.definition), texts(|row| &row.status));
        client.execute(SHOW, &[&ids, &definitions, &versions, &statuses, &events, &changed, &states]).await?;
        Ok(())
    }

    /// Sagas in the order of their ids.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn sagas(&self, query: &SagaQuery) -> Result<Vec<SagaRow>, StoreError> {
        let mut sql = format!("SELECT {COLUMNS} FROM spina.sagas WHERE id > $1");
        let after = query.after.clone().unwrap_or_default();
        let limit = i64::from(query.limit);
        let mut values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&after, &limit];
        for (column, wanted) in [("status", &query.status), ("definition", &query.definition)] {
            if let Some(wanted) = wanted {
                values.push(wanted);
                sql.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        sql.push_str(" ORDER BY id LIMIT $2");
        let client = self.client().await?;
        client.query(&sql, &values).await?.iter().map(read).collect()
    }

    /// One saga.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn saga(&self, id: &str) -> Result<Option<SagaRow>, StoreError> {
        let client = self.client().await?;
        let found = client.query_opt(&format!("SELECT {COLUMNS} FROM spina.sagas WHERE id = $1"), &[&id]).await?;
        found.as_ref().map(read).transpose()
    }
}

fn read(row: &Row) -> Result<SagaRow, StoreError> {
    Ok(SagaRow {
        id: row.try_get(0)?,
        definition: row.try_get(1)?,
        version: u32::try_from(row.try_get::<_, i64>(2)?).unwrap_or(u32::MAX),
        status: row.try_get(3)?,
        events: row.try_get::<_, i64>(4)?.unsigned_abs(),
        changed_at: Timestamp::from_micros(row.try_get(5)?).unwrap_or_default(),
        state: row.try_get(6)?,
    })
}
