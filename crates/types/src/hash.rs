//! Which partition holds a key, and where in the partition it lies.
//!
//! Partition: `murmur3_32(key or {tag}) % N`, seed 0, as ZanKV does it, so that its keys land in the
//! same partition here. Position: 42 bits of XXH3 of the *whole* key; a scan cursor is partition and
//! position, stateless, and fits the 53 bits that a JavaScript number keeps exactly.

use crate::{PartitionIndex, limits};

/// How a table finds the bytes of a key that are hashed to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashRule {
    /// Redis: the first non-empty `{tag}` if there is one, else the whole key.
    Tag,
    /// ZanKV: always the whole stored key, which is `table:rest`.
    Whole,
}

impl HashRule {
    /// The partition of a key among `partitions` (at least 1).
    pub fn partition(self, key: &[u8], partitions: u32) -> PartitionIndex {
        debug_assert!(partitions > 0);
        let hashed = match self {
            HashRule::Tag => hash_tag(key),
            HashRule::Whole => key,
        };
        PartitionIndex(u64::from(murmur3_32(hashed, 0) % partitions.max(1)))
    }
}

/// The part of a key between the first `{` and the next `}`, if it is not empty; else the key.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&b| b == b'}') {
        Some(close) if close > 0 => &rest[..close],
        _ => key,
    }
}

/// MurmurHash3, x86 32-bit variant (Austin Appleby, public domain).
pub fn murmur3_32(data: &[u8], seed: u32) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let scramble = |k: u32| k.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut hash = seed;
    let mut blocks = data.chunks_exact(4);
    for block in &mut blocks {
        hash ^= scramble(u32::from_le_bytes([block[0], block[1], block[2], block[3]]));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = blocks.remainder().iter().rev().fold(0, |k: u32, &byte| (k << 8) | u32::from(byte));
    hash ^= scramble(tail);
    hash ^= data.len() as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// Where a key lies in its partition's order: `0..2^42`.
pub fn position(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key) >> (64 - limits::POSITION_BITS)
}

/// What stands for a key where there are too many to remember their bytes. Two keys with the same one are taken for the
/// same; of a thousand million keys, with a chance of one in 10^20. (Of three million, two share a [`position`].)
pub fn fingerprint(key: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(key)
}

/// A scan cursor: a partition and the position to go on from. 0 is both the start and the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanCursor {
    /// The partition being scanned.
    pub partition: PartitionIndex,
    /// The first position that has not been returned.
    pub position: u64,
}

impl ScanCursor {
    /// The number that clients see.
    pub fn encode(self) -> u64 {
        (self.partition.get() << limits::POSITION_BITS) | self.position
    }

    /// The cursor behind a number, or `None` for one that no scan of `partitions` can have made.
    pub fn decode(number: u64, partitions: u32) -> Option<Self> {
        let cursor = Self {
            partition: PartitionIndex(number >> limits::POSITION_BITS),
            position: number & ((1 << limits::POSITION_BITS) - 1),
        };
        (cursor.partition.get() < u64::from(partitions)).then_some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur_matches_published_vectors() {
        assert_eq!(murmur3_32(b"", 0), 0);
        assert_eq!(murmur3_32(b"", 1), 0x514e_28b7);
        assert_eq!(murmur3_32(b"test", 0), 0xba6b_d213);
        assert_eq!(murmur3_32(b"Hello, world!", 0), 0xc036_3e43);
        assert_eq!(murmur3_32(b"test_perf_kv3:0000000002", 0), 2_723_748_671);
        assert_eq!(murmur3_32(b"table:key1", 0), 441_090_482);
    }

    #[test]
    fn partitions_match_zankv() {
        let partition = |n| HashRule::Whole.partition(b"test_perf_kv3:0000000002", n).get();
        assert_eq!((partition(16), partition(32)), (15, 31));
        assert_eq!(HashRule::Whole.partition(b"table:key1", 16).get(), 2);
    }

    #[test]
    fn only_the_first_non_empty_tag_counts() {
        assert_eq!(hash_tag(b"{user}:name"), b"user");
        assert_eq!(hash_tag(b"a{}b{x}"), b"a{}b{x}");
        assert_eq!(hash_tag(b"a{b"), b"a{b");
        assert_eq!(hash_tag(b"{{x}}"), b"{x");
    }

    #[test]
    fn cursors_round_trip_and_fit_a_double() {
        let cursor = ScanCursor { partition: PartitionIndex(1023), position: (1 << 42) - 1 };
        assert!(cursor.encode() < 1 << 53);
        assert_eq!(ScanCursor::decode(cursor.encode(), 1024), Some(cursor));
        assert_eq!(ScanCursor::decode(cursor.encode(), 8), None);
    }
}
