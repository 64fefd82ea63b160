//! Transactions that hang, on a log that plays them.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::json;
use spina_codec::frame::frame;
use spina_codec::headers::{Headers, write_event_headers};
use spina_codec::shape::Shape;
use spina_core::Timestamp;
use spina_core::ledger::RequestLimits;
use spina_log::admin::GroupOffset;
use spina_log::{GroupMember, Lane};
use spina_store::StoreError;
use spina_store::archive::{ArchivedRequest, Owner, Watermark};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::commands::GroupOffsets;
use crate::config::EventStoreConfig;
use crate::decide::recollection::Recollection;
use crate::decide::reply::ReplyType;
use crate::decide::samples;
use crate::decide::settled_log::SettledLog;
use crate::decide::tail::Tail;
use crate::decide::takeover::install;
use crate::decide::window::Imprint;
use crate::metrics::EventStoreMetrics;

const EVENTS: &str = "test.events.v1";
const REPLIES: &str = "test.replies.v1";
/// Where the group stands.
const GROUP_STANDS: i64 = 5;
const REPLY: &str = r#"{"type": "record", "name": "Reply", "namespace": "test", "fields": [
    {"name": "request_id", "type": "string"}, {"name": "outcome", "type": "string"}]}"#;

/// A log on which one transaction hangs, and what its lanes did.
#[derive(Default)]
struct Stuck {
    /// The topic that it hangs on.
    topic: &'static str,
    /// The lane it is of; none if another writer's.
    lane: Option<usize>,
    /// Where it begins.
    start: i64,
    records: Vec<Fetched>,
    before: Vec<Fetched>,
    /// The commands, if the group's offset hangs before them.
    commands: Vec<Fetched>,
    replies: Vec<Fetched>,
    /// Lanes that end something until the group's offset is free.
    lanes_until_stable: usize,
    staged: Mutex<Vec<(usize, Window)>>,
    ends: Mutex<Vec<(usize, Fate)>>,
}

impl Stuck {
    fn ends(&self) -> Vec<(usize, Fate)> {
        self.ends.lock().unwrap().clone()
    }
}

#[async_trait]
impl SettledLog for Stuck {
    async fn each_settled(
        &self,
        _: &Arc<str>,
        _: i32,
        _: i64,
        _: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<i64, LogError> {
        unreachable!("healing comes before reading")
    }

    async fn hanging(&self, topic: &Arc<str>, _: i32, _: &[String]) -> Result<Option<Hanging>, LogError> {
        let ended = self.lane.is_some_and(|lane| self.ends().iter().any(|(other, _)| *other == lane));
        let open = OpenTransaction { producer_id: 12, producer_epoch: 3, start: self.start, last_write_ms: 0 };
        let hanging = Hanging { open, lane: self.lane, records: self.records.clone() };
        Ok((self.topic == &**topic && !ended).then_some(hanging))
    }

    async fn each_committed(
        &self,
        topic: &Arc<str>,
        _: i32,
        from: i64,
        tell: &mut (dyn FnMut(Vec<Fetched>) + Send),
    ) -> Result<(), LogError> {
        let records = if &**topic == EVENTS { &self.before } else { &self.commands };
        tell(records.iter().filter(|record| record.offset >= from).cloned().collect());
        Ok(())
    }

    async fn newest(&self, topic: &Arc<str>, _: i32, _: i64) -> Result<Vec<Fetched>, LogError> {
        assert_eq!(&**topic, REPLIES);
        Ok(self.replies.clone())
    }

    async fn group_offset(&self, _: &str, _: &str, _: i32) -> Result<GroupOffset, LogError> {
        let hangs = self.ends().len() < self.lanes_until_stable;
        let committed = self
            .staged
            .lock()
            .unwrap()
            .iter()
            .filter_map(|(_, window)| Some(window.consumed.as_ref()?.offsets[0].2))
            .max();
        Ok(GroupOffset { next: committed.unwrap_or(GROUP_STANDS), hangs })
    }
}

struct Spy(Arc<Stuck>, usize);

#[async_trait]
impl Lane for Spy {
    async fn stage(&self, window: Window) -> Result<Vec<i64>, WriteError> {
        let marks = window.records.iter().all(|record| record.key.is_empty() && record.value.is_none());
        assert!(marks, "a mark is no event");
        self.0.staged.lock().unwrap().push((self.1, window));
        Ok(vec![9])
    }

    async fn commit(&self) -> Result<(), WriteError> {
        self.0.ends.lock().unwrap().push((self.1, Fate::Commit));
        Ok(())
    }

    async fn abort(&self) -> Result<(), WriteError> {
        self.0.ends.lock().unwrap().push((self.1, Fate::Abort));
        Ok(())
    }
}

struct Factory(Arc<Stuck>);

#[async_trait]
impl spina_log::Lanes for Factory {
    async fn open(&self, id: &str) -> Result<Arc<dyn Lane>, LogError> {
        let number = id.rsplit('.').next().unwrap().parse().unwrap();
        Ok(Arc::new(Spy(Arc::clone(&self.0), number)))
    }
}

struct NoArchive;

#[async_trait]
impl Recollection for NoArchive {
    async fn watermark(&self, _: i32) -> Result<Watermark, StoreError> {
        unreachable!("healing asks the ledger")
    }

    async fn each_stream_version(
        &self,
        _: i32,
        _: &mut (dyn FnMut(StreamKey, Version) + Send),
    ) -> Result<(), StoreError> {
        unreachable!("healing asks the ledger")
    }

    async fn each_request_since(
        &self,
        _: i32,
        _: Timestamp,
        _: usize,
        _: &mut (dyn FnMut(ArchivedRequest) + Send),
    ) -> Result<(), StoreError> {
        unreachable!("healing asks the ledger")
    }

    async fn announce(&self, _: &Owner) -> Result<(), StoreError> {
        Ok(())
    }
}

fn equipment(stuck: &Arc<Stuck>, shape: Arc<Shape>) -> Equipment {
    let context: spina_core::ContextName = "test".parse().unwrap();
    Equipment {
        imprint: Imprint {
            events_topic: EVENTS.into(),
            replies_topic: REPLIES.into(),
            partition: 0,
            source: "/spina/test".into(),
            epoch: 0,
            reply_type: Arc::new(ReplyType { schema_id: 2, shape }),
        },
        limits: EventStoreConfig::default().limits(),
        lanes: Arc::new(Factory(Arc::clone(stuck))),
        log: Arc::clone(stuck) as Arc<dyn SettledLog>,
        archive: Arc::new(NoArchive),
        offsets: Arc::new(GroupOffsets::new("test.commands.v1", || Some(member()))),
        endpoint: String::new(),
        clock: Arc::new(Timestamp::default),
        metrics: EventStoreMetrics::default().partition(&context, 0),
        stopping: CancellationToken::new(),
        context,
    }
}

fn member() -> GroupMember {
    GroupMember { group: "event-store.test".to_owned(), generation: 4, member_id: "me".to_owned(), instance_id: None }
}

fn fetched(topic: &str, offset: i64, key: &str, value: Vec<u8>, headers: Headers) -> Fetched {
    let key = Some(key.as_bytes().to_vec().into());
    Fetched { topic: topic.into(), partition: 0, offset, timestamp_ms: 0, key, value: Some(value.into()), headers }
}

fn event(stream: &str, version: u64, offset: i64) -> Fetched {
    let headers = samples::stored(stream, version, offset).headers;
    fetched(EVENTS, offset, stream, Vec::new(), write_event_headers(&headers, "/spina/test"))
}

fn command(offset: i64) -> Fetched {
    fetched("test.commands.v1", offset, "a-1", Vec::new(), Headers::default())
}

fn reply_to(offset: i64) -> Fetched {
    let mut headers = Headers::default();
    headers.push("ce_commandoffset", Some(offset.to_string().as_bytes()));
    fetched(REPLIES, 100 + offset, "a-1", Vec::new(), headers)
}

fn reply(request: &str, outcome: &str) -> Fetched {
    let fields = json!({"request_id": request, "outcome": outcome});
    let avro = Shape::compile(REPLY).unwrap().encode(fields.as_object().unwrap()).unwrap();
    fetched(REPLIES, 7, "a-1", frame(2, &avro), Headers::default())
}

/// Heals everything; the archive has `a-1` up to version 2.
async fn heal(stuck: Stuck) -> (Arc<Stuck>, Result<i64, Hidden>) {
    let stuck = Arc::new(stuck);
    let equipment = equipment(&stuck, Arc::new(Shape::compile(REPLY).unwrap()));
    let mut ledger = Ledger::new(RequestLimits { keys_max: 100, age_max_us: 1_000_000 });
    install(&mut ledger, &Tail::new(0, 1_000), vec![samples::stored("a-1", 1, 0), samples::stored("a-1", 2, 1)]);
    let lanes = Lanes::open(&*equipment.lanes, &equipment.context, 0, equipment.limits.lanes).await.unwrap();
    let healer = Healer::new(&equipment, &lanes);
    let healed = match healer.events(&ledger, 2).await {
        Ok(()) => healer.commands(&ledger).await,
        Err(hidden) => Err(hidden),
    };
    (stuck, healed)
}

async fn ends_of(stuck: Stuck) -> Vec<(usize, Fate)> {
    let (stuck, healed) = heal(stuck).await;
    healed.unwrap();
    stuck.ends()
}

#[tokio::test]
async fn hidden_events_that_continue_their_streams_become_visible_through_their_own_lane() {
    let before = vec![event("b-1", 1, 4)];
    let records = vec![event("a-1", 3, 7), event("b-1", 2, 8), event("a-1", 4, 9)];
    let stuck = Stuck { topic: EVENTS, lane: Some(2), start: 7, records, before, ..Stuck::default() };
    assert_eq!(ends_of(stuck).await, [(2, Fate::Commit)]);
}

#[tokio::test]
async fn hidden_events_that_are_archived_were_acknowledged() {
    // Read back from 2 on, the transaction begins at 1: the archive has a-1 up to 2 from there.
    let records = vec![event("a-1", 2, 1), event("c-1", 7, 2)];
    let stuck = Stuck { topic: EVENTS, lane: Some(1), start: 1, records, ..Stuck::default() };
    assert_eq!(ends_of(stuck).await, [(1, Fate::Commit)]);
}

#[tokio::test]
async fn hidden_events_behind_a_gap_or_with_versions_given_again_stay_hidden() {
    for wrong in [event("a-1", 4, 8), event("a-1", 2, 8), event("c-1", 2, 8)] {
        let records = vec![event("b-1", 1, 7), wrong];
        let stuck = Stuck { topic: EVENTS, lane: Some(1), start: 7, records, ..Stuck::default() };
        assert_eq!(ends_of(stuck).await, [(1, Fate::Abort)]);
    }
}

#[tokio::test]
async fn a_hidden_request_that_was_written_again_stays_hidden() {
    let mut again = samples::stored("a-1", 3, 7).headers;
    again.id = "a-1/2".to_owned();
    let records = vec![fetched(EVENTS, 7, "a-1", Vec::new(), write_event_headers(&again, "/spina/test"))];
    let stuck = Stuck { topic: EVENTS, lane: Some(0), start: 7, records, ..Stuck::default() };
    assert_eq!(ends_of(stuck).await, [(0, Fate::Abort)]);
}

#[tokio::test]
async fn a_transaction_of_somebody_else_is_named_and_nothing_is_written() {
    let (stuck, healed) = heal(Stuck { topic: EVENTS, start: 7, ..Stuck::default() }).await;
    let error = healed.unwrap_err().to_string();
    assert!(error.contains("producer 12") && error.contains("abort --topic test.events.v1"), "{error}");
    assert!(error.contains("--partition 0 --start-offset 7"), "{error}");
    assert!(stuck.ends().is_empty() && stuck.staged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn hidden_replies_become_visible_unless_they_tell_of_events_that_are_not_there() {
    let cases = [("a-1/2", "accepted", Fate::Commit), ("x", "conflict", Fate::Commit), ("x", "accepted", Fate::Abort)];
    for (request, outcome, fate) in cases {
        let records = vec![reply("y", "rejected"), reply(request, outcome)];
        let stuck = Stuck { topic: REPLIES, lane: Some(3), records, ..Stuck::default() };
        assert_eq!(ends_of(stuck).await, [(3, fate)], "{request} {outcome}");
    }
}

#[tokio::test]
async fn where_the_group_stands_is_told() {
    let (stuck, next) = heal(Stuck::default()).await;
    assert_eq!(next.unwrap(), GROUP_STANDS);
    assert!(stuck.staged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_offset_that_hangs_goes_on_with_the_first_command_that_has_no_reply() {
    let lanes = EventStoreConfig::default().limits().lanes;
    let cases: [(&[i64], &[i64], i64); 4] =
        [(&[5, 6, 9, 10], &[4, 5, 6, 10], 7), (&[5, 6, 9], &[5, 6, 9], 10), (&[6], &[], GROUP_STANDS), (&[], &[], 5)];
    for (commands, answered, next) in cases {
        let commands = commands.iter().copied().map(command).collect();
        let replies = answered.iter().copied().map(reply_to).collect();
        let (stuck, healed) = heal(Stuck { commands, replies, lanes_until_stable: lanes, ..Stuck::default() }).await;
        assert_eq!(healed.unwrap(), next);
        let staged = stuck.staged.lock().unwrap().clone();
        assert_eq!((staged.len(), stuck.ends().len()), (lanes, lanes), "whichever lane it was");
        for (_, window) in staged {
            let consumed = window.consumed.unwrap();
            assert_eq!(consumed.member, member());
            assert_eq!(consumed.offsets, [("test.commands.v1".into(), 0, next)]);
        }
    }
}

#[tokio::test]
async fn an_offset_that_hangs_on_is_not_taken_for_the_truth() {
    let (_, healed) = heal(Stuck { lanes_until_stable: usize::MAX, ..Stuck::default() }).await;
    assert!(matches!(healed, Err(Hidden::Offset)));
}
