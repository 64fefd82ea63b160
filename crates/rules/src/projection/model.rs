//! A compiled read model: the pure function from an event to row changes.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use spina_core::change::{Action, ChildChange};
use spina_core::{Cell, CellType, Change, Column, Fold, Join, KeyColumn, ModelShape, Op, Recorded, StreamKey};

use super::cell::cell;
use super::input::Input;
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
    /// Its own context first.
    pub(super) inputs: Vec<Input>,
    /// Written by events of its own context only.
    pub(super) children: Vec<Child>,
    pub(super) joins: Vec<Join>,
}

/// A table of child rows; its columns are in the model's shape.
#[derive(Debug)]
pub(super) struct Child {
    pub doc: String,
    pub key: Vec<Expr>,
    pub rules: HashMap<String, Rule>,
}

/// What one event type does.
#[derive(Debug)]
pub(super) struct Rule {
    /// The expressions of the row's key, where they are not the model's.
    pub key: Option<Vec<Expr>>,
    pub when: Option<Expr>,
    pub effect: Effect,
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

    /// Columns of other models' rows that are read with its own. They are no part of the table.
    pub fn joins(&self) -> &[Join] {
        &self.joins
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

    /// What it reads: its own context first, then others by name. There is no order between events of two of them, and the
    /// rows do not depend on one: a column that is set is set by the events of one input only.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What the definition says about a table of child rows, for people.
    pub fn child_doc(&self, table: usize) -> &str {
        self.children.get(table).map_or("", |child| &child.doc)
    }

    /// The changes that an event of an input makes: of its row, then of its children. An event whose key has a null makes
    /// none: a row needs a whole key.
    pub fn project(&self, input: usize, event: &Recorded) -> Result<Vec<Change>, ProjectError> {
        let Some(Input { context, rules, .. }) = self.inputs.get(input) else { return Ok(Vec::new()) };
        let own = applying(rules, event)?;
        let mut children = Vec::new();
        for (table, child) in self.children.iter().enumerate().filter(|_| context.is_none()) {
            children.extend(applying(&child.rules, event)?.map(|rule| (table, child, rule)));
        }
        if own.is_none() && children.is_empty() {
            return Ok(Vec::new());
        }
        let key = own.and_then(|rule| rule.key.as_ref()).unwrap_or(&self.key);
        let Some(key) = cells(key, &self.shape.key, event)? else { return Ok(Vec::new()) };
        check_length(&key, &[])?;
        let mut changes = Vec::with_capacity(usize::from(own.is_some()) + children.len());
        for (table, child, rule) in children {
            let shape = &self.shape.children[table].shape;
            let own_columns = &shape.key[self.shape.key.len()..];
            let Some(child_key) = cells(&child.key, own_columns, event)? else { continue };
            check_length(&key, &child_key)?;
            let upsert = rule.ops(&shape.columns, event, None)?;
            let action = Action::Child(ChildChange { table, key: child_key, upsert });
            changes.push(Change { key: key.clone(), action });
        }
        if let Some(rule) = own {
            let action =
                rule.ops(&self.shape.columns, event, context.as_deref())?.map_or(Action::Delete, Action::Upsert);
            changes.insert(0, Change { key, action });
        }
        Ok(changes)
    }
}

/// The rule for the event, if its condition holds.
fn applying<'r>(rules: &'r HashMap<String, Rule>, event: &Recorded) -> Result<Option<&'r Rule>, ProjectError> {
    let Some(rule) = rules.get(event.headers.event_name()) else { return Ok(None) };
    let holds = rule.when.as_ref().map_or(Ok(true), |when| when.holds(event))?;
    Ok(holds.then_some(rule))
}

/// The cells of a key; `None` if one of them is null.
fn cells(exprs: &[Expr], columns: &[KeyColumn], event: &Recorded) -> Result<Option<Vec<Cell>>, ProjectError> {
    let mut key = Vec::with_capacity(exprs.len());
    for (expr, column) in exprs.iter().zip(columns) {
        match value(expr, column.cell, &column.name, event)? {
            Cell::Null => return Ok(None),
            cell => key.push(cell),
        }
    }
    Ok(Some(key))
}

fn check_length(key: &[Cell], child: &[Cell]) -> Result<(), ProjectError> {
    let length = |cell: &Cell| if let Cell::Text(text) = cell { text.len() } else { 0 };
    let bytes = key.iter().chain(child).map(length).sum();
    if bytes > KEY_BYTES_MAX { Err(ProjectError::KeyTooLong { bytes }) } else { Ok(()) }
}

fn value(expr: &Expr, wanted: CellType, column: &str, event: &Recorded) -> Result<Cell, ProjectError> {
    let value = expr.eval(event)?;
    let value: &Value = value.as_ref();
    cell(value, wanted).map_err(|cause| ProjectError::Value { column: column.to_owned(), cause })
}

impl Rule {
    /// The operations on the row; `None` if it is deleted. The event is of the context, or of the model's own.
    fn ops(
        &self,
        columns: &[Column],
        event: &Recorded,
        context: Option<&str>,
    ) -> Result<Option<Vec<(usize, Op)>>, ProjectError> {
        let Effect::Upsert(rules) = &self.effect else { return Ok(None) };
        let mut ops = Vec::with_capacity(rules.len());
        for rule in rules {
            let op = match &rule.source {
                ColumnSource::One => Some(Op::Add(1)),
                ColumnSource::Value(expr) => {
                    let column = &columns[rule.column];
                    op(column.fold, value(expr, column.cell, &column.name, event)?, event, context)
                }
            };
            ops.extend(op.map(|op| (rule.column, op)));
        }
        Ok(Some(ops))
    }
}

impl Default for WantedFields {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl WantedFields {
    /// These and those.
    pub(super) fn add(&mut self, others: Self) {
        match (&mut *self, others) {
            (Self::Some(names), Self::Some(others)) => names.extend(others),
            (Self::All, _) => {}
            (Self::Some(_), Self::All) => *self = Self::All,
        }
    }
}

/// Two events are never told apart by it alone, also not those of two contexts that gave them the same id.
fn tie(event: &Recorded, context: Option<&str>) -> String {
    let id = &event.headers.id;
    context.map_or_else(|| id.clone(), |context| format!("{id}\u{1f}{context}"))
}

/// The operation for a value; a null does nothing to sums, means and extremes.
fn op(fold: Fold, value: Cell, event: &Recorded, context: Option<&str>) -> Option<Op> {
    match (fold, value) {
        (Fold::Set, value) => Some(Op::Set(value)),
        (Fold::Last, value) => Some(Op::Last { value, at: event.headers.time, tie: tie(event, context) }),
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
