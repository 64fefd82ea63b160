//! Who serves which partition.

use spina_core::ContextName;

use super::write::to_bigint;
use crate::{Store, StoreError};

/// The owner of a partition as it announced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The partition.
    pub partition: i32,
    /// Grows with each take-over.
    pub epoch: u64,
    /// Base URL of its HTTP interface.
    pub endpoint: String,
}

const ANNOUNCE: &str = "INSERT INTO spina.owners (context, partition, epoch, endpoint) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (context, partition) DO UPDATE SET epoch = excluded.epoch, endpoint = excluded.endpoint, since = now() \
    WHERE spina.owners.epoch < excluded.epoch";
const LIST: &str = "SELECT partition, epoch, endpoint FROM spina.owners WHERE context = $1 ORDER BY partition";

impl Store {
    /// Announces an owner, unless one with a greater epoch did.
    pub async fn announce_owner(&self, context: &ContextName, owner: &Owner) -> Result<(), StoreError> {
        let client = self.client().await?;
        let epoch = to_bigint(owner.epoch);
        client.execute(ANNOUNCE, &[&context.as_str(), &owner.partition, &epoch, &owner.endpoint]).await?;
        Ok(())
    }

    /// The announced owners of the context's partitions.
    pub async fn owners(&self, context: &ContextName) -> Result<Vec<Owner>, StoreError> {
        let client = self.client().await?;
        let rows = client.query(LIST, &[&context.as_str()]).await?;
        rows.iter()
            .map(|row| {
                let (partition, epoch, endpoint) = (row.try_get(0)?, row.try_get::<_, i64>(1)?, row.try_get(2)?);
                Ok(Owner { partition, epoch: epoch.unsigned_abs(), endpoint })
            })
            .collect()
    }
}
