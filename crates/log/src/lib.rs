//! The log: Kafka, behind words of our own. No other crate names a Kafka client.
//!
//! ```text
//!            commands topic                                            events topic
//!   Membership ------------> event-store --Window--> Lane (transaction) ------------> LogReader --> projector, tail
//!   (who owns a partition)                           (all or nothing)                 (committed records only)
//! ```
//!
//! - [`names`]: topics, groups and transactional ids.
//! - [`reader`]: committed records of a topic, from given offsets.
//! - [`writer`]: transactions, one window of records each.
//! - [`publisher`]: records outside a transaction, for callers that asked for that.
//! - [`membership`]: which partitions this process owns, and their commands.
//! - [`admin`]: topics, their settings and ends, the cluster. [`settled`] waits until no transaction is open.
//!
//! Two clients are in use (docs/adr). rdkafka reads and publishes: it is fast and proven. krafka writes transactions, since
//! it speaks transaction protocol v2, and answers admin questions, since it is asynchronous all through.

pub mod admin;
pub mod config;
pub mod error;
pub mod membership;
pub mod names;
pub mod publisher;
pub mod reader;
pub mod record;
pub mod settled;
pub mod writer;

mod client;
mod copy;
mod native;

pub use admin::Admin;
pub use config::LogConfig;
pub use error::LogError;
pub use membership::{GroupMember, Membership};
pub use publisher::Publisher;
pub use reader::{Batch, LogReader, ReaderOptions, Start};
pub use record::{Fetched, NewRecord, mark};
pub use writer::{Consumed, Lane, LaneFactory, LaneFactoryV1, Lanes, Window, WriteError};
