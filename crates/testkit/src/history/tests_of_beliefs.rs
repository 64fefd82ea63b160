//! Beliefs, commands and empty runs: what the checker says of each.

use spina_core::ExpectedVersion::{Any, Exact, NoStream, StreamExists};
use spina_core::Version;

use super::tests::{appended, broken_by};
use super::*;

/// A conflict on `a-1` that lasted from `invoked` to `completed`.
fn conflict(expected: ExpectedVersion, invoked: u64, completed: u64) -> Operation {
    let outcome = Outcome::Conflict;
    Operation { expected, invoked, completed, outcome, ..appended("a-1", 70, 1, 0, 0) }
}

#[test]
fn an_append_at_another_version_than_expected_is_caught() {
    for (expected, right) in
        [(Exact(Version(3)), true), (StreamExists, true), (Exact(Version(2)), false), (NoStream, false)]
    {
        let broken = broken_by(|history| history.operations[3].expected = expected);
        assert_eq!(broken.is_empty(), right, "{expected}");
        assert!(right || broken == [Invariant::I5], "{expected}: {broken:?}");
    }
}

#[test]
fn an_unknown_append_at_another_version_than_expected_is_caught() {
    let broken = broken_by(|history| {
        history.operations[3].expected = NoStream;
        history.operations[3].outcome = Outcome::Unknown;
    });
    assert_eq!(broken, [Invariant::I5]);
}

#[test]
fn a_retry_with_a_fresh_belief_may_be_the_one_that_was_stored() {
    let broken = broken_by(|history| {
        let first = history.operations[3].clone();
        history.operations[3].expected = NoStream;
        history.operations[3].outcome = Outcome::Unknown;
        history.operations.push(Operation { expected: Exact(Version(3)), invoked: 21, completed: 26, ..first });
    });
    assert_eq!(broken, []);
}

#[test]
fn a_conflict_with_what_was_true_during_the_whole_call_is_caught() {
    // Version 3 was acknowledged at 15, version 4 was sent at 20.
    for (expected, wrong) in
        [(Exact(Version(3)), true), (StreamExists, true), (Any, true), (Exact(Version(2)), false), (NoStream, false)]
    {
        let broken = broken_by(|history| history.operations.push(conflict(expected, 16, 19)));
        assert_eq!(broken, if wrong { vec![Invariant::I5] } else { vec![] }, "{expected}");
    }
    let unborn = broken_by(|history| {
        let operation = Operation { stream: "a-9".to_owned(), ..conflict(NoStream, 16, 19) };
        history.operations.push(operation);
    });
    assert_eq!(unborn, [Invariant::I5]);
}

#[test]
fn a_conflict_that_another_append_may_have_caused_is_sound() {
    for (invoked, completed) in [(16, 20), (16, 30), (14, 19)] {
        let broken = broken_by(|history| history.operations.push(conflict(Exact(Version(3)), invoked, completed)));
        assert_eq!(broken, [], "{invoked} to {completed}");
    }
}

/// Commands at offsets 0, 1, 2 of one partition, of which the first two are consumed and answered.
fn commands() -> Commands {
    Commands {
        sent: vec![(0, 0, "r0".to_owned()), (0, 1, "r1".to_owned()), (0, 2, "r2".to_owned())],
        consumed: [(0, 2)].into(),
        replies: vec!["r1".to_owned(), "r0".to_owned()],
    }
}

#[track_caller]
fn breaks_conservation(plant: impl FnOnce(&mut Commands)) -> usize {
    let mut commands = commands();
    plant(&mut commands);
    let report = conservation(&commands);
    assert!(report.violations.iter().all(|violation| violation.invariant == Invariant::I10));
    report.count
}

#[test]
fn consumed_commands_have_one_reply_each() {
    assert_eq!(breaks_conservation(|_| {}), 0);
    assert_eq!(breaks_conservation(|commands| drop(commands.replies.pop())), 1);
    assert_eq!(breaks_conservation(|commands| commands.replies.push("r0".to_owned())), 1);
    assert_eq!(breaks_conservation(|commands| commands.replies.push("r2".to_owned())), 1);
    assert_eq!(breaks_conservation(|commands| commands.replies.push("stranger".to_owned())), 1);
    assert_eq!(breaks_conservation(|commands| commands.consumed = [(0, 3)].into()), 1);
    assert_eq!(breaks_conservation(|commands| commands.consumed.clear()), 2);
}

#[test]
fn a_command_sent_twice_is_answered_twice() {
    let sent_again = |commands: &mut Commands| commands.sent[1].2 = "r0".to_owned();
    assert_eq!(breaks_conservation(sent_again), 2);
    assert_eq!(
        breaks_conservation(|commands| {
            sent_again(commands);
            commands.replies[0] = "r0".to_owned();
        }),
        0
    );
}

#[test]
fn a_run_in_which_too_little_succeeds_is_caught() {
    let operations: Vec<Operation> = (0..10).map(|n| appended("a-1", n + 1, 1, 0, n * 10)).collect();
    assert!(not_vacuous(&operations, &[0..50, 50..100], 5).is_clean());
    let report = not_vacuous(&operations, &[0..50, 50..94], 5);
    assert_eq!((report.count, report.violations[0].invariant), (1, Invariant::I15));
    let failed: Vec<Operation> =
        operations.into_iter().map(|operation| Operation { outcome: Outcome::Failed, ..operation }).collect();
    assert_eq!(not_vacuous(&failed, &[0..50, 50..100], 1).count, 2);
    assert_eq!(report.and(not_vacuous(&failed, &[0..50, 50..100], 1)).count, 3);
}
