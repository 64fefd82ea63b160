//! Snapshots: what a partition remembers, in PostgreSQL, so that a take-over folds the end of the log only.
//!
//! They are written behind the views of everything that is in them: what a snapshot has folded is never shown again. Without
//! a database, or with a snapshot that does not fit, the whole log is folded.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use spina_store::Store;
use spina_store::saga_snapshots::SagaSnapshot;
use tracing::warn;

/// Counts up with every change of what a snapshot holds: those of other builds are not read.
pub const FORMAT: i32 = 2;
/// How long a take-over waits for the database before it folds the whole log.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause between looks whether it is connected.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// See the [module](self).
#[derive(Clone)]
pub struct Snapshots {
    store: Arc<OnceLock<Store>>,
    /// Partitions whose snapshots are of another log.
    distrusted: Arc<Mutex<HashSet<i32>>>,
}

impl Snapshots {
    /// Those in the database, as soon as it is connected.
    pub fn new(store: Arc<OnceLock<Store>>) -> Self {
        Self { store, distrusted: Arc::default() }
    }

    /// The snapshot that a partition may begin from.
    pub async fn of(&self, partition: i32) -> Option<SagaSnapshot> {
        match tokio::time::timeout(PATIENCE, self.read(partition)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                warn!(partition, %error, "no snapshot can be read: the whole log is folded");
                None
            }
            Err(_) => {
                warn!(partition, "no snapshot can be read in time: the whole log is folded");
                None
            }
        }
    }

    async fn read(&self, partition: i32) -> Result<Option<SagaSnapshot>, spina_store::StoreError> {
        let store = loop {
            match self.store.get() {
                Some(store) => break store,
                None => tokio::time::sleep(LOOK_PAUSE).await,
            }
        };
        if self.lock().contains(&partition) {
            // A later one could not replace it: its offset is that of another log.
            store.forget_saga_snapshot(partition).await?;
            self.lock().remove(&partition);
            return Ok(None);
        }
        store.saga_snapshot(partition, FORMAT).await
    }

    /// The snapshot of a partition is not begun from again.
    pub fn distrust(&self, partition: i32) {
        self.lock().insert(partition);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<i32>> {
        self.distrusted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
