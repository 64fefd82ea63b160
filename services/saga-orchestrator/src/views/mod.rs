//! Sagas as PostgreSQL shows them: lagging, never waited for, right again after every take-over.
//!
//! What is still to be written has a limit. While the database is away for long, further sagas are passed over; their
//! partition then has a gap, and no snapshot of it is kept, since what a snapshot has folded is not shown again. Once the
//! database is back, [`refill`] shows the partition's log anew.

pub mod refill;

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
/// Most sagas that wait to be written.
const WAITING_MAX: usize = 20_000;
/// From one writing to the next: a saga whose steps follow each other faster is written once for several of them.
const PACE: Duration = Duration::from_millis(250);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What is still to be written: the last state of each saga, and the last snapshot of each partition. Clones are one.
#[derive(Clone, Default)]
pub struct Views {
    changed: Arc<Mutex<HashMap<String, SagaState>>>,
    snapshots: Arc<Mutex<HashMap<i32, SagaSnapshot>>>,
    /// Partitions of which sagas were passed over, and how many.
    gaps: Arc<Mutex<HashMap<i32, u64>>>,
    wake: Arc<Notify>,
    gapped: Arc<Notify>,
}

impl Views {
    /// A saga is as it is now.
    pub fn show(&self, partition: i32, state: SagaState) {
        let mut changed = self.lock();
        if changed.len() < WAITING_MAX || changed.contains_key(&state.id) {
            changed.insert(state.id.clone(), state);
            self.wake.notify_one();
            return;
        }
        drop(changed);
        let mut gaps = self.gaps();
        let passed_over = gaps.entry(partition).or_default();
        *passed_over += 1;
        if *passed_over == 1 {
            warn!(partition, "too many sagas wait to be shown: the partition is shown anew when the database is back");
            self.gapped.notify_one();
        }
    }

    /// A partition is to begin from here again. All of it has been shown before: see [`Views::show`].
    pub fn keep(&self, snapshot: SagaSnapshot) {
        if self.gaps().contains_key(&snapshot.partition) {
            return;
        }
        self.snapshots().insert(snapshot.partition, snapshot);
        self.wake.notify_one();
    }

    /// The partitions with gaps, as soon as there is one, and how large each gap is.
    async fn gaps_found(&self) -> Vec<(i32, u64)> {
        loop {
            let found: Vec<(i32, u64)> = self.gaps().iter().map(|(partition, count)| (*partition, *count)).collect();
            if !found.is_empty() {
                return found;
            }
            self.gapped.notified().await;
        }
    }

    /// A partition has been shown anew as it was when its gap was so large.
    fn filled(&self, partition: i32, count: u64) {
        let mut gaps = self.gaps();
        if gaps.get(&partition) == Some(&count) {
            gaps.remove(&partition);
        }
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
            let pause = match write(&store, &changed, &snapshots).await {
                Ok(()) => PACE,
                Err(error) => {
                    warn!(%error, "cannot show sagas");
                    self.put_back(changed, snapshots);
                    RETRY_PAUSE
                }
            };
            sleep(&stopping, pause).await;
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

    fn gaps(&self) -> std::sync::MutexGuard<'_, HashMap<i32, u64>> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshots(&self) -> std::sync::MutexGuard<'_, HashMap<i32, SagaSnapshot>> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, SagaState>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(store: &Store, changed: &[SagaState], snapshots: &HashMap<i32, SagaSnapshot>) -> Result<(), StoreError> {
    show(store, changed).await?;
    for snapshot in snapshots.values() {
        store.keep_saga_snapshot(FORMAT, snapshot).await?;
    }
    Ok(())
}

async fn show(store: &Store, states: &[SagaState]) -> Result<(), StoreError> {
    for part in states.chunks(ROWS_MAX) {
        let rows: Vec<SagaRow<&SagaState>> = part.iter().map(row).collect();
        store.show_sagas(&rows).await?;
    }
    Ok(())
}

fn row(state: &SagaState) -> SagaRow<&SagaState> {
    SagaRow {
        id: state.id.clone(),
        definition: state.definition.clone(),
        version: state.version,
        status: state.status.name().to_owned(),
        events: state.events,
        changed_at: state.changed_at,
        state,
    }
}

#[cfg(test)]
mod tests {
    use spina_core::Timestamp;
    use spina_core::saga::{Fields, Plan, start};

    use super::*;

    fn state(key: usize) -> SagaState {
        let plan = Plan { name: "rest".into(), version: 1, steps: Vec::new() };
        start(&plan, &format!("saga-rest-{key}"), &key.to_string(), Fields::new(), Timestamp::default()).0
    }

    fn snapshot(partition: i32) -> SagaSnapshot {
        SagaSnapshot { partition, next_offset: 1, last: String::new(), running: Vec::new(), ended: Vec::new() }
    }

    #[tokio::test]
    async fn what_waits_to_be_shown_has_a_limit_and_a_partition_with_a_gap_keeps_no_snapshot() {
        let views = Views::default();
        (0..WAITING_MAX + 7).for_each(|key| views.show(i32::from(key >= WAITING_MAX), state(key)));
        assert_eq!(views.lock().len(), WAITING_MAX);
        assert_eq!(views.gaps_found().await, [(1, 7)]);
        [snapshot(0), snapshot(1)].into_iter().for_each(|snapshot| views.keep(snapshot));
        assert_eq!(views.snapshots().keys().copied().collect::<Vec<_>>(), [0]);
        // One more has been passed over while the partition was shown anew.
        views.show(1, state(WAITING_MAX + 7));
        views.filled(1, 7);
        assert_eq!(views.gaps_found().await, [(1, 8)]);
        views.filled(1, 8);
        views.keep(snapshot(1));
        assert_eq!(views.snapshots().len(), 2);
    }
}
