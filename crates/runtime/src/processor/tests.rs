//! The record loop on a log in memory: a counter per key, whose every batch may end badly.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use spina_codec::Headers;
use spina_log::admin::GroupOffset;
use spina_log::{GroupMember, Lane, Lanes, LogError};
use spina_testkit::{Fault, MemoryLog};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::partition::{Ended, Partition};
use super::requests::Waiting;
use super::restore::take_over;
use super::*;

/// Counts how often each key came. State records say `key=count`.
#[derive(Debug, Default)]
struct Counter {
    counts: BTreeMap<String, u64>,
    due: Option<Timestamp>,
}

fn record(topic: &str, text: &str) -> NewRecord {
    let value = Some(Bytes::copy_from_slice(text.as_bytes()));
    NewRecord {
        topic: topic.into(),
        partition: 0,
        key: Bytes::new(),
        value,
        headers: Headers::default(),
        timestamp_ms: None,
    }
}

fn text(record: &Fetched) -> String {
    String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap()
}

impl Processor for Counter {
    type Input = String;
    type Request = String;
    type Effect = String;

    fn apply(&mut self, inputs: Vec<Input<String, String>>, _: Timestamp) -> Output<String> {
        let mut output = Output::default();
        for input in inputs {
            let key = match input {
                Input::Record(key) | Input::Request(key) => key,
                Input::Tick => {
                    self.due = None;
                    "tick".to_owned()
                }
            };
            let count = self.counts.entry(key.clone()).or_default();
            *count += 1;
            output.records.push(record("state", &format!("{key}={count}")));
            output.effects.push(key);
        }
        output
    }

    fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

#[derive(Default)]
struct Counting {
    due: Option<Timestamp>,
    done: Mutex<Vec<String>>,
    /// Where it begins as long as it trusts that.
    snapshot: Mutex<i64>,
    written: Mutex<Vec<i64>>,
}

#[async_trait]
impl Stage for Counting {
    type Processor = Counter;

    async fn open(&self, _: i32) -> anyhow::Result<(Counter, i64)> {
        Ok((Counter { due: self.due, ..Counter::default() }, *self.snapshot.lock().unwrap()))
    }

    async fn restore(&self, counter: &mut Counter, records: Vec<Fetched>) -> anyhow::Result<()> {
        for record in records {
            let text = text(&record);
            let (key, count) = text.split_once('=').unwrap();
            counter.counts.insert(key.to_owned(), count.parse()?);
        }
        Ok(())
    }

    async fn distrust(&self, _: i32) {
        *self.snapshot.lock().unwrap() = 0;
    }

    async fn written(&self, _: i32, _: &mut Counter, next_offset: i64) {
        self.written.lock().unwrap().push(next_offset);
    }

    async fn read(&self, records: Vec<Fetched>) -> Vec<String> {
        records.iter().map(text).collect()
    }

    async fn after(&self, _: i32, effects: Vec<String>) {
        self.done.lock().unwrap().extend(effects);
    }
}

struct InMemory(MemoryLog);

#[async_trait]
impl StateLog for InMemory {
    async fn read_settled(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
    ) -> Result<BoxStream<'static, Result<Vec<Fetched>, LogError>>, LogError> {
        let (_, records) = self.0.settled(topic, partition, from).await?;
        Ok(futures::stream::iter([Ok(records)]).boxed())
    }

    async fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Result<GroupOffset, LogError> {
        let next = self.0.consumed(group, topic, partition).unwrap_or(0);
        Ok(GroupOffset { next, hangs: false })
    }
}

fn input(offset: i64, key: &str) -> Waiting<String> {
    let NewRecord { topic, partition, key, value, headers, .. } = record("input", key);
    Waiting::Record(Fetched { topic, partition, offset, timestamp_ms: 0, key: Some(key), value, headers })
}

struct World {
    log: MemoryLog,
    stage: Arc<Counting>,
    place: Place,
}

impl World {
    fn new(stage: Counting) -> Self {
        let place = Place {
            group: "count".to_owned(),
            input_topic: "input".into(),
            state_topic: Some("state".into()),
            batch_inputs_max: 10,
        };
        Self { log: MemoryLog::default(), stage: Arc::new(stage), place }
    }

    async fn owner(&self) -> (Partition<Counting>, mpsc::Sender<Waiting<String>>) {
        let log = InMemory(self.log.clone());
        let taken = take_over(&*self.stage, &self.place, 0, &self.log, &log).await.unwrap();
        let (sender, queue) = mpsc::channel(100);
        let who =
            || GroupMember { group: "count".to_owned(), generation: 1, member_id: "me".to_owned(), instance_id: None };
        let clock: Clock = Arc::new(|| Timestamp::from_micros(1_000).unwrap());
        let (stage, place) = (Arc::clone(&self.stage), self.place.clone());
        let who = Box::new(move || Some(who()));
        (Partition { stage, place, partition: 0, taken, queue, who, clock, turn: 0 }, sender)
    }

    /// Consumes `keys` from the group's offset on, as a member that was assigned the partition does; until all are done.
    async fn serve(&self, keys: &[&str]) -> Ended {
        let (owner, sender) = self.owner().await;
        let from = self.consumed();
        for (offset, key) in (0..).zip(keys).filter(|(offset, _)| *offset >= from) {
            sender.send(input(offset, key)).await.unwrap();
        }
        drop(sender);
        owner.run(CancellationToken::new()).await
    }

    fn consumed(&self) -> i64 {
        self.log.consumed("count", "input", 0).unwrap_or(0)
    }

    fn state(&self) -> Vec<String> {
        self.log.committed("state", 0).iter().map(text).collect()
    }
}

#[tokio::test]
async fn inputs_become_records_and_then_effects() {
    let world = World::new(Counting::default());
    assert_eq!(world.serve(&["a", "b", "a"]).await, Ended::Drained);
    assert_eq!((world.state(), world.consumed()), (vec!["a=1".into(), "b=1".into(), "a=2".into()], 3));
    assert_eq!(*world.stage.done.lock().unwrap(), ["a", "b", "a"]);
}

#[tokio::test]
async fn a_successor_goes_on_where_the_log_ends() {
    let world = World::new(Counting::default());
    world.serve(&["a", "a"]).await;
    world.serve(&["a", "a", "a"]).await;
    assert_eq!(world.state(), ["a=1", "a=2", "a=3"]);
}

#[tokio::test(start_paused = true)]
async fn every_outcome_of_a_transaction_leaves_each_input_counted_once() {
    for fault in [Fault::StageAborted, Fault::CommitAborted, Fault::UnknownCommitted, Fault::UnknownAborted] {
        for at in 1..=4 {
            let mut world = World::new(Counting::default());
            world.place.batch_inputs_max = 1;
            world.log.fail(at, fault);
            let keys = ["a", "b", "a", "a"];
            let mut takeovers = 1;
            while world.serve(&keys).await == Ended::Lost {
                takeovers += 1;
            }
            assert_eq!(world.state(), ["a=1", "b=1", "a=2", "a=3"], "{fault:?} at {at}");
            assert_eq!(world.consumed(), 4, "{fault:?} at {at}");
            let aborted = matches!(fault, Fault::StageAborted | Fault::CommitAborted);
            assert_eq!(takeovers, if aborted { 1 } else { 2 }, "{fault:?} at {at}");
        }
    }
}

#[tokio::test]
async fn a_predecessor_that_lives_on_is_fenced() {
    let world = World::new(Counting::default());
    let (old, sender) = world.owner().await;
    let (_new, _) = world.owner().await;
    sender.send(input(0, "a")).await.unwrap();
    assert_eq!(old.run(CancellationToken::new()).await, Ended::Lost);
    assert!(world.state().is_empty() && world.stage.done.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stage_is_told_how_far_the_state_goes_and_may_begin_there() {
    let world = World::new(Counting::default());
    world.serve(&["a", "b"]).await;
    let last = *world.stage.written.lock().unwrap().last().unwrap() - 1;
    *world.stage.snapshot.lock().unwrap() = last;
    let (owner, _) = world.owner().await;
    assert_eq!(owner.taken.processor.counts, BTreeMap::from([("b".to_owned(), 1)]), "the last record is read again");
}

#[tokio::test]
async fn a_snapshot_of_a_longer_log_is_not_begun_from_again() {
    let world = World::new(Counting::default());
    world.serve(&["a"]).await;
    *world.stage.snapshot.lock().unwrap() = 1_000;
    let log = InMemory(world.log.clone());
    let taking = take_over(&*world.stage, &world.place, 0, &world.log, &log).await;
    assert!(format!("{:#}", taking.err().unwrap()).contains("another log"));
    let (owner, _) = world.owner().await;
    assert_eq!(owner.taken.processor.counts, BTreeMap::from([("a".to_owned(), 1)]));
}

/// Opens lanes of a log in memory, and remembers when each was begun and done.
struct Watched {
    log: MemoryLog,
    seen: Mutex<Vec<String>>,
}

#[async_trait]
impl Lanes for Watched {
    async fn open(&self, id: &str) -> Result<Arc<dyn Lane>, LogError> {
        self.seen.lock().unwrap().push(format!("begun {id}"));
        tokio::task::yield_now().await;
        let lane = Lanes::open(&self.log, id).await;
        self.seen.lock().unwrap().push(format!("open {id}"));
        lane
    }
}

#[tokio::test]
async fn the_first_lane_is_open_before_another_is_begun() {
    let world = World::new(Counting::default());
    let watched = Watched { log: world.log.clone(), seen: Mutex::default() };
    let log = InMemory(world.log.clone());
    let taken = take_over(&*world.stage, &world.place, 0, &watched, &log).await.unwrap();
    let seen = watched.seen.into_inner().unwrap();
    assert_eq!(seen.len(), 2 * taken.lanes.len());
    assert_eq!(seen[0].replace("begun", "open"), seen[1], "{seen:?}");
}

#[tokio::test]
async fn ticks_come_when_due_and_requests_have_no_offset() {
    let world = World::new(Counting { due: Timestamp::from_micros(1_000), ..Counting::default() });
    let (owner, sender) = world.owner().await;
    sender.send(Waiting::Request("asked".to_owned())).await.unwrap();
    drop(sender);
    owner.run(CancellationToken::new()).await;
    assert_eq!(world.state(), ["asked=1", "tick=1"]);
    assert_eq!(world.log.consumed("count", "input", 0), None);
}

#[tokio::test]
async fn a_request_to_a_partition_of_others_is_refused() {
    let requests = Requests::default();
    let (sender, mut queue) = mpsc::channel(1);
    requests.open(3, sender);
    assert_eq!(
        (requests.send(0, "x"), requests.send(3, "x"), requests.send(3, "full")),
        (Err(NotHere), Ok(()), Err(NotHere))
    );
    assert!(matches!(queue.try_recv(), Ok(Waiting::Request("x"))));
}
