//! Some rows, folded from nothing.

use std::collections::HashMap;

use spina_core::change::Action;
use spina_core::{Batch, Cell, Change};

/// The changes of some keys since the first event. Each begins by taking away the row that there is, so that the changes
/// applied to any table give the row as the log makes it.
#[derive(Debug, Clone)]
pub struct Refold {
    /// `None` where the changes do not come together: their sum may leave its range in another order of partitions.
    rows: HashMap<Vec<Cell>, Option<Batch>>,
}

impl Refold {
    /// Of these keys, before the first event.
    pub fn of(keys: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        let fresh = |key: Vec<Cell>| {
            let mut row = Batch::default();
            let begun = row.add(Change { key: key.clone(), action: Action::Delete }).is_ok();
            (key, begun.then_some(row))
        };
        Self { rows: keys.into_iter().map(fresh).collect() }
    }

    /// Takes the next change, if its key is wanted.
    pub fn take(&mut self, change: Change) {
        let Some(row) = self.rows.get_mut(&change.key) else { return };
        if row.as_mut().is_some_and(|batch| batch.add(change).is_err()) {
            *row = None;
        }
    }

    /// The keys whose rows could be folded.
    pub fn keys(&self) -> Vec<Vec<Cell>> {
        self.rows.iter().filter(|(_, row)| row.is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// Goes on with these keys only.
    #[must_use]
    pub fn only(mut self, keys: &std::collections::HashSet<Vec<Cell>>) -> Self {
        self.rows.retain(|key, _| keys.contains(key));
        self
    }

    /// What makes the rows anew, all of them at once.
    pub fn batch(&self) -> Batch {
        let mut all = Batch::default();
        self.rows.values().flatten().cloned().for_each(|row| all.take_rows(row));
        all
    }
}

#[cfg(test)]
mod tests {
    use spina_core::change::ChildChange;
    use spina_core::{Op, RowChange};

    use super::*;

    fn key(number: i64) -> Vec<Cell> {
        vec![Cell::Long(number)]
    }

    fn add(number: i64, sum: i64) -> Change {
        Change { key: key(number), action: Action::Upsert(vec![(0, Op::Add(sum))]) }
    }

    #[test]
    fn wanted_rows_are_made_from_nothing_and_the_others_left_alone() {
        let mut refold = Refold::of([key(1), key(2), key(3), key(4)]);
        let gone = Change { key: key(2), action: Action::Delete };
        for change in [add(1, 2), add(9, 2), add(1, 3), add(2, 3), gone, add(4, i64::MAX), add(4, 1), add(4, 1)] {
            refold.take(change);
        }
        let mut keys = refold.keys();
        keys.sort_by_key(|key| format!("{key:?}"));
        assert_eq!(keys, [key(1), key(2), key(3)], "what leaves its range is not judged");
        let rows: HashMap<_, _> = refold.batch().into_rows().collect();
        let anew = |upsert| {
            let mut row = RowChange::default();
            (row.reset, row.upsert) = (true, upsert);
            row
        };
        let none = anew(None);
        assert_eq!(rows[&key(1)], anew(Some(vec![(0, Op::Add(5))])));
        assert_eq!((&rows[&key(2)], &rows[&key(3)], rows.len()), (&none, &none, 3));
        let one = refold.only(&[key(1)].into());
        assert_eq!((one.keys(), one.batch().len()), (vec![key(1)], 1));
    }

    #[test]
    fn a_row_comes_with_its_children() {
        let child = ChildChange { table: 0, key: key(7), upsert: Some(vec![(0, Op::Add(1))]) };
        let mut refold = Refold::of([key(1)]);
        refold.take(Change { key: key(1), action: Action::Child(child) });
        let (_, mut row) = refold.batch().into_rows().next().unwrap();
        let children: Vec<_> = row.take_children().map(|(table, key, row)| (table, key, row.upsert)).collect();
        assert_eq!(children, [(0, key(7), Some(vec![(0, Op::Add(1))]))]);
    }
}
