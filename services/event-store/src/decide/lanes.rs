//! Lanes: the transactional ids of a partition, used in turn.
//!
//! A single id would meet the coordinator's CONCURRENT_TRANSACTIONS on every second transaction, because the markers of
//! the last one are still being written. While a window commits on one lane the next is staged on another; a gate keeps
//! its commit behind its predecessor's, so that versions become visible in order or not at all.

use std::sync::Arc;

use spina_core::ContextName;
use spina_log::{Lane, LogError, Window, WriteError, names};
use tokio::sync::oneshot;

/// Opens when the window before has committed; is dropped shut when it has not.
pub type Gate = oneshot::Receiver<()>;

/// All lanes of a partition.
pub struct Lanes {
    lanes: Vec<Arc<dyn Lane>>,
    next: usize,
}

impl Lanes {
    /// Initialises every transactional id of the partition: this fences the owner before and settles what it left open.
    pub async fn open(
        factory: &dyn spina_log::Lanes,
        context: &ContextName,
        partition: i32,
        count: usize,
    ) -> Result<Self, LogError> {
        let ids: Vec<String> = (0..count).map(|lane| names::transactional_id(context, partition, lane)).collect();
        let lanes = futures::future::try_join_all(ids.iter().map(|id| factory.open(id))).await?;
        Ok(Self { lanes, next: 0 })
    }

    /// The lane whose turn it is.
    pub fn turn(&mut self) -> Arc<dyn Lane> {
        let lane = Arc::clone(&self.lanes[self.next]);
        self.next = (self.next + 1) % self.lanes.len();
        lane
    }
}

/// Writes a window in one transaction and gives the offset of each record. Opens `after` if and only if it committed.
pub async fn write(
    lane: Arc<dyn Lane>,
    window: Window,
    before: Option<Gate>,
    after: oneshot::Sender<()>,
) -> Result<Vec<i64>, WriteError> {
    let offsets = lane.stage(window).await?;
    if pass(before).await {
        lane.commit().await?;
        // The next window may have been given up already.
        let _gone = after.send(());
        return Ok(offsets);
    }
    lane.abort().await?;
    Err(predecessor_lost())
}

/// A window without records has nothing to commit: it only waits for the windows its answers rest on.
pub async fn wait_only(before: Option<Gate>, after: oneshot::Sender<()>) -> Result<Vec<i64>, WriteError> {
    if pass(before).await {
        let _gone = after.send(());
        return Ok(Vec::new());
    }
    Err(predecessor_lost())
}

async fn pass(gate: Option<Gate>) -> bool {
    match gate {
        Some(gate) => gate.await.is_ok(),
        None => true,
    }
}

/// What a window hears whose predecessor was lost.
pub fn predecessor_lost() -> WriteError {
    WriteError::Aborted { reason: "the window before it was lost".to_owned() }
}
