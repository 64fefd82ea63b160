//! Why an attempt to fill a table ended before its time.

use spina_log::LogError;
use spina_store::StoreError;

use crate::project::failure::{Failure, log_may_recover};

/// What is to be done about it.
pub enum Trouble {
    /// Nothing will help.
    Final(Failure),
    /// Going on from the checkpoint may help.
    Passing(String),
    /// One of the events of a batch is to blame: going on with smaller ones shows which.
    Smaller,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::Passing(told(&error)) } else { Self::Final(Failure::Store(error)) }
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        if log_may_recover(&error) { Self::Passing(error.to_string()) } else { Self::Final(Failure::Log(error)) }
    }
}

/// The books do not say what the lease says.
pub fn lease_lost() -> Trouble {
    Trouble::Passing("the checkpoint is not what was expected".to_owned())
}

/// An error of the store with its cause.
pub fn told(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}
