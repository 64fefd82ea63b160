//! Applying a batch: rows and checkpoint in one transaction, or nothing.

use std::cmp::Ordering;

use deadpool_postgres::{Object, Transaction};
use postgres_types::ToSql;
use spina_core::{Batch, Cell, ModelShape, RowChange, Timestamp};

use super::arrays::PgTime;
use super::changes::changed;
use super::rows::{Row, Statement, delete, grouped, upsert};
use super::sql::{child_table, table};
use super::{Lease, ModelName, Slot};
use crate::dead_letters::{self as letters, LetterChanges};
use crate::{Store, StoreError};

/// Statements that one connection keeps prepared; beyond that it starts over.
const PREPARED_MAX: usize = 256;

/// The changes of a batch, sorted by key: neighbours in the table are written one after the other. With what it changes
/// about dead letters.
#[derive(Debug, Default)]
pub struct RowBatch {
    rows: Rows,
    /// The same of child rows, by table, under their whole keys. Children of a row that is reset go away without being
    /// named here.
    children: Vec<Rows>,
    letters: LetterChanges,
    /// When the latest event happened that the table has taken then, by input; empty leaves what is known.
    event_times: Vec<Option<Timestamp>>,
    /// Whether the model's topic is to be told.
    told: bool,
    /// Whether a person waits for it.
    asked_for: bool,
}

/// Changes by key.
type Rows = Vec<(Vec<Cell>, RowChange)>;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Rows and checkpoint are stored.
    Committed,
    /// The books say something else than the lease: nothing was stored. [`Store::resume_model`] tells what is true.
    LeaseLost,
}

impl From<Batch> for RowBatch {
    fn from(batch: Batch) -> Self {
        let mut rows: Rows = batch.into_rows().collect();
        let mut children: Vec<Rows> = Vec::new();
        for (key, row) in &mut rows {
            for (table, own, change) in row.take_children() {
                if children.len() <= table {
                    children.resize_with(table + 1, Vec::new);
                }
                children[table].push((key.iter().cloned().chain(own).collect(), change));
            }
        }
        rows.sort_unstable_by(by_key);
        children.iter_mut().for_each(|rows| rows.sort_unstable_by(by_key));
        Self {
            rows,
            children,
            letters: LetterChanges::default(),
            event_times: Vec::new(),
            told: false,
            asked_for: false,
        }
    }
}

fn by_key((a, _): &(Vec<Cell>, RowChange), (b, _): &(Vec<Cell>, RowChange)) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| a.compare(b)).find(|order| *order != Some(Ordering::Equal));
    differing.flatten().unwrap_or(Ordering::Equal)
}

impl RowBatch {
    /// The same rows, with these letters.
    #[must_use]
    pub fn with_letters(mut self, letters: LetterChanges) -> Self {
        self.letters = letters;
        self
    }

    /// The same rows; when the latest event happened that the table has taken with them, by input.
    #[must_use]
    pub fn taken_until(mut self, event_times: Vec<Option<Timestamp>>) -> Self {
        self.event_times = event_times;
        self
    }

    /// The same rows; whether they are noted for the model's topic, see [`Store::keep_changes`].
    #[must_use]
    pub fn told(mut self, told: bool) -> Self {
        self.told = told;
        self
    }

    /// The same rows, which a person waits for: they survive a crash of the database.
    #[must_use]
    pub fn asked_for(mut self) -> Self {
        self.asked_for = true;
        self
    }

    /// The keys of the rows, also of those whose children change.
    pub fn keys(&self) -> impl Iterator<Item = &[Cell]> {
        self.rows.iter().map(|(key, _)| key.as_slice())
    }

    /// The rows, without their children.
    pub(super) fn rows(&self) -> &[(Vec<Cell>, RowChange)] {
        &self.rows
    }

    /// Number of rows, those whose children change among them.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// First statement of the transaction: it takes the row's lock, so a rival waits here and then finds the lease lost. What is
/// filled is not paused: a pause that was told as failed and was remembered all the same does not outlast the next batch.
const MOVE_CHECKPOINT: &str = "UPDATE spina.models SET next_offsets = $5, paused = false, event_times = COALESCE($7, event_times) \
    WHERE context = $1 AND model = $2 AND slot = $3 AND generation = $4 AND next_offsets = $6";

impl Store {
    /// Applies a batch that leads from the lease's offsets to `next_offsets`. `synchronous_commit` is off: a crash of
    /// the database loses rows and checkpoint together, and the log gives them again. Only what a person waits for, such
    /// as what is done with dead letters, survives that.
    ///
    /// After an error it is not known whether the batch was committed; [`Store::resume_model`] finds out.
    pub async fn apply(
        &self,
        name: &ModelName,
        slot: Slot,
        shape: &ModelShape,
        lease: &Lease,
        next_offsets: &[i64],
        batch: &RowBatch,
    ) -> Result<Applied, StoreError> {
        let mut client: Object = self.client().await?;
        if client.statement_cache.size() > PREPARED_MAX {
            client.statement_cache.clear();
        }
        let transaction = client.transaction().await?;
        if !batch.asked_for && !batch.letters.is_asked_for() {
            transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
        }
        let (context, slot_name) = (name.context.as_str(), slot.name());
        let times = batch.event_times.iter().map(|time| time.map(PgTime));
        let times = (!batch.event_times.is_empty()).then(|| times.collect::<Vec<_>>());
        let guard: [&(dyn ToSql + Sync); 7] =
            [&context, &name.model, &slot_name, &lease.generation, &next_offsets, &lease.next_offsets, &times];
        let statement = transaction.prepare_cached(MOVE_CHECKPOINT).await?;
        if transaction.execute(&statement, &guard).await? != 1 {
            return Ok(Applied::LeaseLost);
        }
        write(&transaction, &table(name, slot), shape, &batch.rows).await?;
        let resets = keys_of_resets(&batch.rows);
        for (index, child) in shape.children.iter().enumerate() {
            let table = child_table(name, slot, &child.name);
            if !resets.is_empty() {
                // By the parent's key alone.
                execute(&transaction, &delete(&table, shape, &resets)?).await?;
            }
            write(&transaction, &table, &child.shape, batch.children.get(index).map_or(&[], Vec::as_slice)).await?;
        }
        if batch.told && !batch.is_empty() {
            let keys: Vec<&[Cell]> = batch.keys().collect();
            execute(&transaction, &changed(name, shape, &keys)?).await?;
        }
        letters::write(&transaction, name, slot, &batch.letters).await?;
        transaction.commit().await?;
        Ok(Applied::Committed)
    }
}

pub(super) async fn write(
    transaction: &Transaction<'_>,
    table: &str,
    shape: &ModelShape,
    rows: &[(Vec<Cell>, RowChange)],
) -> Result<(), StoreError> {
    let resets = keys_of_resets(rows);
    if !resets.is_empty() {
        execute(transaction, &delete(table, shape, &resets)?).await?;
    }
    let upserts = rows.iter().filter_map(|(key, row)| -> Option<Row<'_>> { Some((key, row.upsert.as_deref()?)) });
    for (sets, rows) in grouped(shape, upserts) {
        execute(transaction, &upsert(table, shape, &sets, &rows)?).await?;
    }
    Ok(())
}

fn keys_of_resets(rows: &[(Vec<Cell>, RowChange)]) -> Vec<&[Cell]> {
    rows.iter().filter(|(_, row)| row.reset).map(|(key, _)| key.as_slice()).collect()
}

async fn execute(transaction: &Transaction<'_>, statement: &Statement<'_>) -> Result<(), StoreError> {
    let prepared = transaction.prepare_cached(&statement.sql).await?;
    transaction.execute(&prepared, &statement.parameters()).await?;
    Ok(())
}
