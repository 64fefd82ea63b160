//! Indexes for joins: from a row of the other model to the rows that join it.

use spina_core::Join;

use super::sql::{ident, table};
use super::{ModelName, Slot};
use crate::{Store, StoreError};

/// Longest making of an index: it reads the table whole.
const LONGEST: &str = "SET LOCAL statement_timeout = '15min'";
/// Whoever else takes the model over waits here.
const LOCK: &str = "SELECT 1 FROM spina.models WHERE context = $1 AND model = $2 AND slot = 'live' FOR UPDATE";
/// The columns of each index of a table, in order.
const KNOWN: &str = "SELECT array(SELECT a.attname::text FROM UNNEST(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) \
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.place) \
    FROM pg_index AS i WHERE i.indrelid = to_regclass($1)";

impl Store {
    /// Makes the indexes that conditions on joined columns are found by, unless they are there or the key's does as well.
    /// Only for whoever holds the lease on the live table and does not fill it yet: nothing can be written meanwhile.
    /// Answers how many were made.
    pub async fn index_joins(&self, name: &ModelName, joins: &[Join]) -> Result<usize, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(LONGEST).await?;
        transaction.execute(LOCK, &[&name.context.as_str(), &name.model]).await?;
        let live = table(name, Slot::Live);
        let rows = transaction.query(KNOWN, &[&live]).await?;
        let mut known = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Vec<String>>, _>>()?;
        let mut made = 0;
        for join in joins {
            let columns: Vec<String> = join.on.iter().map(|(_, own)| own.clone()).collect();
            if known.iter().any(|index| index.starts_with(&columns)) {
                continue;
            }
            let idents: Vec<String> = columns.iter().map(|column| ident(column)).collect();
            transaction.batch_execute(&format!("CREATE INDEX ON {live} ({})", idents.join(", "))).await?;
            known.push(columns);
            made += 1;
        }
        transaction.commit().await?;
        Ok(made)
    }
}
