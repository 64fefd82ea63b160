//! What concerns idempotency keys: once in the log, and one answer.

use std::collections::HashMap;

use super::check::{Report, named};
use super::{Invariant, Logged, Operation, Outcome};

/// I3 for requests: the events of a request are one run of versions of one stream, as many as were sent.
pub(super) fn once(operations: &[Operation], log: &[Logged], report: &mut Report) {
    let mut sent: HashMap<&str, usize> = HashMap::with_capacity(operations.len());
    for operation in operations.iter().filter(|operation| operation.may_be_logged()) {
        let events = sent.entry(operation.request_key()).or_default();
        *events = operation.events.len().max(*events);
    }
    let mut found: HashMap<&str, (usize, &Logged)> = HashMap::with_capacity(log.len());
    for event in log {
        let (count, last) = found.entry(&event.request).or_insert((0, event));
        let follows = *count == 0 || (last.stream == event.stream && event.version == last.version + 1);
        *count += 1;
        *last = event;
        let too_many = sent.get(event.request.as_str()).is_some_and(|sent| *count > *sent);
        if !follows || too_many {
            report.add(Invariant::I3, || format!("request {} is there again with {}", event.request, named(event)));
        }
    }
}

/// I7.
pub(super) fn stable(operations: &[Operation], report: &mut Report) {
    // Of each request, the acknowledgement that came first.
    let mut answered: HashMap<&str, &Operation> = HashMap::with_capacity(operations.len());
    for operation in operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Ok(_))) {
        let first = answered.entry(operation.request_key()).or_insert(operation);
        if operation.completed < first.completed {
            *first = operation;
        }
    }
    for operation in operations {
        let Some(first) = answered.get(operation.request_key()) else { continue };
        let same = operation.same_payload(first);
        let key = operation.request_key();
        match operation.outcome {
            Outcome::Ok(_) if !same => {
                report.add(Invariant::I7, || format!("request {key} was accepted with two payloads"));
            }
            Outcome::Ok(told) if told.is_some() && first.told().is_some() && told != first.told() => {
                report.add(Invariant::I7, || format!("request {key} was told {:?}, then {told:?}", first.told()));
            }
            Outcome::Conflict | Outcome::Rejected if same && operation.invoked > first.completed => {
                let outcome = operation.outcome;
                report.add(Invariant::I7, || format!("request {key} was acknowledged, then answered {outcome:?}"));
            }
            Outcome::Ok(_) | Outcome::Conflict | Outcome::Rejected | Outcome::Failed | Outcome::Unknown => {}
        }
    }
}

impl Operation {
    fn told(&self) -> Option<super::Place> {
        match self.outcome {
            Outcome::Ok(told) => told,
            Outcome::Conflict | Outcome::Rejected | Outcome::Failed | Outcome::Unknown => None,
        }
    }
}
