//! From `projections.yaml` to models: names, fields, types and the rules about order are checked here.

use std::collections::HashMap;

use spina_core::{CellType, Column, ModelShape};

use super::cell::{type_of_event_field, type_of_field, type_of_literal};
use super::definition::{ChildDef, FileDef, ModelDef, RuleDef};
use super::fingerprint::fingerprint;
use super::input::{ContextEvents, NamedEvent, context_of};
use super::key::{Key, KeyedEvent};
use super::model::{Model, Rule};
use super::table::Columns;
use crate::event_shape::EventShape;
use crate::expr::Expr;
use crate::source::{Entries, Located, Place, Problem, Problems, Source, quote};

/// Most models of a context.
const MODELS_MAX: usize = 200;
/// Most columns of a model.
const COLUMNS_MAX: usize = 200;
/// Longest name of a model or column, in bytes; hidden columns and shadow tables add a suffix to it, and PostgreSQL
/// cuts names at 63.
pub(super) const NAME_BYTES_MAX: usize = 48;

/// Compiles the models of a context against the shapes of its own events, and of those of other contexts that rules may
/// name; see [`super::contexts_named`]. All problems are found in one go.
pub fn compile(source: &Source, own: &[EventShape], others: &[ContextEvents]) -> Result<Vec<Model>, Problems> {
    let file: FileDef = source.parse()?;
    let mut compiler = Compiler { source, own, others, problems: Problems::default() };
    if file.models.len() > MODELS_MAX {
        compiler.note(Place::FILE, format!("at most {MODELS_MAX} models are allowed"));
    }
    let mut models: Vec<Model> = file.models.iter().filter_map(|(name, def)| compiler.model(name, def)).collect();
    compiler.joins(&file.models, &mut models);
    compiler.problems.none_or(models)
}

pub(super) struct Compiler<'s> {
    pub source: &'s Source,
    pub own: &'s [EventShape],
    pub others: &'s [ContextEvents],
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

/// What is known of a table while its rules are compiled.
pub(super) struct Draft<'d> {
    pub def: TableDef<'d>,
    pub declared: HashMap<&'d str, CellType>,
    /// Whether events of several contexts write its rows.
    pub gathers: bool,
    /// The context of the event whose rule is compiled; `None` is the model's own.
    pub context: Option<&'d str>,
    /// Whether those events come in order.
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
        if def.on.is_empty() {
            self.note(name.place, format!("{} needs at least one event under `on`", quote(name)));
        }
        let mut inputs = self.inputs(name, def);
        let mut events = self.keyed_events(table.on);
        // The parent's key is asked of every event that changes one of its children, too.
        for (_, child) in &children {
            for event in self.keyed_events(child.on) {
                if !events.iter().any(|known| std::ptr::eq(known.shape, event.shape)) {
                    events.push(event);
                }
            }
        }
        let mut key = self.key(name, table, &events);
        let compiled = self.table(name, table, &key, &key);
        let children = self.children(name, def, children, &key);
        let (columns, rules) = compiled?;
        let (tables, children): (Vec<_>, Vec<_>) = children?.into_iter().unzip();
        let shape = ModelShape { key: key.columns(), columns, children: tables };
        let fingerprint = fingerprint(&shape, def);
        for (event, mut rule) in rules {
            let wanted = rule.wanted(key.of(&event).into_iter());
            rule.key = key.take_own(&event);
            let (context, short) = (context_of(&event), event.rsplit('.').next().unwrap_or(&event));
            let Some(input) = inputs.iter_mut().find(|input| input.context() == context) else { continue };
            input.wanted.entry(short.to_owned()).or_default().add(wanted);
            input.rules.insert(short.to_owned(), rule);
        }
        for child in &children {
            for (event, rule) in &child.rules {
                let keys = key.of(event).into_iter().chain(&child.key);
                let Some(own) = inputs.first_mut() else { continue };
                own.wanted.entry(event.clone()).or_default().add(rule.wanted(keys));
            }
        }
        let key = key.parts.into_iter().map(|part| part.expr).collect();
        let (name, doc, topic) = (name.value.clone(), def.doc.clone(), def.topic);
        Some(Model { name, doc, shape, fingerprint, topic, key, inputs, children, joins: Vec::new() })
    }

    /// The columns and rules of a table. What may depend on the order of events is decided by the key `order`.
    pub(super) fn table(
        &mut self,
        name: &Located<String>,
        def: TableDef<'_>,
        order: &Key,
        key: &Key,
    ) -> Option<(Vec<Column>, HashMap<String, Rule>)> {
        let (declared, columns) = (self.declared(def), Columns::default());
        let mut draft = Draft { def, declared, gathers: def.gathers(), context: None, by_stream: false, columns };
        let mut rules = HashMap::new();
        for (event, rule) in def.on.iter() {
            if let Some(NamedEvent { shape, .. }) = self.event(event) {
                (draft.context, draft.by_stream) = (context_of(event), order.is_stream(event));
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

    /// The events that rules name, as they are asked for the key. Complains about those that there are not.
    fn keyed_events<'d>(&mut self, on: &'d Entries<RuleDef>) -> Vec<KeyedEvent<'s, 'd>> {
        let mut found = Vec::new();
        for (name, rule) in on.iter() {
            match self.event(name) {
                Some(event) => {
                    if event.context.is_none() && !rule.key.is_empty() {
                        let message = "only events of other contexts bring a key of their own";
                        self.note(name.place, format!("{}: {message}", quote(name)));
                    }
                    found.push(KeyedEvent::of(event, name, rule));
                }
                None => self.unknown_event(name),
            }
        }
        found
    }

    /// Those of the events that there are.
    pub(super) fn known_events<'d>(&self, on: &'d Entries<RuleDef>) -> Vec<KeyedEvent<'s, 'd>> {
        on.iter().filter_map(|(name, rule)| Some(KeyedEvent::of(self.event(name)?, name, rule))).collect()
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

impl<'d> TableDef<'d> {
    fn of(def: &'d ModelDef) -> Self {
        Self { key: &def.key, columns: &def.columns, on: &def.on, parent: None }
    }

    fn of_children(def: &'d ModelDef) -> Vec<(&'d Located<String>, Self)> {
        let table =
            |child: &'d ChildDef| Self { key: &child.key, columns: &child.columns, on: &child.on, parent: Some(def) };
        def.children.iter().map(|(name, child)| (name, table(child))).collect()
    }

    /// Whether events of several contexts write its rows.
    fn gathers(&self) -> bool {
        let mut contexts = self.on.iter().map(|(event, _)| context_of(event));
        contexts.next().is_some_and(|first| contexts.any(|context| context != first))
    }

    /// Whether the column is one of the key, or of the parent's.
    pub fn has_key(&self, column: &str) -> bool {
        self.key.get(column).is_some() || self.parent.is_some_and(|parent| parent.key.get(column).is_some())
    }
}

pub(super) fn cell_type(name: &str) -> Option<CellType> {
    CellType::ALL.into_iter().find(|known| known.name() == name)
}

/// The type of the expression's value, if it can be told without running it.
pub(super) fn inferred(expr: &Expr, event: &EventShape) -> Option<CellType> {
    if let Some(path) = expr.data_path() {
        return event.field(path).ok().map(|(field, _)| type_of_field(&field.kind));
    }
    expr.event_field().map(type_of_event_field).or_else(|| expr.literal().and_then(type_of_literal))
}
