//! Why a model stopped, and what is done about it.

use spina_codec::recorded::DecodeError;
use spina_core::Position;
use spina_core::change::MergeError;
use spina_log::LogError;
use spina_rules::projection::ProjectError;
use spina_store::StoreError;
use spina_store::dead_letters::Refusal;

/// An event that the model cannot take. Trying again gives the same.
#[derive(Debug, thiserror::Error)]
pub enum Poison {
    /// It cannot be decoded.
    #[error("the record cannot be decoded: {0}")]
    Undecodable(#[from] DecodeError),
    /// Its schema leads nowhere.
    #[error("{0}")]
    Schema(String),
    /// The definition fails on it.
    #[error("{0}")]
    Unprojectable(#[from] ProjectError),
    /// A sum leaves its range.
    #[error("{0}")]
    Unmergeable(#[from] MergeError),
    /// The database does not take the row that comes of it.
    #[error("{0}")]
    Refused(String),
}

impl Poison {
    /// As it is noted in a dead letter. One class for all that may be mended in one go.
    pub fn refusal(&self) -> Refusal {
        let class = match self {
            Self::Undecodable(_) => "undecodable",
            Self::Schema(_) => "schema",
            Self::Unprojectable(ProjectError::Expression(_)) => "expression",
            Self::Unprojectable(ProjectError::Value { .. }) => "value",
            Self::Unprojectable(ProjectError::KeyTooLong { .. }) => "key",
            Self::Unmergeable(_) => "overflow",
            Self::Refused(_) => "refused",
        };
        Refusal { class, error: self.to_string() }
    }
}

/// Why a fill ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An event that the model cannot take; everything before it is stored.
    #[error("{}/{}@{}: {cause}", position.topic, position.partition, position.offset)]
    Poison {
        /// Where it stands.
        position: Position,
        /// Why.
        cause: Poison,
    },
    /// The log does not have what the checkpoint asks for, or the topic is gone.
    #[error("{0}")]
    Log(#[source] LogError),
    /// The database refuses the rows.
    #[error("{0}")]
    Store(#[source] StoreError),
    /// Another projector has taken the model over.
    #[error("another projector has taken the model over")]
    Superseded,
}

/// What to do about an error of the log.
pub fn log_may_recover(error: &LogError) -> bool {
    match error {
        LogError::Client { .. } | LogError::Stopped(_) | LogError::Hanging { .. } => true,
        LogError::UnknownTopic(_)
        | LogError::UnknownPartition { .. }
        | LogError::OutOfRange { .. }
        | LogError::Truncated { .. }
        | LogError::OldTransactions { .. } => false,
    }
}
