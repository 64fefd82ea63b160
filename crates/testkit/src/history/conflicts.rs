//! I5: a belief about a stream's version is refused when it is wrong, and only then.

use std::collections::HashMap;

use spina_core::{ExpectedVersion, Version};

use super::check::{Report, named};
use super::index::Index;
use super::{Invariant, Logged, Operation, Outcome};

/// What is in the log was believed rightly: by one of the operations that may have stored it.
pub(super) fn accepted(operations: &[Operation], log: &[Logged], report: &mut Report) {
    let mut beliefs: HashMap<&str, Vec<ExpectedVersion>> = HashMap::with_capacity(operations.len());
    for operation in operations.iter().filter(|operation| operation.may_be_logged()) {
        beliefs.entry(operation.request_key()).or_default().push(operation.expected);
    }
    for event in log {
        // The first event of a request tells; the others follow it.
        let Some(beliefs) = beliefs.remove(event.request.as_str()) else { continue };
        let before = Version(event.version.saturating_sub(1));
        if beliefs.iter().all(|belief| belief.check(before).is_err()) {
            report.add(Invariant::I5, || format!("{} was accepted, expected was {}", named(event), beliefs[0]));
        }
    }
}

/// A conflict is refuted if the stream was at the expected version during the whole call, whichever way the operations
/// that overlap it are ordered.
pub(super) fn refused(operations: &[Operation], log: &[Logged], index: &Index<'_>, report: &mut Report) {
    let mut streams: HashMap<&str, Lifetime> = HashMap::new();
    for event in log {
        let Some(sent) = index.sent.get(event.id.as_str()) else { continue };
        let stream = streams.entry(&event.stream).or_default();
        stream.sent.push((sent.invoked, event.version));
        stream.acknowledged.extend(sent.acknowledged.map(|at| (at, event.version)));
    }
    streams.values_mut().for_each(Lifetime::seal);
    let unborn = Lifetime::default();
    for operation in operations.iter().filter(|operation| operation.outcome == Outcome::Conflict) {
        let stream = streams.get(operation.stream.as_str()).unwrap_or(&unborn);
        let (least, most) = stream.versions_between(operation.invoked, operation.completed);
        if holds_throughout(operation.expected, least, most) {
            let (key, expected) = (operation.request_key(), operation.expected);
            report.add(Invariant::I5, || {
                let stream = &operation.stream;
                format!("request {key} expected {expected} of {stream}, which it was, and was told of a conflict")
            });
        }
    }
}

/// Whether the belief is true of every version from `least` to `most`.
fn holds_throughout(expected: ExpectedVersion, least: u64, most: u64) -> bool {
    match expected {
        ExpectedVersion::Any => true,
        ExpectedVersion::NoStream => most == 0,
        ExpectedVersion::StreamExists => least > 0,
        ExpectedVersion::Exact(Version(version)) => least == version && most == version,
    }
}

/// When the versions of a stream were sent for the first time, and when they were first acknowledged.
#[derive(Default)]
struct Lifetime {
    sent: Vec<(u64, u64)>,
    acknowledged: Vec<(u64, u64)>,
}

impl Lifetime {
    /// Sorts by time and carries the highest version along.
    fn seal(&mut self) {
        for times in [&mut self.sent, &mut self.acknowledged] {
            times.sort_unstable();
            let mut highest = 0;
            for (_, version) in times {
                highest = highest.max(*version);
                *version = highest;
            }
        }
    }

    /// The lowest and the highest version that the stream may have had from `begin` to `end`.
    fn versions_between(&self, begin: u64, end: u64) -> (u64, u64) {
        let least = highest(&self.acknowledged, |at| at < begin);
        (least, highest(&self.sent, |at| at <= end).max(least))
    }
}

fn highest(times: &[(u64, u64)], within: impl Fn(u64) -> bool) -> u64 {
    let count = times.partition_point(|(at, _)| within(*at));
    count.checked_sub(1).map_or(0, |last| times[last].1)
}
