//! An append on its way through a partition, and what becomes of it.

use std::sync::Arc;

use bytes::Bytes;
use spina_codec::catalog::EventType;
use spina_core::ledger::{self, Ask};
use spina_core::{Conflict, ExpectedVersion, StreamId, StreamKey, Timestamp, Version};
use tokio::sync::oneshot;

/// An event that somebody wants recorded: valid, encoded, without a version yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its type.
    pub event_type: Arc<EventType>,
    /// Its unique id.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// The business transaction it belongs to.
    pub correlation_id: Option<String>,
    /// The event or command that led to it.
    pub causation_id: Option<String>,
    /// Confluent frame and Avro data.
    pub value: Bytes,
}

/// W3C trace context of the request that brought an append.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// `traceparent`.
    pub parent: Option<String>,
    /// `tracestate`.
    pub state: Option<String>,
}

/// Events for one stream: all of them or none, at versions that follow each other.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// Idempotency key; the first event's id where the writer gave none.
    pub request_id: String,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
    /// Trace of the request.
    pub trace: Trace,
    ask: Ask,
}

impl Append {
    /// An append of `events`, which must not be empty.
    pub fn new(
        stream: StreamId,
        expected: ExpectedVersion,
        request_id: Option<String>,
        events: Vec<NewEvent>,
        trace: Trace,
    ) -> Self {
        let request_id = request_id.unwrap_or_else(|| events[0].id.clone());
        let ask = Ask {
            stream: StreamKey::of(stream.as_str()),
            expected,
            request: Some(StreamKey::of(&request_id)),
            fingerprint: ledger::fingerprint(events.iter().map(|e| (e.event_type.ce_type.as_str(), e.value.as_ref()))),
            events: u32::try_from(events.len()).unwrap_or(u32::MAX),
        };
        Self { stream, request_id, events, trace, ask }
    }

    /// The append as the ledger sees it.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Bytes of its values.
    pub fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.value.len()).sum()
    }
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is committed.
    Appended(Place),
    /// It had been committed before; this is where.
    Repeated(Place),
    /// The stream is not at the expected version. Nothing was stored.
    Conflict(Conflict),
    /// The idempotency key belongs to a request with another payload. Nothing was stored.
    KeyReused,
    /// Nothing was stored and nothing will be; try again.
    Unavailable(&'static str),
    /// The transaction's end is not known. Repeating the request with the same key will tell.
    Unknown,
}

/// Where an append's events stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Version of the first event.
    pub first: Version,
    /// Version of the last event.
    pub last: Version,
    /// Partition of the events topic.
    pub partition: i32,
    /// Offset of the last event.
    pub offset: i64,
}

/// Appends that arrive together; they go into one window and are answered together, in order.
#[derive(Debug)]
pub struct Submission {
    /// The appends.
    pub appends: Vec<Append>,
    /// Closes the window at once.
    pub priority: bool,
    /// The command record they came from, if they came through the commands topic: always a single append.
    pub command: Option<Command>,
    /// How often its window was lost.
    pub attempts: u8,
    /// Takes one outcome for each append.
    pub answer: Option<oneshot::Sender<Vec<Outcome>>>,
}

/// A record of the commands topic, whose offset is committed in the same transaction.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its offset.
    pub offset: i64,
    /// Its key; empty if it has none.
    pub key: Bytes,
    /// Its idempotency key.
    pub request_id: String,
    /// Why it cannot even be judged. Such a command is answered and not appended.
    pub refusal: Option<Refusal>,
}

/// Why a command cannot be judged.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// For programs.
    pub error_code: String,
    /// For people.
    pub message: String,
}

impl Submission {
    /// Appends over HTTP, and where their outcomes will arrive.
    pub fn direct(appends: Vec<Append>, priority: bool) -> (Self, oneshot::Receiver<Vec<Outcome>>) {
        let (answer, outcomes) = oneshot::channel();
        (Self { appends, priority, command: None, attempts: 0, answer: Some(answer) }, outcomes)
    }

    /// Bytes of the events' values.
    pub fn bytes(&self) -> usize {
        self.appends.iter().map(Append::bytes).sum()
    }

    /// Ends it with the same outcome for all of its appends.
    pub fn finish(self, outcome: &Outcome) {
        let outcomes = vec![outcome.clone(); self.appends.len()];
        self.answer_with(outcomes);
    }

    /// Ends it. Nobody listening any more is no error: the client may be gone.
    pub fn answer_with(self, outcomes: Vec<Outcome>) {
        if let Some(answer) = self.answer {
            let _gone = answer.send(outcomes);
        }
    }
}
