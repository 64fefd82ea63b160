//! What the tables say of the platform's condition: what waits for a person.

use crate::{Store, StoreError};

/// Most groups of one answer.
const GROUPS_MAX: i64 = 1_000;
const LETTERS: &str = "SELECT context, model, count(*) FROM spina.dead_letters WHERE slot = 'live' AND class IS NOT NULL \
    GROUP BY context, model ORDER BY context, model LIMIT $1";
const STUCK: &str = "SELECT definition, count(*) FROM spina.sagas WHERE status = 'stuck' GROUP BY definition \
    ORDER BY definition LIMIT $1";

impl Store {
    /// Events that live models could not take: context, model, how many.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn letters_counted(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        let rows = self.client().await?.query(LETTERS, &[&GROUPS_MAX]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Sagas that are stuck: definition, how many.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn stuck_sagas(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = self.client().await?.query(STUCK, &[&GROUPS_MAX]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
