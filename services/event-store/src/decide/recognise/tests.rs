//! What the events behind an expected version say of a request.

use futures::FutureExt;
use spina_codec::catalog::{EventType, TypeKind};
use spina_codec::shape::Shape;
use spina_core::ledger::decided_event_id;
use spina_core::{Conflict, ExpectedVersion, Timestamp};

use super::*;
use crate::decide::append::{NewEvent, Place, Trace};
use crate::decide::samples::stored;

const SCHEMA: &str = r#"{"type": "record", "name": "Happened", "fields": []}"#;

/// An append of so many events under the key `k`, as the samples have them.
fn append(expected: ExpectedVersion, events: usize) -> Append {
    let event_type = Arc::new(EventType {
        kind: TypeKind::Event,
        name: "Happened".to_owned(),
        ce_type: "test.a.Happened".to_owned(),
        aggregate: "a".to_owned(),
        schema_id: 1,
        shape: Arc::new(Shape::compile(SCHEMA).unwrap()),
    });
    let event = |n| NewEvent {
        event_type: Arc::clone(&event_type),
        id: format!("e{n}"),
        time: Timestamp::default(),
        correlation_id: None,
        causation_id: None,
        value: bytes::Bytes::new(),
    };
    let events = (0..events).map(event).collect();
    Append::new("a-1".parse().unwrap(), expected, Some("k".to_owned()), events, Trace::default())
}

/// The stream's event at a version, of a request.
fn of_request(request: &str, version: u64) -> Stored {
    let mut event = stored("a-1", version, i64::try_from(version).unwrap() * 10);
    event.headers.request_id = Some(request.to_owned());
    event
}

fn holds(events: Vec<Stored>) -> ReadOn {
    Arc::new(move |_, from, limit| {
        let behind = events.iter().filter(|event| event.headers.version >= from).take(limit as usize).cloned();
        let read = Ok(behind.collect());
        async move { read }.boxed()
    })
}

/// What is told of an append of two events that conflicts with a stream at version 9.
async fn conflicting(expected: ExpectedVersion, events: usize, read: ReadOn) -> Outcome {
    let conflict = Outcome::Conflict(Conflict { expected, current: Version(9) });
    told(conflict, Question::of_append(&append(expected, events)), &read).await
}

fn stream() -> ReadOn {
    holds([(1, "x"), (2, "k"), (3, "k"), (4, "y")].map(|(version, request)| of_request(request, version)).into())
}

const AT_1: ExpectedVersion = ExpectedVersion::Exact(Version(1));

#[tokio::test]
async fn its_own_events_make_it_a_repeat_with_the_same_answer() {
    let place = Place { first: Version(2), last: Version(3), partition: 0, offset: 30 };
    assert_eq!(conflicting(AT_1, 2, stream()).await, Outcome::Repeated(place));
    let place = Place { first: Version(1), last: Version(1), partition: 0, offset: 10 };
    let first = holds(vec![of_request("k", 1), of_request("y", 2)]);
    assert_eq!(conflicting(ExpectedVersion::NoStream, 1, first).await, Outcome::Repeated(place));
}

#[tokio::test]
async fn another_payload_under_its_key_is_refused() {
    for events in [1, 3] {
        assert_eq!(conflicting(AT_1, events, stream()).await, Outcome::KeyReused, "{events}");
    }
}

#[tokio::test]
async fn events_of_others_leave_the_conflict_as_it_is() {
    let conflict = |expected| Outcome::Conflict(Conflict { expected, current: Version(9) });
    for expected in [0, 3].map(|version| ExpectedVersion::Exact(Version(version))) {
        assert_eq!(conflicting(expected, 2, stream()).await, conflict(expected));
    }
    let unread: ReadOn = Arc::new(|_, _, _| unreachable!("it says no version, or one that is not there yet"));
    for expected in [ExpectedVersion::Any, ExpectedVersion::StreamExists, ExpectedVersion::Exact(Version(10))] {
        assert_eq!(conflicting(expected, 2, Arc::clone(&unread)).await, conflict(expected));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_neither_repeat_nor_conflict() {
    let away: ReadOn = Arc::new(|_, _, _| async { Err("it is away".to_owned()) }.boxed());
    for read in [away, holds(Vec::new())] {
        assert_eq!(conflicting(AT_1, 2, read).await, Outcome::Unavailable(CANNOT_TELL));
    }
}

#[tokio::test]
async fn a_command_is_recognised_by_the_ids_of_its_events_however_many() {
    let intent = |fingerprint| Intent {
        stream: "a-1".parse().unwrap(),
        name: "Do".to_owned(),
        data: serde_json::Map::new(),
        fingerprint,
        request_id: "k".to_owned(),
        expected: AT_1,
        time: Timestamp::default(),
        correlation_id: None,
        trace: Trace::default(),
    };
    let mut events = vec![of_request("k", 2), of_request("k", 3), of_request("y", 4)];
    for (place, event) in events.iter_mut().take(2).enumerate() {
        event.headers.id = decided_event_id(StreamKey::of("k"), 7, place);
    }
    let read = holds(events);
    let place = Place { first: Version(2), last: Version(3), partition: 0, offset: 30 };
    let look = async |fingerprint| Question::of_intent(&intent(fingerprint)).unwrap().look(&read).await;
    assert_eq!(look(7).await, Some(Outcome::Repeated(place)));
    assert_eq!(look(8).await, Some(Outcome::KeyReused));
}
