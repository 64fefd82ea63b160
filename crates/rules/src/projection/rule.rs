//! One event's rule: what it writes, and whether that is allowed.

use std::collections::BTreeSet;

use spina_core::{CellType, Fold};

use super::cell::fits;
use super::compile::{Compiler, Draft, inferred};
use super::definition::RuleDef;
use super::model::{ColumnRule, ColumnSource, Effect, Rule, WantedFields};
use crate::event_shape::EventShape;
use crate::expr::Expr;
use crate::source::{Located, quote};

impl Compiler<'_> {
    pub(super) fn rule(
        &mut self,
        draft: &mut Draft<'_>,
        event: &Located<String>,
        shape: &EventShape,
        def: &RuleDef,
    ) -> Rule {
        let when = def.when.as_ref().and_then(|text| self.expr(text));
        if let Some(when) = &when {
            self.fields(when, shape);
        }
        let mut columns = Vec::new();
        for name in &def.count {
            let column = self.column(draft, name, Fold::Add, Some(CellType::Long));
            columns.extend(column.map(|column| ColumnRule { column, source: ColumnSource::One }));
        }
        for (fold, entries) in def.folds() {
            for (name, text) in entries.iter() {
                columns.extend(self.value(draft, name, text, fold, shape));
            }
        }
        let effect = self.effect(draft, event, def, columns);
        Rule { key: None, when, effect }
    }

    fn effect(
        &mut self,
        draft: &Draft<'_>,
        event: &Located<String>,
        def: &RuleDef,
        columns: Vec<ColumnRule>,
    ) -> Effect {
        let writes = def.count.len() + def.folds().iter().map(|(_, entries)| entries.len()).sum::<usize>();
        if !def.delete.value {
            if writes == 0 {
                self.note(event.place, format!("{} does nothing: add set, count, ... or delete", quote(event)));
            }
            return Effect::Upsert(columns);
        }
        if writes > 0 {
            self.note(def.delete.place, "an event that deletes the row cannot write its columns too");
        }
        if draft.gathers {
            let message = "events of several contexts write these rows, and between contexts there is no order: what a \
                           deleted row loses would depend on it. Keep the row, and set a column or count instead";
            self.note(def.delete.place, message);
        } else if !draft.by_stream {
            let message = "delete needs the events in order, but this model is not keyed by exactly `event.stream`: \
                           they come from several partitions at once. Keep the row and count instead";
            self.note(def.delete.place, message);
        }
        Effect::Delete
    }

    fn value(
        &mut self,
        draft: &mut Draft<'_>,
        name: &Located<String>,
        text: &Located<String>,
        fold: Fold,
        event: &EventShape,
    ) -> Option<ColumnRule> {
        if fold == Fold::Set && !draft.by_stream {
            let message = "set needs the events in order, but this model is not keyed by exactly `event.stream`: they \
                           come from several partitions at once. Use last (by event time), min, max, count, sum or mean";
            self.note(name.place, message);
            return None;
        }
        let expr = self.expr(text)?;
        if !self.fields(&expr, event) {
            return None;
        }
        let inferred = inferred(&expr, event);
        let cell = match (draft.declared.get(name.value.as_str()).copied(), inferred) {
            (Some(declared), Some(found)) if !fits(found, declared) => {
                let (declared, found) = (declared.name(), found.name());
                self.note(text.place, format!("{} is declared {declared}, this is {found}", quote(name)));
                return None;
            }
            (Some(declared), _) => Some(declared),
            (None, found) => found,
        };
        self.fold_fits(fold, cell, text);
        let column = self.column(draft, name, fold, cell)?;
        Some(ColumnRule { column, source: ColumnSource::Value(expr) })
    }

    fn fold_fits(&mut self, fold: Fold, cell: Option<CellType>, text: &Located<String>) {
        let Some(cell) = cell else { return };
        match fold {
            Fold::Add | Fold::Mean if cell == CellType::Double => {
                let message = "doubles cannot be summed: the result would depend on the order of the events. Publish \
                               the amount in a smaller unit as a long";
                self.note(text.place, message);
            }
            Fold::Add | Fold::Mean if cell != CellType::Long => {
                self.note(text.place, format!("sum and mean take int and long, this is {}", cell.name()));
            }
            Fold::Min | Fold::Max if !cell.is_ordered() => {
                self.note(text.place, format!("{} has no smallest and no greatest", cell.name()));
            }
            Fold::Set | Fold::Last | Fold::Add | Fold::Mean | Fold::Min | Fold::Max => {}
        }
    }

    fn column(
        &mut self,
        draft: &mut Draft<'_>,
        name: &Located<String>,
        fold: Fold,
        cell: Option<CellType>,
    ) -> Option<usize> {
        self.name("column", name);
        if draft.def.has_key(name) {
            self.note(name.place, format!("{} is a column of the key", quote(name)));
            return None;
        }
        draft.columns.note(name, fold, cell, draft.context).map_err(|message| self.note(name.place, message)).ok()
    }
}

impl Rule {
    /// The fields that it needs, and these keys.
    pub(super) fn wanted<'k>(&'k self, keys: impl Iterator<Item = &'k Expr>) -> WantedFields {
        let columns: &[ColumnRule] = match &self.effect {
            Effect::Upsert(columns) => columns,
            Effect::Delete => &[],
        };
        let values = columns.iter().filter_map(|rule| match &rule.source {
            ColumnSource::Value(expr) => Some(expr),
            ColumnSource::One => None,
        });
        let mut fields = BTreeSet::new();
        for expr in keys.chain(&self.when).chain(values) {
            if expr.uses().whole_data {
                return WantedFields::All;
            }
            fields.extend(expr.uses().data.iter().filter_map(|path| path.first().cloned()));
        }
        WantedFields::Some(fields)
    }
}
