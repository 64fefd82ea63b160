//! Some rows at one instant, whole, and rows as the table would keep them: what an audit compares.
//!
//! Both are what PostgreSQL itself makes of a row, hidden columns included, so a value that it writes otherwise than it was
//! given (a number in JSON, a mean) makes no difference.

use std::collections::HashSet;

use serde_json::{Map, Value};
use spina_core::{Batch, Cell, ModelShape};
use tokio_postgres::{GenericClient, IsolationLevel};

use super::apply::{RowBatch, write};
use super::inputs::Inputs;
use super::lease::inputs_of;
use super::rows::whole;
use super::sql::table;
use super::{ModelName, Slot, View};
use crate::dead_letters::{Place, place};
use crate::{Store, StoreError};

/// Longest look at the table: a sample is drawn from all of it.
const LONGEST: &str = "SET LOCAL statement_timeout = '15min'";
const BOOKS: &str =
    "SELECT next_offsets, fingerprint, inputs FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'live'";
const PARKED: &str = "SELECT topic, partition, log_offset FROM spina.dead_letters \
    WHERE context = $1 AND model = $2 AND slot = 'live' LIMIT $3";
/// Most parked events that are taken into account.
const PARKED_MAX: i64 = 1_000_000;
const SKETCH: &str = "pg_temp.spina__refolded";

/// A row as the table keeps it, with the columns that only the folds need.
pub type WholeRow = Map<String, Value>;

/// The live table at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The topics that it is filled from.
    pub inputs: Inputs,
    /// How far it is: the next offset of each partition, over all inputs.
    pub next_offsets: Vec<i64>,
    /// Of the definition that filled it.
    pub fingerprint: String,
    /// The rows that were asked for and others chosen at random, each key once; `None` where there is no row.
    pub rows: Vec<(Vec<Cell>, Option<WholeRow>)>,
    /// Events that are not in it because they are parked.
    pub parked: HashSet<Place>,
}

impl Store {
    /// What the live table says of some keys, and of so many rows chosen at random; `None` if the model is not there.
    pub async fn hold(
        &self,
        name: &ModelName,
        shape: &ModelShape,
        keys: Vec<Vec<Cell>>,
        random: u32,
    ) -> Result<Option<Held>, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let transaction = transaction.start().await?;
        transaction.batch_execute(LONGEST).await?;
        let Some(books) = transaction.query_opt(BOOKS, &[&name.context.as_str(), &name.model]).await? else {
            return Ok(None);
        };
        let (live, view) = (table(name, Slot::Live), View::of(name, shape));
        let mut rows = Vec::with_capacity(keys.len() + random as usize);
        let asked = read(&*transaction, &live, shape, &keys).await?;
        rows.extend(keys.into_iter().zip(asked));
        let mut known: HashSet<Vec<Cell>> = rows.iter().map(|(key, _)| key.clone()).collect();
        let sample = format!("SELECT to_jsonb(t) FROM {live} AS t ORDER BY random() LIMIT {random}");
        for found in transaction.query(&sample, &[]).await? {
            let row: Value = found.try_get(0)?;
            let Value::Object(row) = row else { return Err(CORRUPT) };
            let key = key_of(&view, shape, &row)?;
            if known.insert(key.clone()) {
                rows.push((key, Some(row)));
            }
        }
        let parked = parked(&*transaction, name).await?;
        transaction.commit().await?;
        let (next_offsets, fingerprint) = (books.try_get(0)?, books.try_get(1)?);
        Ok(Some(Held { inputs: inputs_of(&books, 2)?, next_offsets, fingerprint, rows, parked }))
    }

    /// The events of the model that are parked now.
    pub async fn parked_places(&self, name: &ModelName) -> Result<HashSet<Place>, StoreError> {
        let client = self.client().await?;
        parked(&**client, name).await
    }

    /// What the live table would keep of these keys if it were filled with nothing but the batch; `None` where that gives
    /// no row.
    ///
    /// # Errors
    /// [`StoreError::is_refused_value`] when it would not take one of the values.
    pub async fn sketched(
        &self,
        name: &ModelName,
        shape: &ModelShape,
        batch: Batch,
        keys: &[Vec<Cell>],
    ) -> Result<Vec<Option<WholeRow>>, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let live = table(name, Slot::Live);
        let create = format!("CREATE TEMPORARY TABLE spina__refolded (LIKE {live} INCLUDING ALL) ON COMMIT DROP");
        transaction.batch_execute(&create).await?;
        write(&transaction, SKETCH, shape, RowBatch::from(batch).rows()).await?;
        let rows = read(&*transaction, SKETCH, shape, keys).await?;
        // Nothing of it is to stay.
        transaction.rollback().await?;
        Ok(rows)
    }
}

const CORRUPT: StoreError = StoreError::Corrupt { what: "a row of a read model" };

async fn read(
    client: &impl GenericClient,
    table: &str,
    shape: &ModelShape,
    keys: &[Vec<Cell>],
) -> Result<Vec<Option<WholeRow>>, StoreError> {
    let keys: Vec<&[Cell]> = keys.iter().map(Vec::as_slice).collect();
    let statement = whole(table, shape, &keys)?;
    let found = client.query(&statement.sql, &statement.parameters()).await?;
    let row = |row: &tokio_postgres::Row| match row.try_get::<_, Option<Value>>(0)? {
        Some(Value::Object(row)) => Ok(Some(row)),
        None => Ok(None),
        Some(_) => Err(CORRUPT),
    };
    found.iter().map(row).collect()
}

async fn parked(client: &impl GenericClient, name: &ModelName) -> Result<HashSet<Place>, StoreError> {
    let letters = client.query(PARKED, &[&name.context.as_str(), &name.model, &(PARKED_MAX + 1)]).await?;
    if i64::try_from(letters.len()).is_ok_and(|found| found > PARKED_MAX) {
        return Err(StoreError::Limit(format!("more than {PARKED_MAX} events of {name} are parked: settle them")));
    }
    letters.iter().map(|row| place(row, 0)).collect()
}

/// The key of a row, as events give it.
fn key_of(view: &View, shape: &ModelShape, row: &WholeRow) -> Result<Vec<Cell>, StoreError> {
    let texts: Vec<String> = shape
        .key
        .iter()
        .map(|key| row[&key.name].as_str().map_or_else(|| row[&key.name].to_string(), str::to_owned))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    view.parse_key(&texts).map_err(|_| CORRUPT)
}
