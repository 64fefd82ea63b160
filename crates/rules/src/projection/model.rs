//! A compiled read model: the pure function from an event to row changes.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use spina_core::change::Action;
use spina_core::{Cell, CellType, Change, Fold, ModelShape, Op, Recorded, StreamKey};

use super::cell::cell;
use crate::expr::{EvalError, Expr};

/// Longest key of a row: the texts of its columns together, in bytes. A PostgreSQL index entry has room for 2704.
const KEY_BYTES_MAX: usize = 1024;

/// A read model, compiled.
#[derive(Debug)]
pub struct Model {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) shape: ModelShape,
    pub(super) fingerprint: String,
    pub(super) topic: bool,
    pub(super) key: Vec<Expr>,
    pub(super) rules: HashMap<String, Rule>,
}

/// What one event type does.
#[derive(Debug)]
pub(super) struct Rule {
    pub when: Option<Expr>,
    pub effect: Effect,
    pub wanted: WantedFields,
}

#[derive(Debug)]
pub(super) enum Effect {
    Upsert(Vec<ColumnRule>),
    Delete,
}

/// What an event does to one column.
#[derive(Debug)]
pub(super) struct ColumnRule {
    pub column: usize,
    pub source: ColumnSource,
}

#[derive(Debug)]
pub(super) enum ColumnSource {
    /// The event is counted.
    One,
    /// The value of an expression, put together by the column's fold.
    Value(Expr),
}

/// The data fields that a model needs of an event type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedFields {
    /// All of them.
    All,
    /// These top-level fields.
    Some(BTreeSet<String>),
}

/// An event cannot be projected. It is poison to this model: trying again gives the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectError {
    /// An expression failed.
    #[error(transparent)]
    Expression(#[from] EvalError),
    /// A value does not fit its column.
    #[error("column {column}: {cause}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong with the value.
        cause: String,
    },
    /// The row's key is too long.
    #[error("the row's key is {bytes} bytes long, at most {KEY_BYTES_MAX} are allowed")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Model {
    /// Its name, which is its table's name too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the definition says about it, for people.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// Whether changes of its rows go out as records of a topic of its own.
    pub fn has_topic(&self) -> bool {
        self.topic
    }

    /// Its columns.
    pub fn shape(&self) -> &ModelShape {
        &self.shape
    }

    /// Changes whenever the definition changes in a way that could give other rows. 32 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The same model over events that are read with these upcasters: other ones may give other rows.
    #[must_use]
    pub fn reading(mut self, upcasters_fingerprint: &str) -> Self {
        if !upcasters_fingerprint.is_empty() {
            let both = format!("{} {upcasters_fingerprint}", self.fingerprint);
            self.fingerprint = format!("{:032x}", StreamKey::of(&both).0);
        }
        self
    }

    /// The names of the event types that it looks at, and the fields it needs of them.
    pub fn events(&self) -> impl Iterator<Item = (&str, &WantedFields)> {
        self.rules.iter().map(|(name, rule)| (name.as_str(), &rule.wanted))
    }

    /// The fields it needs of an event type; `None` if it does not look at that type.
    pub fn wants(&self, event_name: &str) -> Option<&WantedFields> {
        self.rules.get(event_name).map(|rule| &rule.wanted)
    }

    /// The changes that the event makes. An event whose key has a null makes none: a row needs a whole key.
    pub fn project(&self, event: &Recorded) -> Result<Vec<Change>, ProjectError> {
        let Some(rule) = self.rules.get(event.headers.event_name()) else { return Ok(Vec::new()) };
        if let Some(when) = &rule.when
            && !when.holds(event)?
        {
            return Ok(Vec::new());
        }
        let Some(key) = self.key_of(event)? else { return Ok(Vec::new()) };
        let action = match &rule.effect {
            Effect::Delete => Action::Delete,
            Effect::Upsert(columns) => Action::Upsert(self.ops(columns, event)?),
        };
        Ok(vec![Change { key, action }])
    }

    fn key_of(&self, event: &Recorded) -> Result<Option<Vec<Cell>>, ProjectError> {
        let mut key = Vec::with_capacity(self.key.len());
        let mut bytes = 0;
        for (expr, column) in self.key.iter().zip(&self.shape.key) {
            let cell = self.cell(expr, column.cell, &column.name, event)?;
            match &cell {
                Cell::Null => return Ok(None),
                Cell::Text(text) => bytes += text.len(),
                Cell::Bool(_) | Cell::Long(_) | Cell::Double(_) | Cell::Time(_) | Cell::Json(_) => {}
            }
            key.push(cell);
        }
        if bytes > KEY_BYTES_MAX { Err(ProjectError::KeyTooLong { bytes }) } else { Ok(Some(key)) }
    }

    fn ops(&self, columns: &[ColumnRule], event: &Recorded) -> Result<Vec<(usize, Op)>, ProjectError> {
        let mut ops = Vec::with_capacity(columns.len());
        for rule in columns {
            let op = match &rule.source {
                ColumnSource::One => Some(Op::Add(1)),
                ColumnSource::Value(expr) => {
                    let column = &self.shape.columns[rule.column];
                    op(column.fold, self.cell(expr, column.cell, &column.name, event)?, event)
                }
            };
            ops.extend(op.map(|op| (rule.column, op)));
        }
        Ok(ops)
    }

    fn cell(&self, expr: &Expr, wanted: CellType, column: &str, event: &Recorded) -> Result<Cell, ProjectError> {
        let value = expr.eval(event)?;
        let value: &Value = value.as_ref();
        cell(value, wanted).map_err(|cause| ProjectError::Value { column: column.to_owned(), cause })
    }
}

/// The operation for a value; a null does nothing to sums, means and extremes.
fn op(fold: Fold, value: Cell, event: &Recorded) -> Option<Op> {
    match (fold, value) {
        (Fold::Set, value) => Some(Op::Set(value)),
        (Fold::Last, value) => Some(Op::Last { value, at: event.headers.time, tie: event.headers.id.clone() }),
        (Fold::Add, Cell::Long(value)) => Some(Op::Add(value)),
        (Fold::Mean, Cell::Long(sum)) => Some(Op::Mean { sum, count: 1 }),
        (Fold::Add | Fold::Mean | Fold::Min | Fold::Max, Cell::Null) => None,
        (Fold::Min, value) => Some(Op::Min(value)),
        (Fold::Max, value) => Some(Op::Max(value)),
        (Fold::Add | Fold::Mean, Cell::Bool(_) | Cell::Double(_) | Cell::Text(_) | Cell::Time(_) | Cell::Json(_)) => {
            unreachable!("the compiler lets only integers be summed")
        }
    }
}
