//! Requests to the bits of strings.
//!
//! Bit 0 is the highest bit of the first byte, as in Redis. What lies beyond a string's end reads as zeros.

use bytes::Bytes;
use prost::{Message, Oneof};

/// A request to the bits of one string or several.
#[derive(Clone, PartialEq, Message)]
pub struct BitsRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "BitsOp", tags = "1, 2, 3, 4, 40, 41, 42")]
    pub op: Option<BitsOp>,
}

/// What to do with bits. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum BitsOp {
    /// One bit. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "1")]
    Get(BitPlace),
    /// How many bits are set. Reply: `Integer`.
    #[prost(message, tag = "2")]
    Count(BitCount),
    /// Where the first bit of a kind is. Reply: `Integer`, −1 if there is none.
    #[prost(message, tag = "3")]
    Find(BitFind),
    /// Numbers in the bits, all of them only read. Reply: `Many`, one `Integer` for each.
    #[prost(message, tag = "4")]
    Read(BitFields),

    /// Set one bit. Reply: `Integer`, the bit as it was.
    #[prost(message, tag = "40")]
    Set(BitSet),
    /// Store a combination of strings. Reply: `Integer`, the length of the result in bytes.
    #[prost(message, tag = "41")]
    Combine(BitCombine),
    /// Numbers in the bits, some of them changed. Reply: `Many`, one `Integer` or `Nil` for each.
    #[prost(message, tag = "42")]
    Change(BitFields),
}

/// Where a bit is.
#[derive(Clone, PartialEq, Message)]
pub struct BitPlace {
    /// The key of the string.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The bit.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
}

/// Set one bit.
#[derive(Clone, PartialEq, Message)]
pub struct BitSet {
    /// The key of the string.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The bit.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// What it becomes.
    #[prost(bool, tag = "3")]
    pub on: bool,
}

/// Part of a string, both ends included; negative places count from the end of the string.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct BitRange {
    /// The first place.
    #[prost(sint64, tag = "1")]
    pub start: i64,
    /// The last place; absent is the end of the string.
    #[prost(sint64, optional, tag = "2")]
    pub end: Option<i64>,
    /// Places are bits, not bytes.
    #[prost(bool, tag = "3")]
    pub in_bits: bool,
}

/// Count the bits that are set.
#[derive(Clone, PartialEq, Message)]
pub struct BitCount {
    /// The key of the string.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Where; absent is everywhere.
    #[prost(message, optional, tag = "2")]
    pub range: Option<BitRange>,
}

/// Find the first bit of a kind.
#[derive(Clone, PartialEq, Message)]
pub struct BitFind {
    /// The key of the string.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Whether to look for one that is set.
    #[prost(bool, tag = "2")]
    pub on: bool,
    /// Where; absent is everywhere. Without an end, the string goes on with zeros.
    #[prost(message, optional, tag = "3")]
    pub range: Option<BitRange>,
}

/// How strings are combined, bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum BitOperation {
    /// Set where all are.
    And = 0,
    /// Set where any is.
    Or = 1,
    /// Set where an odd number of them is.
    Xor = 2,
    /// Set where the only one is not.
    Not = 3,
}

/// Store a combination of strings.
#[derive(Clone, PartialEq, Message)]
pub struct BitCombine {
    /// How.
    #[prost(enumeration = "BitOperation", tag = "1")]
    pub operation: i32,
    /// Where the result goes; an empty one removes what was there.
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
    /// The strings; absent ones are empty, shorter ones go on with zeros. At least one, and no more with `Not`.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub from: Vec<Bytes>,
}

/// Numbers in the bits of one string.
#[derive(Clone, PartialEq, Message)]
pub struct BitFields {
    /// The key of the string.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What to do, in order.
    #[prost(message, repeated, tag = "2")]
    pub steps: Vec<BitField>,
}

/// What to do with one number in the bits.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct BitField {
    /// What.
    #[prost(enumeration = "BitFieldVerb", tag = "1")]
    pub verb: i32,
    /// Whether the highest bit is a sign.
    #[prost(bool, tag = "2")]
    pub signed: bool,
    /// Its width: 1 to 64, without a sign at most 63.
    #[prost(uint32, tag = "3")]
    pub bits: u32,
    /// Its first bit.
    #[prost(uint64, tag = "4")]
    pub offset: u64,
    /// What to store or to add.
    #[prost(sint64, tag = "5")]
    pub operand: i64,
    /// What to do with a result that does not fit.
    #[prost(enumeration = "BitFieldOverflow", tag = "6")]
    pub overflow: i32,
}

/// What to do with a number in the bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum BitFieldVerb {
    /// Read it. Answer: the number.
    Get = 0,
    /// Store one. Answer: the number before; nil if it does not fit and that is a failure.
    Set = 1,
    /// Add to it. Answer: the sum; nil if it does not fit and that is a failure.
    Add = 2,
}

/// What to do with a number that does not fit its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum BitFieldOverflow {
    /// Drop the upper bits.
    Wrap = 0,
    /// Take the nearest number that fits.
    Saturate = 1,
    /// Change nothing.
    Fail = 2,
}

impl BitsRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(BitsOp::Get(_) | BitsOp::Count(_) | BitsOp::Find(_) | BitsOp::Read(_)) => false,
            Some(BitsOp::Set(_) | BitsOp::Combine(_) | BitsOp::Change(_)) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(BitsOp::Get(place)) => visit(&mut place.key),
            Some(BitsOp::Count(count)) => visit(&mut count.key),
            Some(BitsOp::Find(find)) => visit(&mut find.key),
            Some(BitsOp::Read(fields) | BitsOp::Change(fields)) => visit(&mut fields.key),
            Some(BitsOp::Set(set)) => visit(&mut set.key),
            Some(BitsOp::Combine(combine)) => {
                visit(&mut combine.to)?;
                combine.from.iter_mut().try_for_each(visit)
            }
        }
    }
}
