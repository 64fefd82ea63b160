//! spina-store: everything Spina keeps in PostgreSQL. All of it can be deleted and comes back from the log.
//!
//! - [`pool`]: connections, with a limit on every wait.
//! - [`archive`]: the event-store's lagging copy of the log.
//! - [`read_model`]: tables that projections fill.
//!
//! A commit whose answer was lost is never guessed about: each transaction names the state it started from, and the
//! next one finds out whether that still holds.

pub mod archive;
pub mod error;
mod migrate;
pub mod pool;
pub mod read_model;

pub use error::StoreError;
pub use pool::{Store, StoreConfig};
