//! Projecting: from records of the log to rows of read models.
//!
//! ```text
//! ModelTask (one per model)
//!   |- live:    Fill(slot live,    for ever)         -- batches --> <ctx>.<model>
//!   `- rebuild: Fill(slot rebuild, until caught up)  -- batches --> <ctx>.<model>__rebuild, then swap
//!
//! Teller: rows that changed --> the model's compacted topic, if it has one
//!
//! Fill: Readers -> Decoder -> Model::project -> Pending (coalesced) -> Store::apply
//!       the next batch is gathered while the one before is being written
//! ```

mod audit;
mod decode;
mod ends;
mod failure;
mod feed;
mod fill;
mod handle;
mod handles;
mod load;
mod mark;
mod pending;
mod readers;
mod report;
mod status;
mod task;
mod topic;

pub use audit::{AllKeys, AuditError, Auditor, Choice, Drift, PassError, Toucher};
pub use ends::{Ends, behind, fresh, watch};
pub use feed::{Follower, Keys, Told};
pub use fill::{Parts, Settled, record_of};
pub use handle::{Command, CommandError, Handle, Request, WaitError};
pub use handles::Handles;
pub use load::{DefinedModel, Definition, load};
pub use mark::{Mark, token_before};
pub use status::{Rebuild, RebuildState, State};
pub use task::{ModelTask, Neighbours};
pub use topic::Voice;
