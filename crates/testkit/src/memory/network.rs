//! The way between writers and the log: requests take time, get lost, arrive late.
//!
//! ```text
//! lane ── request_ms ──▶ log ── answer_ms ──▶ lane
//!             └ Lost, Stray      └ AnswerLost
//! ```
//!
//! A request that was sent arrives although its sender may be gone by then: a killed owner's last words. What arrives for
//! a transaction that has ended is refused, as by brokers with transaction protocol v2.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spina_core::planted::{self, Bug};
use spina_log::{Window, WriteError};
use tokio::time::Instant;

use super::partition::Fate;
use super::{Inner, MemoryLog};

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A transactional id is opened.
    Open,
    /// A window is written.
    Stage,
    /// A transaction is to commit.
    Commit,
    /// A transaction is to abort.
    Abort,
    /// A partition is read.
    Read,
}

/// How a request fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journey {
    /// It arrives, and so does its answer.
    Through,
    /// It arrives and is refused.
    Refused,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// It never arrives.
    Lost,
    /// Its sender gives it up; then, this many milliseconds later, it arrives.
    Stray(u64),
    /// Opening only: what the id left open hangs for so many milliseconds before it is aborted.
    Hangs(u64),
}

/// How a request fares, and how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Milliseconds to the log.
    pub request_ms: u64,
    /// Milliseconds back, or until the sender gives up.
    pub answer_ms: u64,
    /// What happens on the way.
    pub journey: Journey,
}

/// Decides over each request in the order in which they are sent.
pub trait Network: Send {
    /// What becomes of the next one.
    fn passage(&mut self, request: Request) -> Passage;
}

/// What a request does when it arrives.
#[derive(Debug)]
pub(super) enum Effect {
    Write {
        window: Window,
    },
    End {
        fate: Fate,
    },
    /// A transaction that hung is aborted at last, whoever has its id now.
    Settle,
}

/// A request under way.
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) epoch: u64,
    pub(super) number: usize,
    pub(super) effect: Effect,
    pub(super) answer: Answer,
}

/// Takes the answer when the request arrives.
pub(super) type Answer = Arc<Mutex<Option<Result<Vec<i64>, WriteError>>>>;

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} for transaction {} of {}", self.effect, self.number, self.id)
    }
}

impl MemoryLog {
    /// From now on requests travel as `network` says. Needs a Tokio runtime with time.
    pub fn set_network(&self, network: impl Network + 'static) {
        self.lock().network = Some(Way(Box::new(network)));
    }

    pub(super) fn passage(&self, request: Request) -> Option<Passage> {
        self.lock().network.as_mut().map(|way| way.0.passage(request))
    }

    /// Sends a request on its way. `None` if its sender will not hear of it.
    pub(super) async fn send(&self, passage: Passage, sent: Sent) -> Option<Result<Vec<i64>, WriteError>> {
        let (there, back) = (Duration::from_millis(passage.request_ms), Duration::from_millis(passage.answer_ms));
        let answer = Arc::clone(&sent.answer);
        let now = Instant::now();
        match passage.journey {
            Journey::Through | Journey::Hangs(_) | Journey::AnswerLost => self.lock().arrives(now + there, sent),
            Journey::Stray(after) => {
                self.lock().arrives(now + there + back + Duration::from_millis(after), sent);
            }
            Journey::Lost | Journey::Refused => {}
        }
        tokio::time::sleep(there + back).await;
        drop(self.lock());
        let answered = matches!(passage.journey, Journey::Through | Journey::Hangs(_));
        let answer = answer.lock().expect("no holder of this lock panics").take();
        answer.filter(|_| answered)
    }
}

pub(super) struct Way(Box<dyn Network>);

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a network")
    }
}

impl Inner {
    pub(super) fn arrives(&mut self, at: Instant, sent: Sent) {
        self.sent += 1;
        self.under_way.insert((at, self.sent), sent);
    }

    /// Lets everything arrive that is due, in order.
    pub(super) fn deliver(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(first) = self.under_way.first_entry() {
            if first.key().0 > now {
                return;
            }
            let Sent { id, epoch, number, effect, answer } = first.remove();
            let result = match effect {
                Effect::Write { window } => self.write(&id, epoch, number, window),
                Effect::End { fate } => self.end(&id, epoch, number, fate).map(|()| Vec::new()),
                Effect::Settle => {
                    self.settle(number, Fate::Aborted);
                    Ok(Vec::new())
                }
            };
            *answer.lock().expect("no holder of this lock panics") = Some(result);
        }
    }

    /// Ends a transaction if it is still the one that is open.
    fn end(&mut self, id: &str, epoch: u64, number: usize, fate: Fate) -> Result<(), WriteError> {
        if planted::is(Bug::StrayEndHitsNextTransaction) && self.ids.get(id).is_some_and(|id| id.open.is_some()) {
            self.end_transaction(id, fate);
            return Ok(());
        }
        self.check_owner(id, epoch, fate == Fate::Committed)?;
        if self.ids.get(id).is_some_and(|id| id.open == Some(number)) {
            self.end_transaction(id, fate);
        }
        Ok(())
    }
}
