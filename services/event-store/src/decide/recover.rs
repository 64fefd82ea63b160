//! After a lost window: settle, read back, judge again. Never guess.

use std::time::Duration;

use spina_log::WriteError;
use tracing::{error, info, warn};

use super::append::{Outcome, Refusal, Submission};
use super::lanes::Lanes;
use super::partition::Partition;
use super::takeover::{self, TakeOverError};
use super::window::OpenWindow;
use crate::clock;

/// A submission whose windows were lost this often is given up: the log refuses it, and others wait behind it.
const ATTEMPTS_MAX: u8 = 3;
/// Pause between tries to bring the partition back to order.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

impl Partition {
    /// Brings the partition back to order after lost windows. False if it belongs to somebody else now.
    pub(super) async fn recover(&mut self, lost: Vec<(OpenWindow, WriteError)>) -> bool {
        let cause = lost.first().map(|(_, error)| error.to_string()).unwrap_or_default();
        let fenced = lost.iter().any(|(_, error)| matches!(error, WriteError::Fenced { .. }));
        self.ledger.forget_uncommitted();
        self.metrics.lost(lost.len());
        let submissions: Vec<Submission> = lost.into_iter().flat_map(|(window, _)| window.lost()).collect();
        if fenced {
            warn!(partition = self.imprint.partition, cause, "partition is written by another owner");
            submissions.into_iter().for_each(|submission| submission.finish(&Outcome::Unknown));
            return false;
        }
        warn!(partition = self.imprint.partition, cause, "window lost, reading back");
        while let Err(error) = self.read_back().await {
            error!(partition = self.imprint.partition, %error, "cannot read back yet");
            if self.context.shared.stopping.is_cancelled() {
                submissions.into_iter().for_each(|submission| submission.finish(&Outcome::Unknown));
                return false;
            }
            clock::pause(RETRY_PAUSE).await;
        }
        info!(partition = self.imprint.partition, "partition is in order again");
        for submission in submissions.into_iter().rev() {
            self.requeue(submission);
        }
        true
    }

    /// Re-initialises every lane, so that the broker settles what was open, and learns what became of it.
    async fn read_back(&mut self) -> Result<(), TakeOverError> {
        let context = &self.context;
        let partition = self.imprint.partition;
        self.lanes =
            Lanes::open(&*context.shared.lane_factory, context.name(), partition, context.shared.limits.lanes).await?;
        let from = self.tail.next_offset();
        let events = takeover::read_settled(context, partition, from).await?;
        takeover::install(&mut self.ledger, &self.tail, events);
        Ok(())
    }

    fn requeue(&mut self, mut submission: Submission) {
        submission.attempts = submission.attempts.saturating_add(1);
        if submission.attempts < ATTEMPTS_MAX {
            self.backlog.push_front(submission);
            return;
        }
        const WHY: &str = "the log refused the transaction repeatedly";
        match &mut submission.command {
            // A command is never dropped: it is answered with a refusal, and so passed.
            Some(command) if command.refusal.is_none() => {
                let refusal = Refusal { error_code: "state.unavailable".to_owned(), message: WHY.to_owned() };
                command.refusal = Some(refusal);
                submission.appends.clear();
                submission.attempts = 1;
                self.backlog.push_front(submission);
            }
            Some(_) => self.backlog.push_front(submission),
            None => submission.finish(&Outcome::Unavailable(WHY)),
        }
    }
}
