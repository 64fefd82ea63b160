//! Taking a model over, and finding out where it stands.

use deadpool_postgres::Transaction;
use spina_core::{ContextName, ModelShape, StreamKey, Timestamp};
use tokio_postgres::Row;

use super::arrays::PgTime;
use super::ddl::create_tables;
use super::inputs::Inputs;
use super::sql::{ident, table, tables};
use super::{ModelName, SCHEMA_BYTES_MAX, Slot};
use crate::{Store, StoreError};

/// The right to fill a table, and where it stood when the right was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Number of this writer; greater than that of every writer before.
    pub generation: i64,
    /// Next offset to read, by partition, over all inputs.
    pub next_offsets: Vec<i64>,
    /// When the latest event happened that the table has taken, by input; shorter where that was never noted.
    pub event_times: Vec<Option<Timestamp>>,
}

/// The answer to taking a model over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taking {
    /// Taken; everybody else has lost it.
    Taken(Lease),
    /// The table was filled by another definition: it must be rebuilt, nothing was touched.
    DefinitionChanged {
        /// The shape of the table that is there.
        shape: ModelShape,
        /// Where it stands, over the inputs of now.
        next_offsets: Vec<i64>,
    },
    /// The topics have other numbers of partitions than those that the checkpoint was written for.
    PartitionsChanged {
        /// Number of partitions of the checkpoint.
        stored: usize,
    },
}

/// The answer to asking after a write that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// The model is still ours; go on from here.
    Going(Lease),
    /// Somebody else has taken it over, or it was dropped.
    Superseded,
}

/// A row of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRow {
    /// The model's name.
    pub model: String,
    /// Which of its tables.
    pub slot: Slot,
    /// The topics that it is filled from.
    pub inputs: Inputs,
    /// Next offset to read, by partition, over all inputs.
    pub next_offsets: Vec<i64>,
    /// Of the definition that fills it.
    pub fingerprint: String,
    /// Its columns.
    pub shape: ModelShape,
    /// Whether it was paused by a person.
    pub paused: bool,
}

const LIST: &str = "SELECT model, slot, next_offsets, fingerprint, shape, paused, inputs FROM spina.models WHERE context = $1 \
    ORDER BY model, slot";
const LOCK: &str = "SELECT next_offsets, fingerprint, shape, inputs FROM spina.models \
    WHERE context = $1 AND model = $2 AND slot = $3 FOR UPDATE";
const RENEW: &str = "UPDATE spina.models SET generation = nextval('spina.generations') \
    WHERE context = $1 AND model = $2 AND slot = $3 RETURNING generation, next_offsets, event_times";
const RENEW_OWN: &str = "UPDATE spina.models SET generation = nextval('spina.generations') \
    WHERE context = $1 AND model = $2 AND slot = $3 AND generation <= $4 RETURNING generation, next_offsets, event_times";
const INSERT: &str = "INSERT INTO spina.models (context, model, slot, generation, next_offsets, fingerprint, shape, \
    inputs) VALUES ($1, $2, $3, nextval('spina.generations'), $4, $5, $6, $7) RETURNING generation, next_offsets, event_times";
const FORGET: &str = "DELETE FROM spina.models WHERE context = $1 AND model = $2 AND slot = $3 RETURNING shape";
/// A table that starts from nothing starts without letters: the log gives those again too.
const FORGET_LETTERS: &str = "DELETE FROM spina.dead_letters WHERE context = $1 AND model = $2 AND slot = $3";
const HOLDS: &str = "SELECT generation = $4 AND next_offsets = $5 FROM spina.models \
    WHERE context = $1 AND model = $2 AND slot = $3";
const PAUSE: &str = "UPDATE spina.models SET paused = $4 WHERE context = $1 AND model = $2 AND slot = $3";

impl Store {
    /// Takes a table over, from offset 0 if it does not exist yet. Waits for a transaction of the former writer, which
    /// the server ends after 10 s at the latest.
    pub async fn take_model(
        &self,
        name: &ModelName,
        slot: Slot,
        shape: &ModelShape,
        fingerprint: &str,
        inputs: &Inputs,
    ) -> Result<Taking, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_context(&transaction, &name.context).await?;
        let known = transaction.query_opt(LOCK, &[&name.context.as_str(), &name.model, &slot.name()]).await?;
        if let Some(row) = known
            && let stored = shape_of(&row, 2)?
            && all_exist(&transaction, name, slot, &stored).await?
        {
            let (next_offsets, known): (Vec<i64>, _) = (row.try_get(0)?, inputs_of(&row, 3)?);
            if row.try_get::<_, &str>(1)? != fingerprint {
                let next_offsets = inputs.carry(&known, &next_offsets);
                return Ok(Taking::DefinitionChanged { shape: stored, next_offsets });
            }
            if known != *inputs {
                return Ok(Taking::PartitionsChanged { stored: known.partitions() });
            }
            let row = transaction.query_one(RENEW, &[&name.context.as_str(), &name.model, &slot.name()]).await?;
            transaction.commit().await?;
            return Ok(Taking::Taken(lease_of(&row)?));
        }
        let lease = start(&transaction, name, slot, shape, fingerprint, inputs).await?;
        transaction.commit().await?;
        Ok(Taking::Taken(lease))
    }

    /// Drops what a rebuild left and begins a new one at offset 0.
    pub async fn begin_rebuild(
        &self,
        name: &ModelName,
        shape: &ModelShape,
        fingerprint: &str,
        inputs: &Inputs,
    ) -> Result<Lease, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_context(&transaction, &name.context).await?;
        let lease = start(&transaction, name, Slot::Rebuild, shape, fingerprint, inputs).await?;
        transaction.commit().await?;
        Ok(lease)
    }

    /// After a write whose end is not known, or that was refused: what is true now? A transaction of ours that the
    /// server is still ending is waited for. A smaller generation than ours means that the database went back in time
    /// (a fail-over to a standby that lagged): the model is still ours and the log fills it again.
    pub async fn resume_model(&self, name: &ModelName, slot: Slot, generation: i64) -> Result<Resumed, StoreError> {
        let client = self.client().await?;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&name.context.as_str(), &name.model, &slot.name(), &generation];
        let row = client.query_opt(RENEW_OWN, &parameters).await?;
        row.map_or(Ok(Resumed::Superseded), |row| lease_of(&row).map(Resumed::Going))
    }

    /// Whether the books still say what the lease says. They may not though nothing was written: another writer took
    /// over, or the database crashed and lost its last transactions, which are not synchronous.
    pub async fn lease_holds(&self, name: &ModelName, slot: Slot, lease: &Lease) -> Result<bool, StoreError> {
        let client = self.client().await?;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&name.context.as_str(), &name.model, &slot.name(), &lease.generation, &lease.next_offsets];
        let row = client.query_opt(HOLDS, &parameters).await?;
        row.map_or(Ok(false), |row| Ok(row.try_get(0)?))
    }

    /// The books of a context.
    pub async fn models(&self, context: &ContextName) -> Result<Vec<ModelRow>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(LIST, &[&context.as_str()]).await?;
        rows.iter().map(model_row).collect()
    }

    /// Remembers whether a person has paused the filling of a table.
    pub async fn set_model_paused(&self, name: &ModelName, slot: Slot, paused: bool) -> Result<(), StoreError> {
        let client = self.client().await?;
        client.execute(PAUSE, &[&name.context.as_str(), &name.model, &slot.name(), &paused]).await?;
        Ok(())
    }
}

/// Creating schemas and tables is serialised per context: `IF NOT EXISTS` alone races.
pub(super) async fn lock_context(transaction: &Transaction<'_>, context: &ContextName) -> Result<(), StoreError> {
    if context.as_str().len() > SCHEMA_BYTES_MAX {
        let message =
            format!("the context name {context} is longer than {SCHEMA_BYTES_MAX} bytes, a schema cannot bear it");
        return Err(StoreError::Limit(message));
    }
    let key = StreamKey::of(context.as_str()).0 as i64;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&key]).await?;
    transaction.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", ident(context.as_str()))).await?;
    Ok(())
}

/// Whether none of the tables is missing.
async fn all_exist(
    transaction: &Transaction<'_>,
    name: &ModelName,
    slot: Slot,
    shape: &ModelShape,
) -> Result<bool, StoreError> {
    const ALL: &str = "SELECT bool_and(to_regclass(t) IS NOT NULL) FROM UNNEST($1::text[]) AS t";
    let tables: Vec<String> = tables(name, slot, shape).map(|(table, _)| table).collect();
    Ok(transaction.query_one(ALL, &[&tables]).await?.try_get(0)?)
}

/// Drops the tables of a slot, with their books and letters.
pub(super) async fn forget(transaction: &Transaction<'_>, name: &ModelName, slot: Slot) -> Result<(), StoreError> {
    let of: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&name.context.as_str(), &name.model, &slot.name()];
    let books = transaction.query_opt(FORGET, &of).await?;
    transaction.execute(FORGET_LETTERS, &of).await?;
    // Without books nobody knows of children.
    let shape = books.map(|row| shape_of(&row, 0)).transpose()?;
    match &shape {
        Some(shape) => drop_tables(transaction, name, slot, shape).await,
        None => Ok(transaction.batch_execute(&format!("DROP TABLE IF EXISTS {}", table(name, slot))).await?),
    }
}

async fn drop_tables(
    transaction: &Transaction<'_>,
    name: &ModelName,
    slot: Slot,
    shape: &ModelShape,
) -> Result<(), StoreError> {
    let tables: Vec<String> = tables(name, slot, shape).map(|(table, _)| table).collect();
    Ok(transaction.batch_execute(&format!("DROP TABLE IF EXISTS {}", tables.join(", "))).await?)
}

pub(super) async fn table_exists(
    transaction: &Transaction<'_>,
    name: &ModelName,
    slot: Slot,
) -> Result<bool, StoreError> {
    let row = transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table(name, slot)]).await?;
    Ok(row.try_get(0)?)
}

async fn start(
    transaction: &Transaction<'_>,
    name: &ModelName,
    slot: Slot,
    shape: &ModelShape,
    fingerprint: &str,
    inputs: &Inputs,
) -> Result<Lease, StoreError> {
    let context = name.context.as_str();
    forget(transaction, name, slot).await?;
    drop_tables(transaction, name, slot, shape).await?;
    transaction.batch_execute(&create_tables(name, slot, shape)).await?;
    let (offsets, shape) = (vec![0_i64; inputs.partitions()], serde_json::to_value(shape)?);
    let inputs = serde_json::to_value(inputs)?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&context, &name.model, &slot.name(), &offsets, &fingerprint, &shape, &inputs];
    lease_of(&transaction.query_one(INSERT, &parameters).await?)
}

pub(super) fn lease_of(row: &Row) -> Result<Lease, StoreError> {
    let times: Vec<Option<PgTime>> = row.try_get(2)?;
    let event_times = times.into_iter().map(|time| time.map(|time| time.0)).collect();
    Ok(Lease { generation: row.try_get(0)?, next_offsets: row.try_get(1)?, event_times })
}

pub(super) fn inputs_of(row: &Row, column: usize) -> Result<Inputs, StoreError> {
    Ok(serde_json::from_value(row.try_get(column)?)?)
}

pub(super) fn shape_of(row: &Row, column: usize) -> Result<ModelShape, StoreError> {
    Ok(serde_json::from_value(row.try_get(column)?)?)
}

fn model_row(row: &Row) -> Result<ModelRow, StoreError> {
    let slot = match row.try_get(1)? {
        "live" => Slot::Live,
        "rebuild" => Slot::Rebuild,
        "old" => Slot::Old,
        _ => return Err(StoreError::Corrupt { what: "a model's slot" }),
    };
    Ok(ModelRow {
        model: row.try_get(0)?,
        slot,
        next_offsets: row.try_get(2)?,
        fingerprint: row.try_get(3)?,
        shape: shape_of(row, 4)?,
        paused: row.try_get(5)?,
        inputs: inputs_of(row, 6)?,
    })
}
