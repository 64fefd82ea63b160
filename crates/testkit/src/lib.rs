//! What tests need to tell stories: deciders in three lines, a log in memory, and the checker of append histories.
//!
//! - [`decider`] tells a decider's story: `account.given([..]).when(command).then([..])`.
//! - [`memory`] has [`MemoryLog`], which speaks `spina_log`'s lanes without a broker and fails where a test wants it to.
//! - [`history`] compares what clients did with what the log holds; used by tests and by the load generator alike.

pub mod decider;
pub mod history;
pub mod memory;

pub use decider::Story;
pub use memory::{Fault, MemoryLog};
