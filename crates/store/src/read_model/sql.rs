//! Names and types as SQL.

use spina_core::{CellType, ModelShape};

use super::{ModelName, Slot};

/// An identifier in quotes. Names are checked when a definition is loaded; the quotes also keep reserved words apart.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table with its schema.
pub(super) fn table(name: &ModelName, slot: Slot) -> String {
    qualified(name, &slot.table(&name.model))
}

/// A table of child rows with its schema.
pub(super) fn child_table(name: &ModelName, slot: Slot, child: &str) -> String {
    qualified(name, &slot.table(&of_child(name, child)))
}

/// What a table of child rows is called when it is live.
pub(super) fn of_child(name: &ModelName, child: &str) -> String {
    format!("{}__{child}", name.model)
}

/// All tables of a model with their columns: its own, then those of child rows.
pub(super) fn tables<'s>(
    name: &ModelName,
    slot: Slot,
    shape: &'s ModelShape,
) -> impl Iterator<Item = (String, &'s ModelShape)> {
    let children = shape.children.iter().map(move |child| (child_table(name, slot, &child.name), &child.shape));
    std::iter::once((table(name, slot), shape)).chain(children)
}

/// The table of the model's changes that its topic has not been told of.
pub(super) fn changes_table(name: &ModelName) -> String {
    qualified(name, &format!("{}__changes", name.model))
}

fn qualified(name: &ModelName, table: &str) -> String {
    format!("{}.{}", ident(name.context.as_str()), ident(table))
}

/// The type of a column of the table. Text is ordered by its bytes, as the pure code orders it.
pub(super) fn column_type(cell: CellType) -> &'static str {
    match cell {
        CellType::Bool => "boolean",
        CellType::Long => "bigint",
        CellType::Double => "double precision",
        CellType::Text => "text COLLATE \"C\"",
        CellType::Uuid => "uuid",
        CellType::Decimal => "numeric",
        CellType::Date => "date",
        CellType::Timestamp => "timestamptz",
        CellType::Json => "jsonb",
    }
}

/// The type that a value is bound as, and the type it is then cast to if that is another.
pub(super) fn bound_type(cell: CellType) -> (&'static str, Option<&'static str>) {
    match cell {
        CellType::Bool => ("bool", None),
        CellType::Long => ("int8", None),
        CellType::Double => ("float8", None),
        CellType::Text => ("text", None),
        CellType::Timestamp => ("timestamptz", None),
        CellType::Uuid => ("text", Some("uuid")),
        CellType::Decimal => ("text", Some("numeric")),
        CellType::Date => ("text", Some("date")),
        CellType::Json => ("text", Some("jsonb")),
    }
}

/// The hidden columns beside a column `c`: `c__sum` and `c__count` of a mean, `c__at` and `c__tie` of a last.
pub(super) fn hidden(column: &str, what: &str) -> String {
    ident(&format!("{column}__{what}"))
}

/// The names of the key's columns, quoted.
pub(super) fn key_idents(shape: &ModelShape) -> Vec<String> {
    shape.key.iter().map(|column| ident(&column.name)).collect()
}
