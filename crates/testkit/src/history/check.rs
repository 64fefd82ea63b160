//! The check itself.

use std::collections::{HashMap, HashSet};

use super::index::Index;
use super::{Invariant, Logged, Operation, Outcome, Violation};
use super::{conflicts, requests};

/// Violations that are described; one bug breaks an invariant many times.
const VIOLATIONS_MAX: usize = 100;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The first violations.
    pub violations: Vec<Violation>,
    /// How many there are.
    pub count: usize,
}

impl Report {
    /// Whether nothing is broken.
    pub fn is_clean(&self) -> bool {
        self.count == 0
    }

    /// Both in one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.count += other.count;
        self.violations.extend(other.violations);
        self.violations.truncate(VIOLATIONS_MAX);
        self
    }

    pub(super) fn add(&mut self, invariant: Invariant, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { invariant, what: what() });
        }
    }
}

/// Checks a history. `log` is a committed read of everything that the operations may have written, each partition in the
/// order of its offsets; every stream in it must be there from its first event.
pub fn check(operations: &[Operation], log: &[Logged]) -> Report {
    let index = Index::of(operations, log);
    let mut report = Report::default();
    versions(log, &mut report);
    acknowledged(operations, &index, &mut report);
    duplicates(log, &mut report);
    phantoms(log, &index, &mut report);
    conflicts::accepted(operations, log, &mut report);
    conflicts::refused(operations, log, &index, &mut report);
    real_time(log, &index, &mut report);
    requests::once(operations, log, &mut report);
    requests::stable(operations, &mut report);
    report
}

/// I1.
fn versions(log: &[Logged], report: &mut Report) {
    let mut streams: HashMap<&str, &Logged> = HashMap::new();
    let mut ends: HashMap<i32, i64> = HashMap::new();
    for event in log {
        if ends.insert(event.partition, event.offset).is_some_and(|before| before >= event.offset) {
            report.add(Invariant::I1, || format!("partition {} goes back to {}", event.partition, event.offset));
        }
        let before = streams.insert(&event.stream, event);
        let expected = before.map_or(0, |before| before.version) + 1;
        if event.version != expected {
            report.add(Invariant::I1, || format!("{} stands where version {expected} belongs", named(event)));
        }
        if let Some(before) = before.filter(|before| before.partition != event.partition) {
            report.add(Invariant::I1, || format!("{} follows one in partition {}", named(event), before.partition));
        }
    }
}

/// I2.
fn acknowledged(operations: &[Operation], index: &Index<'_>, report: &mut Report) {
    for operation in operations {
        let Outcome::Ok(told) = operation.outcome else { continue };
        let first = operation.events.first().and_then(|event| index.place.get(event.id.as_str()));
        let Some(first) = first else {
            report.add(Invariant::I2, || format!("nothing of request {} is there", operation.request_key()));
            continue;
        };
        for (event, version) in operation.events.iter().zip(first.version..) {
            match index.place.get(event.id.as_str()) {
                None => report.add(Invariant::I2, || format!("event {} is not there", event.id)),
                Some(found) if found.hash != event.hash => {
                    report.add(Invariant::I2, || format!("{} has another payload", named(found)));
                }
                Some(found) if found.stream != operation.stream || found.version != version => {
                    let belongs = format!("version {version} of {}", operation.stream);
                    report.add(Invariant::I2, || format!("{} should be {belongs}", named(found)));
                }
                Some(_) => {}
            }
        }
        let last = operation.events.last().and_then(|event| index.place.get(event.id.as_str()));
        if let (Some(told), Some(last)) = (told, last) {
            let stands = (first.version, last.version, last.partition, last.offset);
            if stands != (told.first, told.last, told.partition, told.offset) {
                let key = operation.request_key();
                report.add(Invariant::I2, || format!("request {key} was told {told:?} and ends with {}", named(last)));
            }
        }
    }
}

/// I3 for events; [`requests::once`] does it for requests.
fn duplicates(log: &[Logged], report: &mut Report) {
    let mut seen = HashSet::with_capacity(log.len());
    for event in log.iter().filter(|event| !seen.insert(event.id.as_str())) {
        report.add(Invariant::I3, || format!("{} is there twice", named(event)));
    }
}

/// I4.
fn phantoms(log: &[Logged], index: &Index<'_>, report: &mut Report) {
    for event in log {
        match index.sent.get(event.id.as_str()) {
            None => report.add(Invariant::I4, || format!("nobody sent {}", named(event))),
            Some(sent) if !sent.operation.may_be_logged() => {
                report.add(Invariant::I4, || format!("{} was answered {:?}", named(event), sent.operation.outcome));
            }
            Some(_) => {}
        }
    }
}

/// I6: along the versions of a stream, nobody was acknowledged before somebody of a lower version began.
fn real_time(log: &[Logged], index: &Index<'_>, report: &mut Report) {
    let mut latest_begin: HashMap<&str, u64> = HashMap::new();
    for event in log {
        let Some(sent) = index.sent.get(event.id.as_str()) else { continue };
        let latest = latest_begin.entry(&event.stream).or_insert(0);
        if sent.acknowledged.is_some_and(|acknowledged| acknowledged < *latest) {
            report.add(Invariant::I6, || format!("{} was acknowledged before a lower version was sent", named(event)));
        }
        *latest = sent.invoked.max(*latest);
    }
}

/// An event with its place.
pub(super) fn named(event: &Logged) -> String {
    let Logged { stream, version, id, partition, offset, .. } = event;
    format!("event {id} (version {version} of {stream}, offset {offset} of partition {partition})")
}
