//! Read models in PostgreSQL: one schema per context, one table per model and one for each kind of child rows, and
//! `spina.models` to keep the books.
//!
//! ```text
//! take  -> a lease: generation and next offsets
//! apply -> one transaction: rows + next offsets, only if generation and offsets are still those of the lease
//! lost? -> resume: find out what is true, go on from there
//! ```
//!
//! The row of `spina.models` is lock, fence and checkpoint in one. A frozen former projector, an older rebuild or a
//! commit whose answer was lost cannot apply anything twice: the row then no longer says what the writer believes.

mod apply;
mod arrays;
mod changes;
mod compare;
mod cursor;
mod ddl;
mod filter;
mod held;
mod indexes;
mod inputs;
mod lease;
mod query;
mod rebuild;
mod rows;
mod sql;
mod view;

use std::fmt;

use spina_core::ContextName;

pub use apply::{Applied, RowBatch};
pub(crate) use arrays::PgTime;
pub use changes::{ChangedRow, Entry};
pub use compare::{Comparison, Difference};
pub use filter::{BadQuery, Filter, Order, operators};
pub use held::{Held, WholeRow};
pub use inputs::{Input, Inputs};
pub use lease::{Lease, ModelRow, Resumed, Taking};
pub use query::{LIMIT_MAX, ListQuery, Page};
pub use rebuild::{Swap, SwapBack};
pub use view::View;

/// Longest context name that can be a schema's name: PostgreSQL cuts names at 63 bytes.
const SCHEMA_BYTES_MAX: usize = 63;

/// A read model by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName {
    /// Its context, which is its schema's name too.
    pub context: ContextName,
    /// Its name.
    pub model: String,
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.context, self.model)
    }
}

/// Which of a model's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// The one that is read.
    Live,
    /// The shadow that a rebuild fills.
    Rebuild,
    /// The one that the last swap put aside.
    Old,
}

impl Slot {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Rebuild => "rebuild",
            Self::Old => "old",
        }
    }

    /// The table's name without its schema.
    fn table(self, model: &str) -> String {
        match self {
            Self::Live => model.to_owned(),
            Self::Rebuild => format!("{model}__rebuild"),
            Self::Old => format!("{model}__old"),
        }
    }
}
