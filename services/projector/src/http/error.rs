//! Errors of the inside as answers.

use spina_runtime::ApiError;
use spina_store::StoreError;
use spina_store::read_model::BadQuery;

use crate::project::{CommandError, WaitError};

/// Seconds after which a caller should try again.
const RETRY_AFTER_S: u64 = 1;

pub(super) fn from_store(error: StoreError) -> ApiError {
    // A switch of tables between two looks at them: the other one has other columns.
    if error.is_transient() || error.is_unknown_column() {
        ApiError::unavailable(error.to_string(), RETRY_AFTER_S)
    } else {
        ApiError::internal(error)
    }
}

pub(super) fn from_query(error: BadQuery) -> ApiError {
    ApiError::malformed("validation.query", error.0)
}

pub(super) fn from_wait(error: WaitError) -> ApiError {
    match error {
        WaitError::NotOurs(message) => ApiError::malformed("validation.query", message),
        WaitError::Stopped(_) | WaitError::TimedOut => ApiError::unavailable(error.to_string(), RETRY_AFTER_S),
    }
}

pub(super) fn from_command(error: CommandError) -> ApiError {
    match error {
        CommandError::Conflict(message) => ApiError::conflict(message),
        CommandError::Unavailable(message) => ApiError::unavailable(message, RETRY_AFTER_S),
    }
}
