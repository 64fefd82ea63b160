//! Writing in transactions: a window of records becomes visible as a whole, or not at all.
//!
//! ```text
//!   Window --stage--> in the log, hidden --commit--> visible
//!                           \--abort--> never visible
//! ```
//!
//! A [`Lane`] is one transactional id and carries one window at a time. Several lanes take turns, so that one is staged
//! while another commits, and so that no id starts a transaction before the markers of its last one are written. The order
//! of windows is the caller's business: commit N + 1 only after N was committed.
//!
//! There are two writers: [`LaneFactory`] on krafka, which speaks transaction protocol v2 and is the one to use, and
//! [`LaneFactoryV1`] on rdkafka, for comparison and for brokers without v2.

mod factory;
mod lane;
mod limits;
mod outcome;
mod outgoing;
mod stage;
mod v1;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{GroupMember, LogError, NewRecord};

pub use factory::LaneFactory;
pub use v1::LaneFactoryV1;

/// What one transaction carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Records, in the order they are to have in each partition.
    pub records: Vec<NewRecord>,
    /// Records consumed, whose offsets are committed with it.
    pub consumed: Option<Consumed>,
}

impl Window {
    /// Whether it carries nothing. Staging and committing such a window is allowed and sends nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.consumed.as_ref().is_none_or(|consumed| consumed.offsets.is_empty())
    }
}

/// How far a group's commands were consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The group's member that consumed, as it is now: brokers refuse a member of an older generation.
    pub member: GroupMember,
    /// Topic, partition and the next offset to consume.
    pub offsets: Vec<(Arc<str>, i32, i64)>,
}

/// How a transaction did not succeed. Each variant says what is known of its records and what becomes of the lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Nothing of the window is or will be visible. The lane is ready for the next one.
    #[error("the transaction was aborted: {reason}")]
    Aborted {
        /// Why.
        reason: String,
    },
    /// Another owner has opened the transactional id. The lane is dead, and so should be its owner's claim.
    #[error("another owner has taken the transactional id: {reason}")]
    Fenced {
        /// Whether the window may have become visible: false while staging, true while committing, since a commit whose
        /// answer was lost may have come before the other owner.
        in_doubt: bool,
        /// What the broker said.
        reason: String,
    },
    /// The commit was sent and its outcome is unknown. The lane is dead: open its id again, which settles the transaction,
    /// then read the partition to its stable end and look for the records. Write nothing else before.
    #[error("the outcome of the transaction is unknown: {reason}")]
    Unknown {
        /// What was last heard.
        reason: String,
    },
    /// Nothing of the window is or will be visible, once the id is opened again or its transaction timed out. The lane is
    /// dead. Also the answer to every use of a dead lane, and to calls in the wrong order.
    #[error("the lane is broken: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
}

/// One transactional id. Calls must alternate: `stage`, then `commit` or `abort`. Every call runs to its end even when its
/// future is dropped, so a cancelled caller never leaves a transaction half-ended.
#[async_trait]
pub trait Lane: Send + Sync {
    /// Writes the window into the log, hidden, and returns the offset of each record in order.
    ///
    /// # Errors
    /// [`WriteError::Aborted`] after the lane has aborted by itself, [`WriteError::Fenced`] (never in doubt),
    /// [`WriteError::Broken`].
    async fn stage(&self, window: Window) -> Result<Vec<i64>, WriteError>;

    /// Makes the staged window visible.
    ///
    /// # Errors
    /// All of [`WriteError`].
    async fn commit(&self) -> Result<(), WriteError>;

    /// Drops the staged window.
    ///
    /// # Errors
    /// [`WriteError::Fenced`] and [`WriteError::Broken`]; the window stays invisible in either case.
    async fn abort(&self) -> Result<(), WriteError>;
}

/// Opens lanes.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// Opens the transactional id: fences its former owner, and settles the transaction it left open.
    ///
    /// # Errors
    /// [`LogError::OldTransactions`] when the cluster has no protocol v2, [`LogError::Client`] when it is not reachable or
    /// refuses the id.
    async fn open(&self, transactional_id: &str) -> Result<Arc<dyn Lane>, LogError>;
}
