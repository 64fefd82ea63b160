//! What the client's errors mean for the window and for the lane.
//!
//! | call | error | window | lane | our word |
//! |---|---|---|---|---|
//! | stage | any, and the abort that follows succeeds | invisible | ready | `Aborted` |
//! | stage | any, and the abort is refused as fenced | invisible | dead | `Fenced`, not in doubt |
//! | stage | any, and the abort fails otherwise | invisible | dead | `Broken` |
//! | commit | to be aborted, nothing disturbed | as for stage | | |
//! | commit | fenced | in doubt | dead | `Fenced`, in doubt |
//! | commit | anything else, or anything after a disturbance | in doubt | dead | `Unknown` |
//! | abort | fenced | invisible | dead | `Fenced`, not in doubt |
//! | abort | any other | invisible: no commit was sent | dead | `Broken` |

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::native::TransactionError;
use crate::writer::WriteError;

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Another owner has opened the transactional id. The client also says so when the coordinator has timed the
    /// transaction out: protocol v1 does not tell the two apart.
    pub(super) fenced: bool,
    /// The transaction is open still, and is to be aborted.
    pub(super) to_be_aborted: bool,
    /// What the client said.
    pub(super) reason: String,
}

impl Failure {
    /// A failure that only we noticed.
    pub(super) fn ours(reason: impl Into<String>) -> Self {
        Self { fenced: false, to_be_aborted: true, reason: reason.into() }
    }
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        let to_be_aborted = match &error {
            KafkaError::Transaction(error) => error.txn_requires_abort(),
            _ => false,
        };
        let fenced = error.rdkafka_error_code().is_some_and(is_fencing);
        Self { fenced, to_be_aborted, reason: error.to_string() }
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        let TransactionError { code, to_be_aborted, reason } = error;
        Self { fenced: is_fencing(code), to_be_aborted, reason }
    }
}

/// Whether the code says that another owner has opened the transactional id.
pub(super) fn is_fencing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
            | RDKafkaErrorCode::InvalidProducerIdMapping
    )
}

/// What an abort leaves behind that was to clean up after `cause`.
pub(super) fn of_cleanup(cause: &Failure, abort: Result<(), Failure>) -> WriteError {
    match abort.map_err(of_abort) {
        Ok(()) => WriteError::Aborted { reason: cause.reason.clone() },
        Err(WriteError::Broken { reason }) => WriteError::Broken { reason: format!("{}; then {reason}", cause.reason) },
        Err(other) => other,
    }
}

/// What a failed abort means.
pub(super) fn of_abort(failure: Failure) -> WriteError {
    if failure.fenced {
        WriteError::Fenced { in_doubt: false, reason: failure.reason }
    } else {
        WriteError::Broken { reason: format!("the abort failed: {}", failure.reason) }
    }
}

/// What a failed commit means; `None` when the transaction is surely uncommitted and has to be aborted. After a disturbance
/// nothing is sure: a first commit may have been applied, and the client's error may be about a second one.
pub(super) fn of_commit(failure: &Failure, disturbed: bool) -> Option<WriteError> {
    let reason = failure.reason.clone();
    if failure.fenced {
        Some(WriteError::Fenced { in_doubt: true, reason })
    } else if failure.to_be_aborted && !disturbed {
        None
    } else {
        Some(WriteError::Unknown { reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(fenced: bool, to_be_aborted: bool) -> Failure {
        Failure { fenced, to_be_aborted, reason: "why".to_owned() }
    }

    #[test]
    fn only_a_successful_abort_makes_a_window_aborted() {
        let cause = Failure::ours("cause");
        assert!(matches!(of_cleanup(&cause, Ok(())), WriteError::Aborted { .. }));
        assert!(matches!(of_cleanup(&cause, Err(failure(false, true))), WriteError::Broken { .. }));
        let fenced = of_cleanup(&cause, Err(failure(true, false)));
        assert!(matches!(fenced, WriteError::Fenced { in_doubt: false, .. }));
    }

    #[test]
    fn a_failed_commit_is_in_doubt_unless_it_is_surely_open_and_undisturbed() {
        assert_eq!(of_commit(&failure(false, true), false), None);
        for (to_be_aborted, disturbed) in [(true, true), (false, true), (false, false)] {
            let outcome = of_commit(&failure(false, to_be_aborted), disturbed);
            assert!(matches!(outcome, Some(WriteError::Unknown { .. })), "{to_be_aborted} {disturbed}");
        }
        let fenced = of_commit(&failure(true, false), false);
        assert!(matches!(fenced, Some(WriteError::Fenced { in_doubt: true, .. })));
    }
}
