//! What goes wrong, in the form of the API.

use axum::http::StatusCode;
use serde_json::json;
use spina_runtime::ApiError;

use crate::decide::append::{Outcome, ValueTaken};
use crate::prepare::Invalid;
use crate::read::decode::DecodeFailure;
use crate::read::stream::ReadError;

/// Seconds after which a client may try again while a partition is taken over.
pub const RETRY_AFTER_S: u64 = 1;

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let error = match invalid.error_code {
            "validation.too_large" => Self::too_large(invalid.message),
            code => Self::invalid(code, invalid.message),
        };
        match invalid.path {
            Some(path) => error.with_details(json!({ "path": path })),
            None => error,
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotOwner(_)
            | ReadError::Archive(_)
            | ReadError::Behind(_)
            | ReadError::Hidden(_)
            | ReadError::Log(_)
            | ReadError::TooFar { .. } => Self::unavailable(error.to_string(), RETRY_AFTER_S),
            ReadError::Decode { cause: DecodeFailure::Schema(ref schema), .. } if schema.is_transient() => {
                Self::unavailable(error.to_string(), RETRY_AFTER_S)
            }
            ReadError::Decode { .. } | ReadError::Fold { .. } => Self::internal(error),
        }
    }
}

/// The answer for an append that did not end well.
pub fn refusal(outcome: &Outcome) -> ApiError {
    match outcome {
        Outcome::Conflict(conflict) => ApiError::conflict(conflict.to_string()).with_details(json!({
            "expected_version": conflict.expected,
            "current_version": conflict.current,
        })),
        Outcome::KeyReused => ApiError::invalid(
            "validation.idempotency_key",
            "this idempotency key was used for a request with another payload; nothing was stored",
        ),
        Outcome::Rejected(rejection) => ApiError::rejected(rejection.code.clone(), rejection.message.clone()),
        Outcome::ValueTaken(taken) => {
            let details = json!({ "field": taken.field, "holder": taken.holder });
            ApiError::new(StatusCode::CONFLICT, ValueTaken::ERROR_CODE, taken.to_string()).with_details(details)
        }
        Outcome::Unavailable(why) => ApiError::unavailable(*why, RETRY_AFTER_S),
        Outcome::Unknown | Outcome::Nothing(_) | Outcome::Appended(_) | Outcome::Repeated(_) => {
            ApiError::unknown("the end of the transaction is not known; repeat with the same Idempotency-Key")
        }
    }
}
