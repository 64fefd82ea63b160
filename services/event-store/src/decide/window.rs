//! A window: what one transaction carries.
//!
//! Filling a window is pure: submissions are judged one after the other against the ledger, accepted events become
//! records with versions, and each append gets a seat that says what its answer will be once the window's fate is known.

use std::sync::Arc;

use bytes::Bytes;
use spina_codec::headers::write_event_headers;
use spina_core::ledger::{Judged, Ledger, Remembered, Verdict};
use spina_core::planted::{self, Bug};
use spina_core::{EventHeaders, StreamKey, Timestamp, Version};
use spina_log::NewRecord;
use spina_store::archive::Stored;

use super::append::{Append, Outcome, Place, Submission};
use super::confirm::Look;
use super::reply::{Reply, ReplyType};

/// What the records of a partition have in common.
#[derive(Debug, Clone)]
pub struct Imprint {
    /// The events topic.
    pub events_topic: Arc<str>,
    /// The replies topic.
    pub replies_topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// `ce_source`.
    pub source: Arc<str>,
    /// The owner's epoch.
    pub epoch: u64,
    /// How replies are encoded.
    pub reply_type: Arc<ReplyType>,
}

/// The answer of one append, as far as it is known while its window is open.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seat {
    /// Accepted: its last event is record `last_record` of the window.
    Accepted { first: Version, last: Version, last_record: usize },
    /// The answer is known and does not depend on this window's records.
    Known(Outcome),
    /// Repeats a request whose transaction is in flight, possibly this one.
    RepeatsUncommitted { request: StreamKey, known: Remembered },
}

/// A window with everything it needs to be written and answered.
#[derive(Debug)]
pub struct OpenWindow {
    /// Numbers grow by one from window to window of a partition.
    pub number: u64,
    records: Vec<NewRecord>,
    replies: Vec<NewRecord>,
    /// The events among its records, offsets still missing.
    events: Vec<Stored>,
    /// The highest command offset in the window, plus one.
    pub commands_next_offset: Option<i64>,
    /// Offsets of its records in the order of [`take_records`](Self::take_records), once they are staged.
    pub staged: Vec<i64>,
    /// Whether it tells a writer who is ahead that it is wrong, which needs a proof that nobody else has written.
    pub doubtful: bool,
    /// That proof, if it was looked for in the log.
    pub look: Option<Look>,
    bytes: usize,
    seats: Vec<(Submission, Vec<Seat>)>,
}

impl OpenWindow {
    /// An empty window.
    pub fn new(number: u64) -> Self {
        Self {
            number,
            records: Vec::new(),
            replies: Vec::new(),
            events: Vec::new(),
            commands_next_offset: None,
            staged: Vec::new(),
            doubtful: false,
            look: None,
            bytes: 0,
            seats: Vec::new(),
        }
    }

    /// True if nothing has to be answered.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Number of events and bytes of values so far.
    pub fn size(&self) -> (usize, usize) {
        (self.events.len(), self.bytes)
    }

    /// Number of submissions that it will answer.
    pub fn submissions(&self) -> usize {
        self.seats.len()
    }

    /// Judges a submission and takes what is accepted. A submission that depends on nothing uncommitted and appends
    /// nothing is answered at once.
    pub fn take(&mut self, submission: Submission, ledger: &mut Ledger, imprint: &Imprint, now: Timestamp) {
        let judged: Vec<(Seat, bool)> =
            submission.appends.iter().map(|append| self.seat(append, ledger, imprint, now)).collect();
        let doubtful = judged.iter().any(|(seat, _)| seat.is_doubtful()) && !planted::is(Bug::StaleConflictUnconfirmed);
        let waits = submission.command.is_some()
            || doubtful
            || judged.iter().any(|(seat, provisional)| {
                let conflict = matches!(seat, Seat::Known(Outcome::Conflict(_)));
                *provisional && !(planted::is(Bug::ConflictAnsweredEarly) && conflict)
            });
        let seats: Vec<Seat> = judged.into_iter().map(|(seat, _)| seat).collect();
        if !waits {
            let outcomes = seats.into_iter().map(Seat::known).collect();
            submission.answer_with(outcomes);
            return;
        }
        self.doubtful |= doubtful;
        self.bytes += submission.bytes();
        self.reply_to(&submission, &seats, imprint, now);
        self.seats.push((submission, seats));
    }

    fn seat(&mut self, append: &Append, ledger: &mut Ledger, imprint: &Imprint, now: Timestamp) -> (Seat, bool) {
        if let Some(answer) = append.answer() {
            // It rests on the state, and so on windows in flight.
            let (_, provisional) = ledger.current(append.ask().stream);
            return (Seat::Known(answer.clone()), provisional);
        }
        let Judged { verdict, mut provisional } = ledger.judge(self.number, append.ask());
        if planted::is(Bug::RepeatAnsweredEarly) && matches!(verdict, Verdict::Repeat(_)) {
            provisional = false;
        }
        let seat = match verdict {
            Verdict::Accept { first } => self.accept(append, first, imprint, now),
            Verdict::Repeat(known) if provisional => {
                Seat::RepeatsUncommitted { request: StreamKey::of(&append.request_id), known }
            }
            Verdict::Repeat(known) => Seat::Known(Outcome::Repeated(place(&known, imprint.partition))),
            Verdict::Refuse(conflict) => {
                if planted::is(Bug::ConflictWritten) {
                    self.accept(append, conflict.current.plus(1), imprint, now);
                }
                Seat::Known(Outcome::Conflict(conflict))
            }
            Verdict::KeyReused => Seat::Known(Outcome::KeyReused),
        };
        (seat, provisional)
    }

    fn accept(&mut self, append: &Append, first: Version, imprint: &Imprint, now: Timestamp) -> Seat {
        let single = append.events.len() == 1;
        let mut version = first;
        let first_record = self.events.len();
        for (at, event) in append.events.iter().enumerate() {
            if planted::is(Bug::LastEventLeftOut) && at > 0 && at + 1 == append.events.len() {
                continue;
            }
            let headers = EventHeaders {
                id: event.id.clone(),
                event_type: event.event_type.ce_type.clone(),
                stream: append.stream.clone(),
                version,
                time: event.time,
                correlation_id: event.correlation_id.clone(),
                causation_id: event.causation_id.clone(),
                traceparent: append.trace.parent.clone(),
                tracestate: append.trace.state.clone(),
                epoch: imprint.epoch,
                request_id: (!single || append.request_id != event.id)
                    .then(|| append.request_id.clone())
                    .filter(|_| !planted::is(Bug::RequestIdUnwritten)),
            };
            self.records.push(record(&headers, event.value.clone(), imprint, now));
            let (partition, value) = (imprint.partition, event.value.clone());
            self.events.push(Stored { headers, partition, offset: -1, recorded_at: now, value });
            version = version.plus(u64::from(!planted::is(Bug::SecondEventSameVersion)));
        }
        let ends_at_first = planted::is(Bug::AnswerEndsAtFirst);
        let last = if ends_at_first { first } else { first.plus(append.events.len() as u64 - 1) };
        let of_first = planted::is(Bug::AnswerOffsetOfFirst);
        Seat::Accepted { first, last, last_record: if of_first { first_record } else { self.events.len() - 1 } }
    }

    fn reply_to(&mut self, submission: &Submission, seats: &[Seat], imprint: &Imprint, now: Timestamp) {
        let Some(command) = &submission.command else { return };
        self.commands_next_offset = self.commands_next_offset.max(Some(command.offset + 1));
        if planted::is(Bug::CommandOffsetTooFar) {
            self.commands_next_offset = Some(command.offset + 2);
        }
        let in_conflict = matches!(seats.first(), Some(Seat::Known(Outcome::Conflict(_))));
        if planted::is(Bug::ConflictUnreplied) && in_conflict {
            return;
        }
        let reply = match (&command.refusal, submission.appends.first(), seats.first()) {
            (Some(refusal), _, _) => Reply::refused(command, refusal),
            (None, Some(append), Some(seat)) => Reply::judged(append, &seat.provisional_outcome(imprint.partition)),
            (None, _, _) => return,
        };
        self.replies.push(reply.record(command, imprint, now));
        if planted::is(Bug::ReplyTwice) {
            self.replies.push(reply.record(command, imprint, now));
        }
    }

    /// The records in the order in which they are written: events, then replies.
    pub fn take_records(&mut self) -> Vec<NewRecord> {
        let (mut first, mut then) = (std::mem::take(&mut self.records), std::mem::take(&mut self.replies));
        if planted::is(Bug::RepliesBeforeEvents) {
            std::mem::swap(&mut first, &mut then);
        }
        first.append(&mut then);
        first
    }

    /// The window has committed.
    pub fn committed(mut self, partition: i32) -> Settled {
        for (event, offset) in self.events.iter_mut().zip(&self.staged) {
            event.offset = *offset;
        }
        let mut last_offsets = Vec::new();
        for seat in self.seats.iter_mut().flat_map(|(_, seats)| seats) {
            if let Seat::Accepted { first, last, last_record } = *seat {
                let offset = self.staged[last_record];
                last_offsets.push(offset);
                *seat = Seat::Known(Outcome::Appended(Place { first, last, partition, offset }));
            }
        }
        Settled { events: self.events, last_offsets, seats: self.seats, partition }
    }

    /// The log could not be asked: whoever is ahead may be right.
    pub fn refuse_doubts(&mut self) {
        for seat in self.seats.iter_mut().flat_map(|(_, seats)| seats).filter(|seat| seat.is_doubtful()) {
            *seat = Seat::Known(Outcome::Unavailable("the log cannot be read at the moment"));
        }
    }

    /// The window is lost with the partition. What conflicted was not stored; of the rest the next owner will know.
    pub fn leave_open(self, outcome: &Outcome) {
        for (submission, seats) in self.seats {
            let left = seats.iter().map(|seat| match seat {
                Seat::Known(Outcome::Conflict(_)) => Outcome::Unavailable("the partition moved to another owner"),
                Seat::Known(_) | Seat::Accepted { .. } | Seat::RepeatsUncommitted { .. } => outcome.clone(),
            });
            let left = left.collect();
            submission.answer_with(left);
        }
    }

    /// Its commands are consumed and answered.
    pub fn forget_commands(&mut self) {
        self.seats.retain(|(submission, _)| submission.command.is_none());
    }

    /// The window is lost: its submissions in order, to be judged again.
    pub fn lost(self) -> Vec<Submission> {
        self.seats.into_iter().map(|(submission, _)| submission).collect()
    }
}

impl Seat {
    fn is_doubtful(&self) -> bool {
        matches!(self, Self::Known(Outcome::Conflict(conflict)) if conflict.is_ahead())
    }

    fn known(self) -> Outcome {
        match self {
            Self::Known(outcome) => outcome,
            Self::Accepted { .. } | Self::RepeatsUncommitted { .. } => Outcome::Unknown,
        }
    }

    /// What a reply in the same transaction may say: if the reply is visible, the window committed.
    fn provisional_outcome(&self, partition: i32) -> Outcome {
        match self {
            Self::Accepted { first, last, .. } => {
                Outcome::Appended(Place { first: *first, last: *last, partition, offset: -1 })
            }
            Self::RepeatsUncommitted { known, .. } => Outcome::Repeated(place(known, partition)),
            Self::Known(Outcome::Conflict(conflict)) if planted::is(Bug::ConflictRepliedAccepted) => {
                let (first, last) = (conflict.current, conflict.current);
                Outcome::Appended(Place { first, last, partition, offset: -1 })
            }
            Self::Known(outcome) => outcome.clone(),
        }
    }
}

/// Where a remembered request's events stand.
pub(super) fn place(known: &Remembered, partition: i32) -> Place {
    Place { first: known.first, last: known.last(), partition, offset: known.last_offset }
}

/// A window that has committed and has not been answered yet.
#[derive(Debug)]
pub struct Settled {
    /// Its events with their offsets.
    pub events: Vec<Stored>,
    /// For each accepted append, in order, the offset of its last event.
    pub last_offsets: Vec<i64>,
    seats: Vec<(Submission, Vec<Seat>)>,
    partition: i32,
}

impl Settled {
    /// Answers everybody, once the ledger knows of the commit.
    pub fn answer(self, ledger: &Ledger) {
        for (submission, seats) in self.seats {
            let outcomes = seats.into_iter().map(|seat| match seat {
                Seat::RepeatsUncommitted { request, .. } => match ledger.remembered(request) {
                    Some(known) => Outcome::Repeated(place(&known, self.partition)),
                    None => Outcome::Unknown,
                },
                Seat::Accepted { .. } | Seat::Known(_) => seat.known(),
            });
            let mut outcomes: Vec<Outcome> = outcomes.collect();
            if planted::is(Bug::AnswersReversed) {
                outcomes.reverse();
            }
            submission.answer_with(outcomes);
        }
    }
}

fn record(headers: &EventHeaders, value: Bytes, imprint: &Imprint, now: Timestamp) -> NewRecord {
    NewRecord {
        topic: Arc::clone(&imprint.events_topic),
        partition: imprint.partition,
        key: Bytes::copy_from_slice(headers.stream.as_str().as_bytes()),
        value: Some(value),
        headers: write_event_headers(headers, &imprint.source),
        timestamp_ms: Some(now.millis()),
    }
}

#[cfg(test)]
mod tests;
