//! What a reader sees of a table: its own columns, and those of the rows of other models that it joins.
//!
//! ```text
//! own row --its columns--> key of the other model's row, as that is now --> some of its columns, or nulls
//! ```
//!
//! A join is made when somebody reads, in the statement that reads. So it cannot go stale, and no rebuild is needed for it.

use spina_core::{Cell, CellType, ChildTable, Join, ModelShape};

use super::filter::{BadQuery, parse_cell};
use super::query::as_read;
use super::sql::{child_table, ident, table};
use super::{ModelName, Slot};

/// What can be read of a live table.
#[derive(Debug, Clone)]
pub struct View {
    /// The table and those it joins, as the statement names them.
    from: String,
    pub(super) key: Vec<Seen>,
    others: Vec<Seen>,
    joins: usize,
}

/// A column that a reader sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub name: String,
    pub cell: CellType,
    /// How the statement refers to it.
    pub place: String,
    /// Columns of the key are never null.
    pub nullable: bool,
}

impl View {
    /// The model's own rows.
    pub fn of(name: &ModelName, shape: &ModelShape) -> Self {
        Self::over(&table(name, Slot::Live), shape)
    }

    /// The child rows of all its rows.
    pub fn of_children(name: &ModelName, child: &ChildTable) -> Self {
        Self::over(&child_table(name, Slot::Live, &child.name), &child.shape)
    }

    fn over(table: &str, shape: &ModelShape) -> Self {
        let seen = |(name, cell): (&str, CellType), nullable| Seen {
            name: name.to_owned(),
            cell,
            place: format!("t.{}", ident(name)),
            nullable,
        };
        let mut columns = shape.seen();
        let key = columns.by_ref().take(shape.key.len()).map(|column| seen(column, false)).collect();
        let others = columns.map(|column| seen(column, true)).collect();
        Self { from: format!("{table} AS t"), key, others, joins: 0 }
    }

    /// The same with columns of the other model's rows, as far as both tables have what the join takes: one of them may
    /// wait for a rebuild.
    #[must_use]
    pub fn join(mut self, other: &ModelName, other_shape: &ModelShape, join: &Join) -> Self {
        let alias = format!("j{}", self.joins + 1);
        let Some(on) = self.matching(&alias, other_shape, join) else { return self };
        for column in &join.columns {
            let found = other_shape.seen().find(|(name, _)| *name == column.of);
            if let Some((_, cell)) = found
                && self.column(&column.name).is_none()
            {
                let place = format!("{alias}.{}", ident(&column.of));
                self.others.push(Seen { name: column.name.clone(), cell, place, nullable: true });
            }
        }
        self.joins += 1;
        self.from = format!("{} LEFT JOIN {} AS {alias} ON {on}", self.from, table(other, Slot::Live));
        self
    }

    /// That a row of the other table has the whole key: so there is at most one.
    fn matching(&self, alias: &str, other: &ModelShape, join: &Join) -> Option<String> {
        let conditions = other.key.iter().map(|key| {
            let (_, own) = join.on.iter().find(|(column, _)| *column == key.name)?;
            let own = self.column(own).filter(|own| own.cell == key.cell)?;
            Some(format!("{alias}.{} = {}", ident(&key.name), own.place))
        });
        Some(conditions.collect::<Option<Vec<_>>>()?.join(" AND "))
    }

    /// Names and types of what a reader sees: the key's columns, the others, joined ones last.
    pub fn columns(&self) -> impl Iterator<Item = (&str, CellType)> {
        self.seen().map(|column| (column.name.as_str(), column.cell))
    }

    pub(super) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.key.iter().chain(&self.others)
    }

    pub(super) fn column(&self, name: &str) -> Option<&Seen> {
        self.seen().find(|column| column.name == name)
    }

    /// Everything, from everywhere.
    pub(super) fn select(&self) -> String {
        let columns = self.seen().map(|column| as_read(column.place.clone(), column.cell));
        format!("SELECT {} FROM {}", columns.collect::<Vec<_>>().join(", "), self.from)
    }

    /// Number of columns of the key.
    pub fn key_columns(&self) -> usize {
        self.key.len()
    }

    /// A key given as text, one part for each of its columns, as cells.
    pub fn parse_key(&self, parts: &[&str]) -> Result<Vec<Cell>, BadQuery> {
        if parts.len() != self.key.len() {
            let names: Vec<_> = self.key.iter().map(|key| key.name.as_str()).collect();
            return Err(BadQuery(format!("the key has the columns {}, separated by commas", names.join(","))));
        }
        self.key.iter().zip(parts).map(|(key, part)| parse_cell(&key.name, key.cell, part)).collect()
    }
}

#[cfg(test)]
mod tests {
    use spina_core::{Column, Fold, JoinedColumn, KeyColumn};

    use super::*;

    fn name(model: &str) -> ModelName {
        ModelName { context: "flights".parse().unwrap(), model: model.to_owned() }
    }

    fn shape(key: &[(&str, CellType)], columns: &[(&str, CellType)]) -> ModelShape {
        let key = key.iter().map(|(name, cell)| KeyColumn { name: (*name).into(), cell: *cell }).collect();
        let column = |(name, cell): &(&str, CellType)| Column { name: (*name).into(), cell: *cell, fold: Fold::Set };
        ModelShape { key, columns: columns.iter().map(column).collect(), children: vec![] }
    }

    #[test]
    fn a_join_is_there_as_far_as_both_tables_have_what_it_takes() {
        let own = shape(&[("id", CellType::Text)], &[("origin", CellType::Text), ("day", CellType::Date)]);
        let day = shape(&[("origin", CellType::Text), ("day", CellType::Date)], &[("late", CellType::Long)]);
        let column = |name: &str, of: &str| JoinedColumn { name: name.into(), of: of.into() };
        let join = Join {
            model: "airport_day".into(),
            on: vec![("origin".into(), "origin".into()), ("day".into(), "day".into())],
            columns: vec![column("airport_late", "late"), column("airport_new", "not_there_yet")],
        };
        let joined = |own: &ModelShape, other: &ModelShape| {
            let view = View::of(&name("flight"), own).join(&name("airport_day"), other, &join);
            (view.columns().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), view.select())
        };
        let (columns, sql) = joined(&own, &day);
        assert_eq!(columns, ["id", "origin", "day", "airport_late"]);
        assert_eq!(
            sql,
            r#"SELECT t."id", t."origin", t."day"::text, j1."late" FROM "flights"."flight" AS t LEFT JOIN "flights"."airport_day" AS j1 ON j1."origin" = t."origin" AND j1."day" = t."day""#
        );
        let without = shape(&[("id", CellType::Text)], &[("origin", CellType::Text)]);
        let retyped = shape(&[("origin", CellType::Text), ("day", CellType::Text)], &[("late", CellType::Long)]);
        for (own, other) in [(&without, &day), (&own, &retyped)] {
            let (columns, sql) = joined(own, other);
            assert!(!columns.contains(&"airport_late".to_owned()) && !sql.contains("JOIN"), "{sql}");
        }
    }
}
