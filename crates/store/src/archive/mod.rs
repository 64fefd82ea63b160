//! The archive: the log's lagging copy in PostgreSQL, never on the acknowledgement path.
//!
//! One transaction stores a run of a partition's events, the versions of their streams and the watermark. The
//! watermark's row is locked first and must stand where the run begins, so two writers cannot interleave and nothing is
//! stored twice; its epoch must not be greater than the writer's, so a former owner cannot write after its successor.

mod ahead;
mod audit;
mod owner;
mod read;
mod snapshot;
mod takeover;
mod write;

use bytes::Bytes;
use spina_core::{EventHeaders, Timestamp};

pub use ahead::LastArchived;
pub use audit::{HeldSnapshot, Holding};
pub use owner::Owner;
pub use read::{StreamPart, StreamRange, TimeRange};
pub use snapshot::{Kept, Snapshot};
pub use takeover::{ArchivedRequest, Watermark};
pub use write::{ArchiveOutcome, Run};

/// An event as the log holds it: headers, place, and the value still encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What it says about itself.
    pub headers: EventHeaders,
    /// Its partition of the events topic.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// When it was written to the log.
    pub recorded_at: Timestamp,
    /// Confluent frame and Avro data.
    pub value: Bytes,
}
