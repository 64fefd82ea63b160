//! An append on its way through a partition, and what becomes of it.

use std::sync::Arc;

use bytes::Bytes;
use spina_codec::catalog::EventType;
use spina_core::ledger::{self, Ask};
use spina_core::{Conflict, ExpectedVersion, Rejection, StreamId, StreamKey, Timestamp, Version};
use tokio::sync::oneshot;

use super::command::{self, Intent};
use super::queue::Room;

/// Bytes counted for a submission beside what it holds: its struct, that of an append or an intent, and their strings.
const SUBMISSION_BYTES: usize = 800;
/// Bytes counted for an event beside its value: its struct and strings.
const EVENT_BYTES: usize = 300;

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
    /// The answer, where deciding a command led to no events.
    answer: Option<Outcome>,
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
        Self { stream, request_id, events, trace, ask, answer: None }
    }

    /// The events that a command led to at a version of its stream.
    pub fn decided(intent: &Intent, version: Version, events: Vec<NewEvent>) -> Self {
        let ask = Ask { expected: ExpectedVersion::Exact(version), ..intent.ask(events.len()) };
        Self { events, ..Self::recalled(intent) }.asking(ask)
    }

    /// A command that the ledger refuses, or knows the answer of.
    pub fn recalled(intent: &Intent) -> Self {
        Self {
            stream: intent.stream.clone(),
            request_id: intent.request_id.clone(),
            events: Vec::new(),
            trace: intent.trace.clone(),
            ask: intent.ask(1),
            answer: None,
        }
    }

    /// A command that was decided and led to no events.
    pub fn answered(intent: &Intent, answer: Outcome) -> Self {
        Self::recalled(intent).answering(answer)
    }

    fn answering(self, answer: Outcome) -> Self {
        Self { answer: Some(answer), ..self }
    }

    /// The same append, if the stream is exactly at this version.
    #[must_use]
    pub fn at(self, version: Version) -> Self {
        let ask = Ask { expected: ExpectedVersion::Exact(version), ..self.ask };
        self.asking(ask)
    }

    fn asking(self, ask: Ask) -> Self {
        Self { ask, ..self }
    }

    /// The answer, where there is nothing to append.
    pub fn answer(&self) -> Option<&Outcome> {
        self.answer.as_ref()
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
    /// The domain says no. Nothing was stored.
    Rejected(Rejection),
    /// Another stream holds a unique value. Nothing was stored.
    ValueTaken(ValueTaken),
    /// The command led to no events; the stream is at this version.
    Nothing(Version),
    /// Nothing was stored and nothing will be; try again.
    Unavailable(&'static str),
    /// The transaction's end is not known. Repeating the request with the same key will tell.
    Unknown,
}

/// A unique value that is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of `{field}` is that of `{holder}` already; nothing was stored")]
pub struct ValueTaken {
    /// The unique field.
    pub field: String,
    /// The stream that holds it.
    pub holder: StreamId,
}

impl ValueTaken {
    /// What it is called, for programs.
    pub const ERROR_CODE: &str = "state.value_taken";
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
    /// The appends; of a command, once it is decided.
    pub appends: Vec<Append>,
    /// The command to decide, if it is one.
    pub intent: Option<Box<Intent>>,
    /// Closes the window at once.
    pub priority: bool,
    /// The command record they came from, if they came through the commands topic: always a single append.
    pub command: Option<Command>,
    /// Whether it was looked for its events already, and they are not there.
    pub looked: bool,
    /// How often its window was lost.
    pub attempts: u8,
    /// It was judged beforehand, on what the owner knew in this lineage: as long as the log was not read back.
    pub only_in: Option<u64>,
    /// Takes one outcome for each append.
    pub answer: Option<oneshot::Sender<Vec<Outcome>>>,
    /// Its part of what may wait.
    pub room: Option<Room>,
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
        let answer = Some(answer);
        (
            Self {
                appends,
                priority,
                intent: None,
                command: None,
                looked: false,
                attempts: 0,
                only_in: None,
                answer,
                room: None,
            },
            outcomes,
        )
    }

    /// A command over HTTP, and where its outcome will arrive.
    pub fn to_decide(intent: Intent) -> (Self, oneshot::Receiver<Vec<Outcome>>) {
        let (submission, outcomes) = Self::direct(Vec::new(), false);
        (Self { intent: Some(Box::new(intent)), ..submission }, outcomes)
    }

    /// A record of the commands topic, and what it asks for.
    pub fn published(command: Command, appends: Vec<Append>, intent: Option<Box<Intent>>) -> Self {
        let command = Some(command);
        Self {
            appends,
            intent,
            priority: false,
            command,
            looked: false,
            attempts: 0,
            only_in: None,
            answer: None,
            room: None,
        }
    }

    /// A record of the commands topic that was looked for; it has an answer if it was there.
    pub fn looked_for(self, found: Option<Outcome>) -> Self {
        let Some(answer) = found else { return Self { looked: true, ..self } };
        let intent = self.intent.map(|intent| Append::recalled(&intent));
        let appends = intent.into_iter().chain(self.appends).map(|append| append.answering(answer.clone())).collect();
        Self { appends, intent: None, ..self }
    }

    /// Whether both append to a stream.
    pub fn shares_stream(&self, other: &Self) -> bool {
        self.streams().any(|one| other.streams().any(|two| one == two))
    }

    fn streams(&self) -> impl Iterator<Item = &StreamId> {
        self.appends.iter().map(|append| &append.stream).chain(self.intent.iter().map(|intent| &intent.stream))
    }

    /// The idempotency key of what may be judged only as long as the log was not read back.
    pub fn request(&self) -> Option<StreamKey> {
        let intent = || self.intent.as_ref().map(|intent| &intent.request_id);
        self.appends.first().map(|append| &append.request_id).or_else(intent).map(|request| StreamKey::of(request))
    }

    /// Bytes of the events' values.
    pub fn bytes(&self) -> usize {
        self.appends.iter().map(Append::bytes).sum()
    }

    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let events: usize = self.appends.iter().map(|append| append.events.len()).sum();
        let key = self.command.as_ref().map_or(0, |command| command.key.len());
        let intent = self.intent.as_ref().map_or(0, |intent| command::weight(&intent.data));
        SUBMISSION_BYTES + key + intent + self.bytes() + events * EVENT_BYTES
    }

    /// Ends it with the same outcome for all of its appends.
    pub fn finish(self, outcome: &Outcome) {
        let answers = self.appends.len().max(usize::from(self.intent.is_some()));
        let outcomes = vec![outcome.clone(); answers];
        self.answer_with(outcomes);
    }

    /// Ends it. Nobody listening any more is no error: the client may be gone.
    pub fn answer_with(self, outcomes: Vec<Outcome>) {
        if let Some(answer) = self.answer {
            let _gone = answer.send(outcomes);
        }
    }
}
