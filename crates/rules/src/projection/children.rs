//! Tables of child rows: rows that belong to a row of the model, and go with it.

use spina_core::{ChildTable, ModelShape};

use super::compile::{Compiler, NAME_BYTES_MAX, TableDef};
use super::definition::ModelDef;
use super::input::context_of;
use super::key::Key;
use super::model::Child;
use crate::source::{Located, quote};

/// Most tables of child rows of a model.
const CHILDREN_MAX: usize = 8;
/// Longest names of model and child together, in bytes: the child's table is named by both, and a suffix.
const NAMES_BYTES_MAX: usize = NAME_BYTES_MAX + 4;
/// Suffixes of the model's own tables.
const TAKEN: [&str; 3] = ["rebuild", "old", "changes"];

impl Compiler<'_> {
    /// The tables of child rows. `None` if one of them could not be compiled, which was told.
    pub(super) fn children(
        &mut self,
        model: &Located<String>,
        def: &ModelDef,
        tables: Vec<(&Located<String>, TableDef<'_>)>,
        parent_key: &Key,
    ) -> Option<Vec<(ChildTable, Child)>> {
        if tables.len() > CHILDREN_MAX {
            self.note(model.place, format!("at most {CHILDREN_MAX} tables of children are allowed"));
        }
        let compiled = tables.into_iter().zip(def.children.iter()).map(|((name, table), (_, child))| {
            self.child_name(model, def, name);
            self.child_rules(def, table);
            if table.on.is_empty() {
                self.note(name.place, format!("{} needs at least one event under `on`", quote(name)));
            }
            let events = self.known_events(table.on);
            let key = self.key(name, table, &events);
            for (column, _) in table.key.iter().filter(|(column, _)| def.key.get(column).is_some()) {
                self.note(column.place, format!("{} is a column of the parent's key already", quote(column)));
            }
            let (columns, rules) = self.table(name, table, parent_key, &key)?;
            let all = parent_key.columns().into_iter().chain(key.columns()).collect();
            let shape = ModelShape { key: all, columns, children: Vec::new() };
            let key = key.parts.into_iter().map(|part| part.expr).collect();
            Some((ChildTable { name: name.value.clone(), shape }, Child { doc: child.doc.clone(), key, rules }))
        });
        // All of them are looked at before one that failed ends it.
        compiled.collect::<Vec<_>>().into_iter().collect()
    }

    fn child_name(&mut self, model: &Located<String>, def: &ModelDef, name: &Located<String>) {
        self.name("child table", name);
        if TAKEN.contains(&name.value.as_str()) {
            self.note(name.place, format!("{} is what tables of the model itself are called", quote(name)));
        }
        if model.len() + name.len() > NAMES_BYTES_MAX {
            let message = format!("the names of model and children are at most {NAMES_BYTES_MAX} bytes long together");
            self.note(name.place, message);
        }
        if def.key.get(name).is_some() || def.on.iter().any(|(_, rule)| rule.writes(name)) {
            self.note(name.place, format!("{} is a column of the model", quote(name)));
        }
    }

    /// What an event does to the parent must leave room for what it does to a child.
    fn child_rules(&mut self, def: &ModelDef, table: TableDef<'_>) {
        for (event, rule) in table.on.iter() {
            if context_of(event).is_some() {
                let message =
                    format!("{} is of another context: those write rows of the model, not children", quote(event));
                self.note(event.place, message);
            }
            if def.on.get(event).is_some_and(|parent| parent.delete.value) {
                let what = if rule.delete.value { "delete" } else { "write" };
                let message = format!("{} deletes the parent with its children: it cannot {what} one", quote(event));
                self.note(event.place, message);
            }
        }
    }
}
