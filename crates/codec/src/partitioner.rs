//! Which partition a key belongs to: what Java's default partitioner does, so that every client agrees.
//!
//! Java takes murmur2 of the key bytes, clears the sign bit and divides by the number of partitions
//! (`org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey` and
//! `org.apache.kafka.common.utils.Utils.murmur2`). librdkafka's own default is CRC32 and would not agree.

/// The seed in Kafka's `Utils.murmur2`.
const SEED: u32 = 0x9747_b28c;
/// Multiplier and shift of the murmur2 mix, by Austin Appleby.
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// Kafka's murmur2 of some bytes. Java shows the same 32 bits as a signed number.
pub fn murmur2(bytes: &[u8]) -> u32 {
    // Java computes the length as a 32-bit int; keys are far shorter.
    let mut hash = SEED ^ (bytes.len() as u32);
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key in a topic of that many partitions.
///
/// # Panics
/// When `partitions` is not positive; no topic has that.
pub fn partition_for(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff).cast_signed() % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    const JAVA: [(&str, i32); 7] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
        ("", 275_646_681),
    ];

    #[test]
    fn hashes_are_javas() {
        for (text, hash) in JAVA {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text:?}");
        }
    }

    #[test]
    fn partitions_are_javas() {
        for (text, hash) in JAVA {
            for partitions in [1, 4, 6, 1_000] {
                let expected = (hash & i32::MAX) % partitions;
                assert_eq!(partition_for(text.as_bytes(), partitions), expected, "{text:?} of {partitions}");
            }
        }
        assert_eq!(partition_for(b"foobar", 50), 16);
    }
}
