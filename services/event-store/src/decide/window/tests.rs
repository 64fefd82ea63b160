//! From submissions to answers: judged against a ledger, written to a log in memory, answered after the commit.

use serde_json::json;
use spina_codec::catalog::{EventType, TypeKind};
use spina_codec::frame::frame;
use spina_codec::shape::Shape;
use spina_core::ledger::RequestLimits;
use spina_core::{Conflict, ExpectedVersion};
use spina_log::{Lanes, Window, WriteError};
use spina_testkit::history::{self, Logged, Operation, Payload};
use spina_testkit::{Fault, MemoryLog};
use tokio::sync::oneshot;

use super::*;
use crate::decide::append::{NewEvent, Trace};
use crate::decide::lanes;

const SCHEMA: &str =
    r#"{"type": "record", "name": "Paid", "namespace": "test", "fields": [{"name": "cents", "type": "long"}]}"#;

type Answer = oneshot::Receiver<Vec<Outcome>>;

/// A partition without a process around it.
struct Owner {
    log: MemoryLog,
    ledger: Ledger,
    imprint: Imprint,
    paid: Arc<EventType>,
    number: u64,
}

impl Owner {
    fn new() -> Self {
        let shape = Arc::new(Shape::compile(SCHEMA).unwrap());
        let imprint = Imprint {
            events_topic: "test.events.v1".into(),
            replies_topic: "test.replies.v1".into(),
            partition: 0,
            source: "/spina/test".into(),
            epoch: 1,
            reply_type: Arc::new(ReplyType { schema_id: 2, shape: Arc::clone(&shape) }),
        };
        let paid = EventType {
            kind: TypeKind::Event,
            name: "Paid".to_owned(),
            ce_type: "test.account.Paid".to_owned(),
            aggregate: "account".to_owned(),
            schema_id: 1,
            shape,
        };
        let ledger = Ledger::new(RequestLimits { keys_max: 100, age_max_us: 1_000_000 });
        Self { log: MemoryLog::default(), ledger, imprint, paid: Arc::new(paid), number: 0 }
    }

    /// An append of one payment to `account-1`.
    fn payment(&self, id: &str, cents: i64, expected: ExpectedVersion) -> Append {
        let fields = json!({ "cents": cents });
        let avro = self.paid.shape.encode(fields.as_object().unwrap()).unwrap();
        let event = NewEvent {
            event_type: Arc::clone(&self.paid),
            id: id.to_owned(),
            time: Timestamp::default(),
            correlation_id: None,
            causation_id: None,
            value: frame(1, &avro).into(),
        };
        Append::new("account-1".parse().unwrap(), expected, None, vec![event], Trace::default())
    }

    /// Takes the appends into a new window.
    fn open(&mut self, appends: Vec<Append>) -> (OpenWindow, Vec<Answer>) {
        self.number += 1;
        let mut window = OpenWindow::new(self.number);
        let answers = appends.into_iter().map(|append| {
            let (submission, answer) = Submission::direct(vec![append], false);
            window.take(submission, &mut self.ledger, &self.imprint, Timestamp::default());
            answer
        });
        let answers = answers.collect();
        (window, answers)
    }

    /// Writes the window as its partition would, and answers if it committed.
    async fn write(&mut self, mut window: OpenWindow) -> Result<(), (OpenWindow, WriteError)> {
        let lane = self.log.open("lane").await.unwrap();
        let records = window.take_records();
        let tell = |offsets| window.staged = offsets;
        let written = lanes::write(lane, Window { records, consumed: None }, None, lanes::gates().0, tell).await;
        match written {
            Ok(()) => {
                let number = window.number;
                let settled = window.committed(0);
                self.ledger.commit(number, &settled.last_offsets, Timestamp::default());
                settled.answer(&self.ledger);
                Ok(())
            }
            Err(error) => {
                self.ledger.forget_uncommitted();
                Err((window, error))
            }
        }
    }
}

fn place(version: u64, offset: i64) -> Place {
    Place { first: Version(version), last: Version(version), partition: 0, offset }
}

/// The answer, if there is one by now.
fn answered(mut answer: Answer) -> Option<Outcome> {
    answer.try_recv().ok()?.pop()
}

#[tokio::test]
async fn appends_of_one_window_see_each_other_and_are_answered_after_the_commit() {
    let mut owner = Owner::new();
    let appends = vec![
        owner.payment("p1", 5, ExpectedVersion::NoStream),
        owner.payment("p2", 6, ExpectedVersion::Exact(Version(1))),
        owner.payment("p3", 7, ExpectedVersion::NoStream),
        owner.payment("p1", 5, ExpectedVersion::NoStream),
        owner.payment("p1", 99, ExpectedVersion::Any),
    ];
    let (window, mut answers) = owner.open(appends);
    for answer in &mut answers {
        assert!(answer.try_recv().is_err(), "answered before the commit");
    }
    owner.write(window).await.unwrap();
    let outcomes: Vec<Outcome> = answers.into_iter().map(|answer| answered(answer).unwrap()).collect();
    let conflict = Conflict { expected: ExpectedVersion::NoStream, current: Version(2) };
    let expected = [
        Outcome::Appended(place(1, 0)),
        Outcome::Appended(place(2, 1)),
        Outcome::Conflict(conflict),
        Outcome::Repeated(place(1, 0)),
        Outcome::KeyReused,
    ];
    assert_eq!(outcomes, expected);
    let versions = owner.log.committed("test.events.v1", 0);
    let versions: Vec<u64> = versions.iter().map(|record| Logged::read(record).unwrap().version).collect();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test]
async fn what_is_certain_is_answered_without_a_window() {
    let mut owner = Owner::new();
    let first = owner.payment("p1", 5, ExpectedVersion::NoStream);
    let (window, _) = owner.open(vec![first]);
    owner.write(window).await.unwrap();
    let appends =
        vec![owner.payment("p1", 5, ExpectedVersion::NoStream), owner.payment("p2", 5, ExpectedVersion::NoStream)];
    let (window, answers) = owner.open(appends);
    assert!(window.is_empty());
    let outcomes: Vec<Outcome> = answers.into_iter().map(|answer| answered(answer).unwrap()).collect();
    let conflict = Conflict { expected: ExpectedVersion::NoStream, current: Version(1) };
    assert_eq!(outcomes, [Outcome::Repeated(place(1, 0)), Outcome::Conflict(conflict)]);
}

#[tokio::test]
async fn a_lost_window_answers_nobody_and_is_judged_again() {
    let mut owner = Owner::new();
    owner.log.fail(1, Fault::CommitAborted);
    let append = owner.payment("p1", 5, ExpectedVersion::NoStream);
    let (window, mut answers) = owner.open(vec![append]);
    let (window, _) = owner.write(window).await.unwrap_err();
    assert!(answers[0].try_recv().is_err(), "answered without a commit");
    let (number, mut again) = (owner.number + 1, OpenWindow::new(owner.number + 1));
    owner.number = number;
    for submission in window.lost() {
        again.take(submission, &mut owner.ledger, &owner.imprint, Timestamp::default());
    }
    owner.write(again).await.unwrap();
    assert_eq!(answered(answers.remove(0)), Some(Outcome::Appended(place(1, 2))));
}

#[tokio::test]
async fn a_long_history_with_faults_keeps_the_invariants() {
    let mut owner = Owner::new();
    let (mut operations, mut lost) = (Vec::new(), 0);
    for round in 0..200_u64 {
        let fault = [Fault::StageAborted, Fault::CommitAborted, Fault::FencedAtStage];
        if round % 7 == 3 {
            owner.log.fail(owner.log.transactions() + 1, fault[lost % fault.len()]);
        }
        let ids: Vec<String> = (0..round % 5 + 1).map(|n| format!("{round}-{n}")).collect();
        let appends = ids.iter().map(|id| owner.payment(id, round.cast_signed(), ExpectedVersion::Any)).collect();
        let (window, answers) = owner.open(appends);
        lost += usize::from(owner.write(window).await.is_err());
        for (id, answer) in ids.into_iter().zip(answers) {
            let append = owner.payment(&id, round.cast_signed(), ExpectedVersion::Any);
            let outcome = match answered(answer) {
                Some(Outcome::Appended(place)) => history::Outcome::Ok(Some(history::Place {
                    first: place.first.0,
                    last: place.last.0,
                    partition: place.partition,
                    offset: place.offset,
                })),
                other => {
                    assert_eq!(other, None);
                    history::Outcome::Failed
                }
            };
            let hash = history::payload_hash("test.account.Paid", &append.events[0].value);
            operations.push(Operation {
                stream: "account-1".to_owned(),
                expected: ExpectedVersion::Any,
                request: None,
                events: vec![Payload { id, hash }],
                invoked: round * 10,
                completed: round * 10 + 5,
                outcome,
            });
        }
    }
    let log = owner.log.committed("test.events.v1", 0);
    let log: Vec<Logged> = log.iter().map(|record| Logged::read(record).unwrap()).collect();
    let report = history::check(&operations, &log);
    assert!(report.is_clean(), "{:#?}", report.violations);
    assert!(lost > 20 && log.len() > 400, "{lost} windows lost, {} events", log.len());
}
