//! The member's thread: polls the client, applies the owner's requests, sends events.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot, watch};

use super::callbacks::{Callbacks, FULL_PAUSE};
use super::flow::Flow;
use super::{
    Ending, GroupMember, MemberHandle, Membership, MembershipEvent, MembershipOptions, REQUESTS_MAX, Request, confirm,
    predecessor, settings,
};
use crate::client::{Trouble, ends_reading};
use crate::{LogConfig, LogError, native};

/// How long the thread sleeps in the client when there is nothing; also how late it sees a request.
const IDLE_POLL: Duration = Duration::from_millis(10);
/// How often it asks who we are in the group, beside after every rebalance it sees: a generation may pass without one.
/// The question also wakes the client, which sends heartbeats only when awake.
const MEMBER_INTERVAL: Duration = Duration::from_millis(100);
/// Rebalances that may wait for the owner.
const EVENTS_MAX: usize = 16;
/// How often it is tried to see what a predecessor left, a second each.
const LOOKS_MAX: u32 = 3;
/// How long resigning may take. The group finds out by itself later.
const RESIGN_LIMIT: Duration = Duration::from_secs(1);
/// How long the group may take to confirm a member.
const CONFIRM_LIMIT: Duration = Duration::from_secs(1);
/// How long the client may take to go to an offset, which it does by itself.
const SEEK_LIMIT: Duration = Duration::from_secs(1);

pub(super) fn start(config: &LogConfig, options: MembershipOptions) -> Result<Membership, LogError> {
    let action = format!("join group {}", options.group);
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let (requests, requested) = std_mpsc::sync_channel(REQUESTS_MAX);
    let (publish_member, member) = watch::channel(None);
    let (end, ended) = oneshot::channel();
    let ending = Arc::new(Ending::default());
    let settings = settings::of(config, &options);
    let callbacks = Callbacks::new(events, options.revoke_wait);
    let consumer = settings.create_with_context(callbacks).map_err(|error| LogError::client(&action, error))?;
    let topic: Arc<str> = options.topic.as_str().into();
    let thread = Thread {
        settings,
        trouble: Trouble::new(format!("in group {}", options.group)),
        topic: Arc::clone(&topic),
        options,
        requests: requested,
        publish_member,
        ending: Arc::clone(&ending),
        asked: Instant::now(),
    };
    thread::Builder::new()
        .name("group-member".to_owned())
        .spawn(move || {
            thread.run(Arc::new(consumer));
            // The receiver is there only if somebody waits.
            let _ = end.send(());
        })
        .map_err(|error| LogError::client(action, error))?;
    Ok(Membership { events: received, handle: MemberHandle { requests, member, topic }, ending, ended: Some(ended) })
}

struct Thread {
    settings: ClientConfig,
    options: MembershipOptions,
    topic: Arc<str>,
    requests: std_mpsc::Receiver<Request>,
    publish_member: watch::Sender<Option<GroupMember>>,
    ending: Arc<Ending>,
    asked: Instant,
    trouble: Trouble,
}

impl Thread {
    /// Runs until stopped or failed. The consumer is closed and dropped at the end, here.
    ///
    /// When the group has forgotten us, another client joins: it looks first what the group made of our place, as one that
    /// goes on cannot.
    fn run(mut self, mut consumer: Arc<BaseConsumer<Callbacks>>) {
        let ended = loop {
            let served = self.serve(&consumer, &Arc::clone(consumer.context()));
            // Their queues would keep the client from being closed.
            consumer.context().end_flows();
            match served {
                Ok(()) if !self.stopped() && consumer.context().lost.load(Ordering::Relaxed) => {}
                ended => break ended,
            }
            tracing::warn!(group = self.options.group, "the group has forgotten us, joining anew");
            self.publish_member.send_replace(None);
            match self.settings.create_with_context(consumer.context().succeed()) {
                // Closes the one before, too.
                Ok(next) => consumer = Arc::new(next),
                Err(error) => break Err(LogError::client("join a group anew", error)),
            }
        };
        let callbacks = Arc::clone(consumer.context());
        if let Err(error) = ended {
            callbacks.state().outbox.push_back(Err(error));
            while !self.stopped() && callbacks.deliver() && !callbacks.state().outbox.is_empty() {
                thread::sleep(FULL_PAUSE);
            }
        }
        if self.ending.resign.load(Ordering::Relaxed) {
            resign(&consumer);
        }
        self.publish_member.send_replace(None);
    }

    fn stopped(&self) -> bool {
        self.ending.stop.load(Ordering::Relaxed)
    }

    fn serve(&mut self, consumer: &Arc<BaseConsumer<Callbacks>>, callbacks: &Callbacks) -> Result<(), LogError> {
        let refused = |error| LogError::client("steer a group member", error);
        self.settle_what_was_left(consumer, callbacks);
        consumer.subscribe(&[&self.topic]).map_err(refused)?;
        while !self.stopped() && !callbacks.lost.load(Ordering::Relaxed) {
            while let Ok(request) = self.requests.try_recv() {
                self.apply(request, consumer, callbacks).map_err(refused)?;
            }
            self.begin(consumer, callbacks).map_err(refused)?;
            if !callbacks.deliver() {
                return Ok(());
            }
            self.poll(consumer, callbacks)?;
            self.ask_who_we_are(consumer, callbacks);
        }
        Ok(())
    }

    /// See [`predecessor`]. The client asks all brokers, so one that is down keeps it from seeing; that must keep nobody from
    /// joining.
    fn settle_what_was_left(&mut self, consumer: &BaseConsumer<Callbacks>, callbacks: &Callbacks) {
        for _ in 0..LOOKS_MAX {
            if self.stopped() || !callbacks.deliver() {
                return;
            }
            let left = predecessor::left_something(consumer, &self.options).and_then(|left| {
                if left {
                    tracing::warn!(group = self.options.group, "a predecessor left partitions without an owner");
                    predecessor::leave_for_it(&self.settings, &self.topic, || self.stopped())?;
                }
                Ok(())
            });
            match left {
                Ok(()) => return,
                Err(error) => self.trouble.note(&error),
            }
        }
        tracing::warn!(group = self.options.group, "joining without having seen what a predecessor left");
    }

    /// Lets the client do its part, which includes telling of rebalances. Records go to their owners by themselves.
    fn poll(&mut self, consumer: &BaseConsumer<Callbacks>, callbacks: &Callbacks) -> Result<(), LogError> {
        if let Some(Err(error)) = consumer.poll(IDLE_POLL) {
            self.judge(error)?;
        }
        let told: Vec<KafkaError> = callbacks.state().flows.values().filter_map(Flow::take_error).collect();
        told.into_iter().try_for_each(|error| self.judge(error))
    }

    fn judge(&mut self, error: KafkaError) -> Result<(), LogError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Err(LogError::UnknownTopic(self.topic.to_string()))
            }
            Some(code) if !ends_reading(code) => {
                self.trouble.note(&error);
                Ok(())
            }
            Some(_) | None => Err(LogError::client(format!("consume {}", self.topic), error)),
        }
    }

    fn apply(&self, request: Request, consumer: &BaseConsumer<Callbacks>, callbacks: &Callbacks) -> KafkaResult<()> {
        let (Request::Begin { partition, .. } | Request::Confirm { partition }) = request;
        {
            let mut state = callbacks.state();
            if !state.owned.contains(&partition) {
                return Ok(());
            }
            state.flows.remove(&partition);
            state.beginning.remove(&partition);
            if let Request::Begin { offset, flow, .. } = request {
                state.beginning.insert(partition, (offset, flow));
                return Ok(());
            }
        }
        consumer.pause(&self.list([partition]))?;
        let confirmed = confirm::with_the_group(consumer, &self.topic, partition, CONFIRM_LIMIT);
        let event = confirmed.map(|()| MembershipEvent::Confirmed { partition });
        callbacks.state().outbox.push_back(event.map_err(|error| LogError::client("confirm a partition", error)));
        Ok(())
    }

    /// Lets records flow from where they are to. The client goes nowhere in a partition before it has heard by itself where
    /// it would begin, so that is tried until it does.
    fn begin(&mut self, consumer: &Arc<BaseConsumer<Callbacks>>, callbacks: &Callbacks) -> KafkaResult<()> {
        let beginning: Vec<(i32, i64)> =
            callbacks.state().beginning.iter().map(|(p, (offset, _))| (*p, *offset)).collect();
        for (partition, offset) in beginning {
            let mut place = TopicPartitionList::with_capacity(1);
            place.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
            let sought = consumer.seek_partitions(place, SEEK_LIMIT)?;
            match sought.elements().first().map_or(Ok(()), |element| element.error()) {
                Ok(()) => {}
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => continue,
                Err(error) => {
                    self.trouble.note(&error);
                    continue;
                }
            }
            let Some(queue) = consumer.split_partition_queue(&self.topic, partition) else { continue };
            let Some((_, flow)) = callbacks.state().beginning.remove(&partition) else { continue };
            flow.open(queue);
            callbacks.state().flows.insert(partition, flow);
            consumer.resume(&self.list([partition]))?;
        }
        Ok(())
    }

    fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    fn ask_who_we_are(&mut self, consumer: &BaseConsumer<Callbacks>, callbacks: &Callbacks) {
        if callbacks.rebalanced.swap(false, Ordering::Relaxed) || self.asked.elapsed() >= MEMBER_INTERVAL {
            self.asked = Instant::now();
            let member = native::group_member(consumer);
            self.publish_member.send_if_modified(|known| mem::replace(known, member.clone()) != member);
        }
    }
}

/// Gives everything back and tells the group. A static member that is only closed keeps its partitions until its session
/// times out; one that unsubscribes first does not, if it is not closed before it has said so.
fn resign(consumer: &BaseConsumer<Callbacks>) {
    let deadline = Instant::now() + RESIGN_LIMIT;
    consumer.unsubscribe();
    // It has no name in the group any more as soon as it has said that it leaves.
    while native::group_member(consumer).is_some() && Instant::now() < deadline {
        // Partitions are given back from inside the poll. Nothing else comes that anybody waits for.
        let _late = consumer.poll(IDLE_POLL);
    }
}
