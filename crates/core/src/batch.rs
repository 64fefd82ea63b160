//! Coalescing: many changes become at most one per row, so that a batch costs one write per row it touches.

use ahash::AHashMap;

use crate::change::{Action, Cell, Change, ChildChange, MergeError, Op};

/// Changes of a read model, merged per row in the order they were added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    rows: AHashMap<Vec<Cell>, RowChange>,
}

/// What a batch does to one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowChange {
    /// The row as it was before the batch goes away first, with its children.
    pub reset: bool,
    /// What is then done to it; `None` leaves it deleted if it was reset, and as it is otherwise.
    pub upsert: Option<Vec<(usize, Op)>>,
    /// What is then done to its children.
    children: Option<Box<Children>>,
}

/// Changes of child rows by table, and by what tells the children of a parent apart.
type Children = AHashMap<(usize, Vec<Cell>), RowChange>;

impl Batch {
    /// Adds a change after all that were added before.
    pub fn add(&mut self, change: Change) -> Result<(), MergeError> {
        let row = self.rows.entry(change.key).or_default();
        match change.action {
            Action::Delete => *row = RowChange::DELETED,
            Action::Upsert(ops) => row.upsert(ops)?,
            Action::Child(child) => row.child(child)?,
        }
        Ok(())
    }

    /// Number of rows touched, children not counted.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is touched.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the rows of another batch, children included; it must have none of this one's keys.
    pub fn take_rows(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// The rows in no particular order.
    pub fn into_rows(self) -> impl Iterator<Item = (Vec<Cell>, RowChange)> {
        self.rows.into_iter()
    }
}

impl RowChange {
    const DELETED: Self = Self { reset: true, upsert: None, children: None };

    /// Takes what is done to its children, in no particular order: table, key within the parent, change.
    pub fn take_children(&mut self) -> impl Iterator<Item = (usize, Vec<Cell>, Self)> + use<> {
        let children = self.children.take().into_iter().flat_map(|children| *children);
        children.map(|((table, key), row)| (table, key, row))
    }

    fn child(&mut self, change: ChildChange) -> Result<(), MergeError> {
        let ChildChange { table, key, upsert } = change;
        if upsert.is_some() {
            self.upsert.get_or_insert_default();
        }
        let child = self.children.get_or_insert_default().entry((table, key)).or_default();
        match upsert {
            Some(ops) => child.upsert(ops),
            None => {
                *child = Self::DELETED;
                Ok(())
            }
        }
    }

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
        assert_eq!(row, RowChange { upsert: Some(vec![(0, Op::Add(2))]), ..RowChange::DELETED });
        let row = only(batch(vec![upsert(1, vec![(0, Op::Add(5))]), delete]));
        assert_eq!(row, RowChange::DELETED);
    }

    fn child(key: i64, child: i64, upsert: Option<Vec<(usize, Op)>>) -> Change {
        let child = ChildChange { table: 0, key: vec![Cell::Long(child)], upsert };
        Change { key: vec![Cell::Long(key)], action: Action::Child(child) }
    }

    #[test]
    fn a_child_brings_its_parent_and_goes_with_it() {
        let add = |n| Some(vec![(0, Op::Add(n))]);
        let only = |batch: Batch| batch.into_rows().next().unwrap().1;
        let children = |row: &RowChange| {
            let mut children: Vec<_> = row.clone().take_children().map(|(_, key, row)| (key, row)).collect();
            children.sort_by_key(|(key, _)| format!("{key:?}"));
            children
        };
        let row = only(batch(vec![child(1, 7, add(1)), child(1, 8, add(1)), child(1, 7, add(2))]));
        assert_eq!(row.upsert, Some(vec![]), "the parent is there, whatever it holds");
        let seven = (vec![Cell::Long(7)], RowChange { upsert: add(3), ..RowChange::default() });
        assert_eq!(children(&row)[0], seven);
        assert_eq!(children(&row).len(), 2);

        let delete = Change { key: vec![Cell::Long(1)], action: Action::Delete };
        let row = only(batch(vec![child(1, 7, add(1)), delete.clone()]));
        assert_eq!(row, RowChange::DELETED, "its children of before are not brought back");
        let row = only(batch(vec![child(1, 7, add(1)), delete, child(1, 8, add(5))]));
        assert_eq!((row.reset, row.upsert.clone()), (true, Some(vec![])));
        let eight = (vec![Cell::Long(8)], RowChange { upsert: add(5), ..RowChange::default() });
        assert_eq!(children(&row), [eight]);

        let row = only(batch(vec![child(1, 7, add(1)), child(1, 7, None), child(1, 8, None), child(1, 8, add(2))]));
        let again = RowChange { upsert: add(2), ..RowChange::DELETED };
        assert_eq!(children(&row), [(vec![Cell::Long(7)], RowChange::DELETED), (vec![Cell::Long(8)], again)]);
        let row = only(batch(vec![child(1, 7, None)]));
        assert_eq!((row.reset, row.upsert), (false, None), "a child that goes brings no parent");
    }
}
