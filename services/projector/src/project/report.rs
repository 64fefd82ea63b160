//! What fills tell while they run, to the handle of their model.

use std::sync::Arc;
use std::time::Duration;

use spina_store::read_model::Lease;
use tokio::time::Instant;

use super::fill::Report;
use super::handle::Handle;
use super::status::{Rebuild, RebuildState, State};

/// Tells the handle how far the live table is.
pub struct LiveReport(pub Arc<Handle>);

impl Report for LiveReport {
    fn stored(&mut self, lease: &Lease) {
        self.0.set_progress(lease.into());
        if matches!(self.0.status().state, State::Waiting(_)) {
            self.0.set_state(State::Running);
        }
    }

    fn waiting(&mut self, cause: String) {
        tracing::warn!(model = %self.0.name, cause, "waiting");
        self.0.set_state(State::Waiting(cause));
    }

    fn parked(&mut self, keys: usize, letters: i64) {
        self.0.set_parked(keys, letters);
    }
}

/// Tells nobody.
pub struct Silent;

impl Report for Silent {
    fn stored(&mut self, _lease: &Lease) {}

    fn waiting(&mut self, _cause: String) {}

    fn parked(&mut self, _keys: usize, _letters: i64) {}
}

/// Tells the handle how far the shadow table is.
pub struct RebuildReport {
    handle: Arc<Handle>,
    began: Instant,
    first: i64,
}

impl RebuildReport {
    /// A rebuild that goes on from the lease. If the process has been at it already, so does its pace.
    pub fn new(handle: Arc<Handle>, lease: &Lease) -> Self {
        let known = handle.status().rebuild.filter(|rebuild| rebuild.state == RebuildState::Switching);
        let (passed, time) = known.map_or((0, Duration::ZERO), |rebuild| rebuild.pace);
        let first = lease.next_offsets.iter().sum::<i64>() - passed;
        let mut report = Self { handle, began: Instant::now() - time, first };
        report.stored(lease);
        report
    }
}

impl Report for RebuildReport {
    fn stored(&mut self, lease: &Lease) {
        let passed = lease.next_offsets.iter().sum::<i64>() - self.first;
        self.handle.set_rebuild(Rebuild {
            state: RebuildState::Running,
            next_offsets: lease.next_offsets.clone(),
            pace: (passed, self.began.elapsed()),
        });
    }

    fn waiting(&mut self, cause: String) {
        tracing::warn!(model = %self.handle.name, cause, "rebuild waits");
    }

    /// A rebuild parks nothing.
    fn parked(&mut self, _keys: usize, _letters: i64) {}
}
