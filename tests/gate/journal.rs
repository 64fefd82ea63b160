//! What a client sent and what it was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use spina_core::ExpectedVersion;
use spina_testkit::history::{Operation, Outcome};

use super::arena::Arena;
use super::event::Draft;
use super::send::Answered;

/// Pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(50);
/// A request that has no definite answer after so long is given up: no fault lasts that long.
const PATIENCE: Duration = Duration::from_secs(150);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Journal {
    /// What the client does.
    pub client: String,
    /// Every request with its answer.
    pub operations: Vec<Operation>,
    /// Requests by outcome.
    pub counts: BTreeMap<&'static str, u64>,
    /// When requests succeeded, by the arena's clock.
    pub successes: Vec<u64>,
    /// What must not be and needs no log to see it.
    pub surprises: Vec<String>,
}

/// An append on its way.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The stream.
    pub stream: String,
    /// Idempotency key, if it is not the first event's id.
    pub key: Option<String>,
    /// What is believed of the stream.
    pub expected: ExpectedVersion,
    /// The events.
    pub drafts: Vec<Draft>,
    body: String,
}

impl Ask {
    /// An append of events to a stream.
    pub fn new(
        stream: &str,
        key: Option<String>,
        expected: ExpectedVersion,
        drafts: Vec<Draft>,
        priority: bool,
    ) -> Self {
        let events: Vec<Value> = drafts.iter().map(Draft::json).collect();
        let body = json!({ "expected_version": expected, "events": events, "priority": priority }).to_string();
        Self { stream: stream.to_owned(), key, expected, drafts, body }
    }

    /// The same request for the journal.
    pub fn operation(&self, invoked: u64, completed: u64, outcome: Outcome) -> Operation {
        Operation {
            stream: self.stream.clone(),
            expected: self.expected,
            request: self.key.clone(),
            events: self.drafts.iter().map(|draft| draft.payload.clone()).collect(),
            invoked,
            completed,
            outcome,
        }
    }
}

impl Journal {
    /// An empty one.
    pub fn of(client: impl Into<String>) -> Self {
        Self { client: client.into(), ..Self::default() }
    }

    /// Sends once and writes down what came of it.
    pub async fn once(&mut self, arena: &Arena, node: usize, ask: &Ask) -> Answered {
        let (invoked, answered) = send(arena, node, ask).await;
        self.note(arena, ask, invoked, &answered);
        answered
    }

    /// Writes down an answer that came just now.
    pub fn note(&mut self, arena: &Arena, ask: &Ask, invoked: u64, answered: &Answered) {
        self.operations.push(ask.operation(invoked, arena.now_us(), answered.outcome));
        self.count(&answered.outcome, arena.now_us());
        if let Outcome::Ok(_) = answered.outcome {
            arena.acknowledge(arena.partition_of(&ask.stream), invoked, ask.drafts.len());
        }
    }

    /// Counts an outcome.
    pub fn count(&mut self, outcome: &Outcome, now: u64) {
        let name = match outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Conflict => "conflict",
            Outcome::Rejected => "rejected",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        };
        *self.counts.entry(name).or_default() += 1;
        if name == "ok" {
            self.successes.push(now);
        }
    }

    /// Sends until the answer is definite, first where the partition was served last. `None` if that never came.
    pub async fn settle(&mut self, arena: &Arena, ask: &Ask) -> Option<Answered> {
        let (begun, partition) = (tokio::time::Instant::now(), arena.partition_of(&ask.stream));
        while begun.elapsed() < PATIENCE {
            let node = arena.route(partition);
            let answered = self.once(arena, node, ask).await;
            match answered.outcome {
                Outcome::Ok(_) | Outcome::Conflict | Outcome::Rejected => return Some(answered),
                Outcome::Failed | Outcome::Unknown => {}
            }
            if answered.elsewhere {
                arena.reroute(partition, node);
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.surprises.push(format!("I14: {} had no definite answer in {PATIENCE:?}", self.client));
        None
    }
}

/// Sends, and says when.
pub async fn send(arena: &Arena, node: usize, ask: &Ask) -> (u64, Answered) {
    let invoked = arena.now_us();
    (invoked, arena.append(node, &ask.stream, ask.key.as_deref(), &ask.body, ask.drafts.len()).await)
}
