//! Dead letters: events that a model could not take, with those that wait behind them in order.
//!
//! ```text
//! batch  -> rows + checkpoint + letters that it parks             (one transaction, see read_model::apply)
//! retry  -> rows + letters that are settled or have failed again  (one transaction, checkpoint unmoved)
//! verdict of a person -> kept beside the letter's place in the log, so that a rebuild comes to the same rows
//! ```
//!
//! Letters change only under the lease of whoever fills the table. Reading them needs none.

mod read;
mod verdicts;
mod write;

use std::sync::Arc;

use postgres_types::{FromSql, ToSql};

pub use read::{Head, Letter, LetterQuery, PARKED_LIST_MAX};
pub use verdicts::{Verdict, Verdicts};
pub(crate) use write::write;

/// Where an event stands in the log. Cheap to clone: the topic's name is shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A record of the log that is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRecord {
    /// What is kept in order: the record's key, empty if it has none.
    pub key: Vec<u8>,
    /// Where it stands.
    pub place: Place,
    /// When it was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key as it is.
    pub record_key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers in their own form.
    pub headers: Vec<u8>,
    /// What the headers say, where that is text: type, id, correlation id and trace context.
    pub said: [Option<String>; 4],
}

/// Why an event is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of error, such as `expression`: one word for all that may be mended in one go.
    pub class: &'static str,
    /// What went wrong.
    pub error: String,
}

/// A letter that is new: refused by itself, or waiting behind another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLetter {
    /// The record.
    pub record: ParkedRecord,
    /// Why; `None` while it only waits.
    pub refusal: Option<Refusal>,
}

/// What a person decided about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The event.
    pub place: Place,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why, in the person's words.
    pub reason: String,
    /// Who decided.
    pub decided_by: String,
}

/// What a transaction changes about letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterChanges {
    /// New ones.
    pub parked: Vec<NewLetter>,
    /// Ids of those that are applied or left out: they go away.
    pub settled: Vec<i64>,
    /// Those that were tried again, in vain.
    pub refused: Vec<(i64, Refusal)>,
    /// What was decided.
    pub decisions: Vec<Decision>,
}

impl LetterChanges {
    /// Whether a person waits for it: such a change must survive a crash of the database.
    pub(crate) fn is_asked_for(&self) -> bool {
        !(self.settled.is_empty() && self.refused.is_empty() && self.decisions.is_empty())
    }
}

/// Text that PostgreSQL can keep: it knows no U+0000.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A parameter of a statement.
type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The place of topic, partition and offset, in columns that follow one another.
pub(crate) fn place(row: &tokio_postgres::Row, at: usize) -> Result<Place, crate::StoreError> {
    let topic: &str = row.try_get(at)?;
    Ok(Place { topic: topic.into(), partition: row.try_get(at + 1)?, offset: row.try_get(at + 2)? })
}

/// A column that may be null.
fn column<'a, T: FromSql<'a>>(row: &'a tokio_postgres::Row, at: usize) -> Result<T, crate::StoreError> {
    Ok(row.try_get(at)?)
}
