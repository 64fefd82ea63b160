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
use spina_core::planted::{self, Bug};
use spina_log::{Lane, LogError, Window, WriteError, names};
use spina_runtime::failpoint;
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
    ///
    /// An owner that reads back may do so while its successor does, and each could end up with some of the lanes. So the
    /// first one is opened before the others, and carries the first window. Who commits that had nobody open the first lane
    /// in the meantime; who opens it later opens all others later still, and before it reads. The other of the two never
    /// commits anything.
    pub async fn open(
        factory: &dyn spina_log::Lanes,
        context: &ContextName,
        partition: i32,
        count: usize,
    ) -> Result<Self, LogError> {
        let ids: Vec<String> = (0..count).map(|lane| names::transactional_id(context, partition, lane)).collect();
        let (first, others) = ids.split_at(if planted::is(Bug::LanesOpenedAtOnce) { 0 } else { 1 });
        let mut lanes = futures::future::try_join_all(first.iter().map(|id| factory.open(id))).await?;
        lanes.extend(futures::future::try_join_all(others.iter().map(|id| factory.open(id))).await?);
        Ok(Self { lanes, next: 0 })
    }

    /// A lane by its number.
    pub fn get(&self, number: usize) -> Option<&Arc<dyn Lane>> {
        self.lanes.get(number)
    }

    /// The lane whose turn it is.
    pub fn turn(&mut self) -> Arc<dyn Lane> {
        let lane = Arc::clone(&self.lanes[self.next]);
        self.next = (self.next + 1) % self.lanes.len();
        lane
    }
}

/// Writes a window in one transaction; `tell` hears the offset of each record when they are staged.
pub async fn write(
    lane: Arc<dyn Lane>,
    window: Window,
    before: Option<Before>,
    after: After,
    tell: impl FnOnce(Vec<i64>),
) -> Result<(), WriteError> {
    let committed = staged(before).await?;
    failpoint::reach("before_stage");
    let offsets = lane.stage(window).await?;
    failpoint::reach("after_stage");
    tell(offsets);
    open(after.staged);
    if planted::is(Bug::AnsweredWhenStaged) {
        open(after.committed);
        return Ok(());
    }
    if let Some(committed) = committed
        && !planted::is(Bug::CommittedOutOfOrder)
        && let Err(lost) = pass(committed).await
        && !planted::is(Bug::CommittedWithoutPredecessor)
    {
        lane.abort().await?;
        return Err(lost);
    }
    failpoint::reach("before_commit");
    match lane.commit().await {
        Err(_) if planted::is(Bug::FailedCommitIgnored) => {}
        Err(WriteError::Unknown { .. }) if planted::is(Bug::UnknownIsCommitted) => {}
        ended => ended?,
    }
    failpoint::reach("after_commit");
    open(after.committed);
    Ok(())
}

/// A window without records has nothing to commit: it only waits for the windows its answers rest on.
pub async fn wait_only(before: Option<Before>, after: After) -> Result<(), WriteError> {
    let committed = staged(before).await?;
    open(after.staged);
    if let Some(committed) = committed {
        pass(committed).await?;
    }
    open(after.committed);
    Ok(())
}

/// A window that has no records and needs proof that nobody else writes: it looks when the window before has committed,
/// and lets the next one be staged when it has looked.
pub async fn look<T>(before: Option<Before>, after: After, look: impl Future<Output = T>) -> Result<T, WriteError> {
    if let Some(committed) = staged(before).await? {
        pass(committed).await?;
    }
    let seen = look.await;
    open(after.staged);
    open(after.committed);
    Ok(seen)
}

/// Waits until the window before is staged; its other gate is still to be passed.
async fn staged(before: Option<Before>) -> Result<Option<oneshot::Receiver<()>>, WriteError> {
    let Some(Before { staged, committed }) = before else { return Ok(None) };
    if !planted::is(Bug::StagedOutOfOrder) {
        pass(staged).await?;
    }
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
