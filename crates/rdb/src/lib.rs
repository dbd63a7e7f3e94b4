//! Law: values and files in Redis' own form, "RDB".
//!
//! Redis writes values in one form in three places: in its file, in what `DUMP` gives out, and between servers.
//! This crate reads all forms of the five types that releases up to 8 write, and writes the plain ones, which
//! every release reads.
//!
//! ```text
//!   payload of DUMP   type u8 │ value │ version u16 LE │ CRC64 of all before, u64 LE
//!
//!   file              REDIS0010 │ fields, entries … │ 0xff │ CRC64 of all before, u64 LE
//!     field           0xfa name value, 0xfe database, 0xfb sizes, 0xfd/0xfc expiry, 0xf8/0xf9 idle time …
//!     entry           type u8 │ key │ value
//!
//!   value   type    string 0: string
//!                   list 1, set 2: count, strings │ hash 4: count, fields and values in turn
//!                   sorted set 5: count, (member, f64 LE) … │ 3: the same with scores as text
//!                   packed in one string, see `packed`: list 10, set 11 and 20, sorted set 12 and 17, hash 13 and 16
//!                   list of such strings 14, 18
//!   count   00xxxxxx │ 01xxxxxx xxxxxxxx │ 0x80 u32 BE │ 0x81 u64 BE
//!   string  count, bytes │ 0xc0 i8, 0xc1 i16 LE, 0xc2 i32 LE as decimal text │ 0xc3 counts, LZF
//! ```
//!
//! What is read may come from anybody: nothing panics, and nothing is allocated that is not paid for by bytes that
//! are there.

mod crc64;
mod file;
mod lzf;
mod packed;
mod payload;
mod skip;
mod source;
mod value;

pub use file::{Entry, FileReader, Found};
pub use payload::{dump, restore};
pub use source::STRING_BYTES_MAX;
pub use value::Value;

/// Version of the form that is written, that of Redis 7.0.
pub const VERSION_WRITTEN: u16 = 10;
/// Newest version that is read, that of Redis 8.
pub const VERSION_READ_MAX: u16 = 12;

/// Why bytes are no value and no file.
#[derive(Debug, thiserror::Error)]
pub enum RdbError {
    /// The bytes end too early.
    #[error("it ends in the middle of something")]
    Ends,
    /// The version is newer than this release reads, or is none.
    #[error("its version is none that is known")]
    Version,
    /// The checksum does not fit: the bytes were changed.
    #[error("its checksum does not fit its bytes")]
    Checksum,
    /// The bytes make no sense.
    #[error("{0}")]
    Malformed(&'static str),
    /// The value would take more memory than it may.
    #[error("it expands to more than may be in memory")]
    TooLarge,
    /// A type of value that this release does not store.
    #[error("values of type {0} are not supported")]
    Type(u8),
    /// The source of the bytes failed.
    #[error("reading failed: {0}")]
    Source(#[from] std::io::Error),
}
