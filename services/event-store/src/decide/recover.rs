//! After a lost window: settle, read back, judge again. Never guess.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use spina_core::planted::{self, Bug};
use spina_log::WriteError;
use spina_runtime::failpoint;
use tracing::{error, info, warn};

use super::append::{Outcome, Refusal, Submission};
use super::equipment::Equipment;
use super::heal::Healer;
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
    /// Brings the partition back to order after lost windows. False if it belongs to somebody else now, or is to.
    pub(super) async fn recover(&mut self, mut lost: Vec<(OpenWindow, WriteError)>) -> bool {
        let cause = lost.first().map(|(_, error)| error.to_string()).unwrap_or_default();
        let fenced = lost.iter().any(|(_, error)| matches!(error, WriteError::Fenced { .. }));
        self.ledger.forget_uncommitted();
        self.equipment.metrics.lost(lost.len());
        // Whoever is to let go does not initialise the lanes again: that would fence the next owner.
        if fenced || self.drain.is_cancelled() {
            warn!(partition = self.imprint.partition, cause, "windows lost with the partition");
            self.leave_open(lost);
            return false;
        }
        warn!(partition = self.imprint.partition, cause, "window lost, reading back");
        failpoint::reach("lost");
        while let Err(error) = self.read_back(&mut lost).await {
            error!(partition = self.imprint.partition, %error, "cannot read back yet");
            if self.equipment.stopping.is_cancelled() || self.drain.is_cancelled() {
                self.leave_open(lost);
                return false;
            }
            clock::pause(RETRY_PAUSE).await;
        }
        info!(partition = self.imprint.partition, "partition is in order again");
        let waited = self.deciding.lost();
        self.resume(waited);
        for submission in lost.into_iter().flat_map(|(window, _)| window.lost()).rev() {
            if planted::is(Bug::LostWindowRefused) && submission.command.is_none() {
                submission.finish(&Outcome::Unavailable("lost"));
                continue;
            }
            self.requeue(submission);
        }
        true
    }

    /// What became of these windows the next owner will know. Their commands go to it by the group's offsets.
    fn leave_open(&self, lost: Vec<(OpenWindow, WriteError)>) {
        let failed = planted::is(Bug::FencedSaysFailed);
        let outcome = if failed { Outcome::Unavailable("fenced") } else { Outcome::Unknown };
        lost.into_iter().for_each(|(window, _)| window.leave_open(&outcome));
    }

    /// Re-initialises every lane, so that the broker settles what was open, and learns what became of it.
    async fn read_back(&mut self, lost: &mut [(OpenWindow, WriteError)]) -> Result<(), TakeOverError> {
        let equipment = &self.equipment;
        if !planted::is(Bug::ReadBackUnfenced) {
            self.lanes =
                Lanes::open(&*equipment.lanes, &equipment.context, equipment.partition(), equipment.limits.lanes)
                    .await?;
        }
        failpoint::reach("read_back_fenced");
        let healer = Healer::new(equipment, &self.lanes);
        healer.events(&self.ledger, self.tail.next_offset()).await?;
        let late = if planted::is(Bug::ReadBackTooLate) { 3 } else { 0 };
        let mut events = takeover::read_settled(equipment, self.tail.next_offset() + late).await?;
        failpoint::reach("read_back_read");
        if planted::is(Bug::UnknownIsAborted) {
            events.clear();
        }
        takeover::install(&mut self.ledger, &self.tail, events);
        // Before anybody hears of it: who asks what became of an append finds it in the log or knows that it is not there.
        self.lineage.fetch_add(1, Ordering::SeqCst);
        healer.commands(&self.ledger).await?;
        let answered = answered(equipment, lost).await?;
        for (window, _) in lost.iter_mut().filter(|(window, _)| answered.contains(&window.number)) {
            window.forget_commands();
        }
        Ok(())
    }

    fn requeue(&mut self, mut submission: Submission) {
        submission.attempts = submission.attempts.saturating_add(1);
        // It may have been stored with the window that was lost.
        submission.looked = false;
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
                submission.intent = None;
                submission.attempts = 1;
                self.backlog.push_front(submission);
            }
            Some(_) => self.backlog.push_front(submission),
            None => submission.finish(&Outcome::Unavailable(WHY)),
        }
    }
}

/// The numbers of those windows whose replies are in the log: they did commit. Their commands are consumed and
/// answered; judging them again could tell something else.
async fn answered(equipment: &Equipment, lost: &[(OpenWindow, WriteError)]) -> Result<BTreeSet<u64>, TakeOverError> {
    let first_reply = |window: &OpenWindow| Some((window.number, *window.staged.get(window.size().0)?));
    let replies: Vec<(u64, i64)> = lost.iter().filter_map(|(window, _)| first_reply(window)).collect();
    let Some(from) = replies.iter().map(|(_, offset)| *offset).min() else { return Ok(BTreeSet::new()) };
    let topic = &equipment.imprint.replies_topic;
    let read = equipment.log.read_settled(topic, equipment.partition(), from).await?;
    let found: BTreeSet<i64> = read.records.iter().map(|record| record.offset).collect();
    let again = planted::is(Bug::CommittedCommandsJudgedAgain);
    Ok(replies.into_iter().filter(|(_, offset)| found.contains(offset) && !again).map(|(number, _)| number).collect())
}
