//! The columns of a model, gathered from all of its rules: one name, one fold, one type.

use spina_core::{CellType, Column, Fold};

use crate::source::{Located, Place, quote};

/// A column as far as it is known.
#[derive(Debug)]
struct Draft {
    name: String,
    place: Place,
    fold: Fold,
    cell: Option<CellType>,
    /// The context whose event wrote it first; `None` is the model's own.
    context: Option<String>,
}

/// The columns seen so far.
#[derive(Debug, Default)]
pub(super) struct Columns {
    drafts: Vec<Draft>,
}

impl Columns {
    /// Notes that a rule for events of this context writes the column. `cell` is the type of what it writes, if that can be
    /// told. Returns the column's index.
    pub fn note(
        &mut self,
        name: &Located<String>,
        fold: Fold,
        cell: Option<CellType>,
        context: Option<&str>,
    ) -> Result<usize, String> {
        if let Some(at) = self.drafts.iter().position(|draft| draft.name == name.value) {
            let draft = &mut self.drafts[at];
            if draft.fold != fold {
                let (this, other) = (fold_name(fold), fold_name(draft.fold));
                return Err(format!(
                    "a column has one operation: {} is {other} elsewhere and {this} here",
                    quote(name)
                ));
            }
            if fold == Fold::Set && draft.context.as_deref() != context {
                return Err(format!(
                    "{} is set by events of another context elsewhere, and between contexts there is no order: set two \
                     columns, or use last (by event time), min, max, count, sum or mean",
                    quote(name)
                ));
            }
            match (draft.cell, cell) {
                (Some(known), Some(new)) if known != new => {
                    let (known, new) = (known.name(), new.name());
                    return Err(format!(
                        "{} is {known} elsewhere and {new} here: declare its type under `columns`",
                        quote(name)
                    ));
                }
                (None, new) => draft.cell = new,
                (Some(_), _) => {}
            }
            return Ok(at);
        }
        self.drafts.push(Draft {
            name: name.value.clone(),
            place: name.place,
            fold,
            cell,
            context: context.map(str::to_owned),
        });
        Ok(self.drafts.len() - 1)
    }

    /// The columns, or the place and name of each whose type is not known.
    pub fn finish(self) -> Result<Vec<Column>, Vec<(Place, String)>> {
        let untyped = |draft: &Draft| (draft.place, draft.name.clone());
        let unknown: Vec<_> = self.drafts.iter().filter(|draft| draft.cell.is_none()).map(untyped).collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let column = |draft: Draft| draft.cell.map(|cell| Column { name: draft.name, cell, fold: draft.fold });
        Ok(self.drafts.into_iter().filter_map(column).collect())
    }
}

fn fold_name(fold: Fold) -> &'static str {
    match fold {
        Fold::Set => "set",
        Fold::Last => "last",
        Fold::Add => "count or sum",
        Fold::Min => "min",
        Fold::Max => "max",
        Fold::Mean => "mean",
    }
}
