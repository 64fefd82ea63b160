//! The pure core of Spina: words of the domain as types, and the decisions taken with them.
//!
//! Nothing here does I/O. There is no Tokio, Kafka, SQL, clock, randomness or logging in this crate; time and
//! ids enter as arguments. What the services do is a thin shell around these types.
//!
//! Suggested reading order: [`stream`], [`version`], [`position`], [`event`], [`decider`], [`aggregate`], [`ledger`],
//! [`state`], [`snapshot`], [`change`], [`batch`], [`model`], [`unique`], [`correlation`], [`saga`],
//! [`target`].

pub mod aggregate;
pub mod batch;
pub mod change;
pub mod correlation;
pub mod decider;
pub mod event;
pub mod event_shape;
pub mod ledger;
pub mod model;
pub mod planted;
pub mod position;
pub mod saga;
pub mod selection;
pub mod snapshot;
pub mod state;
pub mod stream;
pub mod target;
pub mod timestamp;
pub mod unique;
pub mod upcast;
pub mod version;

pub use aggregate::Aggregate;
pub use batch::{Batch, RowChange};
pub use change::{Cell, Change, Op};
pub use decider::{Decider, Rejection};
pub use event::{EventHeaders, Recorded};
pub use model::{CellType, ChildTable, Column, Fold, Join, JoinedColumn, KeyColumn, ModelShape};
pub use position::{Position, Token};
pub use selection::Selection;
pub use state::State;
pub use stream::{ContextName, StreamId, StreamKey};
pub use timestamp::Timestamp;
pub use version::{Conflict, ExpectedVersion, Version};
