//! Changes to read models, as values.
//!
//! A projection turns an event into changes; the projector coalesces them per row and applies them. Every operation
//! says by itself how two of it merge, so that a batch needs one statement per table.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::Timestamp;

/// One column value of a read model. Doubles are equal if their bits are.
#[derive(Debug, Clone)]
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
    /// Deletes the row, and its children with it.
    Delete,
    /// Changes a row that belongs to it.
    Child(ChildChange),
}

/// A change to a child row. A child has its parent: inserting one inserts the parent too, if that is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildChange {
    /// Which of the model's child tables.
    pub table: usize,
    /// What tells it apart from the other children of its parent, one cell for each of these key columns.
    pub key: Vec<Cell>,
    /// The operations that are applied to it; `None` deletes it.
    pub upsert: Option<Vec<(usize, Op)>>,
}

/// Two operations on one column do not come together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A sum leaves the range of 64 bits.
    #[error("a sum exceeds 64 bits")]
    Overflow,
    /// They are of different kinds, or on values of different types.
    #[error("operations of different kinds meet on one column")]
    Mismatch,
}

impl Op {
    /// Merges an operation that comes after this one into it.
    pub fn merge(&mut self, later: Self) -> Result<(), MergeError> {
        match (&mut *self, later) {
            (Self::Set(value), Self::Set(new)) => *value = new,
            (Self::Last { at, tie, .. }, later @ Self::Last { .. }) => {
                let Self::Last { at: new_at, tie: new_tie, .. } = &later else { return Err(MergeError::Mismatch) };
                if (*at, tie.as_str()) <= (*new_at, new_tie.as_str()) {
                    *self = later;
                }
            }
            (Self::Add(sum), Self::Add(more)) => *sum = sum.checked_add(more).ok_or(MergeError::Overflow)?,
            (Self::Min(cell), Self::Min(new)) => cell.keep(new, Ordering::Less)?,
            (Self::Max(cell), Self::Max(new)) => cell.keep(new, Ordering::Greater)?,
            (Self::Mean { sum, count }, Self::Mean { sum: more, count: further }) => {
                *sum = sum.checked_add(more).ok_or(MergeError::Overflow)?;
                *count = count.checked_add(further).ok_or(MergeError::Overflow)?;
            }
            (Self::Set(_) | Self::Last { .. } | Self::Add(_) | Self::Min(_) | Self::Max(_) | Self::Mean { .. }, _) => {
                return Err(MergeError::Mismatch);
            }
        }
        Ok(())
    }
}

impl Cell {
    /// The order of two values of one type: numbers and instants by size, text by its bytes. `None` for values of
    /// different types, nulls, and types without an order.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Long(a), Self::Long(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (
                Self::Null
                | Self::Bool(_)
                | Self::Long(_)
                | Self::Double(_)
                | Self::Text(_)
                | Self::Time(_)
                | Self::Json(_),
                _,
            ) => None,
        }
    }

    fn keep(&mut self, new: Self, wanted: Ordering) -> Result<(), MergeError> {
        if matches!(new, Self::Null) {
            return Ok(());
        }
        if matches!(self, Self::Null) || new.compare(self).ok_or(MergeError::Mismatch)? == wanted {
            *self = new;
        }
        Ok(())
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Long(a), Self::Long(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) | (Self::Json(a), Self::Json(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (
                Self::Null
                | Self::Bool(_)
                | Self::Long(_)
                | Self::Double(_)
                | Self::Text(_)
                | Self::Time(_)
                | Self::Json(_),
                _,
            ) => false,
        }
    }
}

impl Eq for Cell {}

impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::Long(value) => value.hash(state),
            Self::Double(value) => value.to_bits().hash(state),
            Self::Text(value) | Self::Json(value) => value.hash(state),
            Self::Time(value) => value.hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(mut first: Op, then: Op) -> Result<Op, MergeError> {
        first.merge(then)?;
        Ok(first)
    }

    fn last(value: i64, at: i64, tie: &str) -> Op {
        Op::Last { value: Cell::Long(value), at: Timestamp::from_micros(at).unwrap(), tie: tie.to_owned() }
    }

    #[test]
    fn each_operation_merges_in_its_own_way() {
        let (one, two) = (Cell::Long(1), Cell::Long(2));
        assert_eq!(merged(Op::Set(two.clone()), Op::Set(Cell::Null)), Ok(Op::Set(Cell::Null)));
        assert_eq!(merged(Op::Add(1), Op::Add(2)), Ok(Op::Add(3)));
        assert_eq!(merged(Op::Min(two.clone()), Op::Min(one.clone())), Ok(Op::Min(one.clone())));
        assert_eq!(merged(Op::Max(two.clone()), Op::Max(one.clone())), Ok(Op::Max(two.clone())));
        assert_eq!(merged(Op::Max(Cell::Null), Op::Max(one.clone())), Ok(Op::Max(one.clone())));
        assert_eq!(merged(Op::Min(one.clone()), Op::Min(Cell::Null)), Ok(Op::Min(one)));
        let mean = |sum, count| Op::Mean { sum, count };
        assert_eq!(merged(mean(3, 1), mean(-5, 2)), Ok(mean(-2, 3)));
    }

    #[test]
    fn the_last_is_by_event_time_in_any_order_of_arrival() {
        for (a, b, wins) in [(last(1, 10, "x"), last(2, 20, "a"), 2), (last(1, 10, "x"), last(2, 10, "y"), 2)] {
            for answer in [merged(a.clone(), b.clone()), merged(b.clone(), a.clone())] {
                assert!(matches!(answer, Ok(Op::Last { value: Cell::Long(value), .. }) if value == wins));
            }
        }
    }

    #[test]
    fn what_cannot_be_merged_is_refused() {
        assert_eq!(merged(Op::Add(i64::MAX), Op::Add(1)), Err(MergeError::Overflow));
        assert_eq!(merged(Op::Add(1), Op::Set(Cell::Null)), Err(MergeError::Mismatch));
        assert_eq!(merged(Op::Min(Cell::Long(1)), Op::Min(Cell::Double(1.0))), Err(MergeError::Mismatch));
    }
}
