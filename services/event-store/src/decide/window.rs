//! A window: what one transaction carries.
//!
//! Filling a window is pure: submissions are judged one after the other against the ledger, accepted events become
//! records with versions, and each append gets a seat that says what its answer will be once the window's fate is known.

use std::sync::Arc;

use bytes::Bytes;
use spina_codec::headers::write_event_headers;
use spina_core::ledger::{Judged, Ledger, Remembered, Verdict};
use spina_core::{EventHeaders, StreamKey, Timestamp, Version};
use spina_log::NewRecord;
use spina_store::archive::Stored;

use super::append::{Append, Outcome, Place, Submission};
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

    /// Judges a submission and takes what is accepted. A submission that depends on nothing uncommitted and appends
    /// nothing is answered at once.
    pub fn take(&mut self, submission: Submission, ledger: &mut Ledger, imprint: &Imprint, now: Timestamp) {
        let judged: Vec<(Seat, bool)> =
            submission.appends.iter().map(|append| self.seat(append, ledger, imprint, now)).collect();
        let waits = submission.command.is_some() || judged.iter().any(|(_, provisional)| *provisional);
        let seats: Vec<Seat> = judged.into_iter().map(|(seat, _)| seat).collect();
        if !waits {
            let outcomes = seats.into_iter().map(Seat::known).collect();
            submission.answer_with(outcomes);
            return;
        }
        self.bytes += submission.bytes();
        self.reply_to(&submission, &seats, imprint, now);
        self.seats.push((submission, seats));
    }

    fn seat(&mut self, append: &Append, ledger: &mut Ledger, imprint: &Imprint, now: Timestamp) -> (Seat, bool) {
        let Judged { verdict, provisional } = ledger.judge(self.number, append.ask());
        let seat = match verdict {
            Verdict::Accept { first } => self.accept(append, first, imprint, now),
            Verdict::Repeat(known) if provisional => {
                Seat::RepeatsUncommitted { request: StreamKey::of(&append.request_id), known }
            }
            Verdict::Repeat(known) => Seat::Known(Outcome::Repeated(place(&known, imprint.partition))),
            Verdict::Refuse(conflict) => Seat::Known(Outcome::Conflict(conflict)),
            Verdict::KeyReused => Seat::Known(Outcome::KeyReused),
        };
        (seat, provisional)
    }

    fn accept(&mut self, append: &Append, first: Version, imprint: &Imprint, now: Timestamp) -> Seat {
        let single = append.events.len() == 1;
        let mut version = first;
        for event in &append.events {
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
                request_id: (!single || append.request_id != event.id).then(|| append.request_id.clone()),
            };
            self.records.push(record(&headers, event.value.clone(), imprint, now));
            let (partition, value) = (imprint.partition, event.value.clone());
            self.events.push(Stored { headers, partition, offset: -1, recorded_at: now, value });
            version = version.plus(1);
        }
        let last = first.plus(append.events.len() as u64 - 1);
        Seat::Accepted { first, last, last_record: self.events.len() - 1 }
    }

    fn reply_to(&mut self, submission: &Submission, seats: &[Seat], imprint: &Imprint, now: Timestamp) {
        let Some(command) = &submission.command else { return };
        self.commands_next_offset = self.commands_next_offset.max(Some(command.offset + 1));
        let reply = match (&command.refusal, submission.appends.first(), seats.first()) {
            (Some(refusal), _, _) => Reply::refused(command, refusal),
            (None, Some(append), Some(seat)) => Reply::judged(append, &seat.provisional_outcome(imprint.partition)),
            (None, _, _) => return,
        };
        self.replies.push(reply.record(command, imprint, now));
    }

    /// The records in the order in which they are written: events, then replies.
    pub fn take_records(&mut self) -> Vec<NewRecord> {
        let mut records = std::mem::take(&mut self.records);
        records.append(&mut self.replies);
        records
    }

    /// The window has committed; `offsets` are those of its records in the order of [`take_records`](Self::take_records).
    pub fn committed(mut self, offsets: &[i64], partition: i32) -> Settled {
        for (event, offset) in self.events.iter_mut().zip(offsets) {
            event.offset = *offset;
        }
        let mut last_offsets = Vec::new();
        for seat in self.seats.iter_mut().flat_map(|(_, seats)| seats) {
            if let Seat::Accepted { first, last, last_record } = *seat {
                let offset = offsets[last_record];
                last_offsets.push(offset);
                *seat = Seat::Known(Outcome::Appended(Place { first, last, partition, offset }));
            }
        }
        Settled { events: self.events, last_offsets, seats: self.seats, partition }
    }

    /// The window is lost: its submissions in order, to be judged again.
    pub fn lost(self) -> Vec<Submission> {
        self.seats.into_iter().map(|(submission, _)| submission).collect()
    }
}

impl Seat {
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
            Self::Known(outcome) => outcome.clone(),
        }
    }
}

fn place(known: &Remembered, partition: i32) -> Place {
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
            let outcomes = outcomes.collect();
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
