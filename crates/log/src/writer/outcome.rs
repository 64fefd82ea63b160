//! What the client's errors mean for the window and for the lane.
//!
//! | call | the client's error or state afterwards | window | lane | our word |
//! |---|---|---|---|---|
//! | stage | any, and the abort that follows succeeds | invisible | ready | `Aborted` |
//! | stage | any, and the abort is refused as fenced | invisible | dead | `Fenced`, not in doubt |
//! | stage | any, and the abort fails otherwise | invisible | dead | `Broken` |
//! | commit | transaction still open: nothing was sent, or every answer was a refusal | as for stage | | |
//! | commit | fenced | in doubt: a lost first answer may have been a yes | dead | `Fenced`, in doubt |
//! | commit | anything else | in doubt | dead | `Unknown` |
//! | abort | fenced | invisible | dead | `Fenced`, not in doubt |
//! | abort | any other | invisible: no commit was or will be sent | dead | `Broken` |

use krafka::KrafkaError;
use krafka::error::ErrorCode;
use krafka::producer::TransactionState;

use super::WriteError;

/// Whether the error says that another owner has opened the transactional id.
pub(super) fn is_fencing(error: &KrafkaError) -> bool {
    match error {
        KrafkaError::Fenced { .. } => true,
        KrafkaError::Broker { code, .. } => matches!(
            code,
            ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch | ErrorCode::InvalidProducerIdMapping
        ),
        _ => false,
    }
}

/// What an abort leaves behind that was to clean up after `cause`.
pub(super) fn of_cleanup(cause: &KrafkaError, abort: Result<(), KrafkaError>) -> WriteError {
    match abort {
        Ok(()) => WriteError::Aborted { reason: cause.to_string() },
        Err(error) => match of_abort(&error) {
            WriteError::Broken { reason } => WriteError::Broken { reason: format!("{cause}; then {reason}") },
            other => other,
        },
    }
}

/// What a failed abort means.
pub(super) fn of_abort(error: &KrafkaError) -> WriteError {
    if is_fencing(error) {
        WriteError::Fenced { in_doubt: false, reason: error.to_string() }
    } else {
        WriteError::Broken { reason: format!("the abort failed: {error}") }
    }
}

/// What a failed commit means, when the client is in `state` after it; `None` when the transaction is still open, surely
/// uncommitted, and has to be aborted.
pub(super) fn of_commit(error: &KrafkaError, state: TransactionState) -> Option<WriteError> {
    match state {
        TransactionState::Open => None,
        _ if is_fencing(error) => Some(WriteError::Fenced { in_doubt: true, reason: error.to_string() }),
        _ => Some(WriteError::Unknown { reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout() -> KrafkaError {
        KrafkaError::timeout("EndTxn")
    }

    fn fenced() -> KrafkaError {
        KrafkaError::fenced("ProducerFenced")
    }

    #[test]
    fn only_a_successful_abort_makes_a_window_aborted() {
        assert!(matches!(of_cleanup(&timeout(), Ok(())), WriteError::Aborted { .. }));
        assert!(matches!(of_cleanup(&timeout(), Err(timeout())), WriteError::Broken { .. }));
        assert!(matches!(of_cleanup(&timeout(), Err(fenced())), WriteError::Fenced { in_doubt: false, .. }));
    }

    #[test]
    fn a_failed_commit_is_in_doubt_unless_the_transaction_is_still_open() {
        assert_eq!(of_commit(&timeout(), TransactionState::Open), None);
        for state in [TransactionState::CommitUnknown, TransactionState::Committing, TransactionState::Fatal] {
            assert!(matches!(of_commit(&timeout(), state), Some(WriteError::Unknown { .. })), "{state}");
        }
        let refused = KrafkaError::broker(ErrorCode::ProducerFenced, "no");
        for error in [fenced(), refused] {
            let outcome = of_commit(&error, TransactionState::Fatal);
            assert!(matches!(outcome, Some(WriteError::Fenced { in_doubt: true, .. })), "{error}");
        }
    }
}
