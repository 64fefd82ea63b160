//! Versions of all streams, in shards, so that growing one never moves all of them at once.

use std::collections::HashMap;

use crate::{StreamKey, Version};

/// With 256 shards a growing shard of a million streams moves about 4,000 entries: well below a millisecond.
const SHARDS: usize = 256;

#[derive(Debug)]
pub(super) struct Versions {
    shards: Vec<HashMap<StreamKey, Version, ahash::RandomState>>,
    len: usize,
}

impl Default for Versions {
    fn default() -> Self {
        // The keys are hashes already; fixed seeds keep the core free of randomness.
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        Self { shards: vec![HashMap::with_hasher(hasher); SHARDS], len: 0 }
    }
}

impl Versions {
    pub(super) fn get(&self, stream: StreamKey) -> Version {
        self.shards[shard(stream)].get(&stream).copied().unwrap_or(Version::NONE)
    }

    pub(super) fn set(&mut self, stream: StreamKey, version: Version) {
        if self.shards[shard(stream)].insert(stream, version).is_none() {
            self.len += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

fn shard(stream: StreamKey) -> usize {
    // The top byte of the hash picks the shard; the map itself uses other bits.
    (stream.0 >> 120) as usize % SHARDS
}
