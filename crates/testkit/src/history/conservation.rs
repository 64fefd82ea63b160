//! I10: every command that was consumed has exactly one reply, and only those have one.

use std::collections::BTreeMap;

use super::Invariant;
use super::check::Report;

/// The commands topic, its group's offsets and the replies topic, at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Every command in the topic: partition, offset, and the request id that its reply names.
    pub sent: Vec<(i32, i64, String)>,
    /// By partition, the next offset that the group would consume.
    pub consumed: BTreeMap<i32, i64>,
    /// The request that each committed reply answers.
    pub replies: Vec<String>,
}

/// Checks that nothing was consumed without an answer and nothing answered twice. Commands that share a request id are
/// answered once each.
pub fn conservation(commands: &Commands) -> Report {
    let mut report = Report::default();
    let mut balance: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (partition, offset, request) in &commands.sent {
        let next = commands.consumed.get(partition).copied().unwrap_or(0);
        balance.entry(request).or_default().0 += usize::from(*offset < next);
    }
    for request in &commands.replies {
        balance.entry(request).or_default().1 += 1;
    }
    for (request, (consumed, replies)) in balance {
        if consumed != replies {
            report
                .add(Invariant::I10, || format!("request {request}: {consumed} commands consumed, {replies} replies"));
        }
    }
    report
}
