//! Owners of the partition that the streams lie in, and its log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{STREAMS, Stage, VALUES, World, claim};
use crate::unique::course::{End, Step};
use crate::unique::term::{Running, Term};

/// An event: its stream has the value, or none, from then on.
pub struct Entry {
    pub stream: u64,
    pub value: Option<u64>,
    pub attempt: String,
}

/// Somebody who owns the partition, or believes to.
pub struct Owner {
    pub term: Arc<Term>,
    lineage: Arc<AtomicU64>,
    /// When it opened its lanes: the last who did is the only one whose windows commit.
    pub opened: u64,
    /// How much of the log it knows.
    pub view: usize,
    pub alive: bool,
}

/// Version and value of a stream.
pub fn state(log: &[Entry], stream: u64) -> (u64, Option<u64>) {
    let own = log.iter().filter(|entry| entry.stream == stream);
    own.fold((0, None), |(version, _), entry| (version + 1, entry.value))
}

impl World {
    /// A new owner fences whoever was there and reads the log. The other one need not notice.
    pub(super) fn take_over(&mut self) {
        self.opened += 1;
        let lineage = Arc::new(AtomicU64::new(0));
        let term = Arc::new(Term::new(Arc::clone(&lineage), 1));
        self.owners.push(Owner { term, lineage, opened: self.opened, view: self.log.len(), alive: true });
    }

    /// An owner that has lost a window opens its lanes anew, even if it has a successor.
    pub(super) fn read_back(&mut self, owner: usize) {
        self.opened += 1;
        let owner = &mut self.owners[owner];
        (owner.opened, owner.view) = (self.opened, self.log.len());
        owner.lineage.fetch_add(1, Ordering::SeqCst);
    }

    /// An owner is gone with everything that it had in hand.
    pub(super) fn crash(&mut self, owner: usize) {
        self.owners[owner].alive = false;
        self.actors.retain(|actor| actor.owner != owner);
        if self.owners.iter().all(|owner| !owner.alive) {
            self.take_over();
        }
    }

    /// The weather clears up: whoever wants a value gets it, or hears of a stream that has it.
    pub(super) fn end(&mut self) {
        for owner in 0..self.owners.len() {
            self.owners[owner].alive = false;
        }
        self.actors.clear();
        self.take_over();
        let owner = self.owners.len() - 1;
        for value in 0..VALUES {
            let end = self.wants(owner, value);
            let log = &self.log;
            let held = |holder: &str| state(log, holder.parse().unwrap()).1 == Some(value);
            let right = match &end {
                Some(End::In) => true,
                Some(End::Taken { holder, .. }) => held(holder.key()),
                Some(End::NotIn | End::Hindered | End::Unknown) | None => false,
            };
            if !right {
                let claim = self.claims.get(&claim(value)).and_then(|versions| versions.last().cloned());
                self.seen.wrong.push(format!("value {value} is lost: {end:?}, claim {claim:?}"));
            }
        }
    }

    /// A new stream wants a value, until it hears something certain.
    fn wants(&mut self, owner: usize, value: u64) -> Option<End> {
        for _ in 0..100 {
            self.begin(owner, STREAMS + value, Some(value));
            for _ in 0..100 {
                let end = self.actors[0].course.step();
                if let (Step::End(end), Stage::Course) = (end, self.actors[0].stage.clone()) {
                    self.actors[0].running.take().into_iter().for_each(Running::ended);
                    self.actors.clear();
                    if matches!(end, End::In | End::Taken { .. }) {
                        return Some(end);
                    }
                    break;
                }
                self.go_on(0);
            }
            self.actors.clear();
        }
        None
    }
}
