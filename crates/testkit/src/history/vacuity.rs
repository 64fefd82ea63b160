//! I15: a run in which nothing succeeds proves nothing.

use std::ops::Range;

use super::check::Report;
use super::{Invariant, Operation, Outcome};

/// Checks that in each of these spans of time, in which no fault was on, at least `succeeded_min` operations began and
/// were acknowledged.
pub fn not_vacuous(operations: &[Operation], fault_free: &[Range<u64>], succeeded_min: usize) -> Report {
    let mut report = Report::default();
    for span in fault_free {
        let within = |operation: &&Operation| span.contains(&operation.invoked) && span.contains(&operation.completed);
        let acknowledged = operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Ok(_)));
        let succeeded = acknowledged.filter(within).count();
        if succeeded < succeeded_min {
            report.add(Invariant::I15, || {
                format!("{succeeded} operations succeeded from {} to {}, not {succeeded_min}", span.start, span.end)
            });
        }
    }
    report
}
