//! Where bytes come from, and the small things that all values are made of.

use std::io::Read;

use bytes::Bytes;

use crate::{RdbError, crc64, lzf};

/// Longest string that is read, in bytes: Redis' own limit.
pub const STRING_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// What holding a string in memory costs besides its bytes.
pub(crate) const STRING_COST: u64 = 64;
/// Bytes that are asked of a stream at once, and allocated before they have come.
const PIECE_BYTES: u64 = 1024 * 1024;

/// Bytes in order.
pub(crate) trait Source {
    /// The next so many bytes.
    fn take(&mut self, length: u64) -> Result<Bytes, RdbError>;

    /// Bytes of memory that are left to be taken; `None` if nobody counts.
    fn room(&mut self) -> Option<&mut u64> {
        None
    }

    /// Takes memory.
    fn spend(&mut self, bytes: u64) -> Result<(), RdbError> {
        if let Some(room) = self.room() {
            *room = room.checked_sub(bytes).ok_or(RdbError::TooLarge)?;
        }
        Ok(())
    }

    /// A count, or one of the special forms of strings.
    fn length(&mut self) -> Result<Length, RdbError> {
        let first = self.byte()?;
        Ok(match (first >> 6, first) {
            (0, _) => Length::Count(u64::from(first)),
            (1, _) => Length::Count(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            (2, 0x80) => Length::Count(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 0x81) => Length::Count(u64::from_be_bytes(self.array()?)),
            (2, _) => return Err(RdbError::Malformed("a count of unknown form")),
            _ => Length::Special(first & 0x3f),
        })
    }

    /// A count.
    fn count(&mut self) -> Result<u64, RdbError> {
        match self.length()? {
            Length::Count(count) => Ok(count),
            Length::Special(_) => Err(RdbError::Malformed("a string where a count is expected")),
        }
    }

    /// A string.
    fn string(&mut self) -> Result<Bytes, RdbError> {
        self.spend(STRING_COST)?;
        let number = match self.length()? {
            Length::Count(length) => return self.take_string(length),
            Length::Special(0) => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Special(1) => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Special(2) => i64::from(i32::from_le_bytes(self.array()?)),
            Length::Special(3) => {
                let (packed, length) = (self.count()?, self.count()?);
                if length > STRING_BYTES_MAX {
                    return Err(RdbError::Malformed("a string is too long"));
                }
                self.spend(length)?;
                return Ok(lzf::expand(&self.take_string(packed)?, length as usize)?.into());
            }
            Length::Special(_) => return Err(RdbError::Malformed("a string of unknown form")),
        };
        Ok(number.to_string().into())
    }

    /// The bytes of a string.
    fn take_string(&mut self, length: u64) -> Result<Bytes, RdbError> {
        if length > STRING_BYTES_MAX {
            return Err(RdbError::Malformed("a string is too long"));
        }
        self.take(length)
    }

    /// One byte.
    fn byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.array::<1>()?[0])
    }

    /// So many bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        self.take(N as u64)?[..].try_into().map_err(|_| RdbError::Ends)
    }
}

/// What stands before a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many bytes or elements follow.
    Count(u64),
    /// A string in a form of its own.
    Special(u8),
}

/// Bytes that are all there.
impl Source for Bytes {
    fn take(&mut self, length: u64) -> Result<Bytes, RdbError> {
        if length > self.len() as u64 {
            return Err(RdbError::Ends);
        }
        Ok(self.split_to(length as usize))
    }
}

/// Bytes that are all there, from which a value of a limited size is made.
pub(crate) struct Limited {
    pub(crate) bytes: Bytes,
    /// Bytes of memory that are left.
    pub(crate) room: u64,
}

impl Source for Limited {
    fn take(&mut self, length: u64) -> Result<Bytes, RdbError> {
        self.bytes.take(length)
    }

    fn room(&mut self) -> Option<&mut u64> {
        Some(&mut self.room)
    }
}

/// Bytes that come one after another, with their number and checksum.
pub(crate) struct Stream<R> {
    source: R,
    /// Bytes taken.
    pub(crate) taken: u64,
    /// Their checksum.
    pub(crate) crc: u64,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, taken: 0, crc: 0 }
    }
}

impl<R: Read> Source for Stream<R> {
    fn take(&mut self, length: u64) -> Result<Bytes, RdbError> {
        let mut bytes = Vec::with_capacity(length.min(PIECE_BYTES) as usize);
        let read = self.source.by_ref().take(length).read_to_end(&mut bytes)?;
        self.taken += read as u64;
        if (read as u64) < length {
            return Err(RdbError::Ends);
        }
        self.crc = crc64::extend(self.crc, &bytes);
        Ok(bytes.into())
    }
}
