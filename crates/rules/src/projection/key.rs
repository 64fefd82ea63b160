//! Keys of rows: one set of columns, and for each event the expressions that give them.

use std::collections::HashMap;

use spina_core::{CellType, KeyColumn};

use super::cell::fits;
use super::compile::{Compiler, TableDef, cell_type, inferred};
use super::definition::RuleDef;
use super::input::NamedEvent;
use crate::event_shape::EventShape;
use crate::expr::{EventField, Expr};
use crate::source::{Entries, Located, quote};

/// Most columns of a key.
const KEY_COLUMNS_MAX: usize = 8;

/// A column of a key with the expression of the events that bring none of their own.
#[derive(Debug)]
pub(super) struct KeyPart {
    pub name: String,
    pub expr: Expr,
    pub cell: CellType,
}

/// The columns of a key, with their expressions.
#[derive(Debug, Default)]
pub(super) struct Key {
    pub parts: Vec<KeyPart>,
    /// The expressions of events that bring their own, in the order of the columns, by the name that the rule has.
    own: HashMap<String, Vec<Expr>>,
}

/// An event that is asked for a key, and the expressions that it brings.
#[derive(Clone, Copy)]
pub(super) struct KeyedEvent<'s, 'd> {
    pub shape: &'s EventShape,
    pub own: Option<(&'d Located<String>, &'d Entries<Located<String>>)>,
}

impl<'s, 'd> KeyedEvent<'s, 'd> {
    pub fn of(event: NamedEvent<'s>, name: &'d Located<String>, rule: &'d RuleDef) -> Self {
        let own = (!rule.key.is_empty()).then_some((name, &rule.key));
        Self { shape: event.shape, own }
    }
}

/// What an event gives for a column of the key.
struct Asked<'a> {
    event: &'a str,
    text: &'a Located<String>,
    inferred: Option<CellType>,
}

impl Key {
    /// Number of columns.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// The columns without their expressions.
    pub fn columns(&self) -> Vec<KeyColumn> {
        self.parts.iter().map(|part| KeyColumn { name: part.name.clone(), cell: part.cell }).collect()
    }

    /// The expressions of an event.
    pub fn of<'k>(&'k self, event: &str) -> Vec<&'k Expr> {
        match self.own.get(event) {
            Some(own) => own.iter().collect(),
            None => self.parts.iter().map(|part| &part.expr).collect(),
        }
    }

    /// The expressions that the event brings itself.
    pub fn take_own(&mut self, event: &str) -> Option<Vec<Expr>> {
        self.own.remove(event)
    }

    /// Whether a row's events of this type come in order: all of them are of one stream.
    pub fn is_stream(&self, event: &str) -> bool {
        matches!(self.of(event).as_slice(), [expr] if expr.event_field() == Some(EventField::Stream))
    }
}

impl Compiler<'_> {
    pub(super) fn key(&mut self, table: &Located<String>, def: TableDef<'_>, events: &[KeyedEvent<'_, '_>]) -> Key {
        if def.key.is_empty() || def.key.len() > KEY_COLUMNS_MAX {
            self.note(table.place, format!("a key has 1 to {KEY_COLUMNS_MAX} columns"));
        }
        self.own_columns(def, events);
        let mut key = Key::default();
        for (name, text) in def.key.iter() {
            self.name("column", name);
            let Some(expr) = self.expr(text) else { continue };
            let Some(asked) = self.ask(&mut key, (name, text, &expr), events) else { continue };
            let mut cell = def.columns.get(name).and_then(|cell| cell_type(cell));
            for Asked { event, text, inferred } in asked {
                match (cell, inferred) {
                    (None, found) => cell = found,
                    (Some(known), Some(found)) if !fits(found, known) => {
                        let (known, found) = (known.name(), found.name());
                        self.note(text.place, format!("the key is {known}, but {found} in {event}"));
                    }
                    (Some(_), _) => {}
                }
            }
            match cell {
                Some(cell) if cell.may_be_key() => key.parts.push(KeyPart { name: name.value.clone(), expr, cell }),
                Some(cell) => self.note(text.place, format!("a key column cannot be {}", cell.name())),
                None if events.is_empty() => {}
                None => {
                    let message = format!("the type of {} cannot be told: declare it under `columns`", quote(name));
                    self.note(text.place, message);
                }
            }
        }
        key
    }

    /// Asks every event for a column, so that all unknown fields are told. `None` if there were any.
    fn ask<'a>(
        &mut self,
        key: &mut Key,
        (name, text, expr): (&str, &'a Located<String>, &Expr),
        events: &[KeyedEvent<'a, 'a>],
    ) -> Option<Vec<Asked<'a>>> {
        let (mut asked, mut known) = (Vec::new(), true);
        for event in events {
            let Some((event_name, own)) = event.own else {
                known &= self.fields(expr, event.shape);
                asked.push(Asked { event: &event.shape.name, text, inferred: inferred(expr, event.shape) });
                continue;
            };
            // One that is missing was told.
            let Some(text) = own.get(name) else { continue };
            let Some(expr) = self.expr(text) else { continue };
            known &= self.fields(&expr, event.shape);
            asked.push(Asked { event: &event.shape.name, text, inferred: inferred(&expr, event.shape) });
            key.own.entry(event_name.value.clone()).or_default().push(expr);
        }
        known.then_some(asked)
    }

    /// A key that an event brings has the columns of the model's key.
    fn own_columns(&mut self, def: TableDef<'_>, events: &[KeyedEvent<'_, '_>]) {
        for (event, own) in events.iter().filter_map(|event| event.own) {
            for (column, _) in own.iter().filter(|(column, _)| def.key.get(column).is_none()) {
                self.note(column.place, format!("{} is no column of the model's key", quote(column)));
            }
            for (column, _) in def.key.iter().filter(|(column, _)| own.get(column).is_none()) {
                self.note(event.place, format!("the key of {} lacks the column {}", quote(event), quote(column)));
            }
        }
    }
}
