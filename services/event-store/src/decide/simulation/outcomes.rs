//! The four outcomes of a window, through the real owner and its recovery; and who goes before whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spina_core::ExpectedVersion;
use spina_log::names;
use spina_testkit::history::Logged;
use spina_testkit::{Fault, Journey, MemoryLog, Network, Passage, Request};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::client::Wish;
use super::{World, named};
use crate::decide::append::{Outcome, Submission};
use crate::decide::partition::{Ended, Partition};
use crate::decide::takeover::take_over;

/// A world in which nothing takes time.
fn still() -> World {
    World { log: MemoryLog::default(), ..World::new(0) }
}

fn wish(world: &World, stream: &str, id: &str) -> Wish {
    Wish { stream: stream.to_owned(), expected: ExpectedVersion::Any, request: None, events: vec![world.event(id)] }
}

/// Ids of the events in the log, in order.
fn logged(world: &World) -> Vec<String> {
    world.log.committed(&named(names::events_topic), 0).iter().map(|record| Logged::read(record).unwrap().id).collect()
}

/// What an append is told, what its repeat is told, how the owner ended, and the log.
async fn told(world: &World) -> (Outcome, Option<Outcome>, Ended, Vec<String>) {
    let equipment = world.equipment(1);
    let taken = take_over(&equipment).await.unwrap();
    let (queue, submissions) = mpsc::channel(8);
    let owner = Partition::new(equipment, taken, world.deciding(), submissions).run(CancellationToken::new());
    let client = async {
        let wish = wish(world, "account-1", "e");
        let mut told = Vec::new();
        for _ in 0..2 {
            let (submission, answer) = Submission::direct(vec![wish.append()], false);
            if queue.send(submission).await.is_ok() {
                told.extend(answer.await.unwrap_or_default());
            }
        }
        drop(queue);
        told.into_iter()
    };
    let (ended, mut told) = tokio::join!(owner, client);
    (told.next().unwrap(), told.next(), ended, logged(world))
}

#[tokio::test(start_paused = true)]
async fn a_committed_window_is_acknowledged_and_repeated() {
    let (first, again, ended, log) = told(&still()).await;
    let Outcome::Appended(place) = first else { panic!("{first:?}") };
    assert_eq!((again, ended, log), (Some(Outcome::Repeated(place)), Ended::Drained, vec!["e".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_aborted_window_is_written_again() {
    for fault in [Fault::StageAborted, Fault::CommitAborted] {
        let world = still();
        world.log.fail(1, fault);
        let (first, _, ended, log) = told(&world).await;
        assert!(matches!(first, Outcome::Appended(place) if place.first.0 == 1), "{fault:?}: {first:?}");
        assert_eq!((ended, log), (Ended::Drained, vec!["e".to_owned()]), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_aborted_again_and_again_is_refused() {
    let world = still();
    (1..=3).for_each(|number| world.log.fail(number, Fault::CommitAborted));
    let (first, again, _, log) = told(&world).await;
    assert!(matches!(first, Outcome::Unavailable(_)), "{first:?}");
    assert!(matches!(again, Some(Outcome::Appended(_))), "{again:?}");
    assert_eq!(log, ["e"]);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_owner_leaves_it_open_and_ends() {
    for fault in [Fault::FencedAtStage, Fault::FencedAtCommit] {
        let world = still();
        world.log.fail(1, fault);
        let (first, _, ended, log) = told(&world).await;
        assert_eq!((first, ended, log), (Outcome::Unknown, Ended::Lost, vec![]), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_window_that_committed_is_found_and_not_written_again() {
    let world = still();
    world.log.fail(1, Fault::UnknownCommitted);
    let (first, again, ended, log) = told(&world).await;
    let Outcome::Repeated(place) = first else { panic!("{first:?}") };
    assert_eq!((place.first.0, place.offset), (1, 0));
    assert_eq!((again, ended, log), (Some(Outcome::Repeated(place)), Ended::Drained, vec!["e".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_window_that_aborted_is_written_again() {
    let world = still();
    world.log.fail(1, Fault::UnknownAborted);
    let (first, _, ended, log) = told(&world).await;
    assert!(matches!(first, Outcome::Appended(place) if place.first.0 == 1), "{first:?}");
    assert_eq!((ended, log), (Ended::Drained, vec!["e".to_owned()]));
}

/// Loses the first commit; what it leaves behind hangs while the lanes are opened again.
struct Hanging(Arc<AtomicUsize>);

impl Network for Hanging {
    fn passage(&mut self, request: Request) -> Passage {
        let commits = self.0.fetch_add(usize::from(request == Request::Commit), Ordering::Relaxed);
        let journey = match request {
            Request::Commit if commits == 0 => Journey::Lost,
            Request::Open if commits == 1 => Journey::Hangs(3_000),
            _ => Journey::Through,
        };
        Passage { request_ms: 1, answer_ms: 1, journey }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_while_a_transaction_hangs() {
    let world = still();
    world.log.set_network(Hanging(Arc::default()));
    let begun = tokio::time::Instant::now();
    let (first, _, ended, log) = told(&world).await;
    assert!(matches!(first, Outcome::Appended(place) if place.first.0 == 1), "{first:?}");
    assert_eq!((ended, log), (Ended::Drained, vec!["e".to_owned()]));
    assert!(begun.elapsed().as_millis() >= 3_000, "it waited {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn priority_goes_before_all_that_waits_except_its_own_stream() {
    let world = still();
    let equipment = world.equipment(1);
    let taken = take_over(&equipment).await.unwrap();
    let (queue, submissions) = mpsc::channel(64);
    let plain = (0..20).map(|n| (wish(&world, &format!("account-{n}"), &format!("plain-{n}")), false));
    let urgent = [(wish(&world, "account-99", "urgent"), true), (wish(&world, "account-7", "urgent-7"), true)];
    let mut answers = Vec::new();
    for (wish, priority) in plain.chain(urgent) {
        let (submission, answer) = Submission::direct(vec![wish.append()], priority);
        queue.send(submission).await.unwrap();
        answers.push(answer);
    }
    drop(queue);
    let ended = Partition::new(equipment, taken, world.deciding(), submissions).run(CancellationToken::new()).await;
    assert_eq!(ended, Ended::Drained);
    let log = logged(&world);
    let at = |id: &str| log.iter().position(|logged| logged == id).unwrap();
    assert_eq!(at("urgent"), 0);
    assert!(at("urgent-7") > at("plain-7") && at("urgent-7") < at("plain-16"), "{log:?}");
}
