//! Versions of all streams, in little memory: 24 bytes a stream, and at most a third of that unused.
//!
//! Each shard is a table of its own with linear probing, so that growing one never moves all of them at once. The keys are
//! hashes already: where a key belongs follows from its upper bits, so a table may have any size and grows by a quarter
//! instead of doubling. Nothing is ever taken out.

use crate::{StreamKey, Version};

/// With 256 shards a growing shard of a million streams moves about 4,000 entries: well below a millisecond.
const SHARDS: usize = 256;
/// Slots of a shard's first table.
const SLOTS_FIRST: usize = 8;

#[derive(Debug)]
pub(super) struct Versions {
    shards: Vec<Shard>,
    len: usize,
}

impl Default for Versions {
    fn default() -> Self {
        Self { shards: vec![Shard::default(); SHARDS], len: 0 }
    }
}

impl Versions {
    pub(super) fn get(&self, stream: StreamKey) -> Version {
        self.shards[shard(stream)].get(Key::of(stream))
    }

    pub(super) fn set(&mut self, stream: StreamKey, version: Version) {
        if self.shards[shard(stream)].set(Key::of(stream), version) {
            self.len += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the tables take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(|shard| shard.slots.capacity()).sum();
        tables * size_of::<Slot>() + self.shards.capacity() * size_of::<Shard>()
    }
}

fn shard(stream: StreamKey) -> usize {
    // The top byte picks the shard; the place in it follows from the bits below.
    (stream.0 >> 120) as usize % SHARDS
}

/// A stream's key in two halves: a 128-bit integer would be aligned to 16 bytes and waste 8 in each slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    high: u64,
    low: u64,
}

impl Key {
    fn of(stream: StreamKey) -> Self {
        Self { high: (stream.0 >> 64) as u64, low: stream.0 as u64 }
    }
}

/// An entry; free while its version is 0, which no stream with an event has.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: Key,
    version: Version,
}

const FREE: Slot = Slot { key: Key { high: 0, low: 0 }, version: Version::NONE };

#[derive(Debug, Clone, Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

impl Shard {
    fn get(&self, key: Key) -> Version {
        self.find(key).map_or(Version::NONE, |index| self.slots[index].version)
    }

    /// True if the key is new.
    fn set(&mut self, key: Key, version: Version) -> bool {
        // At most nine tenths full, this key included: the search for a key that is not there ends, and soon.
        if (self.used + 1) * 10 > self.slots.len() * 9 {
            self.grow();
        }
        let index = self.find(key).expect("a table is never full");
        let new = self.slots[index].version == Version::NONE && version != Version::NONE;
        self.slots[index] = Slot { key, version };
        self.used += usize::from(new);
        new
    }

    /// Where the key is, or the free slot where it would be; `None` without a table.
    fn find(&self, key: Key) -> Option<usize> {
        let mut index = home(key, self.slots.len())?;
        loop {
            let slot = &self.slots[index];
            if slot.version == Version::NONE || slot.key == key {
                return Some(index);
            }
            index = if index + 1 == self.slots.len() { 0 } else { index + 1 };
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() + self.slots.len() / 4).max(SLOTS_FIRST);
        let mut bigger = Vec::new();
        bigger.reserve_exact(size);
        bigger.resize(size, FREE);
        let before = std::mem::replace(&mut self.slots, bigger);
        for slot in before.into_iter().filter(|slot| slot.version != Version::NONE) {
            let index = self.find(slot.key).expect("there is a table");
            self.slots[index] = slot;
        }
    }
}

/// The slot of a key in a table of that size: its bits below the shard's, as a fraction of the size.
fn home(key: Key, slots: usize) -> Option<usize> {
    let fraction = u128::from(key.high << 8);
    (slots > 0).then(|| ((fraction * slots as u128) >> 64) as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(sets in prop::collection::vec((0_u32..400, 1_u64..9), 0..2_000)) {
            let (mut versions, mut model) = (Versions::default(), HashMap::new());
            for (stream, version) in sets {
                // Few shards and few homes, so that keys get in each other's way.
                let key = StreamKey(u128::from(stream % 7) << 116 | u128::from(stream));
                versions.set(key, Version(version));
                model.insert(key, version);
                prop_assert_eq!(versions.get(key), Version(version));
            }
            prop_assert_eq!(versions.len(), model.len());
            for (key, version) in model {
                prop_assert_eq!(versions.get(key), Version(version));
            }
            prop_assert_eq!(versions.get(StreamKey(12_345)), Version::NONE);
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_not_found_however_full_a_shard_is() {
        let mut versions = Versions::default();
        for stream in 0..200 {
            versions.set(StreamKey(stream), Version(1));
            assert_eq!(versions.get(StreamKey(1_000)), Version::NONE, "{stream}");
        }
    }

    #[test]
    fn a_million_streams_take_at_most_34_bytes_each() {
        const STREAMS: u32 = 1_000_000;
        let mut versions = Versions::default();
        for stream in 0..STREAMS {
            versions.set(StreamKey::of(&format!("flight-{stream}")), Version(u64::from(stream) + 1));
        }
        assert_eq!(versions.len(), STREAMS as usize);
        assert_eq!(versions.get(StreamKey::of("flight-77")), Version(78));
        assert_eq!(versions.get(StreamKey::of("flight-x")), Version::NONE);
        let bytes = versions.bytes() / STREAMS as usize;
        assert!((24..=34).contains(&bytes), "{bytes} bytes a stream");
    }
}
