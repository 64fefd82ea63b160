//! The checker of append histories: what clients did and were told, against what the log holds in the end.
//!
//! ```text
//! operations (invoked, answered) ─┐
//!                                 ├─▶ check ─▶ violations of I1-I7
//! final committed read ───────────┘
//! commands, offsets, replies ───────▶ conservation ─▶ violations of I10
//! ```
//!
//! | | invariant | broken when |
//! |---|---|---|
//! | I1 | gapless versions | a stream's versions are not 1 to n, in offset order, once each, in one partition |
//! | I2 | no acknowledged loss | an acknowledged append is not whole at the versions it was told, with the same payload |
//! | I3 | no duplicate | an event id, or a request, is in the log twice |
//! | I4 | no phantom | an event in the log belongs to a conflict, a rejection, a definite failure, or nobody |
//! | I5 | conflicts right both ways | accepted though the expected version was not there; a conflict though it was all the time |
//! | I6 | real time | A was acknowledged before B was invoked on the same stream, yet B has the lower version |
//! | I7 | stable retries | an acknowledged request got another answer later, or its key another payload |
//! | I10 | conservation | a consumed command has no reply or two, or there is a reply to no consumed command |
//! | I15 | not vacuous | too few operations succeeded while no fault was on |
//!
//! Pure, and linear in the number of operations and events.

mod check;
mod conflicts;
mod conservation;
mod index;
mod requests;
mod vacuity;
mod violation;

use spina_codec::headers::HeaderError;
use spina_codec::headers::read_event_headers;
use spina_core::ExpectedVersion;
use spina_core::ledger::event_fingerprint;
use spina_log::Fetched;

pub use check::{Report, check};
pub use conservation::{Commands, conservation};
pub use vacuity::not_vacuous;
pub use violation::{Invariant, Violation};

/// One append as its client saw it. Retries are operations of their own with the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The stream.
    pub stream: String,
    /// What the writer believed of the stream.
    pub expected: ExpectedVersion,
    /// Idempotency key, where it is not the first event's id.
    pub request: Option<String>,
    /// The events, in order.
    pub events: Vec<Payload>,
    /// When it was sent, in any unit of a clock that all clients share.
    pub invoked: u64,
    /// When its answer came, by the same clock; meaningless for [`Outcome::Unknown`].
    pub completed: u64,
    /// What the answer was.
    pub outcome: Outcome,
}

/// An event of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its id, as it was sent, or as the answer told where it was not.
    pub id: String,
    /// [`payload_hash`] of it.
    pub hash: u64,
}

/// The answer to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged; some answers do not tell where.
    Ok(Option<Place>),
    /// The stream was at another version.
    Conflict,
    /// Not valid, or not wanted.
    Rejected,
    /// Nothing was stored, for certain.
    Failed,
    /// No answer, or one that leaves it open.
    Unknown,
}

/// Where an acknowledged append is said to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Version of its first event.
    pub first: u64,
    /// Version of its last event.
    pub last: u64,
    /// Partition of the events topic.
    pub partition: i32,
    /// Offset of its last event.
    pub offset: i64,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The stream.
    pub stream: String,
    /// Its place in the stream.
    pub version: u64,
    /// Its id.
    pub id: String,
    /// The idempotency key it came with: the request's, or that of the append's first event.
    pub request: String,
    /// [`payload_hash`] of it.
    pub hash: u64,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// The hash by which payloads are compared: of the full event type (`flights.flight.FlightLanded`) and the framed value.
pub fn payload_hash(event_type: &str, value: &[u8]) -> u64 {
    event_fingerprint(event_type, value)
}

impl Logged {
    /// A record of an events topic.
    ///
    /// # Errors
    /// When its headers are not an event's.
    pub fn read(record: &Fetched) -> Result<Self, HeaderError> {
        let headers = read_event_headers(&record.headers, record.key.as_deref().unwrap_or_default())?;
        Ok(Self {
            version: headers.version.0,
            request: headers.request_key().to_owned(),
            hash: payload_hash(&headers.event_type, record.value.as_deref().unwrap_or_default()),
            stream: headers.stream.into(),
            id: headers.id,
            partition: record.partition,
            offset: record.offset,
        })
    }
}

impl Operation {
    /// Its idempotency key: the one that was sent, or its first event's id.
    pub fn request_key(&self) -> &str {
        let first = || self.events.first().map_or("", |event| event.id.as_str());
        self.request.as_deref().unwrap_or_else(first)
    }

    /// Whether both carry the same payload, whatever ids the events have.
    fn same_payload(&self, other: &Self) -> bool {
        self.stream == other.stream
            && self.events.len() == other.events.len()
            && self.events.iter().zip(&other.events).all(|(one, two)| one.hash == two.hash)
    }

    /// Whether its events may be in the log.
    fn may_be_logged(&self) -> bool {
        match self.outcome {
            Outcome::Ok(_) | Outcome::Unknown => true,
            Outcome::Conflict | Outcome::Rejected | Outcome::Failed => false,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_beliefs;
