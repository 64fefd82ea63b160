//! Some keys of all that the log has.

use std::collections::{BTreeMap, HashSet};

use spina_core::{Cell, StreamKey};

/// Keys chosen at random from all that are offered: those with the smallest numbers, which follow from key and seed.
#[derive(Debug)]
pub struct Sample {
    seed: u64,
    keys_max: usize,
    keys: BTreeMap<i128, Vec<Cell>>,
}

impl Sample {
    /// At most so many keys.
    pub fn new(seed: u64, keys_max: usize) -> Self {
        Self { seed, keys_max, keys: BTreeMap::new() }
    }

    /// Takes a key, if it is among the chosen.
    pub fn offer(&mut self, key: &[Cell]) {
        let number = StreamKey::of(&format!("{}:{key:?}", self.seed)).0 as i128;
        let is_full = self.keys.len() >= self.keys_max;
        let is_beyond = is_full && self.keys.last_key_value().is_none_or(|(greatest, _)| *greatest < number);
        if is_beyond || self.keys.contains_key(&number) {
            return;
        }
        self.keys.insert(number, key.to_vec());
        if self.keys.len() > self.keys_max {
            self.keys.pop_last();
        }
    }

    /// The chosen.
    pub fn into_keys(self) -> Vec<Vec<Cell>> {
        self.keys.into_values().collect()
    }
}

/// All keys that are offered, unless they are too many.
#[derive(Debug)]
pub struct All {
    keys_max: usize,
    keys: HashSet<Vec<Cell>>,
    overflows: bool,
}

impl All {
    /// At most so many keys.
    pub fn new(keys_max: usize) -> Self {
        Self { keys_max, keys: HashSet::new(), overflows: false }
    }

    /// Takes a key.
    pub fn offer(&mut self, key: &[Cell]) {
        if self.keys.contains(key) {
            return;
        }
        if self.keys.len() >= self.keys_max {
            self.overflows = true;
        } else {
            self.keys.insert(key.to_vec());
        }
    }

    /// The keys; `None` when there were more than are taken.
    pub fn into_keys(self) -> Option<Vec<Vec<Cell>>> {
        (!self.overflows).then(|| self.keys.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: i64) -> Vec<Cell> {
        vec![Cell::Long(number)]
    }

    #[test]
    fn a_seed_chooses_the_same_keys_however_often_they_come() {
        let choose = |seed, times| {
            let mut sample = Sample::new(seed, 5);
            (0..times).for_each(|_| (0..100).for_each(|number| sample.offer(&key(number))));
            sample.into_keys()
        };
        assert_eq!(choose(1, 1).len(), 5);
        assert_eq!(choose(1, 1), choose(1, 3));
        assert_ne!(choose(1, 1), choose(2, 1));
    }

    #[test]
    fn all_keys_are_taken_or_none() {
        let offered = |numbers: std::ops::Range<i64>| {
            let mut all = All::new(5);
            (0..2).for_each(|_| numbers.clone().for_each(|number| all.offer(&key(number))));
            all.into_keys().map(|keys| keys.len())
        };
        assert_eq!((offered(0..5), offered(0..6)), (Some(5), None));
    }
}
