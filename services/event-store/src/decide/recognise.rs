//! Requests that are remembered no more, recognised by their events.
//!
//! What is remembered is bounded. Beyond that an exact expected version still says where a request's events would stand,
//! had it been accepted: right behind that version. If the events there bear its key, it is a repeat and has the answer that
//! it had; under another payload the key was used before. What stands behind a version is certain once it is committed, so
//! the answer does not depend on when it is looked for.
//!
//! The look goes to tail and archive, never into a window: who asks over HTTP is told after the verdict, a record of the
//! commands topic is held back before it, since its reply is written with the verdict.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use spina_core::ledger::{Ask, Ledger, RequestLimits, Verdict};
use spina_core::planted::{self, Bug};
use spina_core::{StreamId, StreamKey, Version};
use spina_store::archive::Stored;
use tracing::warn;

use super::append::{Append, Outcome, Submission};
use super::command::{DECIDED_EVENTS_MAX, Intent};
use super::takeover;
use super::window::place;

/// Told while it cannot be looked.
const CANNOT_TELL: &str = "whether the request was stored before cannot be read at the moment";
/// Looks at a time for requests that were judged together.
const LOOKS_MAX: usize = 16;
/// One request, for as long as it takes to judge it.
const ONE: RequestLimits = RequestLimits { keys_max: 1, age_max_us: i64::MAX };

/// Reads at most so many committed events of a stream, from a version on; the error is for people.
pub type ReadOn = Arc<dyn Fn(StreamId, Version, u32) -> BoxFuture<'static, Result<Vec<Stored>, String>> + Send + Sync>;

/// Whether a request was accepted before.
#[derive(Debug)]
pub struct Question {
    stream: StreamId,
    request_id: String,
    ask: Ask,
    /// The version that its events would follow.
    after: Version,
    /// Most events that it can have led to.
    events_max: u32,
}

impl Question {
    /// Of an append; only an exact expected version says where to look.
    pub fn of_append(append: &Append) -> Option<Self> {
        let ask = *append.ask();
        Self::of(&append.stream, &append.request_id, ask, ask.events)
    }

    /// Of a command, which may have led to more events or fewer.
    pub fn of_intent(intent: &Intent) -> Option<Self> {
        let events_max = u32::try_from(DECIDED_EVENTS_MAX).unwrap_or(u32::MAX);
        Self::of(&intent.stream, &intent.request_id, intent.ask(1), events_max)
    }

    /// Of a record of the commands topic, if the stream is beyond what it expects and the ledger does not know it.
    pub fn of_record(submission: &Submission, ledger: &Ledger) -> Option<Self> {
        let first = submission.appends.first().filter(|append| append.answer().is_none());
        let intent = submission.intent.as_deref();
        let question = intent.and_then(Self::of_intent).or_else(|| first.and_then(Self::of_append))?;
        let remembered = ledger.knows(StreamKey::of(&question.request_id));
        (!remembered && question.is_open(ledger.committed(question.ask.stream))).then_some(question)
    }

    fn of(stream: &StreamId, request_id: &str, ask: Ask, events_max: u32) -> Option<Self> {
        let after = ask.expected.exact().filter(|_| !planted::is(Bug::OwnEventsUnrecognised))?;
        Some(Self { stream: stream.clone(), request_id: request_id.to_owned(), ask, after, events_max })
    }

    /// Whether a stream at this version has events where those of the request would be.
    fn is_open(&self, current: Version) -> bool {
        self.after < current
    }

    /// The answer that the request had, or why there is none; `None` if it was not accepted.
    pub async fn look(&self, read: &ReadOn) -> Option<Outcome> {
        // Nearly always another request's event stands there, and one is enough to see it.
        match self.events(read, 1).await {
            Ok(first) if self.is_own(&first[0]) => {}
            Ok(_) => return None,
            Err(cannot_tell) => return Some(cannot_tell),
        }
        match self.events(read, self.events_max.saturating_add(1)).await {
            Ok(events) => self.judge(&events),
            Err(cannot_tell) => Some(cannot_tell),
        }
    }

    /// What stands where the request's events would be: at least one event.
    async fn events(&self, read: &ReadOn, limit: u32) -> Result<Vec<Stored>, Outcome> {
        let from = self.after.plus(1);
        let why = match read(self.stream.clone(), from, limit).await {
            Ok(events) if events.first().is_some_and(|first| first.headers.version == from) => return Ok(events),
            Ok(_) => "it is not there".to_owned(),
            Err(error) => error,
        };
        warn!(stream = %self.stream, why, "cannot look for the events of a request");
        Err(Outcome::Unavailable(CANNOT_TELL))
    }

    fn is_own(&self, event: &Stored) -> bool {
        event.headers.request_key() == self.request_id
    }

    /// As the ledger would, had it not forgotten.
    fn judge(&self, events: &[Stored]) -> Option<Outcome> {
        let mut ledger = Ledger::new(ONE);
        let own = events.iter().take_while(|event| self.is_own(event));
        own.for_each(|event| takeover::learn_request(&mut ledger, event));
        match ledger.judge(0, &self.ask).verdict {
            Verdict::Repeat(known) => Some(Outcome::Repeated(place(&known, events[0].partition))),
            Verdict::KeyReused => Some(Outcome::KeyReused),
            Verdict::Accept { .. } | Verdict::Refuse(_) => None,
        }
    }
}

/// What the sender of a request is told, once it is judged: that a forgotten one conflicts is not the whole truth.
pub async fn told(outcome: Outcome, question: Option<Question>, read: &ReadOn) -> Outcome {
    match (&outcome, question) {
        (Outcome::Conflict(conflict), Some(question)) if question.is_open(conflict.current) => {
            question.look(read).await.unwrap_or(outcome)
        }
        _ => outcome,
    }
}

/// The same for requests that were judged together.
pub async fn all_told(outcomes: Vec<Outcome>, questions: Vec<Option<Question>>, read: &ReadOn) -> Vec<Outcome> {
    let told = outcomes.into_iter().zip(questions).map(|(outcome, question)| told(outcome, question, read));
    stream::iter(told).buffered(LOOKS_MAX).collect().await
}

#[cfg(test)]
mod tests;
