//! Sagas as PostgreSQL shows them: lagging, never waited for, right again after every take-over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use spina_core::saga::SagaState;
use spina_runtime::shutdown::sleep;
use spina_store::saga_snapshots::SagaSnapshot;
use spina_store::sagas::SagaRow;
use spina_store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::snapshots::FORMAT;

/// Most sagas written at a time.
const ROWS_MAX: usize = 1_000;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What is still to be written: the last state of each saga, and the last snapshot of each partition. Clones are one.
#[derive(Clone, Default)]
pub struct Views {
    changed: Arc<Mutex<HashMap<String, SagaState>>>,
    snapshots: Arc<Mutex<HashMap<i32, SagaSnapshot>>>,
    wake: Arc<Notify>,
}

impl Views {
    /// A saga is as it is now.
    pub fn show(&self, state: SagaState) {
        self.lock().insert(state.id.clone(), state);
        self.wake.notify_one();
    }

    /// A partition is to begin from here again. All of it has been shown before: see [`Views::show`].
    pub fn keep(&self, snapshot: SagaSnapshot) {
        self.snapshots().insert(snapshot.partition, snapshot);
        self.wake.notify_one();
    }

    /// Writes what changes, until the process stops.
    pub async fn write(self, store: Store, stopping: CancellationToken) -> anyhow::Result<()> {
        while !stopping.is_cancelled() {
            // Before the sagas: all that is in a snapshot is then written before it.
            let snapshots = std::mem::take(&mut *self.snapshots());
            let changed: Vec<SagaState> = std::mem::take(&mut *self.lock()).into_values().collect();
            if changed.is_empty() && snapshots.is_empty() {
                stopping.run_until_cancelled(self.wake.notified()).await;
                continue;
            }
            if let Err(error) = write(&store, &changed, &snapshots).await {
                warn!(%error, "cannot show sagas");
                self.put_back(changed, snapshots);
                sleep(&stopping, RETRY_PAUSE).await;
            }
        }
        Ok(())
    }

    /// What has changed again since stays as it is.
    fn put_back(&self, states: Vec<SagaState>, snapshots: HashMap<i32, SagaSnapshot>) {
        let mut later = self.snapshots();
        for (partition, snapshot) in snapshots {
            later.entry(partition).or_insert(snapshot);
        }
        drop(later);
        let mut changed = self.lock();
        for state in states {
            changed.entry(state.id.clone()).or_insert(state);
        }
    }

    fn snapshots(&self) -> std::sync::MutexGuard<'_, HashMap<i32, SagaSnapshot>> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, SagaState>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(store: &Store, changed: &[SagaState], snapshots: &HashMap<i32, SagaSnapshot>) -> Result<(), StoreError> {
    for part in changed.chunks(ROWS_MAX) {
        let rows: Vec<SagaRow> = part.iter().map(row).collect();
        store.show_sagas(&rows).await?;
    }
    for snapshot in snapshots.values() {
        store.keep_saga_snapshot(FORMAT, snapshot).await?;
    }
    Ok(())
}

fn row(state: &SagaState) -> SagaRow {
    SagaRow {
        id: state.id.clone(),
        definition: state.definition.clone(),
        version: state.version,
        status: state.status.name().to_owned(),
        events: state.events,
        changed_at: state.changed_at,
        state: serde_json::to_value(state).unwrap_or_default(),
    }
}
