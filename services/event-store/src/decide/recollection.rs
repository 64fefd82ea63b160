//! What a new owner recalls from the archive instead of reading the whole log.

use async_trait::async_trait;
use spina_core::{ContextName, StreamKey, Timestamp, Version};
use spina_store::archive::{ArchivedRequest, LastArchived, Owner, Watermark};
use spina_store::{Store, StoreError};

use super::tail::Tail;

/// The archive of one context, as far as taking over needs it.
#[async_trait]
pub trait Recollection: Send + Sync {
    /// How far the archive of the partition goes.
    async fn watermark(&self, partition: i32) -> Result<Watermark, StoreError>;

    /// Tells every archived stream of the partition and its version.
    async fn each_stream_version(
        &self,
        partition: i32,
        tell: &mut (dyn FnMut(StreamKey, Version) + Send),
    ) -> Result<(), StoreError>;

    /// Tells the requests recorded since then, in the order of their events: those of the newest `limit` events.
    async fn each_request_since(
        &self,
        partition: i32,
        since: Timestamp,
        limit: usize,
        tell: &mut (dyn FnMut(ArchivedRequest) + Send),
    ) -> Result<(), StoreError>;

    /// Streams of which the archive has more than a log that ends at `end`, with their versions there; at most `limit`.
    async fn ahead_of_log(&self, _partition: i32, _end: i64, _limit: i64) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(Vec::new())
    }

    /// The last archived event of the partition.
    async fn last_archived(&self, _partition: i32) -> Result<Option<LastArchived>, StoreError> {
        Ok(None)
    }

    /// A tail to follow what it has.
    fn tail(&self, watermark: Watermark, bytes_max: usize) -> Tail {
        Tail::new(watermark.next_offset, bytes_max)
    }

    /// Publishes who owns a partition. Best effort: nothing rests on it.
    async fn announce(&self, owner: &Owner) -> Result<(), StoreError>;
}

/// The archive in PostgreSQL.
pub struct StoredArchive {
    /// The context.
    pub context: ContextName,
    /// Where it is.
    pub store: Store,
}

#[async_trait]
impl Recollection for StoredArchive {
    async fn watermark(&self, partition: i32) -> Result<Watermark, StoreError> {
        self.store.watermark(&self.context, partition).await
    }

    async fn each_stream_version(
        &self,
        partition: i32,
        tell: &mut (dyn FnMut(StreamKey, Version) + Send),
    ) -> Result<(), StoreError> {
        self.store.each_stream_version(&self.context, partition, tell).await
    }

    async fn each_request_since(
        &self,
        partition: i32,
        since: Timestamp,
        limit: usize,
        tell: &mut (dyn FnMut(ArchivedRequest) + Send),
    ) -> Result<(), StoreError> {
        self.store.each_request_since(&self.context, partition, since, limit, tell).await
    }

    async fn ahead_of_log(&self, partition: i32, end: i64, limit: i64) -> Result<Vec<(String, u64)>, StoreError> {
        self.store.ahead_of_log(&self.context, partition, end, limit).await
    }

    async fn last_archived(&self, partition: i32) -> Result<Option<LastArchived>, StoreError> {
        self.store.last_archived(&self.context, partition).await
    }

    async fn announce(&self, owner: &Owner) -> Result<(), StoreError> {
        self.store.announce_owner(&self.context, owner).await
    }
}

/// Memory for the newest events of a partition that is not archived: what is older is read from the log.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// A context that is not archived: everything is in the log, which is read from its beginning. PostgreSQL knows the owners
/// and the snapshots, and what was archived when the context said otherwise: the log must still have it.
pub struct LogAlone(pub StoredArchive);

#[async_trait]
impl Recollection for LogAlone {
    async fn watermark(&self, partition: i32) -> Result<Watermark, StoreError> {
        let Watermark { epoch, .. } = self.0.watermark(partition).await?;
        Ok(Watermark { next_offset: 0, epoch })
    }

    async fn each_stream_version(
        &self,
        _partition: i32,
        _tell: &mut (dyn FnMut(StreamKey, Version) + Send),
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn each_request_since(
        &self,
        _partition: i32,
        _since: Timestamp,
        _limit: usize,
        _tell: &mut (dyn FnMut(ArchivedRequest) + Send),
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn ahead_of_log(&self, partition: i32, end: i64, limit: i64) -> Result<Vec<(String, u64)>, StoreError> {
        self.0.ahead_of_log(partition, end, limit).await
    }

    async fn last_archived(&self, partition: i32) -> Result<Option<LastArchived>, StoreError> {
        self.0.last_archived(partition).await
    }

    fn tail(&self, _watermark: Watermark, bytes_max: usize) -> Tail {
        Tail::keeping(bytes_max.min(KEPT_BYTES_MAX))
    }

    async fn announce(&self, owner: &Owner) -> Result<(), StoreError> {
        self.0.announce(owner).await
    }
}
