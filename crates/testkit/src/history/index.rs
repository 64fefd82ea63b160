//! Look-ups over a history: who sent an event, and where it stands.

use std::collections::HashMap;

use super::{Logged, Operation, Outcome};

/// What is known of the senders of an event id. Several operations have sent it if it was retried.
pub(super) struct Sent<'h> {
    /// One of them; one that may have stored it, if there is any.
    pub(super) operation: &'h Operation,
    /// When the first that may have stored it began.
    pub(super) invoked: u64,
    /// When the first acknowledgement came.
    pub(super) acknowledged: Option<u64>,
}

/// Built once for a check.
pub(super) struct Index<'h> {
    /// By event id, who sent it.
    pub(super) sent: HashMap<&'h str, Sent<'h>>,
    /// By event id, where it stands; the first place if it is there twice.
    pub(super) place: HashMap<&'h str, &'h Logged>,
}

impl<'h> Index<'h> {
    pub(super) fn of(operations: &'h [Operation], log: &'h [Logged]) -> Self {
        let mut sent: HashMap<&str, Sent<'_>> = HashMap::with_capacity(operations.len());
        for operation in operations {
            for event in &operation.events {
                let sent = sent.entry(&event.id).or_insert_with(|| Sent::by(operation));
                sent.add(operation);
            }
        }
        let mut place = HashMap::with_capacity(log.len());
        for event in log {
            place.entry(event.id.as_str()).or_insert(event);
        }
        Self { sent, place }
    }
}

impl<'h> Sent<'h> {
    fn by(operation: &'h Operation) -> Self {
        Self { operation, invoked: operation.invoked, acknowledged: None }
    }

    fn add(&mut self, operation: &'h Operation) {
        if !operation.may_be_logged() {
            return;
        }
        if !self.operation.may_be_logged() || operation.invoked < self.invoked {
            self.operation = operation;
            self.invoked = operation.invoked;
        }
        if matches!(operation.outcome, Outcome::Ok(_)) {
            let first = self.acknowledged.unwrap_or(u64::MAX);
            self.acknowledged = Some(operation.completed.min(first));
        }
    }
}
