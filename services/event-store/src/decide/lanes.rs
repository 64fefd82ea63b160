//! Lanes: the transactional ids of a partition, used in turn.
//!
//! A single id would meet the coordinator's CONCURRENT_TRANSACTIONS on every second transaction, because the markers of
//! the last one are still being written. While a window commits on one lane the next is staged on another. Two gates keep
//! them in order: a window is staged only when the one before it stands in the log, or its events could come to lie before
//! earlier versions of their streams; and it commits only when the one before it has.
//!
//! ```text
//! n      stage ────┬──── commit ────┐
//! n + 1            └──── stage ─────┴──── commit
//! ```

use std::sync::Arc;

use spina_core::ContextName;
use spina_log::{Lane, LogError, Window, WriteError, names};
use tokio::sync::oneshot;

/// What a window hears of the one before it. Each gate opens when that has happened, and is dropped shut when it will not.
#[derive(Debug)]
pub struct Before {
    staged: oneshot::Receiver<()>,
    committed: oneshot::Receiver<()>,
}

/// What a window tells the one after it.
#[derive(Debug)]
pub struct After {
    staged: oneshot::Sender<()>,
    committed: oneshot::Sender<()>,
}

/// The gates between two windows.
pub fn gates() -> (After, Before) {
    let (stages, staged) = oneshot::channel();
    let (commits, committed) = oneshot::channel();
    (After { staged: stages, committed: commits }, Before { staged, committed })
}

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

/// Writes a window in one transaction and gives the offset of each record.
pub async fn write(
    lane: Arc<dyn Lane>,
    window: Window,
    before: Option<Before>,
    after: After,
) -> Result<Vec<i64>, WriteError> {
    let committed = staged(before).await?;
    let offsets = lane.stage(window).await?;
    open(after.staged);
    if let Some(committed) = committed
        && let Err(lost) = pass(committed).await
    {
        lane.abort().await?;
        return Err(lost);
    }
    lane.commit().await?;
    open(after.committed);
    Ok(offsets)
}

/// A window without records has nothing to commit: it only waits for the windows its answers rest on.
pub async fn wait_only(before: Option<Before>, after: After) -> Result<Vec<i64>, WriteError> {
    let committed = staged(before).await?;
    open(after.staged);
    if let Some(committed) = committed {
        pass(committed).await?;
    }
    open(after.committed);
    Ok(Vec::new())
}

/// Waits until the window before is staged; its other gate is still to be passed.
async fn staged(before: Option<Before>) -> Result<Option<oneshot::Receiver<()>>, WriteError> {
    let Some(Before { staged, committed }) = before else { return Ok(None) };
    pass(staged).await?;
    Ok(Some(committed))
}

async fn pass(gate: oneshot::Receiver<()>) -> Result<(), WriteError> {
    gate.await.map_err(|_| predecessor_lost())
}

fn open(gate: oneshot::Sender<()>) {
    // There may be no next window.
    let _nobody = gate.send(());
}

/// What a window hears whose predecessor was lost.
pub fn predecessor_lost() -> WriteError {
    WriteError::Aborted { reason: "the window before it was lost".to_owned() }
}

#[cfg(test)]
mod tests;
