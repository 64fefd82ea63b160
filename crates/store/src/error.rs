//! What can go wrong with the database, by what the caller can do about it.

use tokio_postgres::error::SqlState;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No connection, or it broke, or the server is starting, stopping or out of connections. Trying again may help.
    /// If it broke during a commit, the transaction may or may not have been committed.
    #[error("database is not available")]
    Unavailable(#[source] Cause),
    /// The statement took longer than its limit.
    #[error("database took too long")]
    Timeout(#[source] tokio_postgres::Error),
    /// The transaction lost against another one. Trying again helps.
    #[error("transaction lost against another one")]
    Contended(#[source] tokio_postgres::Error),
    /// The database refused: a wrong statement, a wrong value, a missing right.
    #[error("database refused: {}", refusal(.0))]
    Refused(#[source] tokio_postgres::Error),
    /// The migrations could not be run.
    #[error("migrate the database")]
    Migration(#[from] refinery::Error),
    /// The address of the database cannot be used.
    #[error("database address is not usable: {0}")]
    Address(String),
    /// Something is too long or too large to be stored.
    #[error("{0}")]
    Limit(String),
    /// Something stored is not what this program writes.
    #[error("{what} in the database is not readable")]
    Corrupt {
        /// What was being read.
        what: &'static str,
    },
    /// A value could not be written as JSON or read from it.
    #[error("convert JSON")]
    Json(#[from] serde_json::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The driver's word.
    #[error(transparent)]
    Driver(tokio_postgres::Error),
    /// The pool's word, or our own.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Timeout(_) | Self::Contended(_) => true,
            Self::Refused(_)
            | Self::Migration(_)
            | Self::Address(_)
            | Self::Limit(_)
            | Self::Corrupt { .. }
            | Self::Json(_) => false,
        }
    }
}

impl StoreError {
    /// Whether the database refused a value, not the statement: a number out of range, a row too large for its index.
    pub fn is_refused_value(&self) -> bool {
        let value = |code: &SqlState| code.code().starts_with("22") || *code == SqlState::PROGRAM_LIMIT_EXCEEDED;
        matches!(self, Self::Refused(error) if error.code().is_some_and(value))
    }

    /// Whether a statement named a column or table that is not there.
    pub fn is_unknown_column(&self) -> bool {
        let unknown = [SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_TABLE];
        matches!(self, Self::Refused(error) if error.code().is_some_and(|code| unknown.contains(code)))
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let local =
                error.to_string().contains("serializing parameter") || error.to_string().contains("deserializing");
            return if local { Self::Refused(error) } else { Self::Unavailable(Cause::Driver(error)) };
        };
        // 08 connection, 53 out of resources, 57P0x shutdown and start-up, 25P03 killed while idle in a transaction
        let away = code.code().starts_with("08") || code.code().starts_with("53") || code.code().starts_with("57P0");
        if away || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT {
            Self::Unavailable(Cause::Driver(error))
        } else if *code == SqlState::QUERY_CANCELED {
            Self::Timeout(error)
        } else if code.code().starts_with("40") || *code == SqlState::LOCK_NOT_AVAILABLE {
            Self::Contended(error)
        } else {
            Self::Refused(error)
        }
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(Cause::Other(other.to_string())),
        }
    }
}

fn refusal(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |refused| format!("{} ({})", refused.message(), refused.code().code()))
}
