//! React: the owner of a partition of sagas. Inbox in; saga log and commands out, in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use spina_log::Fetched;
use spina_runtime::processor::{Requests, Stage};
use tracing::{error, info, warn};

use crate::calls::Calls;
use crate::definitions::Shared;
use crate::metrics::SagaMetrics;
use crate::sagas::{Answer, Effect, OtherLog, Sagas};
use crate::snapshots::Snapshots;
use crate::views::Views;
use crate::wire::{Letter, Wire};

/// What surrounds the sagas of all partitions.
pub struct React {
    /// The sagas.
    pub definitions: Shared,
    /// How records are written and read.
    pub wire: Arc<Wire>,
    /// Makes HTTP calls.
    pub calls: Calls,
    /// Shows sagas.
    pub views: Views,
    /// What partitions remember.
    pub snapshots: Snapshots,
    /// Records of the log between two snapshots.
    pub snapshot_every: u64,
    /// Counts what happens.
    pub metrics: SagaMetrics,
    /// Where answers of calls go.
    pub requests: Requests<Answer>,
}

impl React {
    /// What a partition remembers by its snapshot, and the offset from which its log is to be folded.
    pub async fn begin(&self, partition: i32) -> (Sagas, i64) {
        let whole = || Sagas::new(Arc::clone(&self.definitions), Arc::clone(&self.wire));
        let Some(snapshot) = self.snapshots.of(partition).await else { return (whole(), 0) };
        match Sagas::of_snapshot(Arc::clone(&self.definitions), Arc::clone(&self.wire), &snapshot) {
            Ok(sagas) => {
                info!(partition, offset = snapshot.next_offset, "the log is folded from a snapshot on");
                (sagas, snapshot.next_offset - 1)
            }
            Err(error) => {
                let error = format!("{error:#}");
                warn!(partition, error, "the snapshot cannot be read: the whole log is folded");
                (whole(), 0)
            }
        }
    }
}

#[async_trait]
impl Stage for React {
    type Processor = Sagas;

    async fn open(&self, partition: i32) -> anyhow::Result<(Sagas, i64)> {
        let (mut sagas, from) = self.begin(partition).await;
        sagas.shown_by(self.metrics.partition(partition));
        Ok((sagas, from))
    }

    async fn restore(&self, sagas: &mut Sagas, records: Vec<Fetched>) -> anyhow::Result<()> {
        for record in &records {
            match sagas.fold(self.wire.read_happened(record)?) {
                // The database may lack what was committed last, or everything.
                Ok(Some(state)) => self.views.show(record.partition, state),
                Ok(None) => {}
                Err(error) => {
                    if error.is::<OtherLog>() {
                        self.snapshots.distrust(record.partition);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn distrust(&self, partition: i32) {
        self.snapshots.distrust(partition);
    }

    async fn written(&self, partition: i32, sagas: &mut Sagas, next_offset: i64) {
        if let Some(snapshot) = sagas.snapshot(partition, next_offset, self.snapshot_every) {
            self.views.keep(snapshot);
        }
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<Option<(String, Letter)>> {
        let read = records.iter().map(|record| match self.wire.read_letter(record) {
            Ok(letter) => Some(letter),
            Err(error) => {
                let (partition, offset, error) = (record.partition, record.offset, format!("{error:#}"));
                error!(partition, offset, error, "a record of the inbox is no letter");
                None
            }
        });
        read.collect()
    }

    async fn after(&self, partition: i32, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call(call) => self.calls.make(call, partition, self.requests.clone()),
                Effect::Shown(state) => self.views.show(partition, *state),
                Effect::Tallied(tally) => self.metrics.committed(&tally),
            }
        }
    }
}
