//! A hash table of small slots with linear probing, which knows how much memory it takes.
//!
//! The keys are hashes already: where a key belongs follows from its upper bits, so a table may have any size and grows by
//! a quarter instead of doubling. Whoever owns it says what the key of a slot is, which need not be in the slot.

use crate::StreamKey;

/// Slots of the first table.
const SLOTS_FIRST: usize = 8;

/// A key in two halves: a 128-bit integer would be aligned to 16 bytes and waste 8 in each slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    high: u64,
    low: u64,
}

impl Key {
    /// The key that stands in slots without one.
    pub(super) const ZERO: Self = Self { high: 0, low: 0 };

    pub(super) fn of(key: StreamKey) -> Self {
        Self { high: (key.0 >> 64) as u64, low: key.0 as u64 }
    }

    pub(super) fn whole(self) -> StreamKey {
        StreamKey(u128::from(self.high) << 64 | u128::from(self.low))
    }
}

/// What a table holds.
pub(super) trait Slot: Copy {
    /// Nothing.
    const FREE: Self;

    fn is_free(&self) -> bool;
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) struct Table<S> {
    slots: Vec<S>,
    used: usize,
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }
}

impl<S: Slot> Table<S> {
    pub(super) fn get(&self, key: Key, key_of: impl Fn(&S) -> Key) -> Option<S> {
        self.find(key, &key_of).map(|index| self.slots[index]).filter(|slot| !slot.is_free())
    }

    /// Puts the slot in, in place of the one of the same key. True if there was none.
    pub(super) fn set(&mut self, key: Key, slot: S, key_of: impl Fn(&S) -> Key) -> bool {
        // At most nine tenths full, this key included: the search for a key that is not there ends, and soon.
        if (self.used + 1) * 10 > self.slots.len() * 9 {
            self.grow(&key_of);
        }
        let index = self.find(key, &key_of).expect("a table is never full");
        let new = self.slots[index].is_free();
        self.slots[index] = slot;
        self.used += usize::from(new);
        new
    }

    /// Takes the key's slot out. What was pushed behind it moves up, so that no search ends at the hole.
    pub(super) fn remove(&mut self, key: Key, key_of: impl Fn(&S) -> Key) {
        let Some(mut hole) = self.find(key, &key_of).filter(|index| !self.slots[*index].is_free()) else { return };
        let size = self.slots.len();
        let distance = |from: usize, to: usize| (to + size - from) % size;
        let mut index = self.after(hole);
        while !self.slots[index].is_free() {
            let home = home(key_of(&self.slots[index]), size).expect("there is a table");
            if distance(home, index) >= distance(hole, index) {
                self.slots[hole] = self.slots[index];
                hole = index;
            }
            index = self.after(index);
        }
        self.slots[hole] = S::FREE;
        self.used -= 1;
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.slots.capacity() * size_of::<S>()
    }

    /// Where the key is, or the free slot where it would be; `None` without a table.
    fn find(&self, key: Key, key_of: &impl Fn(&S) -> Key) -> Option<usize> {
        let mut index = home(key, self.slots.len())?;
        loop {
            let slot = &self.slots[index];
            if slot.is_free() || key_of(slot) == key {
                return Some(index);
            }
            index = self.after(index);
        }
    }

    fn after(&self, index: usize) -> usize {
        if index + 1 == self.slots.len() { 0 } else { index + 1 }
    }

    fn grow(&mut self, key_of: &impl Fn(&S) -> Key) {
        let size = (self.slots.len() + self.slots.len() / 4).max(SLOTS_FIRST);
        let mut bigger = Vec::new();
        bigger.reserve_exact(size);
        bigger.resize(size, S::FREE);
        let before = std::mem::replace(&mut self.slots, bigger);
        for slot in before.into_iter().filter(|slot| !slot.is_free()) {
            let index = self.find(key_of(&slot), key_of).expect("there is a table");
            self.slots[index] = slot;
        }
    }
}

/// The slot of a key in a table of that size: its bits below the top byte, which picks a shard, as a fraction of the size.
fn home(key: Key, slots: usize) -> Option<usize> {
    let fraction = u128::from(key.high << 8);
    (slots > 0).then(|| ((fraction * slots as u128) >> 64) as usize)
}

/// With 256 shards a growing shard of a million keys moves about 4,000 entries: well below a millisecond.
pub(super) const SHARDS: usize = 256;

/// The shard of a key: its top byte.
pub(super) fn shard(key: StreamKey) -> usize {
    (key.0 >> 120) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Pair(Key, u32);

    impl Slot for Pair {
        const FREE: Self = Self(Key::ZERO, 0);

        fn is_free(&self) -> bool {
            self.1 == 0
        }
    }

    /// Few homes, the last slot among them, so that keys get in each other's way and around the end.
    fn named(name: u64) -> Key {
        let high = if name.is_multiple_of(2) { (name % 5) << 53 } else { u64::MAX };
        Key { high, low: name }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0_u64..60, 0_u32..4), 0..600)) {
            let (mut table, mut model) = (Table::<Pair>::default(), BTreeMap::new());
            for (name, value) in steps {
                let key = named(name);
                if value == 0 {
                    table.remove(key, |pair| pair.0);
                    model.remove(&name);
                } else {
                    prop_assert_eq!(table.set(key, Pair(key, value), |pair| pair.0), model.insert(name, value).is_none());
                }
                prop_assert_eq!(table.used, model.len());
                for name in 0..60 {
                    prop_assert_eq!(table.get(named(name), |pair| pair.0).map(|pair| pair.1), model.get(&name).copied());
                }
            }
        }
    }
}
