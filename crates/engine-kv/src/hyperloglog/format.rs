//! The bytes of a HyperLogLog, as Redis defines them.
//!
//! ```text
//!   0       4          5       8                        16
//!   ├───────┼──────────┼───────┼────────────────────────┼───────────
//!   │ HYLL  │ encoding │ 0 0 0 │ count, little-endian   │ registers …
//!   │       │ 0 dense  │       │ top bit: it is out of  │
//!   │       │ 1 sparse │       │ date                   │
//!   └───────┴──────────┴───────┴────────────────────────┴───────────
//!   dense   16384 numbers of 6 bits, the lowest bits of a byte first
//!   sparse  runs of equal registers, see `sparse`
//! ```
//!
//! The hash of an element is MurmurHash64A. Its lower 14 bits name the register, and the rank is the place of
//! the lowest one among the other 50, from 1; 51 if there is none.

use std::fmt;

use super::sparse;

/// Registers of a HyperLogLog.
pub(super) const REGISTERS: usize = 1 << REGISTER_BITS;
/// Bits of a hash that name a register.
const REGISTER_BITS: u32 = 14;
/// Bits of a hash whose first one makes the rank.
pub(super) const RANK_BITS: u32 = 64 - REGISTER_BITS;

/// Bytes before the registers.
pub(super) const HEADER_BYTES: usize = 16;
/// Bytes of a dense one.
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
/// Longest sparse one, in bytes: `hll-sparse-max-bytes` of Redis.
pub(super) const SPARSE_BYTES_MAX: usize = 3000;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const COUNT_AT: usize = 8;
/// The bit of the last byte of the count that says that it is out of date.
const OUT_OF_DATE: u8 = 0x80;

/// A string that is no HyperLogLog, in Redis' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// It does not look like one.
    Foreign,
    /// It looks like one, and its registers make no sense.
    Corrupted,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invalid::Foreign => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            Invalid::Corrupted => "INVALIDOBJ Corrupted HLL object detected",
        })
    }
}

/// All registers, one byte each.
pub(super) struct Registers(Vec<u8>);

impl Default for Registers {
    fn default() -> Self {
        Registers(vec![0; REGISTERS])
    }
}

impl Registers {
    /// The rank in each.
    pub(super) fn ranks(&self) -> &[u8] {
        &self.0
    }

    /// Sets some in a row, as far as there are so many.
    pub(super) fn fill(&mut self, from: usize, length: usize, rank: u8) -> Result<(), Invalid> {
        let run = self.0.get_mut(from..from + length).ok_or(Invalid::Corrupted)?;
        run.fill(rank);
        Ok(())
    }

    /// The greater of two ranks in each.
    pub(super) fn take_greater(&mut self, others: &Registers) {
        for (rank, other) in self.0.iter_mut().zip(&others.0) {
            *rank = (*rank).max(*other);
        }
    }

    /// Those that have seen anything, with their ranks.
    pub(super) fn set(&self) -> impl Iterator<Item = (usize, u8)> {
        self.0.iter().copied().enumerate().filter(|(_, rank)| *rank > 0)
    }
}

/// A HyperLogLog in its string.
#[derive(Debug)]
pub(super) struct Sketch(Vec<u8>);

impl Default for Sketch {
    fn default() -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING_AT] = SPARSE;
        bytes.extend_from_slice(&sparse::EMPTY);
        Sketch(bytes)
    }
}

impl Sketch {
    /// A string that must be one.
    pub(super) fn of(string: &[u8]) -> Result<Self, Invalid> {
        let is_sound = string.len() >= HEADER_BYTES
            && string.starts_with(MAGIC)
            && match string[ENCODING_AT] {
                DENSE => string.len() == DENSE_BYTES,
                SPARSE => true,
                _ => false,
            };
        if is_sound { Ok(Sketch(string.to_vec())) } else { Err(Invalid::Foreign) }
    }

    /// The string.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_dense(&self) -> bool {
        self.0[ENCODING_AT] == DENSE
    }

    /// The count that the string remembers, if nothing has changed since.
    pub(super) fn remembered_count(&self) -> Option<u64> {
        let bytes = self.0[COUNT_AT..].first_chunk()?;
        let count = u64::from_le_bytes(*bytes);
        (count >> 63 == 0).then_some(count)
    }

    /// Marks the count as out of date.
    pub(super) fn forget_count(&mut self) {
        self.0[HEADER_BYTES - 1] |= OUT_OF_DATE;
    }

    /// All registers.
    pub(super) fn registers(&self) -> Result<Registers, Invalid> {
        let body = &self.0[HEADER_BYTES..];
        if !self.is_dense() {
            return sparse::registers(body);
        }
        let mut registers = Registers::default();
        for register in 0..REGISTERS {
            registers.0[register] = dense_rank(body, register);
        }
        Ok(registers)
    }

    /// Raises a register to a rank; whether it was lower.
    pub(super) fn raise(&mut self, register: usize, rank: u8) -> Result<bool, Invalid> {
        if !self.is_dense() {
            let room = SPARSE_BYTES_MAX.saturating_sub(self.0.len());
            match sparse::raise(&mut self.0, HEADER_BYTES, register, rank, room)? {
                sparse::Raised::Done(changed) => return Ok(changed),
                sparse::Raised::DoesNotFit => self.make_dense()?,
            }
        }
        let body = &mut self.0[HEADER_BYTES..];
        let is_lower = dense_rank(body, register) < rank;
        if is_lower {
            put_dense_rank(body, register, rank);
        }
        Ok(is_lower)
    }

    /// Gives each register room of its own.
    pub(super) fn make_dense(&mut self) -> Result<(), Invalid> {
        if self.is_dense() {
            return Ok(());
        }
        let registers = sparse::registers(&self.0[HEADER_BYTES..])?;
        self.0.truncate(HEADER_BYTES);
        self.0[ENCODING_AT] = DENSE;
        self.0.resize(DENSE_BYTES, 0);
        for (register, rank) in registers.set() {
            put_dense_rank(&mut self.0[HEADER_BYTES..], register, rank);
        }
        Ok(())
    }
}

/// Six bits that may lie in two bytes. The last register ends with the last byte.
fn dense_rank(body: &[u8], register: usize) -> u8 {
    let (byte, shift) = (register * 6 / 8, register * 6 % 8);
    let next = body.get(byte + 1).copied().unwrap_or(0);
    let pair = u16::from(body[byte]) | u16::from(next) << 8;
    (pair >> shift) as u8 & 0x3f
}

fn put_dense_rank(body: &mut [u8], register: usize, rank: u8) {
    let (byte, shift) = (register * 6 / 8, register * 6 % 8);
    let (mask, rank) = (0x3f_u16 << shift, u16::from(rank & 0x3f) << shift);
    body[byte] = body[byte] & !mask as u8 | rank as u8;
    if let Some(next) = body.get_mut(byte + 1) {
        *next = *next & !(mask >> 8) as u8 | (rank >> 8) as u8;
    }
}

/// The register of an element and its rank there.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur_64a(element);
    let register = hash as usize % REGISTERS;
    // A one above all of them ends the search.
    let rest = hash >> REGISTER_BITS | 1 << RANK_BITS;
    (register, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A (Austin Appleby, public domain) with the seed that Redis uses.
fn murmur_64a(data: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = SEED ^ (data.len() as u64).wrapping_mul(M);
    let (words, tail) = data.as_chunks();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> R;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let word = tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash ^= hash >> R;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> R
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn six_bits_do_not_touch_their_neighbours() {
        let mut sketch = Sketch::default();
        sketch.make_dense().unwrap();
        for register in [0, 1, 2, 3, 5, REGISTERS - 2, REGISTERS - 1] {
            assert!(sketch.raise(register, 33 + register as u8 % 8).unwrap());
        }
        let set: Vec<_> = sketch.registers().unwrap().set().collect();
        let last = REGISTERS - 1;
        let ranks = [(0, 33), (1, 34), (2, 35), (3, 36), (5, 38), (last - 1, 39), (last, 40)];
        assert_eq!(set, ranks);
        assert!(!sketch.raise(1, 34).unwrap(), "it is as high already");
    }

    #[test]
    fn strings_that_are_none_are_told_apart() {
        assert_eq!(Sketch::of(b"HYLL").unwrap_err(), Invalid::Foreign);
        let mut bytes = Sketch::default().0;
        assert!(Sketch::of(&bytes).is_ok());
        bytes[ENCODING_AT] = DENSE;
        assert_eq!(Sketch::of(&bytes).unwrap_err(), Invalid::Foreign, "too short for a dense one");
        bytes[ENCODING_AT] = 2;
        assert_eq!(Sketch::of(&bytes).unwrap_err(), Invalid::Foreign);
    }

    proptest! {
        #[test]
        fn sparse_and_dense_say_the_same(
            raises in proptest::collection::vec((0..REGISTERS, 1..=51_u8), 0..300),
        ) {
            let (mut sparse, mut dense) = (Sketch::default(), Sketch::default());
            dense.make_dense().unwrap();
            for (register, rank) in raises {
                let changed = sparse.raise(register, rank).unwrap();
                prop_assert_eq!(changed, dense.raise(register, rank).unwrap());
            }
            prop_assert_eq!(sparse.registers().unwrap().0, dense.registers().unwrap().0);
        }

        #[test]
        fn damage_never_panics(body in proptest::collection::vec(any::<u8>(), 0..40), register in 0..REGISTERS) {
            let mut bytes = Sketch::default().0;
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&body);
            let mut sketch = Sketch::of(&bytes).unwrap();
            let _ = sketch.registers();
            let _ = sketch.raise(register, 7);
            let _ = sketch.raise(register, 40);
        }
    }
}
