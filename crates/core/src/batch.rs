//! Coalescing: many changes become at most one per row, so that a batch costs one write per row it touches.

use std::collections::hash_map::Entry;

use ahash::AHashMap;

use crate::change::{Action, Cell, Change, MergeError, Op};

/// Changes of a read model, merged per row in the order they were added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    rows: AHashMap<Vec<Cell>, RowChange>,
}

/// What a batch does to one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowChange {
    /// The row as it was before the batch goes away first.
    pub reset: bool,
    /// What is then done to it; `None` leaves it deleted.
    pub upsert: Option<Vec<(usize, Op)>>,
}

impl Batch {
    /// Adds a change after all that were added before.
    pub fn add(&mut self, change: Change) -> Result<(), MergeError> {
        match (self.rows.entry(change.key), change.action) {
            (Entry::Occupied(mut row), Action::Delete) => {
                row.insert(RowChange::DELETED);
            }
            (Entry::Vacant(row), Action::Delete) => {
                row.insert(RowChange::DELETED);
            }
            (Entry::Vacant(row), Action::Upsert(ops)) => {
                let mut change = RowChange::default();
                change.upsert(ops)?;
                row.insert(change);
            }
            (Entry::Occupied(mut row), Action::Upsert(ops)) => row.get_mut().upsert(ops)?,
        }
        Ok(())
    }

    /// Number of rows touched.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is touched.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in no particular order.
    pub fn into_rows(self) -> impl Iterator<Item = (Vec<Cell>, RowChange)> {
        self.rows.into_iter()
    }
}

impl RowChange {
    const DELETED: Self = Self { reset: true, upsert: None };

    fn upsert(&mut self, ops: Vec<(usize, Op)>) -> Result<(), MergeError> {
        let merged = self.upsert.get_or_insert_default();
        for (column, op) in ops {
            match merged.binary_search_by_key(&column, |(known, _)| *known) {
                Ok(at) => merged[at].1.merge(op)?,
                Err(at) => merged.insert(at, (column, op)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upsert(key: i64, ops: Vec<(usize, Op)>) -> Change {
        Change { key: vec![Cell::Long(key)], action: Action::Upsert(ops) }
    }

    fn batch(changes: Vec<Change>) -> Batch {
        let mut batch = Batch::default();
        changes.into_iter().try_for_each(|change| batch.add(change)).unwrap();
        batch
    }

    #[test]
    fn changes_of_a_row_become_one() {
        let batch = batch(vec![
            upsert(1, vec![(1, Op::Add(1))]),
            upsert(2, vec![(1, Op::Add(1))]),
            upsert(1, vec![(0, Op::Max(Cell::Long(7))), (1, Op::Add(4))]),
        ]);
        assert_eq!(batch.len(), 2);
        let first = &batch.rows[&vec![Cell::Long(1)]];
        assert_eq!(first.upsert, Some(vec![(0, Op::Max(Cell::Long(7))), (1, Op::Add(5))]));
        assert!(!first.reset);
    }

    #[test]
    fn what_follows_a_delete_starts_from_nothing() {
        let delete = Change { key: vec![Cell::Long(1)], action: Action::Delete };
        let only = |batch: Batch| batch.into_rows().next().unwrap().1;
        let row = only(batch(vec![upsert(1, vec![(0, Op::Add(5))]), delete.clone(), upsert(1, vec![(0, Op::Add(2))])]));
        assert_eq!(row, RowChange { reset: true, upsert: Some(vec![(0, Op::Add(2))]) });
        let row = only(batch(vec![upsert(1, vec![(0, Op::Add(5))]), delete]));
        assert_eq!(row, RowChange::DELETED);
    }
}
