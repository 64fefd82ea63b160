//! Rebuilding a model: fill the shadow table, compare it with the live one, swap.
//!
//! ```text
//! live table is being filled   -> shadow to the end -> live stops -> both to the same offsets -> compare -> swap
//! live table stands (definition changed, failed) -> shadow to where it stands -> compare -> shadow to the end -> swap
//! ```
//!
//! So the comparison is of two tables over the same events: nothing but the definitions makes a difference.

use std::sync::Arc;
use std::time::Duration;

use spina_runtime::shutdown::sleep;
use spina_store::StoreError;
use spina_store::read_model::{Lease, Slot, Swap, Taking};

use super::{ModelTask, RETRY_PAUSE};
use crate::project::failure::Failure;
use crate::project::fill::{Ended, Fill, Goal, Parts, Report};
use crate::project::report::{RebuildReport, Silent};
use crate::project::status::{Rebuild, RebuildState, State};

impl ModelTask {
    /// Runs the shadow's fill when it is its turn.
    pub(super) fn run_rebuild(&mut self, lease: Lease) {
        let goal = self.first_goal(&lease);
        let waiting = Rebuild {
            state: RebuildState::Waiting,
            next_offsets: lease.next_offsets.clone(),
            pace: (0, Duration::ZERO),
        };
        self.handle.set_rebuild(waiting);
        let turns = Arc::clone(&self.neighbours.rebuild_turns);
        let report = RebuildReport::new(Arc::clone(&self.handle), &lease);
        let (fill, errands) = self.fill(Slot::Rebuild, lease);
        self.rebuild = Some(self.start_after(turns.acquire_owned(), fill, errands, goal, report));
    }

    /// Where the live table stands, if it stands and the shadow has not passed that; else the end of the log.
    fn first_goal(&self, lease: &Lease) -> Goal {
        let stands = self.handle.next_offsets();
        let ahead = stands.len() == lease.next_offsets.len()
            && stands.iter().zip(&lease.next_offsets).all(|(stands, next)| stands >= next);
        if self.live.is_none() && ahead && stands != lease.next_offsets { Goal::Offsets(stands) } else { Goal::End }
    }

    pub(super) async fn resume_rebuild(&mut self) -> Result<(), StoreError> {
        if let Taking::Taken(lease) = self.take(Slot::Rebuild).await? {
            tracing::info!(model = %self.handle.name, "going on with a rebuild");
            self.run_rebuild(lease);
        }
        Ok(())
    }

    pub(super) fn tell_paused_rebuild(&self, next_offsets: &[i64]) {
        let pace = (0, Duration::ZERO);
        let next_offsets = next_offsets.to_vec();
        self.handle.set_rebuild(Rebuild { state: RebuildState::Paused, next_offsets, pace });
    }

    pub(super) async fn rebuild_failed(&mut self, failure: &Failure) {
        tracing::error!(model = %self.handle.name, cause = %failure, "rebuild failed");
        self.handle.set_rebuild_state(RebuildState::Failed(failure.to_string()));
        let Parts { store, name, .. } = &*self.neighbours.parts;
        // What it has filled is of no use; dropping it keeps the next start clean.
        if !matches!(failure, Failure::Superseded)
            && let Err(error) = store.drop_table(name, Slot::Rebuild).await
        {
            tracing::warn!(model = %name, %error, "the shadow table stays for now");
        }
    }

    /// The shadow table has reached its goal.
    pub(super) async fn caught_up(&mut self, mut shadow: Fill) {
        self.handle.set_rebuild_state(RebuildState::Switching);
        let live = self.halt_live().await;
        let switched = match live {
            Some(live) => self.meet(&mut shadow, live).await,
            None if shadow.lease().next_offsets == self.handle.next_offsets() => {
                // It stood all the while: with the comparison made, the shadow goes on to the end of the log.
                self.compare(&shadow).await;
                self.reach(&mut shadow, &Goal::End).await
            }
            None => Ok(Ended::Reached),
        };
        match switched {
            Ok(Ended::Reached) => self.switch(shadow).await,
            Ok(Ended::Stopped) => {}
            Err(failure) => {
                self.rebuild_failed(&failure).await;
                self.begin().await;
            }
        }
    }

    /// Brings both tables to the same offsets and compares them there.
    async fn meet(&mut self, shadow: &mut Fill, mut live: Fill) -> Result<Ended, Failure> {
        let (one, other) = (&live.lease().next_offsets, &shadow.lease().next_offsets);
        let both: Vec<i64> = one.iter().zip(other).map(|(one, other)| *one.max(other)).collect();
        let goal = Goal::Offsets(both);
        if self.reach(shadow, &goal).await? == Ended::Stopped {
            return Ok(Ended::Stopped);
        }
        let stopping = self.neighbours.stopping.clone();
        match live.run(&goal, &stopping, &mut Silent).await {
            Ok(Ended::Stopped) => return Ok(Ended::Stopped),
            Ok(Ended::Reached) => self.handle.set_progress(live.lease().into()),
            // The live table has its own trouble; that is no reason to keep the rebuilt one back.
            Err(failure) => {
                tracing::warn!(model = %self.handle.name, cause = %failure, "switching without a comparison");
                return Ok(Ended::Reached);
            }
        }
        self.compare(shadow).await;
        Ok(Ended::Reached)
    }

    async fn reach(&mut self, shadow: &mut Fill, goal: &Goal) -> Result<Ended, Failure> {
        let mut report = RebuildReport::new(Arc::clone(&self.handle), shadow.lease());
        let stopping = self.neighbours.stopping.clone();
        let ended = shadow.run(goal, &stopping, &mut report as &mut dyn Report).await;
        self.handle.set_rebuild_state(RebuildState::Switching);
        ended
    }

    /// The comparison informs; the swap does not depend on it.
    async fn compare(&mut self, shadow: &Fill) {
        let Parts { store, name, model, .. } = &*self.neighbours.parts;
        match store.compare_rebuilt(name, model.shape(), shadow.lease()).await {
            Ok(Some(found)) => {
                let (added, removed, changed) = (found.added, found.removed, found.changed);
                tracing::info!(model = %name, added, removed, changed, "compared the rebuilt table with the live one");
            }
            Ok(None) => tracing::info!(model = %name, "the tables have nothing to be compared by"),
            Err(error) => tracing::warn!(model = %name, %error, "switching without a comparison"),
        }
    }

    /// Swaps, with the live table at rest.
    async fn switch(&mut self, mut shadow: Fill) {
        let stopping = self.neighbours.stopping.clone();
        while !stopping.is_cancelled() {
            let Parts { store, name, .. } = &*self.neighbours.parts;
            let behind = match store.swap_rebuilt(name, shadow.lease()).await {
                Ok(Swap::Done(lease)) => return self.switched(lease).await,
                Ok(Swap::LeaseLost) => return self.settle_switch().await,
                Ok(Swap::Behind { live }) => live,
                Err(error) if error.is_transient() => {
                    tracing::warn!(model = %name, %error, "trying the switch again");
                    sleep(&stopping, RETRY_PAUSE).await;
                    continue;
                }
                Err(error) => {
                    self.rebuild_failed(&Failure::Store(error)).await;
                    return self.begin().await;
                }
            };
            match self.reach(&mut shadow, &Goal::Offsets(behind)).await {
                Ok(Ended::Reached) => {}
                Ok(Ended::Stopped) => return,
                Err(failure) => {
                    self.rebuild_failed(&failure).await;
                    return self.begin().await;
                }
            }
        }
    }

    async fn switched(&mut self, lease: Lease) {
        tracing::info!(model = %self.handle.name, "rebuilt table is live");
        self.handle.set_shape(self.neighbours.parts.model.shape().clone());
        self.handle.set_progress((&lease).into());
        self.handle.set_rebuild_state(RebuildState::Done);
        if let Err(error) = self.run_live(lease).await {
            tracing::warn!(model = %self.handle.name, %error, "taking the table over once more");
            self.begin().await;
        }
    }

    /// A swap whose answer was lost may have been carried out: the books know.
    async fn settle_switch(&mut self) {
        self.begin().await;
        if self.rebuild.is_none() && self.handle.status().state == State::Running {
            self.handle.set_rebuild_state(RebuildState::Done);
        }
    }
}
