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

// Said again while it lasts: a row that is right is left alone. One without an endpoint may be a fenced process's, which
// announced itself too late and took it back.
const ANNOUNCE: &str = "INSERT INTO spina.owners (context, partition, epoch, endpoint) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (context, partition) DO UPDATE SET epoch = greatest(spina.owners.epoch, excluded.epoch), \
    endpoint = excluded.endpoint, since = now() \
    WHERE spina.owners.epoch < excluded.epoch OR spina.owners.endpoint IS NULL";
const RELEASE: &str = "UPDATE spina.owners SET endpoint = NULL, since = now() \
    WHERE context = $1 AND partition = $2 AND endpoint = $3";
const LIST: &str = "SELECT partition, epoch, endpoint FROM spina.owners \
    WHERE context = $1 AND endpoint IS NOT NULL ORDER BY partition";

impl Store {
    /// Announces an owner, unless one with a greater epoch did.
    pub async fn announce_owner(&self, context: &ContextName, owner: &Owner) -> Result<(), StoreError> {
        let client = self.client().await?;
        let epoch = to_bigint(owner.epoch);
        client.execute(ANNOUNCE, &[&context.as_str(), &owner.partition, &epoch, &owner.endpoint]).await?;
        Ok(())
    }

    /// The owner serves the partition no longer. Nothing happens if another one has been announced since.
    pub async fn release_owner(&self, context: &ContextName, owner: &Owner) -> Result<(), StoreError> {
        let client = self.client().await?;
        client.execute(RELEASE, &[&context.as_str(), &owner.partition, &owner.endpoint]).await?;
        Ok(())
    }

    /// The announced owners of the context's partitions; those that nobody serves are left out.
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
