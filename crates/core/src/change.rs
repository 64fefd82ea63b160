//! Changes to read models, as values.
//!
//! A projection turns an event into changes; the projector coalesces them per row and applies them. Every operation
//! says by itself how two of it merge, so that a batch needs one statement per table.

use crate::Timestamp;

/// One column value of a read model.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Long(i64),
    /// A double.
    Double(f64),
    /// Text.
    Text(String),
    /// An instant.
    Time(Timestamp),
    /// Anything nested, kept as JSON text.
    Json(String),
}

/// What happens to one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The value replaces what is there. Only for models keyed by the stream: order within a stream is certain.
    Set(Cell),
    /// The value replaces what is there unless that came from a later event, or from the same instant and a greater
    /// tie-breaker. Commutes, so it may be fed from several partitions.
    Last {
        /// The value.
        value: Cell,
        /// Time of the event.
        at: Timestamp,
        /// Decides between events of the same instant: any text that is the same in every run, such as the event id.
        tie: String,
    },
    /// Adds to a counter or sum. `count` is `Add(1)`. Null counts as 0.
    Add(i64),
    /// Keeps the smaller one; null loses.
    Min(Cell),
    /// Keeps the greater one; null loses.
    Max(Cell),
    /// Adds one observation to a mean, kept as sum and count.
    Mean {
        /// Sum of the observations.
        sum: i64,
        /// Number of observations.
        count: i64,
    },
}

/// A change to one row of a read model.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The row's key, one cell for each key column.
    pub key: Vec<Cell>,
    /// What happens to it.
    pub action: Action,
}

/// What a change does to its row.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Inserts the row or applies the operations to it: pairs of column index (in the model's order) and operation.
    Upsert(Vec<(usize, Op)>),
    /// Deletes the row.
    Delete,
}
