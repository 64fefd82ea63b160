//! What can go wrong with the log, except writing transactions (see [`crate::writer::WriteError`]).

use std::error::Error;

/// A Kafka client's own error. It is for people to read; decisions are taken on the variant that carries it.
pub type ClientError = Box<dyn Error + Send + Sync>;

/// Reading, publishing or administering failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The brokers or the client refused; trying again may help when they were not reachable.
    #[error("could not {action}")]
    Client {
        /// What was tried: `read flights.events.v1`.
        action: String,
        /// The client's error.
        source: ClientError,
    },
    /// There is no such topic.
    #[error("topic `{0}` does not exist")]
    UnknownTopic(String),
    /// There is no such partition.
    #[error("topic `{topic}` has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
    },
    /// The log does not hold the offset: it was deleted, or it was never written. Reading on elsewhere would skip or
    /// repeat records without a word, so the reader does not.
    #[error("{topic}/{partition} holds offsets {earliest} to {end}, not {offset}")]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// The first offset that is there.
        earliest: i64,
        /// One past the last offset that is there.
        end: i64,
    },
    /// The log no longer holds, or never held, the next offset of one of the partitions, and reading had begun.
    #[error("the next offset of a partition of {topic} is no longer in the log")]
    Truncated {
        /// The topic.
        topic: String,
    },
    /// The cluster does not speak transaction protocol v2. With v1 a late request can tear a later transaction.
    #[error("the cluster speaks transactions {found}; transaction.version 2 is needed (Kafka 4.0 or later)")]
    OldTransactions {
        /// What it speaks.
        found: String,
    },
    /// An open transaction hides the end of a partition and was not settled in time.
    #[error("a transaction hangs on {topic}/{partition}: committed readers stop at {stable}, the log ends at {high}")]
    Hanging {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where committed readers stop.
        stable: i64,
        /// One past the last offset.
        high: i64,
    },
    /// The background thread is gone; the process is shutting down or has a bug.
    #[error("the {0} has stopped")]
    Stopped(&'static str),
}

impl LogError {
    /// A client's error with what was tried.
    pub(crate) fn client(action: impl Into<String>, source: impl Into<ClientError>) -> Self {
        Self::Client { action: action.into(), source: source.into() }
    }
}
