//! What the client calls when partitions come and go. It calls from inside `poll`, on the member's thread.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::mpsc;

use super::flow::Flow;
use super::{MembershipEvent, RevokeAck};
use crate::LogError;
use crate::client::Quiet;

/// Pause while the owner's queue is full.
pub(super) const FULL_PAUSE: Duration = Duration::from_millis(1);

/// What thread and callbacks share. Both run on the same thread; the lock is never held while the client is called.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Events that the owner's queue had no room for yet, oldest first.
    pub(super) outbox: VecDeque<Result<MembershipEvent, LogError>>,
    /// Partitions whose records flow.
    pub(super) flows: BTreeMap<i32, Flow>,
    /// Partitions whose records are to flow from an offset on as soon as the client is ready.
    pub(super) beginning: BTreeMap<i32, (i64, Flow)>,
    /// Partitions that are ours.
    pub(super) owned: BTreeSet<i32>,
}

/// The client's context.
pub(super) struct Callbacks {
    pub(super) events: mpsc::Sender<Result<MembershipEvent, LogError>>,
    pub(super) revoke_wait: Duration,
    /// Set when the group has moved on, so that the thread asks who we are now.
    pub(super) rebalanced: AtomicBool,
    /// Set when the group has forgotten us.
    pub(super) lost: AtomicBool,
    /// The client is given up: what still happens to it concerns nobody.
    pub(super) over: AtomicBool,
    pub(super) state: Mutex<State>,
}

impl Callbacks {
    pub(super) fn new(events: mpsc::Sender<Result<MembershipEvent, LogError>>, revoke_wait: Duration) -> Self {
        let flag = AtomicBool::default;
        Self { events, revoke_wait, rebalanced: flag(), lost: flag(), over: flag(), state: State::default().into() }
    }

    /// Callbacks of the next client, which goes on with the events that wait. Ours are silent from now on.
    pub(super) fn succeed(&self) -> Self {
        self.over.store(true, Ordering::Relaxed);
        let next = Self::new(self.events.clone(), self.revoke_wait);
        mem::swap(&mut next.state().outbox, &mut self.state().outbox);
        next
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    /// No record comes to anybody any more.
    pub(super) fn end_flows(&self) {
        let mut state = self.state();
        state.flows.clear();
        state.beginning.clear();
    }

    /// Sends events that wait, as many as the owner's queue has room for. False when the owner is gone.
    pub(super) fn deliver(&self) -> bool {
        let mut state = self.state();
        while let Some(event) = state.outbox.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    state.outbox.push_front(event);
                    return true;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        }
        true
    }

    /// Like [`Callbacks::deliver`], until nothing waits or the deadline passed. True when nothing waits.
    fn deliver_all(&self, deadline: Instant) -> bool {
        while self.deliver() {
            if self.state().outbox.is_empty() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(FULL_PAUSE);
        }
        false
    }

    fn revoke(&self, partitions: Vec<i32>, lost: bool) {
        {
            let mut state = self.state();
            for partition in &partitions {
                state.flows.remove(partition);
                state.beginning.remove(partition);
                state.owned.remove(partition);
            }
            if lost {
                self.lost.store(true, Ordering::Relaxed);
                state.outbox.push_back(Ok(MembershipEvent::Lost { partitions }));
                return;
            }
        }
        let deadline = Instant::now() + self.revoke_wait;
        let (held, released) = std_mpsc::sync_channel(0);
        let ack = RevokeAck { _held: held };
        self.state().outbox.push_back(Ok(MembershipEvent::Revoked { partitions, ack }));
        if !self.deliver_all(deadline) {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Nobody ever sends: the channel ends when the owner drops the ack.
        if released.recv_timeout(left) == Err(std_mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("a revoked partition was not let go of in time, its next owner will fence us");
        }
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ConsumerContext for Callbacks {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if self.over.load(Ordering::Relaxed) {
            return;
        }
        self.rebalanced.store(true, Ordering::Relaxed);
        match rebalance {
            Rebalance::Revoke(list) if list.count() > 0 => self.revoke(partitions(list), consumer.assignment_lost()),
            Rebalance::Assign(_) | Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "the group could not share out its partitions"),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(list) = rebalance else { return };
        if list.count() == 0 || self.over.load(Ordering::Relaxed) {
            return;
        }
        let mut event = Ok(MembershipEvent::Assigned { partitions: partitions(list) });
        // Fetching has not begun: it begins with the answer to where the group stands in these partitions.
        if let Err(error) = consumer.pause(list) {
            event = Err(LogError::client("hold assigned partitions back", error));
        }
        let mut state = self.state();
        state.owned.extend(partitions(list));
        state.outbox.push_back(event);
    }
}

/// The partitions of the list, which is not kept: while one lives, dropping the consumer hangs.
fn partitions(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(|element| element.partition()).collect()
}
