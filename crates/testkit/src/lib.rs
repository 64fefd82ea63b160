//! What tests need to tell stories: deciders in three lines, a log in memory, and the checker of append histories.
//!
//! - [`decider`] tells a decider's story: `account.given([..]).when(command).then([..])`.
//! - [`sagas`] tells of any saga what it must survive: refusals, lost and doubled answers, kills after every record.
//! - [`rules`] tells the stories of deciders that are rules in `context.yaml`.
//! - [`memory`] has [`MemoryLog`], which speaks `spina_log`'s lanes without a broker and fails where a test wants it to.
//! - [`history`] compares what clients did with what the log holds; used by tests and by the load generator alike.

pub mod decider;
pub mod history;
pub mod memory;
pub mod rules;
pub mod sagas;

pub use decider::Story;
pub use memory::{Fault, Journey, MemoryLog, Network, Passage, Request};
pub use rules::RuleStories;
