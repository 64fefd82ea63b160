//! spina-store: everything Spina keeps in PostgreSQL. All of it can be deleted and comes back from the log.
//!
//! - [`pool`]: connections, with a limit on every wait.
//! - [`archive`]: the event-store's lagging copy of the log.
//! - [`read_model`]: tables that projections fill.
//! - [`dead_letters`]: events that they could not take.
//! - [`sagas`]: sagas as they were last seen. [`saga_snapshots`]: what their owners remembered. [`saga_batches`]: what was
//!   wanted of many at a time.
//! - [`jobs`]: long work that people ask for. [`conditions`]: how much waits for a person.
//!
//! A commit whose answer was lost is never guessed about: each transaction names the state it started from, and the
//! next one finds out whether that still holds.

pub mod archive;
pub mod conditions;
pub mod dead_letters;
pub mod error;
pub mod jobs;
mod migrate;
pub mod pool;
pub mod read_model;
pub mod saga_batches;
pub mod saga_snapshots;
pub mod sagas;

pub use error::{Cause, StoreError};
pub use pool::{Store, StoreConfig};
