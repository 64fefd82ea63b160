//! Putting a rebuilt table in the place of the live one, and the live one back.
//!
//! ```text
//!   rebuild -- swap --> live -- swap --> old        old <-- swap back --> live
//! ```
//!
//! Tables, books and dead letters move together, in one transaction, which also notes for the model's topic what rows differ.
//! It holds the context's lock: whoever takes a model over meanwhile would wait for a row that is no longer the live one,
//! find none, and start the live table over.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::changes::replaced_by;
use super::lease::{forget, inputs_of, lease_of, lock_context, shape_of, table_exists};
use super::sql::{child_table, ident, of_child, table};
use super::{Lease, ModelName, Slot};
use crate::{Store, StoreError};

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// The rebuilt table is the live one; this is the lease on it.
    Done(Lease),
    /// The rebuilt table is behind the live one: nothing was changed. Bring it to these offsets at least.
    Behind {
        /// The live table's next offsets, over the inputs of the rebuilt one.
        live: Vec<i64>,
    },
    /// The books say something else than the lease: nothing was changed.
    LeaseLost,
}

/// What became of a swap back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapBack {
    /// The former table is live again, and the other one is put aside.
    Done,
    /// No former table is kept.
    Nothing,
}

const LOCK: &str =
    "SELECT next_offsets, inputs FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'live' FOR UPDATE";
const LOCK_REBUILD: &str = "SELECT next_offsets, inputs FROM spina.models \
    WHERE context = $1 AND model = $2 AND slot = 'rebuild' AND generation = $3 FOR UPDATE";
const LOCK_OLD: &str = "SELECT 1 FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'old' FOR UPDATE";
const MOVE_LETTERS: &str = "UPDATE spina.dead_letters SET slot = $4 WHERE context = $1 AND model = $2 AND slot = $3";
const MOVE: &str = "UPDATE spina.models SET slot = $4, paused = false, generation = nextval('spina.generations') \
    WHERE context = $1 AND model = $2 AND slot = $3 RETURNING generation, next_offsets, event_times, shape";

impl Store {
    /// Swaps tables and checkpoints in one transaction. The former table is kept until the next swap.
    ///
    /// Whoever fills the live table finds its lease lost; readers see the one table or the other, never a mixture. The
    /// statement gives up after 5 s if a long read holds the table, as a transient error.
    pub async fn swap_rebuilt(&self, name: &ModelName, lease: &Lease) -> Result<Swap, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL lock_timeout = '5s'").await?;
        lock_context(&transaction, &name.context).await?;
        let names: [&(dyn ToSql + Sync); 2] = [&name.context.as_str(), &name.model];
        let live = transaction.query_opt(LOCK, &names).await?;
        let guard: [&(dyn ToSql + Sync); 3] = [&name.context.as_str(), &name.model, &lease.generation];
        let Some(row) = transaction.query_opt(LOCK_REBUILD, &guard).await? else { return Ok(Swap::LeaseLost) };
        let (rebuilt, inputs): (Vec<i64>, _) = (row.try_get(0)?, inputs_of(&row, 1)?);
        if let Some(row) = live {
            let live = inputs.carry(&inputs_of(&row, 1)?, &row.try_get::<_, Vec<i64>>(0)?);
            if rebuilt.iter().zip(&live).any(|(rebuilt, live)| rebuilt < live) {
                return Ok(Swap::Behind { live });
            }
        }
        replaced_by(&transaction, name, Slot::Rebuild).await?;
        forget(&transaction, name, Slot::Old).await?;
        shift(&transaction, name, Slot::Live, Slot::Old).await?;
        let Some(lease) = shift(&transaction, name, Slot::Rebuild, Slot::Live).await? else {
            return Ok(Swap::LeaseLost);
        };
        transaction.commit().await?;
        Ok(Swap::Done(lease))
    }

    /// Puts the table that the last swap put aside in the place of the live one, with its checkpoint and dead letters, in
    /// one transaction. The live one is put aside in its stead, so the same call leads forward again.
    ///
    /// # Errors
    /// A transient one when a long read holds a table for more than 5 s.
    pub async fn swap_back(&self, name: &ModelName) -> Result<SwapBack, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL lock_timeout = '5s'").await?;
        lock_context(&transaction, &name.context).await?;
        let names: [&(dyn ToSql + Sync); 2] = [&name.context.as_str(), &name.model];
        transaction.query_opt(LOCK, &names).await?;
        let kept = transaction.query_opt(LOCK_OLD, &names).await?.is_some();
        if !kept || !table_exists(&transaction, name, Slot::Old).await? {
            return Ok(SwapBack::Nothing);
        }
        // A rebuild under way would have to be compared with another table now: it goes, and its place is free for a turn.
        forget(&transaction, name, Slot::Rebuild).await?;
        replaced_by(&transaction, name, Slot::Old).await?;
        for (from, to) in [(Slot::Live, Slot::Rebuild), (Slot::Old, Slot::Live), (Slot::Rebuild, Slot::Old)] {
            shift(&transaction, name, from, to).await?;
        }
        transaction.commit().await?;
        Ok(SwapBack::Done)
    }

    /// Drops a table that is not live, with its books and letters, if there is one: that of a rebuild which is not to be
    /// finished, or the one that a swap put aside.
    pub async fn drop_table(&self, name: &ModelName, slot: Slot) -> Result<(), StoreError> {
        debug_assert_ne!(slot, Slot::Live, "a live table is never dropped");
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        forget(&transaction, name, slot).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Moves a table and its children to another place, which must be free. Whoever fills it has lost it.
async fn shift(
    transaction: &Transaction<'_>,
    name: &ModelName,
    from: Slot,
    to: Slot,
) -> Result<Option<Lease>, StoreError> {
    rename(transaction, &table(name, from), &to.table(&name.model)).await?;
    let places: [&(dyn ToSql + Sync); 4] = [&name.context.as_str(), &name.model, &from.name(), &to.name()];
    transaction.execute(MOVE_LETTERS, &places).await?;
    let Some(row) = transaction.query_opt(MOVE, &places).await? else { return Ok(None) };
    for child in shape_of(&row, 3)?.children {
        rename(transaction, &child_table(name, from, &child.name), &to.table(&of_child(name, &child.name))).await?;
    }
    lease_of(&row).map(Some)
}

async fn rename(transaction: &Transaction<'_>, from: &str, to: &str) -> Result<(), StoreError> {
    Ok(transaction.batch_execute(&format!("ALTER TABLE IF EXISTS {from} RENAME TO {}", ident(to))).await?)
}
