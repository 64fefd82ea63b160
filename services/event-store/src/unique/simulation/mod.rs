//! Unique values in simulated worlds: real courses and terms, on a log in memory that fences as the broker does. Anybody may
//! stop between any two steps; owners crash, freeze, are succeeded and come back, read back, answer from what they last knew.
//!
//! Streams lie in one partition, whose owners come and go. Claims are written at exact versions, as a log with one writer
//! does; what is read of them may be old, and answers get lost.

mod owner;
mod tests;

use std::collections::BTreeMap;

use spina_core::{StreamId, Version};

use self::owner::{Entry, Owner};
use super::attempt::became;
use super::course::{Claim, Course, End, Heard, Standing, Step};
use super::term::{Fate, Running};
use crate::decide::append::{Outcome, Place};
use crate::decide::simulation::rng::Rng;

const STREAMS: u64 = 4;
const VALUES: u64 = 3;
const TICKS: u64 = 500;
const ACTORS_MAX: usize = 6;

/// What is done wrong on purpose, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// An attempt of another term counts as over without proof.
    NoProof,
    /// What was judged before the log was read back is judged again as if nothing had been.
    LineageIgnored,
    /// An attempt counts as over when nobody looks after it any more.
    DroppedIsOver,
    /// A repeat is taken for an append of long ago.
    RepeatIsOld,
}

/// Where an attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// It is about to do the next step of its course.
    Course,
    /// An owner is asked whether a stream holds a value, and has looked once.
    Fate { owner: usize, value: StreamId, found: Claim },
    /// It has found that the attempt is over, and is about to look again.
    Again { owner: usize, value: StreamId, holder: StreamId },
    /// Its events wait for a window.
    Queued,
    /// Their window was lost.
    Lost,
    /// It has come to its end.
    Done,
}

struct Actor {
    owner: usize,
    stream: u64,
    value: Option<u64>,
    lineage: u64,
    version: u64,
    name: String,
    course: Course,
    /// Missing once it is ended or nobody looks after it.
    running: Option<Running>,
    stage: Stage,
}

/// What happened in a world.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Appends in the log.
    pub appended: usize,
    /// Appends that lost against a holder.
    pub taken: usize,
    /// Claims that were taken over from an append that came to nothing.
    pub taken_over: usize,
    /// What must not be.
    pub wrong: Vec<String>,
}

struct World {
    rng: Rng,
    flaw: Option<Flaw>,
    owners: Vec<Owner>,
    opened: u64,
    log: Vec<Entry>,
    /// What each claim was, version by version.
    claims: BTreeMap<StreamId, Vec<Option<Claim>>>,
    actors: Vec<Actor>,
    seen: Seen,
}

/// Lives through the world of a seed.
pub fn run(seed: u64, flaw: Option<Flaw>) -> Seen {
    let rng = Rng::new(seed, 14);
    let (owners, log, claims, actors) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
    let mut world = World { rng, flaw, owners, opened: 0, log, claims, actors, seen: Seen::default() };
    world.take_over();
    for _ in 0..TICKS {
        world.tick();
    }
    world.end();
    world.seen
}

fn stream(number: u64) -> StreamId {
    format!("customer-{number}").parse().unwrap()
}

fn claim(value: u64) -> StreamId {
    format!("unique_customer-email-{value}").parse().unwrap()
}

fn claims(value: Option<u64>) -> BTreeMap<StreamId, String> {
    value.map(|value| (claim(value), "email".to_owned())).into_iter().collect()
}

impl World {
    fn tick(&mut self) {
        let owner = usize::try_from(self.rng.below(self.owners.len() as u64)).unwrap();
        match self.rng.below(100) {
            0 => self.take_over(),
            1 => self.crash(owner),
            2 if self.owners[owner].alive => self.read_back(owner),
            3 if !self.actors.is_empty() => {
                let actor = self.some_actor();
                self.actors[actor].running = None;
            }
            4..15 if self.actors.len() < ACTORS_MAX => {
                let (stream, value) = (self.rng.below(STREAMS), self.rng.below(VALUES + 1));
                self.begin(owner, stream, (value < VALUES).then_some(value));
            }
            _ if self.actors.is_empty() => {}
            _ => {
                let actor = self.some_actor();
                self.go_on(actor);
            }
        }
        self.actors.retain(|actor| actor.stage != Stage::Done);
    }

    fn some_actor(&mut self) -> usize {
        usize::try_from(self.rng.below(self.actors.len() as u64)).unwrap()
    }

    fn begin(&mut self, owner: usize, stream_number: u64, value: Option<u64>) {
        let in_line = |actor: &Actor| actor.owner == owner && actor.stream == stream_number && actor.running.is_some();
        if !self.owners[owner].alive || self.actors.iter().any(in_line) {
            return;
        }
        let Owner { term, view, .. } = &self.owners[owner];
        let (version, before) = owner::state(&self.log[..*view], stream_number);
        let lineage = term.lineage();
        let running = term.begin(lineage);
        let own = Claim { holder: stream(stream_number), attempt: running.name.clone() };
        let course = Course::new(own, &claims(before), &claims(value));
        let (name, stage) = (running.name.clone(), Stage::Course);
        let (stream, running) = (stream_number, Some(running));
        self.actors.push(Actor { owner, stream, value, lineage, version, name, course, running, stage });
    }

    /// One more step of an attempt. One that nobody looks after goes on only where the owner has it in hand.
    fn go_on(&mut self, actor: usize) {
        let deaf = self.actors[actor].running.is_none();
        match self.actors[actor].stage.clone() {
            Stage::Course | Stage::Fate { .. } | Stage::Again { .. } if deaf => self.actors[actor].stage = Stage::Done,
            Stage::Course => self.step(actor),
            Stage::Fate { owner, value, found } => self.fate(actor, owner, value, found),
            Stage::Again { owner, value, holder } => {
                let holds = self.has(owner, &holder, &value);
                self.seen.taken_over += usize::from(!holds);
                self.heard(actor, if holds { Heard::Holds } else { Heard::Gone });
            }
            Stage::Queued => self.judge(actor),
            Stage::Lost => self.judge_again(actor),
            Stage::Done => {}
        }
    }

    fn step(&mut self, actor: usize) {
        match self.actors[actor].course.step() {
            Step::Append => self.actors[actor].stage = Stage::Queued,
            Step::Look(claim) => {
                let standing = self.standing(&claim);
                self.answered(actor, Heard::Stands(standing));
            }
            Step::Write(claim, at, claimed) => {
                let versions = self.claims.entry(claim.clone()).or_default();
                if versions.len() as u64 == at.0 && !self.rng.percent(5) {
                    versions.push(claimed);
                    self.answered(actor, Heard::Written);
                } else {
                    let standing = self.standing(&claim);
                    self.answered(actor, Heard::Stands(standing));
                }
            }
            Step::Ask(value, found) => {
                let owner = self.believed_owner();
                if !self.owners[owner].alive {
                    self.heard(actor, Heard::Nothing);
                } else if self.has(owner, &found.holder, &value) {
                    self.answered(actor, Heard::Holds);
                } else {
                    self.actors[actor].stage = Stage::Fate { owner, value, found };
                }
            }
            Step::End(end) => self.ended(actor, end),
        }
    }

    /// The newest as a rule, else anybody who thinks to be it.
    fn believed_owner(&mut self) -> usize {
        let any = usize::try_from(self.rng.below(self.owners.len() as u64)).unwrap();
        let newest = self.owners.iter().position(|owner| owner.opened == self.opened);
        if self.rng.percent(70) { newest.unwrap_or(any) } else { any }
    }

    /// How a claim stands, or stood a while ago.
    fn standing(&mut self, claim: &StreamId) -> Standing {
        let versions = self.claims.entry(claim.clone()).or_default();
        let length = versions.len() as u64;
        let seen = if self.rng.percent(10) { self.rng.below(length + 1) } else { length };
        let last = usize::try_from(seen).ok().and_then(|seen| versions[..seen].last()).cloned();
        Standing { version: Version(seen), claim: last.flatten() }
    }

    fn fate(&mut self, actor: usize, owner: usize, value: StreamId, found: Claim) {
        let Owner { alive, opened, ref term, .. } = self.owners[owner];
        if !alive {
            return self.heard(actor, Heard::Nothing);
        }
        let proved = opened == self.opened || self.flaw == Some(Flaw::NoProof);
        let over = match term.fate(&found.attempt) {
            Fate::Over => true,
            Fate::Running(alive) => self.flaw == Some(Flaw::DroppedIsOver) && alive.has_changed().is_err(),
            Fate::Of(earlier) => {
                if proved {
                    term.proved_over(earlier);
                }
                proved
            }
        };
        if over {
            self.actors[actor].stage = Stage::Again { owner, value, holder: found.holder };
        } else {
            self.heard(actor, Heard::Nothing);
        }
    }

    fn has(&self, owner: usize, holder: &StreamId, value: &StreamId) -> bool {
        let number: u64 = holder.key().parse().unwrap();
        let (_, state) = owner::state(&self.log[..self.owners[owner].view], number);
        state.is_some_and(|state| claim(state) == *value)
    }

    /// The owner judges events that wait, and writes them.
    fn judge(&mut self, actor: usize) {
        let Actor { owner, lineage, version, .. } = self.actors[actor];
        let Owner { alive, opened, ref term, view, .. } = self.owners[owner];
        if !alive {
            self.actors[actor].stage = Stage::Done;
            return;
        }
        let (current, _) = owner::state(&self.log[..view], self.actors[actor].stream);
        if (term.lineage() != lineage && self.flaw != Some(Flaw::LineageIgnored)) || current != version {
            return self.became(actor, &Outcome::Unavailable("stale"));
        }
        let fenced = opened != self.opened;
        if fenced && self.rng.percent(50) {
            // It learns that it has lost the partition.
            self.owners[owner].alive = false;
            return self.became(actor, &Outcome::Unknown);
        }
        if fenced || self.rng.percent(10) {
            // What the log has refused, or what nobody knows the end of.
            if !fenced && self.rng.percent(50) {
                self.write(actor);
            }
            self.read_back(owner);
            self.actors[actor].stage = Stage::Lost;
            return;
        }
        self.write(actor);
        self.owners[owner].view = self.log.len();
        let place = self.place(version);
        self.became(actor, &Outcome::Appended(place));
    }

    /// Events whose window was lost, after the log was read back.
    fn judge_again(&mut self, actor: usize) {
        let Actor { owner, version, ref name, .. } = self.actors[actor];
        if !self.owners[owner].alive {
            self.actors[actor].stage = Stage::Done;
        } else if self.log[..self.owners[owner].view].iter().any(|entry| entry.attempt == *name) {
            let place = self.place(version);
            self.became(actor, &Outcome::Repeated(place));
        } else if self.flaw == Some(Flaw::LineageIgnored) {
            self.actors[actor].stage = Stage::Queued;
        } else {
            self.became(actor, &Outcome::Unavailable("stale"));
        }
    }

    fn place(&self, version: u64) -> Place {
        let old = self.flaw == Some(Flaw::RepeatIsOld);
        let first = Version(version).plus(u64::from(!old));
        Place { first, last: first, partition: 0, offset: 0 }
    }

    fn write(&mut self, actor: usize) {
        let Actor { stream: number, value, ref name, .. } = self.actors[actor];
        self.log.push(Entry { stream: number, value, attempt: name.clone() });
        self.seen.appended += 1;
        for value in 0..VALUES {
            let holds = |number: &u64| owner::state(&self.log, *number).1 == Some(value);
            let holders: Vec<u64> = (0..STREAMS + VALUES).filter(holds).collect();
            let claimed = self.claims.get(&claim(value)).and_then(|versions| versions.last().cloned().flatten());
            let of_holder = |holder: &u64| claimed.as_ref().is_some_and(|claimed| claimed.holder == stream(*holder));
            if holders.len() > 1 || !holders.iter().all(of_holder) {
                self.seen.wrong.push(format!("value {value} is held by {holders:?}, claimed by {claimed:?}"));
            }
        }
    }

    fn became(&mut self, actor: usize, outcome: &Outcome) {
        let Actor { owner, version, lineage, .. } = self.actors[actor];
        let read_back = self.owners[owner].term.lineage() != lineage;
        self.heard(actor, became(outcome, Version(version), read_back));
    }

    /// An answer from afar may get lost.
    fn answered(&mut self, actor: usize, heard: Heard) {
        let lost = self.rng.percent(5);
        self.heard(actor, if lost { Heard::Nothing } else { heard });
    }

    fn heard(&mut self, actor: usize, heard: Heard) {
        let actor = &mut self.actors[actor];
        actor.stage = if actor.running.is_some() { Stage::Course } else { Stage::Done };
        actor.course.hear(heard);
    }

    fn ended(&mut self, actor: usize, end: End) {
        let Actor { owner, lineage, ref name, .. } = self.actors[actor];
        let is_in = self.log.iter().any(|entry| entry.attempt == *name);
        if end != End::Unknown && is_in != (end == End::In) {
            self.seen.wrong.push(format!("{name} ended as {end:?}, in the log: {is_in}"));
        }
        self.seen.taken += usize::from(matches!(end, End::Taken { .. }));
        let certain = end != End::Unknown || self.owners[owner].term.lineage() != lineage;
        if let Some(running) = self.actors[actor].running.take().filter(|_| certain) {
            running.ended();
        }
        self.actors[actor].stage = Stage::Done;
    }
}
