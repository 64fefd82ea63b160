//! What became of a line, as far as it is certain.

use serde::{Deserialize, Serialize};

use super::progress::Stop;
use crate::decide::append::{Outcome, ValueTaken};
use crate::prepare::Invalid;

/// What became of a line. A process that was sent lines by another one answers with one for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Verdict {
    /// There was nothing on it.
    Blank,
    /// Its event is durable.
    Appended,
    /// Its event was there already.
    Duplicate,
    /// Its event was not stored and will not be.
    Refused {
        /// For programs.
        error_code: String,
        /// For people.
        message: String,
    },
}

/// A verdict, or why there is none and the import ends here.
pub type Judged = Result<Verdict, Stop>;

impl Verdict {
    fn refused(error_code: &str, message: impl Into<String>) -> Self {
        Self::Refused { error_code: error_code.to_owned(), message: message.into() }
    }

    /// What an append's outcome says of its line. Lines are appended, not decided.
    pub fn of(outcome: Outcome) -> Judged {
        Ok(match outcome {
            Outcome::Appended(_) => Self::Appended,
            Outcome::Repeated(_) | Outcome::Nothing(_) => Self::Duplicate,
            Outcome::Conflict(conflict) => Self::refused("state.conflict", conflict.to_string()),
            Outcome::KeyReused => {
                Self::refused("validation.idempotency_key", "the id belongs to an event with other data")
            }
            Outcome::ValueTaken(taken) => Self::refused(ValueTaken::ERROR_CODE, taken.to_string()),
            Outcome::Rejected(rejection) => Self::refused(&rejection.code, rejection.message),
            Outcome::Unavailable(why) => return Err(Stop::new("state.unavailable", why)),
            Outcome::Unknown => return Err(Stop::unknown()),
        })
    }
}

impl From<Invalid> for Verdict {
    fn from(invalid: Invalid) -> Self {
        Self::refused(invalid.error_code, invalid.message)
    }
}
