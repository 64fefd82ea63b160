//! The member's thread: polls the client, applies the owner's requests, sends events.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::{mpsc, oneshot, watch};

use super::callbacks::{Callbacks, FULL_PAUSE, State};
use super::{GroupMember, MemberHandle, Membership, MembershipEvent, MembershipOptions, REQUESTS_MAX, Request};
use crate::client::{BATCH_BYTES_MAX, Trouble, ends_reading};
use crate::{LogConfig, LogError, copy, native};

/// How long the thread sleeps in the client when there is nothing; also how late it sees a request.
const IDLE_POLL: Duration = Duration::from_millis(10);
/// How often it asks who we are in the group, beside after every rebalance it sees: a generation may pass without one.
const MEMBER_INTERVAL: Duration = Duration::from_millis(200);
/// Longest the client stays unpolled while the owner's queue is full; rebalances wait for a poll.
const POLL_GAP_MAX: Duration = Duration::from_secs(1);

/// After this long without a heartbeat a member's partitions go to others: the longest a crash goes unnoticed.
const SESSION_TIMEOUT_MS: &str = "10000";
/// A third of the session, as Kafka advises.
const HEARTBEAT_MS: &str = "3000";

pub(super) fn start(config: &LogConfig, options: MembershipOptions) -> Result<Membership, LogError> {
    let action = format!("join group {}", options.group);
    let (events, received) = mpsc::channel(options.queue_events_max.max(1));
    let (requests, requested) = std_mpsc::sync_channel(REQUESTS_MAX);
    let (publish_member, member) = watch::channel(None);
    let (ending, ended) = oneshot::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let consumer = consumer(config, &options, events).map_err(|error| LogError::client(&action, error))?;
    let thread = Thread {
        trouble: Trouble::new(format!("in group {}", options.group)),
        topic: options.topic.as_str().into(),
        batch_records_max: options.batch_records_max.max(1),
        requests: requested,
        publish_member,
        stop: Arc::clone(&stop),
        polled: Instant::now(),
        asked: Instant::now(),
        throttled: false,
    };
    thread::Builder::new()
        .name("group-member".to_owned())
        .spawn(move || {
            thread.run(consumer);
            // The receiver is there only if somebody waits.
            let _ = ending.send(());
        })
        .map_err(|error| LogError::client(action, error))?;
    Ok(Membership { events: received, handle: MemberHandle { requests, member }, stop, ended: Some(ended) })
}

fn consumer(
    config: &LogConfig,
    options: &MembershipOptions,
    events: mpsc::Sender<Result<MembershipEvent, LogError>>,
) -> KafkaResult<BaseConsumer<Callbacks>> {
    let mut client = config.consumer();
    client
        .set("group.id", &options.group)
        .set("group.protocol", "classic")
        .set("group.instance.id", &options.instance_id)
        // Partitions that stay where they are go on working while others move.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("heartbeat.interval.ms", HEARTBEAT_MS)
        .set("max.poll.interval.ms", "300000")
        // A group that has no offset yet begins with the first command there is.
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "false");
    let callbacks = Callbacks {
        events,
        revoke_wait: options.revoke_wait,
        rebalanced: AtomicBool::new(false),
        state: State::default().into(),
    };
    client.create_with_context(callbacks)
}

struct Thread {
    topic: Arc<str>,
    batch_records_max: usize,
    requests: std_mpsc::Receiver<Request>,
    publish_member: watch::Sender<Option<GroupMember>>,
    stop: Arc<AtomicBool>,
    polled: Instant,
    asked: Instant,
    /// Whether resumed partitions are held back because the owner's queue has been full for long.
    throttled: bool,
    trouble: Trouble,
}

impl Thread {
    /// Runs until stopped or failed. The consumer is closed and dropped at the end, here.
    fn run(mut self, consumer: BaseConsumer<Callbacks>) {
        let callbacks = Arc::clone(consumer.context());
        if let Err(error) = self.serve(&consumer, &callbacks) {
            callbacks.state().outbox.push_back(Err(error));
            while !self.stop.load(Ordering::Relaxed) && callbacks.deliver() && !callbacks.state().outbox.is_empty() {
                thread::sleep(FULL_PAUSE);
            }
        }
        self.publish_member.send_replace(None);
    }

    fn serve(&mut self, consumer: &BaseConsumer<Callbacks>, callbacks: &Callbacks) -> Result<(), LogError> {
        let refused = |error| LogError::client("steer a group member", error);
        consumer.subscribe(&[&self.topic]).map_err(refused)?;
        while !self.stop.load(Ordering::Relaxed) {
            while let Ok(request) = self.requests.try_recv() {
                self.apply(request, consumer, callbacks).map_err(refused)?;
            }
            if !callbacks.deliver() {
                return Ok(());
            }
            if callbacks.state().outbox.is_empty() {
                self.throttle(false, consumer, callbacks).map_err(refused)?;
                self.collect(IDLE_POLL, consumer, callbacks)?;
            } else if self.polled.elapsed() >= POLL_GAP_MAX {
                self.throttle(true, consumer, callbacks).map_err(refused)?;
                self.collect(Duration::ZERO, consumer, callbacks)?;
            } else {
                thread::sleep(FULL_PAUSE);
            }
            self.ask_who_we_are(consumer, callbacks);
        }
        Ok(())
    }

    /// Takes the commands that are there and puts them into the outbox; waits for the first one.
    fn collect(
        &mut self,
        wait: Duration,
        consumer: &BaseConsumer<Callbacks>,
        callbacks: &Callbacks,
    ) -> Result<(), LogError> {
        let (mut records, mut bytes) = (0, 0);
        let mut event = consumer.poll(wait);
        self.polled = Instant::now();
        while let Some(happened) = event {
            match happened {
                Ok(message) => {
                    records += 1;
                    bytes += message.key_len() + message.payload_len();
                    callbacks.state().commands.push(copy::fetched(&self.topic, &message));
                }
                Err(error) => self.judge(error)?,
            }
            if records >= self.batch_records_max || bytes >= BATCH_BYTES_MAX {
                break;
            }
            event = consumer.poll(Duration::ZERO);
        }
        callbacks.end_batch();
        Ok(())
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
        let (Request::Pause(partition) | Request::Resume(partition)) = request;
        {
            let mut state = callbacks.state();
            if !state.owned.contains(&partition) {
                return Ok(());
            }
            match request {
                Request::Pause(_) => state.resumed.remove(&partition),
                Request::Resume(_) => state.resumed.insert(partition),
            };
        }
        let list = self.list([partition]);
        match request {
            Request::Resume(_) if !self.throttled => consumer.resume(&list),
            Request::Resume(_) => Ok(()),
            Request::Pause(_) => consumer.pause(&list),
        }
    }

    /// Holds all resumed partitions back, or lets them go on.
    fn throttle(&mut self, on: bool, consumer: &BaseConsumer<Callbacks>, callbacks: &Callbacks) -> KafkaResult<()> {
        if mem::replace(&mut self.throttled, on) == on {
            return Ok(());
        }
        let list = self.list(callbacks.state().resumed.iter().copied());
        if on { consumer.pause(&list) } else { consumer.resume(&list) }
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
