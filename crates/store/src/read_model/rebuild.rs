//! Putting a rebuilt table in the place of the live one.

use tokio_postgres::types::ToSql;

use super::sql::{ident, old_table, old_table_name, table};
use super::{Lease, ModelName, Slot};
use crate::{Store, StoreError};

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// The rebuilt table is the live one; this is the lease on it.
    Done(Lease),
    /// The rebuilt table is behind the live one: nothing was changed. Bring it to these offsets at least.
    Behind {
        /// The live table's next offsets.
        live: Vec<i64>,
    },
    /// The books say something else than the lease: nothing was changed.
    LeaseLost,
}

const LOCK: &str =
    "SELECT next_offsets FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'live' FOR UPDATE";
const LOCK_REBUILD: &str = "SELECT next_offsets FROM spina.models \
    WHERE context = $1 AND model = $2 AND slot = 'rebuild' AND generation = $3 FOR UPDATE";
const DROP_LIVE: &str = "DELETE FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'live'";
const PROMOTE: &str = "UPDATE spina.models SET slot = 'live', generation = nextval('spina.generations') \
    WHERE context = $1 AND model = $2 AND slot = 'rebuild' RETURNING generation, next_offsets";
const FORGET: &str = "DELETE FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'rebuild'";

impl Store {
    /// Swaps tables and checkpoints in one transaction. The former table is kept as `<model>__old` until the next swap.
    ///
    /// Whoever fills the live table finds its lease lost; readers see the one table or the other, never a mixture. The
    /// statement gives up after 5 s if a long read holds the table, as a transient error.
    pub async fn swap_rebuilt(&self, name: &ModelName, lease: &Lease) -> Result<Swap, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL lock_timeout = '5s'").await?;
        let names: [&(dyn ToSql + Sync); 2] = [&name.context.as_str(), &name.model];
        let live: Option<Vec<i64>> = match transaction.query_opt(LOCK, &names).await? {
            Some(row) => Some(row.try_get(0)?),
            None => None,
        };
        let guard: [&(dyn ToSql + Sync); 3] = [&name.context.as_str(), &name.model, &lease.generation];
        let Some(row) = transaction.query_opt(LOCK_REBUILD, &guard).await? else { return Ok(Swap::LeaseLost) };
        let rebuilt: Vec<i64> = row.try_get(0)?;
        if let Some(live) = live.filter(|live| rebuilt.iter().zip(live).any(|(rebuilt, live)| rebuilt < live)) {
            return Ok(Swap::Behind { live });
        }
        transaction.batch_execute(&renames(name)).await?;
        transaction.execute(DROP_LIVE, &names).await?;
        let row = transaction.query_one(PROMOTE, &names).await?;
        let lease = Lease { generation: row.try_get(0)?, next_offsets: row.try_get(1)? };
        transaction.commit().await?;
        Ok(Swap::Done(lease))
    }

    /// Drops the table of a rebuild that is not to be finished, if there is one.
    pub async fn drop_rebuild(&self, name: &ModelName) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute(FORGET, &[&name.context.as_str(), &name.model]).await?;
        transaction.batch_execute(&format!("DROP TABLE IF EXISTS {}", table(name, Slot::Rebuild))).await?;
        transaction.commit().await?;
        Ok(())
    }
}

fn renames(name: &ModelName) -> String {
    format!(
        "DROP TABLE IF EXISTS {};\nALTER TABLE IF EXISTS {} RENAME TO {};\nALTER TABLE {} RENAME TO {}",
        old_table(name),
        table(name, Slot::Live),
        ident(&old_table_name(name)),
        table(name, Slot::Rebuild),
        ident(&name.model),
    )
}
