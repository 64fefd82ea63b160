//! Projecting: from records of the log to rows of read models.
//!
//! ```text
//! ModelTask (one per model)
//!   |- live:    Fill(slot live,    for ever)         -- batches --> <ctx>.<model>
//!   `- rebuild: Fill(slot rebuild, until caught up)  -- batches --> <ctx>.<model>__rebuild, then swap
//!
//! Fill: LogReader -> Decoder -> Model::project -> Pending (coalesced) -> Store::apply
//!       the next batch is gathered while the one before is being written
//! ```

mod decode;
mod ends;
mod failure;
mod fill;
mod handle;
mod load;
mod pending;
mod report;
mod task;

pub use ends::{Ends, behind};
pub use fill::Parts;
pub use handle::{Command, CommandError, Handle, Handles, Rebuild, RebuildState, Request, State, WaitError};
pub use load::{Definition, load};
pub use task::{ModelTask, Neighbours};
