//! Joins: columns of another model's row, by its key.
//!
//! They are looked at when all models are compiled, since they may name models that stand further down. Joined columns are
//! made when somebody reads, so they are no part of the table and of its fingerprint.

use spina_core::{CellType, Join, JoinedColumn, ModelShape};

use super::compile::Compiler;
use super::definition::{JoinDef, ModelDef};
use super::model::Model;
use crate::source::{Entries, Located, quote};

/// Most joins of a model.
const JOINS_MAX: usize = 8;

impl Compiler<'_> {
    /// Adds the joins to the models.
    pub(super) fn joins(&mut self, defs: &Entries<ModelDef>, models: &mut [Model]) {
        for (name, def) in defs.iter() {
            // One that could not be compiled was told.
            let Some(at) = models.iter().position(|model| model.name == name.value) else { continue };
            if def.join.len() > JOINS_MAX {
                self.note(name.place, format!("at most {JOINS_MAX} joins are allowed"));
            }
            let mut joins: Vec<Join> = Vec::new();
            for (join, written) in def.join.iter() {
                let Some(other) = models.iter().find(|model| model.name == written.model.value) else {
                    self.unknown_model(defs, &written.model);
                    continue;
                };
                let joined = self.join(&models[at].shape, &other.shape, join, written, &joins);
                joins.push(joined);
            }
            models[at].joins = joins;
        }
    }

    fn unknown_model(&mut self, defs: &Entries<ModelDef>, model: &Located<String>) {
        if defs.get(model).is_none() {
            let known: Vec<_> = defs.iter().map(|(name, _)| name.value.as_str()).collect();
            self.note(model.place, format!("unknown model {}, the context has {}", quote(model), known.join(", ")));
        }
    }

    fn join(
        &mut self,
        own: &ModelShape,
        other: &ModelShape,
        name: &Located<String>,
        def: &JoinDef,
        before: &[Join],
    ) -> Join {
        let model = def.model.value.clone();
        let mut on = Vec::new();
        for (column, own_column) in def.on.iter() {
            let key = other.key.iter().find(|key| key.name == column.value);
            let Some(key) = key else {
                let known: Vec<_> = other.key.iter().map(|key| key.name.as_str()).collect();
                let message =
                    format!("{} is no column of {model}'s key, which has {}", quote(column), known.join(", "));
                self.note(column.place, message);
                continue;
            };
            match seen(own, own_column) {
                None => self.no_column("the model", own, own_column),
                Some(cell) if cell != key.cell => {
                    let (cell, wanted) = (cell.name(), key.cell.name());
                    let message = format!("{} is {cell}, but {} of {model} is {wanted}", quote(own_column), key.name);
                    self.note(own_column.place, message);
                }
                Some(_) => on.push((column.value.clone(), own_column.value.clone())),
            }
        }
        for key in other.key.iter().filter(|key| def.on.get(&key.name).is_none()) {
            self.note(name.place, format!("the whole key of {model} is needed: {} is missing", quote(&key.name)));
        }
        if def.columns.is_empty() {
            self.note(name.place, format!("{} reads nothing: name `columns`", quote(name)));
        }
        let mut columns: Vec<JoinedColumn> = Vec::new();
        for (column, of) in def.columns.iter() {
            self.name("column", column);
            let mut joined = before.iter().flat_map(|join| &join.columns).chain(&columns);
            let taken = joined.any(|joined| joined.name == column.value);
            if taken || seen(own, column).is_some() || own.child(column).is_some() {
                self.note(column.place, format!("the model has {} already", quote(column)));
            }
            if seen(other, of).is_none() {
                self.no_column(&model, other, of);
            }
            columns.push(JoinedColumn { name: column.value.clone(), of: of.value.clone() });
        }
        Join { model, on, columns }
    }

    fn no_column(&mut self, model: &str, shape: &ModelShape, column: &Located<String>) {
        let known: Vec<_> = shape.seen().map(|(name, _)| name).collect();
        let message = format!("{model} has no column {} of its own, it has {}", quote(column), known.join(", "));
        self.note(column.place, message);
    }
}

fn seen(shape: &ModelShape, column: &str) -> Option<CellType> {
    shape.seen().find(|(name, _)| *name == column).map(|(_, cell)| cell)
}
