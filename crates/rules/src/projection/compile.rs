//! From `projections.yaml` to models: names, fields, types and the rules about order are checked here.

use std::collections::HashMap;

use spina_core::{CellType, KeyColumn, ModelShape};

use super::cell::{fits, type_of_event_field, type_of_field, type_of_literal};
use super::definition::{FileDef, ModelDef};
use super::fingerprint::fingerprint;
use super::model::Model;
use super::table::Columns;
use crate::event_shape::EventShape;
use crate::expr::{EventField, Expr};
use crate::source::{Located, Place, Problem, Problems, Source, quote};

/// Most models of a context.
const MODELS_MAX: usize = 200;
/// Most columns of a model.
const COLUMNS_MAX: usize = 200;
/// Most columns of a key.
const KEY_COLUMNS_MAX: usize = 8;
/// Longest name of a model or column, in bytes; hidden columns and shadow tables add a suffix to it, and PostgreSQL
/// cuts names at 63.
const NAME_BYTES_MAX: usize = 48;

/// Compiles the models of a context against the shapes of its events. All problems are found in one go.
pub fn compile(source: &Source, events: &[EventShape]) -> Result<Vec<Model>, Problems> {
    let file: FileDef = source.parse()?;
    let mut compiler = Compiler { source, events, problems: Problems::default() };
    if file.models.len() > MODELS_MAX {
        compiler.note(Place::FILE, format!("at most {MODELS_MAX} models are allowed"));
    }
    let models = file.models.iter().filter_map(|(name, def)| compiler.model(name, def)).collect();
    compiler.problems.none_or(models)
}

pub(super) struct Compiler<'s> {
    pub source: &'s Source,
    events: &'s [EventShape],
    problems: Problems,
}

/// What is known of a model while its rules are compiled.
pub(super) struct Draft<'d> {
    pub def: &'d ModelDef,
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
        let events = self.events_of(def);
        if def.on.is_empty() {
            self.note(name.place, format!("{} needs at least one event under `on`", quote(name)));
        }
        let key = self.key(name, def, &events);
        let by_stream = matches!(key.as_slice(), [(_, expr, _)] if expr.event_field() == Some(EventField::Stream));
        let mut draft = Draft { def, declared: self.declared(def), by_stream, columns: Columns::default() };
        let mut rules = HashMap::new();
        for (event, rule) in def.on.iter() {
            if let Some(shape) = events.iter().find(|shape| shape.name == event.value) {
                rules.insert(event.value.clone(), self.rule(&mut draft, event, shape, rule, &key));
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
        if columns.len() > COLUMNS_MAX {
            self.note(name.place, format!("at most {COLUMNS_MAX} columns are allowed"));
        }
        let key_columns = key.iter().map(|(name, _, cell)| KeyColumn { name: name.clone(), cell: *cell }).collect();
        let key = key.into_iter().map(|(_, expr, _)| expr).collect();
        let shape = ModelShape { key: key_columns, columns };
        let fingerprint = fingerprint(&shape, def);
        let (name, doc, topic) = (name.value.clone(), def.doc.clone(), def.topic);
        Some(Model { name, doc, shape, fingerprint, topic, key, rules })
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

    fn events_of(&mut self, def: &ModelDef) -> Vec<&'s EventShape> {
        let mut found = Vec::new();
        for (event, _) in def.on.iter() {
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

    fn declared<'d>(&mut self, def: &'d ModelDef) -> HashMap<&'d str, CellType> {
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
            if draft.def.key.get(column).is_none() && !draft.def.on.iter().any(|(_, rule)| rule.writes(column)) {
                self.note(column.place, format!("no rule writes the column {}", quote(column)));
            }
        }
    }

    fn key(
        &mut self,
        model: &Located<String>,
        def: &ModelDef,
        events: &[&EventShape],
    ) -> Vec<(String, Expr, CellType)> {
        if def.key.is_empty() || def.key.len() > KEY_COLUMNS_MAX {
            self.note(model.place, format!("a key has 1 to {KEY_COLUMNS_MAX} columns"));
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
