//! Which rows a model's topic has not been told of: one entry for each key, however often its row changed.
//!
//! ```text
//! batch, swap     --> entry (key, stamp)          in the transaction that changes the row
//! whoever tells   --> entries and rows as they are now --> the topic --> the same entries are forgotten
//! ```
//!
//! An entry gets another stamp with every change, so one that changed again while it was told stays. What was told and not
//! forgotten is told again, never with an older row.

use deadpool_postgres::Transaction;
use serde_json::{Map, Value};
use spina_core::{Cell, ModelShape};

use super::lease::{lock_context, table_exists};
use super::query::{as_read, json_row};
use super::rows::{Statement, note};
use super::sql::{changes_table, column_type, ident, key_idents, table};
use super::{ModelName, Slot};
use crate::{Store, StoreError};

/// Longest run of what reads whole tables.
const LONGEST: &str = "SET LOCAL statement_timeout = '15min'";
/// One value for all rows of a statement.
const STAMP: &str = "(SELECT gen_random_uuid())";

/// A row that the topic has not been told of.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedRow {
    /// The columns of its key, by name.
    pub key: Map<String, Value>,
    /// All its columns as they are now; `None` if the row is gone.
    pub row: Option<Map<String, Value>>,
    /// What [`Store::forget_changes`] takes.
    pub entry: Entry,
}

/// An entry as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    place: String,
    stamp: String,
}

impl Store {
    /// From now on changes of the model's rows are kept, or not any more. Where they were not kept before, every row counts
    /// as changed. Only for the holder of the lease on the live table, before it applies anything.
    pub async fn keep_changes(&self, name: &ModelName, shape: &ModelShape, keep: bool) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_context(&transaction, &name.context).await?;
        let kept = are_kept(&transaction, name).await?;
        match (kept, keep) {
            (true, true) | (false, false) => return Ok(()),
            (true, false) => transaction.batch_execute(&format!("DROP TABLE {}", changes_table(name))).await?,
            (false, true) => {
                create(&transaction, name, shape).await?;
                transaction.batch_execute(LONGEST).await?;
                all_changed(&transaction, name, shape, Slot::Live).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Some rows that changed, at most so many.
    pub async fn changes(
        &self,
        name: &ModelName,
        shape: &ModelShape,
        most: u32,
    ) -> Result<Vec<ChangedRow>, StoreError> {
        let keys = key_idents(shape);
        let columns = shape.seen().enumerate().map(|(index, (column, cell))| {
            // The key is there even where the row is gone.
            let of = if index < keys.len() { "c" } else { "t" };
            as_read(format!("{of}.{}", ident(column)), cell)
        });
        let (columns, on) = (columns.collect::<Vec<_>>().join(", "), matching("c", "t", &keys));
        let (changed, live, first) = (changes_table(name), table(name, Slot::Live), &keys[0]);
        let sql = format!(
            "SELECT {columns}, t.{first} IS NOT NULL, c.ctid::text, c.spina__stamp::text \
             FROM {changed} AS c LEFT JOIN {live} AS t ON {on} LIMIT {most}"
        );
        let client = self.client().await?;
        let rows = client.query(&sql, &[]).await?;
        let seen = shape.seen().count();
        let changed = rows.iter().map(|row| {
            let columns = json_row(shape.seen(), row)?;
            let key = shape.key.iter().map(|key| (key.name.clone(), columns[&key.name].clone())).collect();
            let entry = Entry { place: row.try_get(seen + 1)?, stamp: row.try_get(seen + 2)? };
            Ok(ChangedRow { key, row: row.try_get::<_, bool>(seen)?.then_some(columns), entry })
        });
        changed.collect()
    }

    /// The topic has these. Entries that changed since they were read, or are changing now, stay.
    pub async fn forget_changes(&self, name: &ModelName, told: &[Entry]) -> Result<(), StoreError> {
        let changed = changes_table(name);
        let sql = format!(
            "DELETE FROM {changed} WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM {changed} AS c \
             JOIN UNNEST($1::text[]::tid[], $2::text[]::uuid[]) AS told (place, stamp) \
             ON c.ctid = told.place AND c.spina__stamp = told.stamp FOR UPDATE OF c SKIP LOCKED))"
        );
        let places: Vec<&str> = told.iter().map(|entry| entry.place.as_str()).collect();
        let stamps: Vec<&str> = told.iter().map(|entry| entry.stamp.as_str()).collect();
        let client = self.client().await?;
        client.execute(&sql, &[&places, &stamps]).await?;
        Ok(())
    }
}

/// The statement that notes that the rows of these keys changed.
pub(super) fn changed<'a>(
    name: &ModelName,
    shape: &ModelShape,
    keys: &[&'a [Cell]],
) -> Result<Statement<'a>, StoreError> {
    note(&changes_table(name), shape, keys, STAMP)
}

/// Notes the rows in which another table differs from the live one, which it is about to replace. Does nothing where changes
/// are not kept.
pub(super) async fn replaced_by(
    transaction: &Transaction<'_>,
    name: &ModelName,
    other: Slot,
) -> Result<(), StoreError> {
    if !are_kept(transaction, name).await? || !table_exists(transaction, name, other).await? {
        return Ok(());
    }
    transaction.batch_execute(LONGEST).await?;
    let new = shape_of(transaction, name, other).await?;
    let old = match table_exists(transaction, name, Slot::Live).await? {
        true => Some(shape_of(transaction, name, Slot::Live).await?),
        false => None,
    };
    match old {
        Some(old) if old.key == new.key => differing(transaction, name, &old, &new, other).await,
        // The topology refuses that of a model with a topic: there is no telling of rows of another kind.
        Some(_) | None => {
            transaction.batch_execute(&format!("DROP TABLE {}", changes_table(name))).await?;
            create(transaction, name, &new).await?;
            all_changed(transaction, name, &new, other).await
        }
    }
}

async fn differing(
    transaction: &Transaction<'_>,
    name: &ModelName,
    old: &ModelShape,
    new: &ModelShape,
    other: Slot,
) -> Result<(), StoreError> {
    let keys = key_idents(new);
    let differ: Vec<String> = if old.seen().eq(new.seen()) {
        let columns = new.columns.iter().map(|column| ident(&column.name));
        columns.map(|column| format!("l.{column} IS DISTINCT FROM r.{column}")).collect()
    } else {
        // Every record has other fields.
        vec!["true".to_owned()]
    };
    let one_side = ["l", "r"].map(|side| format!("{side}.{} IS NULL", keys[0]));
    let differ: Vec<String> = one_side.into_iter().chain(differ).collect();
    let values: Vec<String> = keys.iter().map(|key| format!("COALESCE(l.{key}, r.{key})")).collect();
    let from = format!(
        "{} AS l FULL JOIN {} AS r ON {} WHERE {}",
        table(name, Slot::Live),
        table(name, other),
        matching("l", "r", &keys),
        differ.join(" OR "),
    );
    insert(transaction, name, &keys, &values, &from).await
}

async fn all_changed(
    transaction: &Transaction<'_>,
    name: &ModelName,
    shape: &ModelShape,
    slot: Slot,
) -> Result<(), StoreError> {
    let keys = key_idents(shape);
    insert(transaction, name, &keys, &keys, &table(name, slot)).await
}

async fn insert(
    transaction: &Transaction<'_>,
    name: &ModelName,
    keys: &[String],
    values: &[String],
    from: &str,
) -> Result<(), StoreError> {
    let (keys, values) = (keys.join(", "), values.join(", "));
    let sql = format!(
        "INSERT INTO {} ({keys}, spina__stamp) SELECT {values}, {STAMP} FROM {from} \
         ON CONFLICT ({keys}) DO UPDATE SET spina__stamp = excluded.spina__stamp",
        changes_table(name)
    );
    transaction.batch_execute(&sql).await?;
    Ok(())
}

async fn create(transaction: &Transaction<'_>, name: &ModelName, shape: &ModelShape) -> Result<(), StoreError> {
    let keys = shape.key.iter().map(|key| format!("{} {} NOT NULL", ident(&key.name), column_type(key.cell)));
    let sql = format!(
        "CREATE TABLE {} ({}, spina__stamp uuid NOT NULL, PRIMARY KEY ({}))",
        changes_table(name),
        keys.collect::<Vec<_>>().join(", "),
        key_idents(shape).join(", ")
    );
    transaction.batch_execute(&sql).await?;
    Ok(())
}

async fn are_kept(transaction: &Transaction<'_>, name: &ModelName) -> Result<bool, StoreError> {
    let row = transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&changes_table(name)]).await?;
    Ok(row.try_get(0)?)
}

async fn shape_of(transaction: &Transaction<'_>, name: &ModelName, slot: Slot) -> Result<ModelShape, StoreError> {
    const SHAPE: &str = "SELECT shape FROM spina.models WHERE context = $1 AND model = $2 AND slot = $3";
    let row = transaction.query_one(SHAPE, &[&name.context.as_str(), &name.model, &slot.name()]).await?;
    Ok(serde_json::from_value(row.try_get(0)?)?)
}

fn matching(one: &str, other: &str, keys: &[String]) -> String {
    keys.iter().map(|key| format!("{one}.{key} = {other}.{key}")).collect::<Vec<_>>().join(" AND ")
}
