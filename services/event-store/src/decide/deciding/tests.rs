//! Deciding with a ledger and no servers: who sees what, who waits, and what is never passed.

use serde::{Deserialize, Serialize};
use serde_json::json;
use spina_codec::catalog::{Catalog, EventType, TypeKind};
use spina_codec::shape::Shape;
use spina_core::aggregate::{Aggregate, Typed};
use spina_core::ledger::{RequestLimits, Verdict};
use spina_core::{Decider, ExpectedVersion, Rejection, Timestamp};

use super::*;
use crate::decide::append::{Command, Trace};

/// A till that cannot be emptied below nothing.
struct Till;

#[derive(Default, Serialize, Deserialize)]
struct Holds {
    cents: i64,
}

#[derive(Deserialize)]
enum Asked {
    Change { cents: i64 },
}

#[derive(Serialize, Deserialize)]
enum Happened {
    Changed { cents: i64 },
}

impl Decider for Till {
    type State = Holds;
    type Command = Asked;
    type Event = Happened;
    type Rejection = Rejection;

    fn initial(&self) -> Holds {
        Holds::default()
    }

    fn decide(&self, holds: &Holds, Asked::Change { cents }: &Asked) -> Result<Vec<Happened>, Rejection> {
        match holds.cents + cents {
            ..0 => Err(Rejection::new("till.empty", format!("{} are left", holds.cents))),
            _ => Ok(vec![Happened::Changed { cents: *cents }]),
        }
    }

    fn evolve(&self, holds: Holds, Happened::Changed { cents }: &Happened) -> Holds {
        Holds { cents: holds.cents + cents }
    }
}

/// The deciding part of a partition whose archive holds 10 cents at version 1 of every stream it is asked for.
struct Part {
    deciding: Deciding,
    ledger: Ledger,
    window: u64,
}

impl Part {
    fn new() -> Self {
        let schema = r#"{"type": "record", "name": "Changed", "fields": [{"name": "cents", "type": "long"}]}"#;
        let changed = EventType {
            kind: TypeKind::Event,
            name: "Changed".to_owned(),
            ce_type: "shop.till.Changed".to_owned(),
            aggregate: "till".to_owned(),
            schema_id: 1,
            shape: Arc::new(Shape::compile(schema).unwrap()),
        };
        let catalog = Catalog::of(&"shop".parse().unwrap(), [("shop.Changed".to_owned(), changed)]).unwrap();
        let till: Arc<dyn Aggregate> = Arc::new(Typed(Till));
        let deciders = Deciders {
            catalog: Arc::new(catalog),
            aggregates: Arc::new(HashMap::from([("till".to_owned(), till)])),
            event_bytes_max: 1_000,
        };
        let load: Load = Arc::new(|_, _| {
            let data = json!({"cents": 10}).as_object().unwrap().clone();
            async { Ok(State { version: Version(1), data, ..State::default() }) }.boxed()
        });
        let read: ReadOn = Arc::new(|_, _, _| async { Err("it is away".to_owned()) }.boxed());
        let ledger = Ledger::new(RequestLimits { keys_max: 100, age_max_us: i64::MAX });
        Self { deciding: Deciding::new(deciders, load, read), ledger, window: 1 }
    }

    /// The archive has one event of the stream.
    fn archived(mut self, stream: &str) -> Self {
        self.ledger.learn_version(StreamKey::of(stream), Version(1));
        self
    }

    fn take(&mut self, offset: i64, stream: &str, cents: i64) -> Option<Submission> {
        let submission = change(offset, stream, cents);
        self.again(submission)
    }

    fn again(&mut self, submission: Submission) -> Option<Submission> {
        let ready = self.deciding.decide(submission, &self.ledger)?;
        let append = &ready.appends[0];
        if append.answer().is_none() {
            let verdict = self.ledger.judge(self.window, append.ask()).verdict;
            assert!(matches!(verdict, Verdict::Accept { .. }), "{verdict:?}");
        }
        Some(ready)
    }

    fn settle(&mut self) -> Vec<Submission> {
        self.ledger.commit(self.window, &[0], Timestamp::default());
        self.window += 1;
        self.deciding.settled()
    }
}

fn change(offset: i64, stream: &str, cents: i64) -> Submission {
    let request_id = format!("r{offset}");
    let intent = Intent {
        stream: stream.parse().unwrap(),
        name: "Change".to_owned(),
        data: json!({ "cents": cents }).as_object().unwrap().clone(),
        fingerprint: cents.unsigned_abs(),
        request_id: request_id.clone(),
        expected: ExpectedVersion::Any,
        time: Timestamp::default(),
        correlation_id: None,
        trace: Trace::default(),
    };
    let command = Command { offset, key: stream.to_owned().into(), request_id, refusal: None };
    let (submission, _) = Submission::to_decide(intent);
    Submission { command: Some(command), answer: None, ..submission }
}

fn rejected(submission: &Submission) -> bool {
    matches!(submission.appends[0].answer(), Some(Outcome::Rejected(_)))
}

#[test]
fn commands_of_one_window_see_each_other() {
    let mut part = Part::new();
    let first = part.take(0, "till-1", 10).unwrap();
    assert_eq!(first.appends[0].events.len(), 1);
    assert!(!rejected(&part.take(1, "till-1", -7).unwrap()));
    assert!(rejected(&part.take(2, "till-1", -7).unwrap()), "7 of 10 are gone already");
    assert!(!rejected(&part.take(3, "till-1", -3).unwrap()));
}

#[tokio::test]
async fn a_command_that_waits_holds_back_those_behind_it_and_nobody_else() {
    let mut part = Part::new().archived("till-1").archived("till-3");
    assert!(part.take(0, "till-1", -10).is_none());
    assert!(part.take(1, "till-2", 5).is_none(), "it was published later");
    assert!(part.take(2, "till-3", -10).is_none());
    assert!(part.take(3, "till-1", -1).is_none());
    let by_http = Submission { command: None, ..change(9, "till-2", 5) };
    assert!(part.again(by_http).is_some(), "who does not come through the topic goes on");
    assert_eq!(part.deciding.loads.len(), 2, "cold streams are folded at once");
    let loaded = [part.deciding.loaded().await.unwrap(), part.deciding.loaded().await.unwrap()];
    let ready: Vec<Submission> = loaded.into_iter().flat_map(|loaded| part.deciding.install(loaded)).collect();
    let offsets: Vec<i64> = ready.iter().map(|submission| submission.command.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
    let decided: Vec<Submission> = ready.into_iter().filter_map(|waited| part.again(waited)).collect();
    assert_eq!(decided.iter().map(rejected).collect::<Vec<_>>(), [false, false, false, true]);
}

#[tokio::test]
async fn lost_commands_come_before_those_that_were_held_back() {
    let mut part = Part::new().archived("till-1");
    assert!(part.take(1, "till-1", -10).is_none());
    assert!(part.take(2, "till-2", 5).is_none());
    part.ledger.forget_uncommitted();
    assert_eq!(part.deciding.lost().len(), 2, "they go back into the queue, behind the lost ones");
    assert!(part.take(0, "till-4", 5).is_some());
}

#[tokio::test]
async fn a_state_of_another_version_decides_nothing() {
    let mut part = Part::new();
    part.take(0, "till-1", 10).unwrap();
    // Somebody appends an event as it is, behind the decider's back.
    let ask = change(1, "till-1", 0).intent.unwrap().ask(1);
    part.ledger.judge(part.window, &ask);
    assert!(part.take(2, "till-1", -1).is_none());
    assert!(!part.deciding.loads(), "what is in flight cannot be read yet");
    part.ledger.commit(1, &[0, 0], Timestamp::default());
    let ready = part.deciding.settled();
    assert_eq!(ready.len(), 1);
    assert!(part.again(ready.into_iter().next().unwrap()).is_none());
    assert!(part.deciding.loads(), "now it can");
}

#[test]
fn a_lost_window_takes_its_states_with_it() {
    let mut part = Part::new();
    part.take(0, "till-1", 10).unwrap();
    part.ledger.forget_uncommitted();
    assert!(part.deciding.lost().is_empty());
    assert!(rejected(&part.take(1, "till-1", -1).unwrap()), "there is nothing in it");
}

#[test]
fn a_repeat_is_the_ledgers_to_answer() {
    let mut part = Part::new();
    part.take(0, "till-1", 10).unwrap();
    assert!(part.settle().is_empty());
    let again = part.deciding.decide(change(0, "till-1", 10), &part.ledger).unwrap();
    assert!(matches!(part.ledger.judge(2, again.appends[0].ask()).verdict, Verdict::Repeat(_)));
    let other = part.deciding.decide(change(0, "till-1", 9), &part.ledger).unwrap();
    assert!(matches!(part.ledger.judge(2, other.appends[0].ask()).verdict, Verdict::KeyReused));
}

#[tokio::test]
async fn a_record_that_may_be_forgotten_is_looked_for_and_holds_back_those_behind_it() {
    let mut part = Part::new().archived("till-1");
    let expecting = |offset, expected| {
        let mut submission = change(offset, "till-1", 10);
        submission.intent.as_mut().unwrap().expected = expected;
        submission
    };
    assert!(part.again(expecting(0, ExpectedVersion::NoStream)).is_none());
    assert!(part.take(1, "till-2", 5).is_none(), "it was published later");
    let loaded = part.deciding.loaded().await.unwrap();
    let mut ready = part.deciding.install(loaded).into_iter();
    let first = part.again(ready.next().unwrap()).unwrap();
    assert!(matches!(first.appends[0].answer(), Some(Outcome::Unavailable(_))), "the archive is away: {first:?}");
    assert!(part.again(ready.next().unwrap()).is_some());
    // Nothing stands behind a version that the stream is not beyond.
    assert!(part.again(expecting(2, ExpectedVersion::Exact(Version(1)))).is_none(), "its state is folded");
    assert!(matches!(part.deciding.loaded().await, Some(Loaded::State(..))));
}
