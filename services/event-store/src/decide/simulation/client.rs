//! A client of a simulated world: appends, is told, and repeats what it does not know.

use std::rc::Rc;
use std::time::Duration;

use spina_core::{ExpectedVersion, Version};
use spina_testkit::history::{self, Operation, Payload};
use tokio::time::{sleep, timeout};

use super::World;
use super::process::Route;
use crate::decide::append::{Append, NewEvent, Outcome, Submission, Trace};
use crate::decide::recognise::{Question, all_told};

/// Requests of one client.
const REQUESTS: u64 = 8;
/// Tries of one request in calm weather before the partition counts as dead.
const TRIES_MAX: u32 = 60;

/// What a client wants, to be sent as often as it takes.
#[derive(Clone)]
pub struct Wish {
    /// The stream.
    pub stream: String,
    /// What the client believes of it.
    pub expected: ExpectedVersion,
    /// Its idempotency key, if not the first event's id.
    pub request: Option<String>,
    /// The events.
    pub events: Vec<NewEvent>,
}

impl Wish {
    /// Another payload for the same place.
    fn instead_of(self, wish: Self) -> Self {
        Self { events: self.events, ..wish }
    }

    /// As a partition takes it.
    pub fn append(&self) -> Append {
        let stream = self.stream.parse().expect("streams of the world have names");
        Append::new(stream, self.expected, self.request.clone(), self.events.clone(), Trace::default())
    }

    /// As the checker sees it.
    pub fn operation(&self, invoked: u64, completed: u64, outcome: history::Outcome) -> Operation {
        let payload = |event: &NewEvent| Payload {
            id: event.id.clone(),
            hash: history::payload_hash(&event.event_type.ce_type, &event.value),
        };
        Operation {
            stream: self.stream.clone(),
            expected: self.expected,
            request: self.request.clone(),
            events: self.events.iter().map(payload).collect(),
            invoked,
            completed,
            outcome,
        }
    }
}

/// Sends its requests one after the other.
pub async fn client(world: Rc<World>, me: u64) {
    let mut done: Vec<Wish> = Vec::new();
    for number in 0..REQUESTS {
        sleep(Duration::from_millis(world.chance(|rng| rng.below(25)))).await;
        match world.chance(|rng| rng.below(10)) {
            0 if !done.is_empty() => again(&world, &done).await,
            1 => together(&world, me, number).await,
            2 => {
                // Two connections with the same request at once.
                let wish = world.wish(&format!("{me}-{number}"));
                tokio::join!(insist(&world, std::slice::from_ref(&wish)), insist(&world, std::slice::from_ref(&wish)));
                done.push(wish);
            }
            _ => {
                let wish = world.wish(&format!("{me}-{number}"));
                insist(&world, std::slice::from_ref(&wish)).await;
                done.push(wish);
            }
        }
    }
}

/// Repeats an old request, or misuses its key.
async fn again(world: &Rc<World>, done: &[Wish]) {
    let mut wish = done[world.chance(|rng| rng.below(done.len() as u64)) as usize].clone();
    match world.chance(|rng| rng.below(4)) {
        0 => {
            let (key, other) = (wish.append().request_id, world.wish(&format!("other-{}", world.tick())));
            wish = Wish { request: Some(key), ..if world.forgetful { other.instead_of(wish) } else { other } };
        }
        1 if !world.forgetful => {
            let stream = world.streams[world.chance(|rng| rng.below(world.streams.len() as u64)) as usize].clone();
            wish.stream = stream;
        }
        _ => {}
    }
    insist(world, std::slice::from_ref(&wish)).await;
}

/// Several appends in one submission, as an import sends them.
async fn together(world: &Rc<World>, me: u64, number: u64) {
    let count = world.chance(|rng| 2 + rng.below(2));
    let wishes: Vec<Wish> = (0..count).map(|n| world.wish(&format!("{me}-{number}-{n}"))).collect();
    insist(world, &wishes).await;
}

/// Sends until every answer is known; sometimes gives up before.
async fn insist(world: &Rc<World>, wishes: &[Wish]) {
    let mut left: Vec<Wish> = wishes.to_vec();
    let mut calm_tries = 0;
    while !left.is_empty() {
        let Some(route) = world.route() else {
            sleep(Duration::from_millis(7)).await;
            continue;
        };
        let outcomes = send(world, &route, &left).await;
        let known =
            |outcome: &history::Outcome| !matches!(outcome, history::Outcome::Unknown | history::Outcome::Failed);
        let mut unknown = Vec::new();
        for (wish, outcome) in left.drain(..).zip(outcomes) {
            if !known(&outcome) {
                unknown.push(wish);
            }
        }
        left = unknown;
        calm_tries += u32::from(world.calm.get());
        if calm_tries > TRIES_MAX {
            world.complain("I14: a client gets no answer in calm weather");
            return;
        }
        if !left.is_empty() {
            if world.chance(|rng| rng.percent(15)) {
                return;
            }
            sleep(Duration::from_millis(world.chance(|rng| rng.below(40)))).await;
        }
    }
}

/// Sends once and records what the client was told.
async fn send(world: &Rc<World>, route: &Route, wishes: &[Wish]) -> Vec<history::Outcome> {
    let priority = world.chance(|rng| rng.percent(15));
    let patience = world.chance(|rng| if rng.percent(20) { 15 } else { 400 });
    let (submission, answer) = Submission::direct(wishes.iter().map(Wish::append).collect(), priority);
    let invoked = world.tick();
    let taken = route.queue.try_send(submission).is_ok();
    let answer = async { if taken { answer.await.unwrap_or_default() } else { Vec::new() } };
    let questions = wishes.iter().map(|wish| Question::of_append(&wish.append())).collect();
    let told = async { all_told(answer.await, questions, &world.reader()).await };
    let told = timeout(Duration::from_millis(patience), told).await.unwrap_or_default();
    let completed = world.tick();
    let silence = if taken { Outcome::Unknown } else { Outcome::Unavailable("not taken") };
    let told = told.into_iter().chain(std::iter::repeat(silence));
    let recorded = wishes.iter().zip(told).map(|(wish, told)| {
        let outcome = world.learn(wish, &told, route);
        world.operations.borrow_mut().push(wish.operation(invoked, completed, outcome));
        outcome
    });
    recorded.collect()
}

impl World {
    /// Something new to append, on a stream and with a belief of chance.
    pub fn wish(&self, name: &str) -> Wish {
        let stream = self.streams[self.chance(|rng| rng.below(self.streams.len() as u64)) as usize].clone();
        let known = self.known.borrow().get(&stream).copied().unwrap_or(0);
        let expected = match self.chance(|rng| rng.below(20)) {
            0..=6 | 18.. if self.forgetful => ExpectedVersion::Exact(Version(known)),
            0..=6 => ExpectedVersion::Any,
            7..=13 => ExpectedVersion::Exact(Version(known)),
            14 => ExpectedVersion::Exact(Version(known + 1)),
            15 => ExpectedVersion::Exact(Version(known.saturating_sub(1))),
            16 | 17 => ExpectedVersion::NoStream,
            _ => ExpectedVersion::StreamExists,
        };
        let count = self.chance(|rng| 1 + rng.below(3));
        let events = (0..count).map(|n| self.event(&format!("{name}/{n}"))).collect();
        let request = self.chance(|rng| rng.percent(50)).then(|| format!("key-{name}"));
        Wish { stream, expected, request, events }
    }

    /// What the checker makes of an answer; the client's own knowledge grows with it.
    fn learn(&self, wish: &Wish, told: &Outcome, route: &Route) -> history::Outcome {
        match told {
            Outcome::Appended(place) | Outcome::Repeated(place) => {
                self.know(&wish.stream, place.last.0);
                self.check_readable(wish, route);
                history::Outcome::Ok(Some(history::Place {
                    first: place.first.0,
                    last: place.last.0,
                    partition: place.partition,
                    offset: place.offset,
                }))
            }
            Outcome::Conflict(conflict) => {
                self.know(&wish.stream, conflict.current.0);
                history::Outcome::Conflict
            }
            Outcome::KeyReused | Outcome::Rejected(_) | Outcome::ValueTaken(_) | Outcome::Nothing(_) => {
                history::Outcome::Rejected
            }
            Outcome::Unavailable(_) => history::Outcome::Failed,
            Outcome::Unknown => history::Outcome::Unknown,
        }
    }

    fn know(&self, stream: &str, version: u64) {
        self.known.borrow_mut().insert(stream.to_owned(), version);
    }

    /// What was acknowledged is in the archive or in the tail of whoever acknowledged it.
    fn check_readable(&self, wish: &Wish, route: &Route) {
        let Some(last) = wish.events.last() else { return };
        let stream = wish.stream.parse().expect("streams of the world have names");
        let in_tail = route.tail.of_stream(&stream).events.iter().any(|event| event.headers.id == last.id);
        if self.archive.losses() == 0 && !in_tail && !self.archive.has(&last.id) {
            self.complain(&format!("event {} was acknowledged and cannot be read", last.id));
        }
    }
}
