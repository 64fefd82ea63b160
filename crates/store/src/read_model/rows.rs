//! The statements of a batch: one `DELETE`, and one `INSERT ... ON CONFLICT` per set of columns that are set.
//!
//! Every operation but `set` has a neutral value (0 for sums, null for extremes and for a last), so rows that lack it
//! take part in the same statement. `set` has none: null is a value too. So rows are grouped by the columns they set.

use std::collections::BTreeMap;

use postgres_types::ToSql;
use spina_core::{Cell, CellType, Fold, ModelShape, Op};

use super::arrays::Array;
use super::query::as_read;
use super::sql::{bound_type, hidden, ident, key_idents};
use crate::StoreError;

/// A row of the batch: key and operations sorted by column.
pub(super) type Row<'a> = (&'a [Cell], &'a [(usize, Op)]);

/// A statement and its array parameters.
pub(super) struct Statement<'a> {
    pub sql: String,
    arrays: Vec<Array<'a>>,
}

impl Statement<'_> {
    pub fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.arrays.iter().map(Array::parameter).collect()
    }
}

/// Rows by the columns that they set.
pub(super) fn grouped<'a>(
    shape: &ModelShape,
    rows: impl Iterator<Item = Row<'a>>,
) -> BTreeMap<Vec<usize>, Vec<Row<'a>>> {
    let mut groups = BTreeMap::<Vec<usize>, Vec<Row<'a>>>::new();
    for row in rows {
        let sets = row.1.iter().map(|(column, _)| *column).filter(|at| shape.columns[*at].fold == Fold::Set).collect();
        groups.entry(sets).or_default().push(row);
    }
    groups
}

/// Inserts or updates rows that all set the same columns.
pub(super) fn upsert<'a>(
    table: &str,
    shape: &ModelShape,
    sets: &[usize],
    rows: &[Row<'a>],
) -> Result<Statement<'a>, StoreError> {
    let mut columns = Columns::of_key(shape, rows)?;
    let keys = columns.names.len();
    let mut updates = Vec::new();
    for (index, column) in shape.columns.iter().enumerate() {
        if column.fold == Fold::Set && !sets.contains(&index) {
            continue;
        }
        columns.add_fold(column.fold, column.cell, &column.name, index, rows)?;
        updates.extend(assignments(column.fold, &column.name));
    }
    let conflict = match updates.as_slice() {
        [] => "DO NOTHING".to_owned(),
        updates => format!("DO UPDATE SET {}", updates.join(", ")),
    };
    let sql = format!(
        "INSERT INTO {table} AS t ({}) SELECT {} FROM UNNEST({}) AS u ({}) ON CONFLICT ({}) {conflict}",
        columns.names.join(", "),
        columns.selects.join(", "),
        columns.unnest.join(", "),
        columns.aliases().join(", "),
        columns.names[..keys].join(", "),
    );
    Ok(Statement { sql, arrays: columns.arrays })
}

/// Deletes rows by key.
pub(super) fn delete<'a>(table: &str, shape: &ModelShape, keys: &[&'a [Cell]]) -> Result<Statement<'a>, StoreError> {
    let rows: Vec<Row<'a>> = keys.iter().map(|key| (*key, &[][..])).collect();
    let columns = Columns::of_key(shape, &rows)?;
    let matches = columns.names.iter().zip(&columns.selects).map(|(name, value)| format!("t.{name} = {value}"));
    let sql = format!(
        "DELETE FROM {table} AS t USING UNNEST({}) AS u ({}) WHERE {}",
        columns.unnest.join(", "),
        columns.aliases().join(", "),
        matches.collect::<Vec<_>>().join(" AND "),
    );
    Ok(Statement { sql, arrays: columns.arrays })
}

/// Inserts keys into the table of changes; those that are there get the new stamp.
pub(super) fn note<'a>(
    table: &str,
    shape: &ModelShape,
    keys: &[&'a [Cell]],
    stamp: &str,
) -> Result<Statement<'a>, StoreError> {
    let rows: Vec<Row<'a>> = keys.iter().map(|key| (*key, &[][..])).collect();
    let columns = Columns::of_key(shape, &rows)?;
    let names = columns.names.join(", ");
    let sql = format!(
        "INSERT INTO {table} ({names}, spina__stamp) SELECT {}, {stamp} FROM UNNEST({}) AS u ({}) \
         ON CONFLICT ({names}) DO UPDATE SET spina__stamp = excluded.spina__stamp",
        columns.selects.join(", "),
        columns.unnest.join(", "),
        columns.aliases().join(", "),
    );
    Ok(Statement { sql, arrays: columns.arrays })
}

/// Reads rows by key, also those that are not there: the key's columns, the others, and whether the row is there.
pub(super) fn by_keys<'a>(table: &str, shape: &ModelShape, keys: &[&'a [Cell]]) -> Result<Statement<'a>, StoreError> {
    let rows: Vec<Row<'a>> = keys.iter().map(|key| (*key, &[][..])).collect();
    let columns = Columns::of_key(shape, &rows)?;
    let wanted = columns.names.iter().zip(&columns.selects).map(|(name, value)| format!("{value} AS {name}"));
    let on: Vec<String> = columns.names.iter().map(|name| format!("t.{name} = k.{name}")).collect();
    let read = shape.seen().enumerate().map(|(index, (column, cell))| {
        let of = if index < shape.key.len() { "k" } else { "t" };
        as_read(format!("{of}.{}", ident(column)), cell)
    });
    let sql = format!(
        "SELECT {}, t.{} IS NOT NULL FROM (SELECT {} FROM UNNEST({}) AS u ({})) AS k LEFT JOIN {table} AS t ON {}",
        read.collect::<Vec<_>>().join(", "),
        columns.names[0],
        wanted.collect::<Vec<_>>().join(", "),
        columns.unnest.join(", "),
        columns.aliases().join(", "),
        on.join(" AND "),
    );
    Ok(Statement { sql, arrays: columns.arrays })
}

/// Reads rows by key as JSON with all columns, in the order of the keys; null where there is no row.
pub(super) fn whole<'a>(table: &str, shape: &ModelShape, keys: &[&'a [Cell]]) -> Result<Statement<'a>, StoreError> {
    let rows: Vec<Row<'a>> = keys.iter().map(|key| (*key, &[][..])).collect();
    let columns = Columns::of_key(shape, &rows)?;
    let wanted = columns.names.iter().zip(&columns.selects).map(|(name, value)| format!("t.{name} = {value}"));
    let sql = format!(
        "SELECT to_jsonb(t) FROM UNNEST({}) WITH ORDINALITY AS u ({}, place) LEFT JOIN {table} AS t ON {} ORDER BY place",
        columns.unnest.join(", "),
        columns.aliases().join(", "),
        wanted.collect::<Vec<_>>().join(" AND "),
    );
    Ok(Statement { sql, arrays: columns.arrays })
}

/// What is inserted, column by column.
struct Columns<'a> {
    names: Vec<String>,
    selects: Vec<String>,
    unnest: Vec<String>,
    arrays: Vec<Array<'a>>,
}

impl<'a> Columns<'a> {
    fn of_key(shape: &ModelShape, rows: &[Row<'a>]) -> Result<Self, StoreError> {
        let mut columns = Self { names: vec![], selects: vec![], unnest: vec![], arrays: vec![] };
        for (index, (name, key)) in key_idents(shape).into_iter().zip(&shape.key).enumerate() {
            let mut array = Array::new(key.cell, rows.len());
            rows.iter().try_for_each(|(cells, _)| array.push(&cells[index]))?;
            columns.add(name, key.cell, array, None);
        }
        Ok(columns)
    }

    /// `u1, u2, ...`: the names under which the statement sees its parameters.
    fn aliases(&self) -> Vec<String> {
        (1..=self.arrays.len()).map(|number| format!("u{number}")).collect()
    }

    /// `neutral` stands for a missing value where the column takes no null.
    fn add(&mut self, name: String, cell: CellType, array: Array<'a>, neutral: Option<&str>) {
        let number = self.arrays.len() + 1;
        let (bound, cast) = bound_type(cell);
        let value = cast.map_or_else(|| format!("u{number}"), |cast| format!("u{number}::{cast}"));
        self.names.push(name);
        self.selects.push(neutral.map_or_else(|| value.clone(), |neutral| format!("COALESCE({value}, {neutral})")));
        self.unnest.push(format!("${number}::{bound}[]"));
        self.arrays.push(array);
    }

    fn add_fold(
        &mut self,
        fold: Fold,
        cell: CellType,
        name: &str,
        index: usize,
        rows: &[Row<'a>],
    ) -> Result<(), StoreError> {
        let ops = || rows.iter().map(|(_, ops)| find(ops, index));
        let mut value = Array::new(cell, rows.len());
        match fold {
            Fold::Set | Fold::Min | Fold::Max => {
                ops().try_for_each(|op| match op {
                    Some(Op::Set(cell) | Op::Min(cell) | Op::Max(cell)) => value.push(cell),
                    Some(Op::Last { .. } | Op::Add(_) | Op::Mean { .. }) => Err(MISMATCH),
                    None => {
                        value.push_null();
                        Ok(())
                    }
                })?;
                self.add(ident(name), cell, value, None);
            }
            Fold::Add => {
                let sums = ops().map(|op| if let Some(Op::Add(sum)) = op { Some(*sum) } else { None });
                self.add(ident(name), CellType::Long, Array::Long(sums.collect()), Some("0"));
            }
            Fold::Mean => {
                let pair =
                    |op: Option<&Op>| if let Some(Op::Mean { sum, count }) = op { Some((*sum, *count)) } else { None };
                let sums = ops().map(|op| pair(op).map(|(sum, _)| sum)).collect();
                let counts = ops().map(|op| pair(op).map(|(_, count)| count)).collect();
                self.add(hidden(name, "sum"), CellType::Long, Array::Long(sums), Some("0"));
                self.add(hidden(name, "count"), CellType::Long, Array::Long(counts), Some("0"));
            }
            Fold::Last => {
                let (mut times, mut ties) = (Vec::new(), Vec::new());
                for op in ops() {
                    if let Some(Op::Last { value: cell, at, tie }) = op {
                        value.push(cell)?;
                        times.push(Some(at.micros()));
                        ties.push(Some(tie.as_str()));
                    } else {
                        value.push_null();
                        times.push(None);
                        ties.push(None);
                    }
                }
                self.add(ident(name), cell, value, None);
                self.add(hidden(name, "at"), CellType::Long, Array::Long(times), None);
                self.add(hidden(name, "tie"), CellType::Text, Array::Text(ties), None);
            }
        }
        Ok(())
    }
}

const MISMATCH: StoreError = StoreError::Corrupt { what: "an operation that is not its column's" };

fn find(ops: &[(usize, Op)], column: usize) -> Option<&Op> {
    ops.binary_search_by_key(&column, |(known, _)| *known).ok().map(|at| &ops[at].1)
}

/// How an existing row takes the new values.
fn assignments(fold: Fold, name: &str) -> Vec<String> {
    let column = ident(name);
    match fold {
        Fold::Set => vec![format!("{column} = excluded.{column}")],
        Fold::Add => vec![format!("{column} = t.{column} + excluded.{column}")],
        // Both ignore nulls, so the neutral null loses.
        Fold::Min => vec![format!("{column} = LEAST(t.{column}, excluded.{column})")],
        Fold::Max => vec![format!("{column} = GREATEST(t.{column}, excluded.{column})")],
        Fold::Mean => ["sum", "count"]
            .map(|part| hidden(name, part))
            .map(|part| format!("{part} = t.{part} + excluded.{part}"))
            .into(),
        Fold::Last => {
            let (at, tie) = (hidden(name, "at"), hidden(name, "tie"));
            let newer = format!(
                "excluded.{at} IS NOT NULL AND (t.{at} IS NULL OR (excluded.{at}, excluded.{tie}) >= (t.{at}, t.{tie}))"
            );
            [column, at, tie]
                .map(|part| format!("{part} = CASE WHEN {newer} THEN excluded.{part} ELSE t.{part} END"))
                .into()
        }
    }
}
