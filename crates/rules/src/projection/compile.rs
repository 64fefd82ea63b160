//! From `projections.yaml` to models: names, fields, types and the rules about order are checked here.

use std::collections::HashMap;

use spina_core::{CellType, Column, KeyColumn, ModelShape};

use super::cell::{fits, type_of_event_field, type_of_field, type_of_literal};
use super::definition::{ChildDef, FileDef, ModelDef, RuleDef};
use super::fingerprint::fingerprint;
use super::model::{Model, Rule, WantedFields};
use super::table::Columns;
use crate::event_shape::EventShape;
use crate::expr::{EventField, Expr};
use crate::source::{Entries, Located, Place, Problem, Problems, Source, quote};

/// Most models of a context.
const MODELS_MAX: usize = 200;
/// Most columns of a model.
const COLUMNS_MAX: usize = 200;
/// Most columns of a key.
const KEY_COLUMNS_MAX: usize = 8;
/// Longest name of a model or column, in bytes; hidden columns and shadow tables add a suffix to it, and PostgreSQL
/// cuts names at 63.
pub(super) const NAME_BYTES_MAX: usize = 48;

/// Compiles the models of a context against the shapes of its events. All problems are found in one go.
pub fn compile(source: &Source, events: &[EventShape]) -> Result<Vec<Model>, Problems> {
    let file: FileDef = source.parse()?;
    let mut compiler = Compiler { source, events, problems: Problems::default() };
    if file.models.len() > MODELS_MAX {
        compiler.note(Place::FILE, format!("at most {MODELS_MAX} models are allowed"));
    }
    let mut models: Vec<Model> = file.models.iter().filter_map(|(name, def)| compiler.model(name, def)).collect();
    compiler.joins(&file.models, &mut models);
    compiler.problems.none_or(models)
}

pub(super) struct Compiler<'s> {
    pub source: &'s Source,
    events: &'s [EventShape],
    problems: Problems,
}

/// A table as it is written: that of a model, or one of child rows.
#[derive(Clone, Copy)]
pub(super) struct TableDef<'d> {
    pub key: &'d Entries<Located<String>>,
    pub columns: &'d Entries<Located<String>>,
    pub on: &'d Entries<RuleDef>,
    /// The model, for a table of child rows.
    pub parent: Option<&'d ModelDef>,
}

/// The columns of a key, with their expressions.
pub(super) type Key = Vec<(String, Expr, CellType)>;

/// What is known of a table while its rules are compiled.
pub(super) struct Draft<'d> {
    pub def: TableDef<'d>,
    pub declared: HashMap<&'d str, CellType>,
    /// Whether its events come in order.
    pub by_stream: bool,
    pub columns: Columns,
}

impl<'s> Compiler<'s> {
    pub(super) fn note(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(self.source.problem(place, message));
    }

    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn model(&mut self, name: &Located<String>, def: &ModelDef) -> Option<Model> {
        self.name("model", name);
        let (table, children) = (TableDef::of(def), TableDef::of_children(def));
        let mut events = self.events_of(table.on);
        if def.on.is_empty() {
            self.note(name.place, format!("{} needs at least one event under `on`", quote(name)));
        }
        // The parent's key is asked of every event that changes one of its children, too.
        for (_, child) in &children {
            for event in self.events_of(child.on) {
                if !events.contains(&event) {
                    events.push(event);
                }
            }
        }
        let key = self.key(name, table, &events);
        let by_stream = matches!(key.as_slice(), [(_, expr, _)] if expr.event_field() == Some(EventField::Stream));
        let compiled = self.table(name, table, by_stream, &key);
        let children = self.children(name, def, children, by_stream, &key);
        let (columns, rules) = compiled?;
        let (tables, children): (Vec<_>, Vec<_>) = children?.into_iter().unzip();
        let shape = ModelShape { key: key_columns(&key), columns, children: tables };
        let fingerprint = fingerprint(&shape, def);
        let mut wanted = HashMap::<String, WantedFields>::new();
        let tables = children.iter().map(|child| (&child.key, &child.rules));
        for (own_key, rules) in tables.chain([(&Vec::new(), &rules)]) {
            for (event, rule) in rules {
                let keys = key.iter().map(|(_, expr, _)| expr).chain(own_key);
                wanted.entry(event.clone()).or_default().add(rule.wanted(keys));
            }
        }
        let key = key.into_iter().map(|(_, expr, _)| expr).collect();
        let (name, doc, topic) = (name.value.clone(), def.doc.clone(), def.topic);
        Some(Model { name, doc, shape, fingerprint, topic, key, rules, children, joins: Vec::new(), wanted })
    }

    /// The columns and rules of a table.
    pub(super) fn table(
        &mut self,
        name: &Located<String>,
        def: TableDef<'_>,
        by_stream: bool,
        key: &Key,
    ) -> Option<(Vec<Column>, HashMap<String, Rule>)> {
        let mut draft = Draft { def, declared: self.declared(def), by_stream, columns: Columns::default() };
        let mut rules = HashMap::new();
        for (event, rule) in def.on.iter() {
            if let Some(shape) = self.events.iter().find(|shape| shape.name == event.value) {
                rules.insert(event.value.clone(), self.rule(&mut draft, event, shape, rule));
            }
        }
        self.check_declared(&draft);
        let columns = match draft.columns.finish() {
            Ok(columns) => columns,
            Err(unknown) => {
                for (place, column) in unknown {
                    let message = format!("the type of {} cannot be told: declare it under `columns`", quote(&column));
                    self.note(place, message);
                }
                return None;
            }
        };
        if columns.len() + key.len() > COLUMNS_MAX {
            self.note(name.place, format!("at most {COLUMNS_MAX} columns are allowed"));
        }
        Some((columns, rules))
    }

    pub(super) fn name(&mut self, what: &str, name: &Located<String>) {
        let text = name.value.as_bytes();
        let letters = text.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
        let starts = text.first().is_some_and(u8::is_ascii_lowercase);
        if !letters || !starts || text.len() > NAME_BYTES_MAX || name.contains("__") {
            let rule = format!("lower-case letters, digits and single underscores, at most {NAME_BYTES_MAX}");
            self.note(name.place, format!("{} is not a {what} name: {rule}", quote(name)));
        }
    }

    pub(super) fn events_of(&mut self, on: &Entries<RuleDef>) -> Vec<&'s EventShape> {
        let mut found = Vec::new();
        for (event, _) in on.iter() {
            match self.events.iter().find(|shape| shape.name == event.value) {
                Some(shape) => found.push(shape),
                None => {
                    let known: Vec<_> = self.events.iter().map(|shape| shape.name.as_str()).collect();
                    let message = format!("unknown event {}, the context has {}", quote(event), known.join(", "));
                    self.note(event.place, message);
                }
            }
        }
        found
    }

    /// Those of the events that there are.
    pub(super) fn known_events(&self, on: &Entries<RuleDef>) -> Vec<&'s EventShape> {
        on.iter().filter_map(|(event, _)| self.events.iter().find(|shape| shape.name == event.value)).collect()
    }

    fn declared<'d>(&mut self, def: TableDef<'d>) -> HashMap<&'d str, CellType> {
        let mut declared = HashMap::new();
        for (column, cell) in def.columns.iter() {
            match cell_type(cell) {
                Some(known) => {
                    declared.insert(column.value.as_str(), known);
                }
                None => {
                    let names = CellType::ALL.map(CellType::name).join(", ");
                    self.note(cell.place, format!("unknown type {}, known are {names}", quote(cell)));
                }
            }
        }
        declared
    }

    fn check_declared(&mut self, draft: &Draft<'_>) {
        for (column, _) in draft.def.columns.iter() {
            if !draft.def.has_key(column) && !draft.def.on.iter().any(|(_, rule)| rule.writes(column)) {
                self.note(column.place, format!("no rule writes the column {}", quote(column)));
            }
        }
    }

    pub(super) fn key(&mut self, table: &Located<String>, def: TableDef<'_>, events: &[&EventShape]) -> Key {
        if def.key.is_empty() || def.key.len() > KEY_COLUMNS_MAX {
            self.note(table.place, format!("a key has 1 to {KEY_COLUMNS_MAX} columns"));
        }
        let mut key = Vec::new();
        for (name, text) in def.key.iter() {
            self.name("column", name);
            let Some(expr) = self.expr(text) else { continue };
            // Every event is asked, so that all unknown fields are told.
            if events.iter().filter(|event| !self.fields(&expr, event)).count() > 0 {
                continue;
            }
            let mut cell = def.columns.get(name).and_then(|cell| cell_type(cell));
            for event in events {
                match (cell, inferred(&expr, event)) {
                    (None, found) => cell = found,
                    (Some(known), Some(found)) if !fits(found, known) => {
                        let (known, found) = (known.name(), found.name());
                        self.note(text.place, format!("the key is {known}, but {found} in {}", event.name));
                    }
                    (Some(_), _) => {}
                }
            }
            match cell {
                Some(cell) if cell.may_be_key() => key.push((name.value.clone(), expr, cell)),
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

    pub(super) fn expr(&mut self, text: &Located<String>) -> Option<Expr> {
        let compiled = Expr::compile(self.source, text);
        self.keep(compiled)
    }

    /// Complains about paths that the event does not have. Returns whether there is none.
    pub(super) fn fields(&mut self, expr: &Expr, event: &EventShape) -> bool {
        let mut all_known = true;
        for path in &expr.uses().data {
            if let Err(missing) = event.field(path) {
                let message = if missing.known.is_empty() {
                    format!("{} of {} has no fields", quote(&path.join(".")), event.name)
                } else {
                    let known = missing.known.join(", ");
                    format!("{} has no field {}, it has {known}", event.name, quote(&missing.name))
                };
                self.note(path.place, message);
                all_known = false;
            }
        }
        all_known
    }
}

/// The columns without their expressions.
pub(super) fn key_columns(key: &Key) -> Vec<KeyColumn> {
    key.iter().map(|(name, _, cell)| KeyColumn { name: name.clone(), cell: *cell }).collect()
}

impl<'d> TableDef<'d> {
    fn of(def: &'d ModelDef) -> Self {
        Self { key: &def.key, columns: &def.columns, on: &def.on, parent: None }
    }

    fn of_children(def: &'d ModelDef) -> Vec<(&'d Located<String>, Self)> {
        let table =
            |child: &'d ChildDef| Self { key: &child.key, columns: &child.columns, on: &child.on, parent: Some(def) };
        def.children.iter().map(|(name, child)| (name, table(child))).collect()
    }

    /// Whether the column is one of the key, or of the parent's.
    pub fn has_key(&self, column: &str) -> bool {
        self.key.get(column).is_some() || self.parent.is_some_and(|parent| parent.key.get(column).is_some())
    }
}

fn cell_type(name: &str) -> Option<CellType> {
    CellType::ALL.into_iter().find(|known| known.name() == name)
}

/// The type of the expression's value, if it can be told without running it.
pub(super) fn inferred(expr: &Expr, event: &EventShape) -> Option<CellType> {
    if let Some(path) = expr.data_path() {
        return event.field(path).ok().map(|(field, _)| type_of_field(&field.kind));
    }
    expr.event_field().map(type_of_event_field).or_else(|| expr.literal().and_then(type_of_literal))
}
