//! A sound history passes; each planted violation is caught, under its own number.

use spina_core::Version;

use super::*;

/// An append of `events` to `stream` that was told to begin at version `first`, its last event at `offset`. It lasts from
/// `at` to `at + 5`, its request is `<stream>/<first>`, its events' ids `<request>/<n>`.
pub(super) fn appended(stream: &str, first: u64, events: u64, offset: i64, at: u64) -> Operation {
    let request = format!("{stream}/{first}");
    let payload = |n| Payload { id: format!("{request}/{n}"), hash: first * 100 + n };
    let place = Place { first, last: first + events - 1, partition: 0, offset };
    Operation {
        stream: stream.to_owned(),
        expected: ExpectedVersion::Any,
        events: (0..events).map(payload).collect(),
        request: Some(request),
        invoked: at,
        completed: at + 5,
        outcome: Outcome::Ok(Some(place)),
    }
}

/// What an acknowledged operation leaves in the log.
fn logged(operation: &Operation) -> Vec<Logged> {
    let Outcome::Ok(Some(place)) = operation.outcome else { return Vec::new() };
    let first_offset = place.offset - (place.last - place.first).cast_signed();
    let event = |(n, event): (usize, &Payload)| Logged {
        stream: operation.stream.clone(),
        version: place.first + n as u64,
        id: event.id.clone(),
        request: operation.request_key().to_owned(),
        hash: event.hash,
        partition: place.partition,
        offset: first_offset + n as i64,
    };
    operation.events.iter().enumerate().map(event).collect()
}

#[derive(Clone)]
pub(super) struct History {
    pub(super) operations: Vec<Operation>,
    pub(super) log: Vec<Logged>,
}

/// Two streams, three appends of the first; then a conflict, a failure, a rejection, and a retry that got its old answer.
fn sound() -> History {
    let operations = vec![
        appended("a-1", 1, 1, 0, 0),
        appended("a-2", 1, 2, 3, 2),
        appended("a-1", 2, 2, 6, 10),
        appended("a-1", 4, 1, 8, 20),
    ];
    let log = operations.iter().flat_map(logged).collect();
    let mut history = History { operations, log };
    for (n, outcome) in [Outcome::Conflict, Outcome::Rejected, Outcome::Failed].into_iter().enumerate() {
        let expected = ExpectedVersion::Exact(Version(89 + n as u64));
        history.operations.push(Operation { outcome, expected, ..appended("a-1", 90 + n as u64, 1, 0, 30) });
    }
    history.operations.push(Operation { invoked: 40, completed: 45, ..history.operations[2].clone() });
    history
}

/// The invariants that the history breaks after `plant` has changed it.
#[track_caller]
pub(super) fn broken_by(plant: impl FnOnce(&mut History)) -> Vec<Invariant> {
    let mut history = sound();
    plant(&mut history);
    let report = check(&history.operations, &history.log);
    assert_eq!(report.count, report.violations.len(), "a small history is described whole");
    let mut invariants: Vec<Invariant> = report.violations.into_iter().map(|violation| violation.invariant).collect();
    invariants.sort();
    invariants.dedup();
    invariants
}

#[test]
fn a_sound_history_passes() {
    assert_eq!(broken_by(|_| {}), []);
}

#[test]
fn unknown_may_be_there_or_not() {
    assert_eq!(broken_by(|history| history.operations[3].outcome = Outcome::Unknown), []);
    let lost = broken_by(|history| {
        history.operations[3].outcome = Outcome::Unknown;
        history.log.pop();
    });
    assert_eq!(lost, []);
}

#[test]
fn an_answer_that_does_not_tell_where_still_means_that_it_is_there() {
    assert_eq!(broken_by(|history| history.operations[1].outcome = Outcome::Ok(None)), []);
    let lost = broken_by(|history| {
        history.operations[1].outcome = Outcome::Ok(None);
        history.log.remove(2);
    });
    assert_eq!(lost, [Invariant::I2]);
}

#[test]
fn a_gap_a_repeated_version_and_a_wrong_order_are_caught() {
    for version in [3, 5] {
        let broken = broken_by(|history| {
            history.operations[3].outcome = Outcome::Unknown;
            history.log.last_mut().unwrap().version = version;
        });
        assert_eq!(broken, [Invariant::I1], "version {version}");
    }
    // Two events of a stream change places, as if their windows had been written in the wrong order.
    let swapped = broken_by(|history| {
        history.operations[2].outcome = Outcome::Ok(None);
        history.operations[7].outcome = Outcome::Ok(None);
        history.operations[3].outcome = Outcome::Ok(None);
        history.operations[3].invoked = 10;
        let (before, after) = history.log.split_at_mut(5);
        std::mem::swap(&mut before[4].offset, &mut after[0].offset);
        history.log.swap(4, 5);
    });
    assert_eq!(swapped, [Invariant::I1]);
}

#[test]
fn a_stream_in_two_partitions_and_offsets_that_go_back_are_caught() {
    let moved = broken_by(|history| {
        history.operations[3].outcome = Outcome::Ok(None);
        history.log.last_mut().unwrap().partition = 1;
    });
    assert_eq!(moved, [Invariant::I1]);
    let back = broken_by(|history| {
        history.operations[3].outcome = Outcome::Ok(None);
        history.log.last_mut().unwrap().offset = 5;
    });
    assert_eq!(back, [Invariant::I1]);
}

#[test]
fn acknowledged_loss_is_caught_whole_or_in_part() {
    assert_eq!(broken_by(|history| drop(history.log.pop())), [Invariant::I2]);
    assert_eq!(broken_by(|history| drop(history.log.remove(2))), [Invariant::I2]);
}

#[test]
fn another_payload_version_or_place_than_acknowledged_is_caught() {
    assert_eq!(broken_by(|history| history.log[0].hash += 1), [Invariant::I2]);
    assert_eq!(broken_by(|history| history.log[0].offset -= 1), [Invariant::I2]);
    let told = |change: fn(&mut Place)| {
        broken_by(|history| {
            if let Outcome::Ok(Some(place)) = &mut history.operations[3].outcome {
                change(place);
            }
        })
    };
    assert_eq!(told(|place| place.first -= 1), [Invariant::I2]);
    assert_eq!(told(|place| place.last += 1), [Invariant::I2]);
    assert_eq!(told(|place| place.partition += 1), [Invariant::I2]);
    assert_eq!(told(|place| place.offset += 1), [Invariant::I2]);
}

#[test]
fn an_append_torn_apart_by_another_is_caught() {
    let torn = broken_by(|history| {
        history.log[4].version = 4;
        history.log[5].version = 3;
        history.log.swap(4, 5);
        history.log[4].offset = 6;
        history.log[5].offset = 8;
        history.operations[2].outcome = Outcome::Ok(None);
        history.operations[3].outcome = Outcome::Ok(None);
        history.operations[3].invoked = 10;
        history.operations.truncate(7);
    });
    assert_eq!(torn, [Invariant::I2, Invariant::I3]);
}

#[test]
fn an_event_or_a_request_that_is_there_twice_is_caught() {
    let again = |event: &Logged| Logged { version: 5, offset: 20, ..event.clone() };
    assert_eq!(broken_by(|history| history.log.push(again(&history.log[5]))), [Invariant::I3]);
    // A retry after an unknown outcome that was stored a second time, with ids made anew by the server.
    let retried = broken_by(|history| {
        let first = history.operations[3].clone();
        history.operations[3].outcome = Outcome::Unknown;
        let mut retry = Operation { invoked: 50, completed: 55, outcome: Outcome::Ok(None), ..first };
        retry.events[0].id = "made-anew".to_owned();
        history.operations.push(retry);
        history.log.push(Logged { id: "made-anew".to_owned(), ..again(&history.log[5]) });
    });
    assert_eq!(retried, [Invariant::I3]);
}

#[test]
fn an_event_of_nobody_or_of_a_refused_append_is_caught() {
    let stray = |id: &str, request: &str| Logged {
        stream: "a-2".to_owned(),
        version: 3,
        id: id.to_owned(),
        request: request.to_owned(),
        hash: 0,
        partition: 0,
        offset: 20,
    };
    assert_eq!(broken_by(|history| history.log.push(stray("stranger", "stranger"))), [Invariant::I4]);
    for refused in 4..=6 {
        let broken = broken_by(|history| {
            let operation = &history.operations[refused];
            history.log.push(stray(&operation.events[0].id, operation.request_key()));
        });
        assert_eq!(broken, [Invariant::I4], "operation {refused}");
    }
}

#[test]
fn a_refused_append_may_succeed_when_it_is_sent_again() {
    let broken = broken_by(|history| {
        let refused = history.operations[4].clone();
        let place = Place { first: 5, last: 5, partition: 0, offset: 20 };
        let (expected, outcome) = (ExpectedVersion::Exact(Version(4)), Outcome::Ok(Some(place)));
        let retry = Operation { invoked: 60, completed: 65, expected, outcome, ..refused };
        history.log.extend(logged(&retry));
        history.operations.push(retry);
    });
    assert_eq!(broken, []);
}

#[test]
fn a_version_below_one_that_was_acknowledged_before_is_caught() {
    let late = broken_by(|history| {
        // Sent after version 4 was acknowledged at 25, and given version 2.
        history.operations[2].invoked = 30;
        history.operations[2].completed = 35;
    });
    assert_eq!(late, [Invariant::I6]);
    let unanswered = broken_by(|history| {
        history.operations[2].invoked = 30;
        history.operations[2].outcome = Outcome::Unknown;
        history.operations.truncate(7);
    });
    assert_eq!(unanswered, [Invariant::I6]);
    let acknowledged_by_a_retry = broken_by(|history| {
        // Version 2 was unknown, then acknowledged to a retry at 45; version 4 was sent after that.
        history.operations[2].outcome = Outcome::Unknown;
        history.operations[3].invoked = 50;
        history.operations[3].completed = 55;
        let first = history.operations[0].clone();
        history.operations[0] = Operation { invoked: 60, completed: 65, ..first };
    });
    assert_eq!(acknowledged_by_a_retry, [Invariant::I6]);
    let overlapping = broken_by(|history| {
        history.operations[2].invoked = 25;
        history.operations[2].completed = 45;
    });
    assert_eq!(overlapping, []);
}

#[test]
fn another_answer_to_the_same_request_is_caught() {
    for outcome in [Outcome::Conflict, Outcome::Rejected] {
        let expected = ExpectedVersion::Exact(Version(1));
        let broken = broken_by(|history| {
            history.operations[7] = Operation { outcome, expected, ..history.operations[7].clone() }
        });
        assert_eq!(broken, [Invariant::I7], "{outcome:?}");
    }
    let elsewhere = broken_by(|history| {
        let place = Place { first: 2, last: 3, partition: 0, offset: 99 };
        history.operations[7].outcome = Outcome::Ok(Some(place));
    });
    assert_eq!(elsewhere, [Invariant::I2, Invariant::I7]);
}

#[test]
fn another_payload_under_the_same_request_must_be_refused() {
    let other = |outcome| {
        move |history: &mut History| {
            history.operations[7].events[1] = Payload { id: "other".to_owned(), hash: 1 };
            history.operations[7].outcome = outcome;
        }
    };
    assert_eq!(broken_by(other(Outcome::Rejected)), []);
    assert!(broken_by(other(Outcome::Ok(None))).contains(&Invariant::I7));
}

#[test]
fn descriptions_are_limited_and_counted() {
    let mut history = sound();
    history.log = (0..1_000).map(|n| Logged { id: n.to_string(), ..history.log[0].clone() }).collect();
    let report = check(&history.operations, &history.log);
    assert!(report.count > 1_000 && report.violations.len() == 100 && !report.is_clean());
}
