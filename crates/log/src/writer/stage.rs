//! Where a lane stands between calls; the same for both writers.

use super::WriteError;

/// Where the lane stands between calls.
#[derive(Debug)]
pub(super) enum Stage {
    /// Ready for a window.
    Idle,
    /// A window is staged. An empty one has no transaction: brokers refuse to end one that wrote nothing.
    Staged {
        /// Whether there is one.
        transaction: bool,
    },
    /// Not to be used again.
    Dead(WriteError),
}

/// Closes the lane for good. Whoever uses it again hears that another owner has it, or that it is broken: a doubt is about
/// one window, not about those after it.
pub(super) fn die(stage: &mut Stage, error: WriteError) -> WriteError {
    let later = match &error {
        WriteError::Fenced { reason, .. } => WriteError::Fenced { in_doubt: false, reason: reason.clone() },
        WriteError::Aborted { reason } | WriteError::Unknown { reason } | WriteError::Broken { reason } => {
            WriteError::Broken { reason: format!("it was retired: {reason}") }
        }
    };
    *stage = Stage::Dead(later);
    error
}

/// The answer to a call that does not fit.
pub(super) fn wrong_order(what: &str) -> WriteError {
    WriteError::Broken { reason: format!("calls in the wrong order: {what}") }
}
