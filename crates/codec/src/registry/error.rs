//! What can go wrong between us and the registry.

/// A call to the registry that failed, after the retries it deserved.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The base URL cannot be used.
    #[error("registry URL: {reason}")]
    Url {
        /// What is wrong with it. Never the URL itself, which may hold a password.
        reason: String,
    },
    /// No answer: connection refused or lost, or too slow.
    #[error("{what}: no answer from the registry")]
    Unreachable {
        /// What was asked for.
        what: String,
        /// How it failed.
        #[source]
        source: reqwest::Error,
    },
    /// The registry answered with an error.
    #[error("{what}: the registry answers {status}: {message}")]
    Refused {
        /// What was asked for.
        what: String,
        /// HTTP status.
        status: u16,
        /// The registry's own code, such as 40401 for a subject it does not have.
        code: Option<i64>,
        /// The registry's words.
        message: String,
    },
    /// The answer is too long or is not what the interface promises.
    #[error("{what}: {reason}")]
    Unreadable {
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl RegistryError {
    /// Whether the same call may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status == 408 || *status >= 500,
            Self::Url { .. } | Self::Unreadable { .. } => false,
        }
    }

    /// Whether the registry says that it does not have what was asked for. A 404 without the registry's own code comes
    /// from something else (a wrong base URL, a proxy) and is an error.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, code: Some(40_400..=40_499), .. })
    }
}
