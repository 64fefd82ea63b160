//! `projections.yaml` as it is written.

use serde::Deserialize;
use spina_core::Fold;

use crate::source::{Entries, Located};

type Text = Located<String>;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDef {
    pub models: Entries<ModelDef>,
}

/// A read model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelDef {
    /// For people.
    #[serde(default)]
    pub doc: String,
    /// Whether changes of its rows go out as records of a compacted topic too.
    #[serde(default)]
    pub topic: bool,
    /// Key columns and their expressions.
    pub key: Entries<Text>,
    /// Types of columns that cannot be told from the expressions.
    #[serde(default)]
    pub columns: Entries<Text>,
    /// What each event does, by event name; `<context>.<Event>` is one of another context.
    pub on: Entries<RuleDef>,
    /// Tables of rows that belong to a row of the model, by name.
    #[serde(default)]
    pub children: Entries<ChildDef>,
    /// Columns of other models' rows that are read with its own.
    #[serde(default)]
    pub join: Entries<JoinDef>,
}

/// Columns of another model's row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinDef {
    /// The other model.
    pub model: Text,
    /// The columns of its key, each with the own column that it equals.
    pub on: Entries<Text>,
    /// What its columns are called here, each with what it is called there.
    pub columns: Entries<Text>,
}

/// A table of child rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChildDef {
    /// For people.
    #[serde(default)]
    pub doc: String,
    /// What tells the children of a parent apart: columns and their expressions.
    pub key: Entries<Text>,
    /// Types of columns that cannot be told from the expressions.
    #[serde(default)]
    pub columns: Entries<Text>,
    /// What each event does, by event name.
    pub on: Entries<RuleDef>,
}

/// What one event type does to a row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleDef {
    /// Expressions of the key's columns, of an event of another context that does not have those of the model.
    #[serde(default)]
    pub key: Entries<Text>,
    /// Only events for which this is true.
    pub when: Option<Text>,
    #[serde(default)]
    pub set: Entries<Text>,
    #[serde(default)]
    pub last: Entries<Text>,
    /// Columns that count the events.
    #[serde(default)]
    pub count: Vec<Text>,
    #[serde(default)]
    pub sum: Entries<Text>,
    #[serde(default)]
    pub min: Entries<Text>,
    #[serde(default)]
    pub max: Entries<Text>,
    #[serde(default)]
    pub mean: Entries<Text>,
    /// Deletes the row; that of a parent with its children.
    #[serde(default)]
    pub delete: Located<bool>,
}

impl RuleDef {
    /// The operations that take values, with what the rule gives them.
    pub fn folds(&self) -> [(Fold, &Entries<Text>); 6] {
        [
            (Fold::Set, &self.set),
            (Fold::Last, &self.last),
            (Fold::Add, &self.sum),
            (Fold::Min, &self.min),
            (Fold::Max, &self.max),
            (Fold::Mean, &self.mean),
        ]
    }

    /// Whether the rule writes the column.
    pub fn writes(&self, column: &str) -> bool {
        let valued = self.folds().iter().any(|(_, entries)| entries.get(column).is_some());
        valued || self.count.iter().any(|name| name.value == column)
    }
}
