//! Replacing rows that an audit found to be not what the log says, between two batches.

use std::collections::HashSet;

use spina_store::dead_letters::Place;
use spina_store::read_model::{Applied, RowBatch};
use tokio::sync::oneshot;

use super::Fill;
use super::trouble::{Trouble, lease_lost, told};
use crate::project::audit::{PassError, Refold, Stretch, pass};
use crate::project::handle::CommandError;

/// Rows to be replaced.
#[derive(Debug)]
pub struct Mend {
    /// How far the rows are folded.
    pub next_offsets: Vec<i64>,
    /// Events before that which the fold does not have because they were parked.
    pub parked: HashSet<Place>,
    /// The rows.
    pub refold: Refold,
    /// Where the number of replaced rows goes.
    pub answer: oneshot::Sender<Result<usize, CommandError>>,
}

impl Fill {
    /// Carries it out and answers it. The fold goes on to where the table is now, so nothing is lost and nothing counts
    /// twice; the checkpoint stays where it is.
    pub(super) async fn mend(&mut self, mend: Mend) -> Result<(), Trouble> {
        let Mend { next_offsets, parked, refold, answer } = mend;
        let (outcome, trouble) = match self.replace(&next_offsets, &parked, refold).await {
            Ok(outcome) => (outcome, None),
            Err(trouble) => {
                let gone = "it is not known how far this went: audit again".to_owned();
                (Err(CommandError::Unavailable(gone)), Some(trouble))
            }
        };
        // Whoever asked may have gone.
        let _ = answer.send(outcome);
        trouble.map_or(Ok(()), Err)
    }

    async fn replace(
        &mut self,
        from: &[i64],
        parked: &HashSet<Place>,
        mut refold: Refold,
    ) -> Result<Result<usize, CommandError>, Trouble> {
        let again = |why: &str| Ok(Err(CommandError::Conflict(format!("{why} meanwhile: audit again"))));
        let parts = std::sync::Arc::clone(&self.parts);
        let to = self.lease.next_offsets.clone();
        if from.len() != to.len() || from.iter().zip(&to).any(|(from, to)| from > to) {
            return again("the table went back");
        }
        // Only the holder of the lease changes letters: they stay as they are until this is done.
        let now = parts.store.parked_places(&parts.name).await?;
        let number = |place: &Place| parts.inputs.number(parts.inputs.position(&place.topic)?, place.partition);
        let is_before = |place: &&Place| number(place).is_some_and(|number| place.offset < from[number]);
        if now.iter().filter(is_before).count() != parked.len() || !parked.is_subset(&now) {
            return again("parked events were settled");
        }
        let verdicts = parts.store.verdicts(&parts.name).await?;
        let stretch = Stretch { from, to: &to, parked: &now, verdicts: &verdicts };
        let passed = pass(&parts, &mut self.decoder, stretch, |_, changes| {
            changes.into_iter().for_each(|change| refold.take(change));
        });
        match passed.await {
            Ok(()) => {}
            Err(PassError::Log(error)) => return Err(error.into()),
            Err(error @ PassError::Registry(_)) => return Err(Trouble::Passing(error.to_string())),
        }
        let rows = RowBatch::from(refold.batch()).asked_for();
        let count = rows.len();
        match parts.apply(self.slot, &self.lease, &to, rows).await {
            Ok(Applied::Committed) => Ok(Ok(count)),
            Ok(Applied::LeaseLost) => Err(lease_lost()),
            Err(error) if error.is_refused_value() => Ok(Err(CommandError::Conflict(told(&error)))),
            Err(error) => Err(error.into()),
        }
    }
}
