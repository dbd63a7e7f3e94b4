//! A file of changes: written whole, read whole, and believed only as a whole.
//!
//! ```text
//!   "SKEINCHG" │ version u16 = 1 │ bytes of the head u32 │ head │ bytes in full u32 │ zstd of the changes │ XXH3-128
//! ```
//!
//! Numbers are big-endian. The checksum is of everything before it. The head and the changes are Protocol Buffers.

use api::kv::EntryChanges;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

use super::Run;
use crate::error::BackupError;

const MAGIC: &[u8; 8] = b"SKEINCHG";
const VERSION: u16 = 1;
/// Bytes before the head.
const FIXED_BYTES: usize = 8 + 2 + 4;
/// Where the head begins.
pub(super) const HEAD_OFFSET: u64 = FIXED_BYTES as u64;
const CHECKSUM_BYTES: usize = 16;
/// Most bytes of changes in a file; whoever writes begins another one long before.
pub(super) const FULL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// zstd's level: changes are written once and mostly never read.
const LEVEL: i32 = 3;

/// Whose file it is, and what it tells.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ChangeHead {
    /// The archive.
    #[prost(string, tag = "1")]
    pub archive: String,
    /// The table's namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// The table's name.
    #[prost(string, tag = "3")]
    pub table: String,
    /// The partition.
    #[prost(uint32, tag = "4")]
    pub partition: u32,
    /// Its group.
    #[prost(uint64, tag = "5")]
    pub group: u64,
    /// The run: it tells entries after this one.
    #[prost(uint64, tag = "6")]
    pub since: u64,
    /// The file's number in the run, from 0.
    #[prost(uint32, tag = "7")]
    pub number: u32,
    /// The entry that it begins with.
    #[prost(uint64, tag = "8")]
    pub from_index: u64,
    /// The piece of it.
    #[prost(uint32, tag = "9")]
    pub from_piece: u32,
    /// The entry that the next file begins with.
    #[prost(uint64, tag = "10")]
    pub next_index: u64,
    /// The piece of it.
    #[prost(uint32, tag = "11")]
    pub next_piece: u32,
    /// With this file, every write with a stamp below this millisecond is told.
    #[prost(uint64, tag = "12")]
    pub complete_ms: u64,
    /// The checksum of the file before, big-endian; zeros for the first.
    #[prost(bytes = "bytes", tag = "13")]
    pub before: Bytes,
    /// When the run began, as in its head.
    #[prost(uint64, tag = "14")]
    pub since_ms: u64,
}

/// Changes, as they are stored.
#[derive(Clone, PartialEq, Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<EntryChanges>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeFile {
    /// What it tells.
    pub head: ChangeHead,
    /// The changes, in order; an entry's pieces may begin or end in another file.
    pub changes: Vec<EntryChanges>,
    /// Its checksum.
    pub checksum: u128,
}

impl ChangeHead {
    /// Whether a file is one of a run, under this number.
    pub(super) fn is_of(&self, run: &Run, number: u32) -> bool {
        (&self.archive, &self.namespace, &self.table) == (&run.archive, &run.namespace, &run.table)
            && (self.partition, self.group, self.since) == (run.partition, run.group, run.since)
            && self.number == number
    }
}

/// The bytes of a file, and their checksum.
///
/// # Errors
/// `Target` if the changes cannot be compressed.
pub(super) fn encode(
    name: &str,
    head: &ChangeHead,
    changes: Vec<EntryChanges>,
) -> Result<(Vec<u8>, u128), BackupError> {
    let (head, full) = (head.encode_to_vec(), Batch { changes }.encode_to_vec());
    let stored = zstd::bulk::compress(&full, LEVEL).map_err(|error| BackupError::io(name, &error))?;
    let mut bytes = BytesMut::with_capacity(FIXED_BYTES + head.len() + 4 + stored.len() + CHECKSUM_BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_u16(VERSION);
    bytes.put_u32(head.len() as u32);
    bytes.put_slice(&head);
    bytes.put_u32(full.len() as u32);
    bytes.put_slice(&stored);
    let checksum = xxh3_128(&bytes);
    bytes.put_u128(checksum);
    Ok((bytes.to_vec(), checksum))
}

/// Reads the bytes of a file that should be of a run, under this number.
///
/// # Errors
/// `Damaged` if they are anything else.
pub(super) fn decode(name: &str, bytes: &Bytes, run: &Run, number: u32) -> Result<ChangeFile, BackupError> {
    let damaged = |offset: usize, what: &str| BackupError::damaged(name, offset as u64, what);
    let cut_off = || damaged(bytes.len(), "the file is cut off");
    if bytes.len() < FIXED_BYTES + 4 + CHECKSUM_BYTES {
        return Err(cut_off());
    }
    if &bytes[..8] != MAGIC {
        return Err(damaged(0, "this is no file of an archive"));
    }
    let version = u16::from_be_bytes([bytes[8], bytes[9]]);
    if version != VERSION {
        return Err(damaged(8, &format!("format version {version} is not known to this release")));
    }
    let (body, stored) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    let checksum = xxh3_128(body);
    if stored != checksum.to_be_bytes() {
        return Err(damaged(0, "the checksum at the end does not fit"));
    }
    let head_end = FIXED_BYTES + u32::from_be_bytes([bytes[10], bytes[11], bytes[12], bytes[13]]) as usize;
    let head = body.get(FIXED_BYTES..head_end).ok_or_else(|| damaged(10, "the head is too long"))?;
    let head = ChangeHead::decode(head).map_err(|_| damaged(FIXED_BYTES, "the head cannot be read"))?;
    if !head.is_of(run, number) {
        let what = format!(
            "this is file {} of partition {} of {}.{} since entry {} in archive {}, and another belongs here",
            head.number, head.partition, head.namespace, head.table, head.since, head.archive
        );
        return Err(damaged(FIXED_BYTES, &what));
    }
    let full = body.get(head_end..head_end + 4).and_then(|full| full.try_into().ok());
    let full_bytes = full.map(u32::from_be_bytes).ok_or_else(cut_off)? as usize;
    if full_bytes > FULL_BYTES_MAX {
        return Err(damaged(head_end, "the changes are too many"));
    }
    let full = zstd::bulk::decompress(&body[head_end + 4..], full_bytes);
    let full = full.ok().filter(|full| full.len() == full_bytes);
    let full = full.ok_or_else(|| damaged(head_end, "the changes cannot be decompressed"))?;
    let batch =
        Batch::decode(Bytes::from(full)).map_err(|_| damaged(head_end, "the changes cannot be read"))?;
    check_order(&head, &batch.changes).map_err(|what| damaged(head_end, what))?;
    Ok(ChangeFile { head, changes: batch.changes, checksum })
}

/// Entries and pieces must follow one another, within what the head says.
fn check_order(head: &ChangeHead, changes: &[EntryChanges]) -> Result<(), &'static str> {
    let mut next = (head.from_index, head.from_piece);
    let end = (head.next_index, head.next_piece);
    for change in changes {
        let place = (change.index, change.piece);
        let goes_on = next.1 > 0;
        let fits = if goes_on { place == next } else { place.0 >= next.0 && place.1 == 0 };
        if !fits || place >= end {
            return Err("the changes are not those that the head promises");
        }
        next = if change.more { (place.0, place.1 + 1) } else { (place.0 + 1, 0) };
    }
    match next.1 > 0 && next != end || next > end {
        true => Err("the changes end within an entry"),
        false => Ok(()),
    }
}
