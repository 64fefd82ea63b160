//! Versions of all streams, in little memory: 24 bytes a stream, and at most a third of that unused.
//!
//! Each shard is a table of its own, so that growing one never moves all of them at once. Nothing is ever taken out.

use super::table::{Key, SHARDS, Slot, Table, shard};
use crate::{StreamKey, Version};

#[derive(Debug)]
pub(super) struct Versions {
    shards: Vec<Table<Entry>>,
    len: usize,
}

/// An entry; free while its version is 0, which no stream with an event has.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    version: Version,
}

impl Slot for Entry {
    const FREE: Self = Self { key: Key::ZERO, version: Version::NONE };

    fn is_free(&self) -> bool {
        self.version == Version::NONE
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self { shards: vec![Table::default(); SHARDS], len: 0 }
    }
}

impl Versions {
    pub(super) fn get(&self, stream: StreamKey) -> Version {
        let found = self.shards[shard(stream)].get(Key::of(stream), |entry| entry.key);
        found.map_or(Version::NONE, |entry| entry.version)
    }

    /// Versions are those of events: 1 at least.
    pub(super) fn set(&mut self, stream: StreamKey, version: Version) {
        let key = Key::of(stream);
        let new = self.shards[shard(stream)].set(key, Entry { key, version }, |entry| entry.key);
        self.len += usize::from(new);
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the tables take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(Table::bytes).sum()
    }
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
    fn a_stream_takes_at_most_34_bytes_however_many_there_are() {
        // `SPINA_TEST_STREAMS=10000000` for those that the bound is made for.
        let streams = std::env::var("SPINA_TEST_STREAMS").map_or(1_000_000, |streams| streams.parse().unwrap());
        let mut versions = Versions::default();
        for stream in 0..streams {
            versions.set(StreamKey::of(&format!("flight-{stream}")), Version(stream + 1));
            if (stream + 1) % (streams / 50) == 0 {
                let bytes = versions.bytes() / versions.len();
                assert!((24..=34).contains(&bytes), "{bytes} bytes each of {}", versions.len());
            }
        }
        assert_eq!(versions.len() as u64, streams);
        assert_eq!(versions.get(StreamKey::of("flight-77")), Version(78));
        assert_eq!(versions.get(StreamKey::of("flight-x")), Version::NONE);
    }
}
