//! The owner of one partition: judges, versions and writes every append to it, and answers after the commit.
//!
//! Group commit without a clock: whatever has queued while the windows in flight were busy forms the next one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use spina_core::ledger::Ledger;
use spina_core::planted::{self, Bug};
use spina_log::{Window, WriteError};
use spina_runtime::failpoint;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::append::{Outcome, Refusal, Submission};
use super::confirm::{self, Look};
use super::deciding::Deciding;
use super::equipment::Equipment;
use super::lanes::{self, After, Before, Lanes};
use super::pace::Pace;
use super::tail::Tail;
use super::takeover::Taken;
use super::window::{Imprint, OpenWindow};

/// Windows in flight: one commits while the next is staged.
const WINDOWS_IN_FLIGHT_MAX: usize = 2;

/// When a window is full.
#[derive(Debug, Clone, Copy)]
pub struct WindowLimits {
    /// Events in a window; the submission that passes it is the last.
    pub events_max: usize,
    /// Bytes of values in a window.
    pub bytes_max: usize,
}

/// How an owner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop and finished everything it had taken.
    Drained,
    /// Somebody else writes the partition, or the log could not be brought back to order.
    Lost,
}

/// See the [module](self).
pub struct Partition {
    pub(super) equipment: Equipment,
    pub(super) imprint: Imprint,
    pub(super) ledger: Ledger,
    pub(super) lanes: Lanes,
    pub(super) tail: Arc<Tail>,
    queue: mpsc::Receiver<Submission>,
    pub(super) backlog: VecDeque<Submission>,
    pub(super) deciding: Deciding,
    in_flight: FuturesOrdered<BoxFuture<'static, Written>>,
    /// Submissions in them.
    submissions_in_flight: usize,
    pace: Pace,
    before: Option<Before>,
    number: u64,
    /// How often the log was read back.
    pub(super) lineage: Arc<AtomicU64>,
    pub(super) drain: CancellationToken,
}

fn nobody_consumes() -> WriteError {
    WriteError::Aborted { reason: "we are no member of the group, whose offset belongs into it".to_owned() }
}

pub(super) type Written = (OpenWindow, Result<(), WriteError>);

impl Partition {
    /// The owner of a partition that was taken over.
    pub fn new(equipment: Equipment, taken: Taken, deciding: Deciding, queue: mpsc::Receiver<Submission>) -> Self {
        Self {
            equipment,
            imprint: taken.imprint,
            ledger: taken.ledger,
            lanes: taken.lanes,
            tail: taken.tail,
            queue,
            backlog: VecDeque::new(),
            deciding,
            in_flight: FuturesOrdered::new(),
            submissions_in_flight: 0,
            pace: Pace::default(),
            before: None,
            number: 0,
            lineage: Arc::default(),
            drain: CancellationToken::new(),
        }
    }

    /// Counts how often the log was read back, for those who submit what is to be judged before that or not at all.
    pub fn lineage(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lineage)
    }

    /// Serves until `drain` is cancelled or the partition is lost. Everything taken is answered before this returns.
    pub async fn run(mut self, drain: CancellationToken) -> Ended {
        self.drain = drain.clone();
        loop {
            while self.in_flight.len() < WINDOWS_IN_FLIGHT_MAX && self.is_time() && self.open_window() {}
            let busy = !self.in_flight.is_empty();
            let draining = drain.is_cancelled();
            if draining {
                self.queue.close();
                let stuck = !self.deciding.has_room();
                if !busy && self.backlog.is_empty() && (self.queue.is_empty() || stuck) {
                    self.refuse_all();
                    return Ended::Drained;
                }
                if !busy {
                    // Something came in the meantime.
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            let takes = !draining
                && self.deciding.has_room()
                && self.backlog.len() < self.equipment.limits.queue.submissions_max
                && self.in_flight.len() < WINDOWS_IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                Some(written) = self.in_flight.next(), if busy => {
                    if !self.settle(written).await {
                        self.refuse_all();
                        return if drain.is_cancelled() { Ended::Drained } else { Ended::Lost };
                    }
                }
                Some(loaded) = self.deciding.loaded(), if self.deciding.loads() => {
                    let ready = self.deciding.install(loaded);
                    self.resume(ready);
                }
                submission = self.queue.recv(), if takes => match submission {
                    Some(submission) => self.backlog.push_back(submission),
                    None => drain.cancel(),
                },
                () = drain.cancelled(), if !draining => {}
            }
        }
    }

    /// What waited comes before everything else, in its order.
    pub(super) fn resume(&mut self, ready: Vec<Submission>) {
        ready.into_iter().rev().for_each(|submission| self.backlog.push_front(submission));
    }

    fn next(&mut self) -> Option<Submission> {
        let fresh = self.deciding.has_room();
        match self.backlog.pop_front() {
            None if fresh => self.queue.try_recv().ok(),
            waiting => waiting,
        }
    }

    /// Whether a window is to be opened now. What has priority does not wait for others to come.
    fn is_time(&mut self) -> bool {
        self.let_priority_pass();
        let urgent = self.backlog.iter().any(|submission| submission.priority);
        self.pace.opens(self.backlog.len(), self.submissions_in_flight) || urgent
    }

    /// Fills the next window from what waits, and sends it off. False if nothing waits.
    fn open_window(&mut self) -> bool {
        let limits = self.equipment.limits.window;
        let now = self.equipment.now();
        let mut window = OpenWindow::new(self.number + 1);
        while let Some(submission) = self.next() {
            let alone = submission.attempts > 0;
            let closes = alone || submission.priority;
            if alone && !window.is_empty() {
                self.backlog.push_front(submission);
                break;
            }
            let Some(submission) = self.still_due(submission) else { continue };
            let Some(submission) = self.deciding.decide(submission, &self.ledger) else { continue };
            window.take(submission, &mut self.ledger, &self.imprint, now);
            failpoint::reach("judged");
            let (events, bytes) = window.size();
            let full = closes || events >= limits.events_max || bytes >= limits.bytes_max;
            // What was answered at once leaves the window empty, and others still wait.
            if full && !window.is_empty() {
                break;
            }
        }
        if window.is_empty() {
            return false;
        }
        if planted::is(Bug::CommandOffsetFirst) {
            self.backlog.extend(std::iter::from_fn(|| self.queue.try_recv().ok()));
            let waiting = self.backlog.iter().filter_map(|waiting| waiting.command.as_ref()).map(|c| c.offset + 1);
            window.commands_next_offset = waiting.max().max(window.commands_next_offset);
        }
        self.send_off(window);
        true
    }

    /// What was judged beforehand is judged in the lineage it was made for. Later it can only turn out to be in the log
    /// already; else it is refused, and a command answered so.
    fn still_due(&self, mut submission: Submission) -> Option<Submission> {
        let current = self.lineage.load(Ordering::SeqCst);
        let stale = submission.only_in.is_some_and(|lineage| lineage != current);
        if !stale || submission.request().is_some_and(|request| self.ledger.remembered(request).is_some()) {
            return Some(submission);
        }
        const WHY: &str = "the log had to be read back; nothing was stored";
        let Some(command) = &mut submission.command else {
            submission.finish(&Outcome::Unavailable(WHY));
            return None;
        };
        let refusal = Refusal { error_code: "state.unavailable".to_owned(), message: WHY.to_owned() };
        command.refusal.get_or_insert(refusal);
        submission.appends.clear();
        submission.intent = None;
        Some(submission)
    }

    /// What has priority goes before everything that waits, so that only the windows in flight are in front of it. It
    /// does not pass earlier appends to its own streams, nor what a lost window left behind, which goes first and alone.
    fn let_priority_pass(&mut self) {
        while self.deciding.has_room()
            && self.backlog.len() < self.equipment.limits.queue.submissions_max
            && let Ok(submission) = self.queue.try_recv()
        {
            self.backlog.push_back(submission);
        }
        let Some(at) = self.backlog.iter().position(|submission| submission.priority) else { return };
        let first = self.backlog.iter().take_while(|submission| submission.attempts > 0).count();
        let urgent = &self.backlog[at];
        let in_its_way = |waiting: &Submission| waiting.shares_stream(urgent);
        if first < at
            && !self.backlog.range(first..at).any(in_its_way)
            && let Some(urgent) = self.backlog.remove(at)
        {
            self.backlog.insert(first, urgent);
        }
    }

    fn send_off(&mut self, mut window: OpenWindow) {
        self.number = window.number;
        self.submissions_in_flight += window.submissions();
        let (after, next) = lanes::gates();
        let before = self.before.replace(next);
        let records = window.take_records();
        if records.is_empty() && window.doubtful {
            self.in_flight.push_back(self.look(window, before, after));
            return;
        }
        if records.is_empty() {
            self.in_flight.push_back(Box::pin(async move { (window, lanes::wait_only(before, after).await) }));
            return;
        }
        failpoint::reach("before_offsets");
        let partition = self.imprint.partition;
        let next_offset = window.commands_next_offset;
        let next_offset = next_offset.filter(|_| !planted::is(Bug::CommandOffsetLeftOut));
        let offsets = Arc::clone(&self.equipment.offsets);
        let lane = self.lanes.turn();
        let written = async move {
            let consumed = match next_offset {
                None => None,
                // Without their offset the commands would come again, and be answered twice.
                Some(next_offset) => match offsets.consumed_soon(partition, next_offset).await {
                    None => return (window, Err(nobody_consumes())),
                    consumed => consumed,
                },
            };
            let mut staged = Vec::new();
            let tell = |offsets| staged = offsets;
            let written = lanes::write(lane, Window { records, consumed }, before, after, tell).await;
            window.staged = staged;
            (window, written)
        };
        self.in_flight.push_back(Box::pin(written));
    }

    /// The window has nothing to commit, and tells what only the log can confirm.
    fn look(&self, mut window: OpenWindow, before: Option<Before>, after: After) -> BoxFuture<'static, Written> {
        let log = Arc::clone(&self.equipment.log);
        let topic = Arc::clone(&self.imprint.events_topic);
        let look = Look::at(log, topic, self.imprint.partition, self.tail.next_offset());
        Box::pin(async move {
            let seen = lanes::look(before, after, look).await;
            window.look = seen.as_ref().ok().copied();
            (window, seen.map(|_| ()))
        })
    }

    /// The oldest window is written or lost. False if the partition is lost with it.
    async fn settle(&mut self, (mut window, written): Written) -> bool {
        self.submissions_in_flight -= window.submissions();
        self.pace.settled();
        // The windows before it are settled, so the tail has all that is this owner's.
        let succeeded = window.look.is_some_and(|look| look.shows_successor(self.tail.next_offset()));
        let written = if succeeded { Err(confirm::succeeded()) } else { written };
        if window.look == Some(Look::Failed) {
            window.refuse_doubts();
        }
        match written {
            Ok(()) => {
                self.settle_committed(window);
                true
            }
            Err(error) => {
                let mut lost = vec![(window, error)];
                while let Some((window, written)) = self.in_flight.next().await {
                    let error = written.err().unwrap_or_else(lanes::predecessor_lost);
                    lost.push((window, error));
                }
                self.before = None;
                self.submissions_in_flight = 0;
                self.recover(lost).await
            }
        }
    }

    fn settle_committed(&mut self, window: OpenWindow) {
        let number = window.number;
        let now = self.equipment.now();
        let mut settled = window.committed(self.imprint.partition);
        self.ledger.commit(number, &settled.last_offsets, now);
        self.ledger.expire_requests(now);
        self.equipment.metrics.committed(settled.events.len());
        failpoint::reach("before_tail_push");
        if planted::is(Bug::TailDropsLast) {
            settled.events.pop();
        }
        // Readable before it is acknowledged.
        self.tail.push(std::mem::take(&mut settled.events));
        failpoint::reach("before_answer");
        settled.answer(&self.ledger);
        let ready = self.deciding.settled();
        self.resume(ready);
        if self.in_flight.is_empty() {
            self.before = None;
        }
    }

    fn refuse_all(&mut self) {
        self.queue.close();
        self.deciding.give_up();
        let waiting = std::iter::from_fn(|| self.queue.try_recv().ok());
        for submission in self.backlog.drain(..).chain(waiting) {
            submission.finish(&Outcome::Unavailable("the partition moved to another owner"));
        }
    }
}
