//! The owner of one partition: judges, versions and writes every append to it, and answers after the commit.
//!
//! Group commit without a clock: whatever has queued while the windows in flight were busy forms the next one.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use spina_core::ledger::Ledger;
use spina_log::{Window, WriteError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::append::{Outcome, Submission};
use super::lanes::{self, Before, Lanes};
use super::tail::Tail;
use super::window::{Imprint, OpenWindow};
use crate::clock;
use crate::commands::GroupOffsets;
use crate::metrics::PartitionMetrics;

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
    pub(super) context: Arc<crate::context::Context>,
    pub(super) imprint: Imprint,
    pub(super) ledger: Ledger,
    pub(super) lanes: Lanes,
    pub(super) tail: Arc<Tail>,
    pub(super) metrics: PartitionMetrics,
    group: Arc<GroupOffsets>,
    queue: mpsc::Receiver<Submission>,
    pub(super) backlog: VecDeque<Submission>,
    in_flight: FuturesOrdered<BoxFuture<'static, Written>>,
    before: Option<Before>,
    number: u64,
}

pub(super) type Written = (OpenWindow, Result<Vec<i64>, WriteError>);

impl Partition {
    /// The owner of a partition that was taken over.
    pub fn new(
        context: Arc<crate::context::Context>,
        taken: super::takeover::Taken,
        group: Arc<GroupOffsets>,
        queue: mpsc::Receiver<Submission>,
    ) -> Self {
        let metrics = context.shared.metrics.partition(context.name(), taken.imprint.partition);
        Self {
            context,
            imprint: taken.imprint,
            ledger: taken.ledger,
            lanes: taken.lanes,
            tail: taken.tail,
            metrics,
            group,
            queue,
            backlog: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            before: None,
            number: 0,
        }
    }

    /// Serves until `drain` is cancelled or the partition is lost. Everything taken is answered before this returns.
    pub async fn run(mut self, drain: CancellationToken) -> Ended {
        loop {
            while self.in_flight.len() < WINDOWS_IN_FLIGHT_MAX && self.open_window() {}
            let busy = !self.in_flight.is_empty();
            let draining = drain.is_cancelled();
            if draining {
                self.queue.close();
                if !busy && self.backlog.is_empty() && self.queue.is_empty() {
                    return Ended::Drained;
                }
            }
            let takes = !draining && self.backlog.is_empty() && self.in_flight.len() < WINDOWS_IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                Some(written) = self.in_flight.next(), if busy => {
                    if !self.settle(written).await {
                        self.refuse_all();
                        return Ended::Lost;
                    }
                }
                () = self.tail.has_room(), if !takes && !busy => {}
                submission = self.queue.recv(), if takes => match submission {
                    Some(submission) => self.backlog.push_back(submission),
                    None => drain.cancel(),
                },
                () = drain.cancelled(), if !draining => {}
            }
        }
    }

    /// Fills the next window from what waits, and sends it off. False if nothing waits, or there is no room for more.
    fn open_window(&mut self) -> bool {
        if self.tail.is_full() {
            return false;
        }
        let limits = self.context.shared.limits.window;
        let now = clock::now();
        let mut window = OpenWindow::new(self.number + 1);
        while let Some(submission) = self.backlog.pop_front().or_else(|| self.queue.try_recv().ok()) {
            let alone = submission.attempts > 0;
            let closes = alone || submission.priority;
            if alone && !window.is_empty() {
                self.backlog.push_front(submission);
                break;
            }
            window.take(submission, &mut self.ledger, &self.imprint, now);
            let (events, bytes) = window.size();
            if closes || events >= limits.events_max || bytes >= limits.bytes_max {
                break;
            }
        }
        if window.is_empty() {
            return false;
        }
        self.send_off(window);
        true
    }

    fn send_off(&mut self, mut window: OpenWindow) {
        self.number = window.number;
        let (after, next) = lanes::gates();
        let before = self.before.replace(next);
        let records = window.take_records();
        if records.is_empty() {
            self.in_flight.push_back(Box::pin(async move { (window, lanes::wait_only(before, after).await) }));
            return;
        }
        let partition = self.imprint.partition;
        let consumed = window.commands_next_offset.and_then(|next_offset| self.group.consumed(partition, next_offset));
        let lane = self.lanes.turn();
        let written = async move {
            let written = lanes::write(lane, Window { records, consumed }, before, after).await;
            (window, written)
        };
        self.in_flight.push_back(Box::pin(written));
    }

    /// The oldest window is written or lost. False if the partition is lost with it.
    async fn settle(&mut self, (window, written): Written) -> bool {
        match written {
            Ok(offsets) => {
                self.settle_committed(window, &offsets);
                true
            }
            Err(error) => {
                let mut lost = vec![(window, error)];
                while let Some((window, written)) = self.in_flight.next().await {
                    let error = written.err().unwrap_or_else(lanes::predecessor_lost);
                    lost.push((window, error));
                }
                self.before = None;
                self.recover(lost).await
            }
        }
    }

    fn settle_committed(&mut self, window: OpenWindow, offsets: &[i64]) {
        let number = window.number;
        let now = clock::now();
        let mut settled = window.committed(offsets, self.imprint.partition);
        self.ledger.commit(number, &settled.last_offsets, now);
        self.ledger.expire_requests(now);
        self.metrics.committed(settled.events.len());
        // Readable before it is acknowledged.
        self.tail.push(std::mem::take(&mut settled.events));
        settled.answer(&self.ledger);
        if self.in_flight.is_empty() {
            self.before = None;
        }
    }

    fn refuse_all(&mut self) {
        self.queue.close();
        let waiting = std::iter::from_fn(|| self.queue.try_recv().ok());
        for submission in self.backlog.drain(..).chain(waiting) {
            submission.finish(&Outcome::Unavailable("the partition moved to another owner"));
        }
    }
}
