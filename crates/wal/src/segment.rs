//! Segment files: their names, how one is made so that a crash never leaves half of one, and how it
//! becomes a spare when it is no longer needed.
//!
//! ```text
//!            create or reuse, write header, sync           rename, sync directory
//!   (spare) ---------------------------------> 9.spare ---------------------------> 9.log
//!      ^                                                                              |
//!      +------ 4.spare <--- rename, sync directory --- 4.log (oldest, retired) <------+
//! ```
//!
//! A file named `.log` therefore has a durable header from the first moment it can be seen, and a
//! damaged header is damage. What a `.spare` contains does not matter to anybody.

use std::io;
use std::path::Path;
use std::sync::Arc;

use env::{Disk, DiskFile};

use crate::format::{DATA_START, SegmentHeader, salt};
use crate::index::Segment;
use crate::log::{LogOptions, path};
use crate::store::LogError;

/// Smallest segment: a header and a few batches. For tests and simulations.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 4 << 10;
/// Largest segment: with the largest batch every offset stays below 2^32.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// The end of each segment that only reclaiming may use, so that a disk filled to the last byte still
/// lets the log write down that a segment is not needed. Enough for the anchors of some 500 groups.
pub(crate) fn reserve_bytes(segment_bytes: u64) -> u64 {
    (segment_bytes / 16).min(64 << 10)
}

/// The segment that batches are written to.
pub(crate) struct Active {
    pub(crate) number: u32,
    pub(crate) salt: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next batch goes.
    pub(crate) tail: u64,
    /// The file has blocks up to here: writing below does not change its size, which makes the fsync
    /// about a third cheaper.
    pub(crate) ready: u64,
}

impl Active {
    /// Whether no batch was written to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.tail == DATA_START
    }

    /// Its entry in the index.
    pub(crate) fn segment(&self) -> Segment {
        Segment { file: Arc::clone(&self.file), live: 0, bytes: self.ready }
    }
}

/// A file of ours that waits to become a segment. Its contents do not count.
pub(crate) struct Spare {
    pub(crate) number: u32,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) bytes: u64,
}

/// Which segment to make.
pub(crate) struct Wanted {
    /// No number up to this one is free.
    pub(crate) after: u32,
    /// The segment in front of it, if any.
    pub(crate) previous: Option<u32>,
    /// The number of the first batch in it.
    pub(crate) first_sequence: u64,
    /// The oldest segment that is needed, if any but this one.
    pub(crate) oldest: Option<u32>,
}

/// Makes the next segment, from a spare if there is one. It is durable when this returns.
///
/// # Errors
/// `DiskFull` when there is no room: nothing has changed then. `Disk` when anything else fails.
pub(crate) fn make(
    disk: &dyn Disk,
    dir: &Path,
    options: &LogOptions,
    spares: &mut Vec<Spare>,
    wanted: Wanted,
) -> Result<Active, LogError> {
    let Some(number) = wanted.after.checked_add(1) else {
        return Err(LogError::Disk(io::Error::other("the log has used up its segment numbers")));
    };
    let header = SegmentHeader {
        number,
        salt: salt(options.secret, number),
        first_sequence: wanted.first_sequence,
        previous: wanted.previous.unwrap_or(0),
        oldest: wanted.oldest.unwrap_or(number),
    };
    let spare = match spares.pop() {
        Some(spare) => spare,
        None => create(disk, dir, number).map_err(full_or_failed)?,
    };
    let ready = spare.bytes.max(DATA_START);
    if let Err(error) = prepare(disk, dir, &header, &spare) {
        let error = full_or_failed(error);
        if matches!(error, LogError::DiskFull) {
            spares.push(spare);
        }
        return Err(error);
    }
    // From here on the file has its name, and only its durability is in question.
    disk.sync_dir(dir).map_err(LogError::Disk)?;
    let file = Arc::from(spare.file);
    Ok(Active { number, salt: header.salt, file, tail: DATA_START, ready })
}

/// Makes an empty file under a spare's name.
fn create(disk: &dyn Disk, dir: &Path, number: u32) -> io::Result<Spare> {
    let file = disk.create(&dir.join(spare_name(number)))?;
    Ok(Spare { number, file, bytes: 0 })
}

/// Gives a spare its header, durably, and then its name.
fn prepare(disk: &dyn Disk, dir: &Path, header: &SegmentHeader, spare: &Spare) -> io::Result<()> {
    // The whole sector, so that a file of one sector is a segment without batches.
    let mut sector = vec![0; DATA_START as usize];
    let bytes = header.encode();
    sector[..bytes.len()].copy_from_slice(&bytes);
    spare.file.write_at(&sector, 0)?;
    // Not "full", even if it is: after a failed fsync the file's state is unknown.
    spare.file.sync().map_err(io::Error::other)?;
    disk.rename(&dir.join(spare_name(spare.number)), &path(dir, header.number))
}

fn full_or_failed(error: io::Error) -> LogError {
    if is_full(&error) { LogError::DiskFull } else { LogError::Disk(error) }
}

/// Whether an error says that there is no room, for everybody or for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What a file name in the log's directory means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    /// A segment.
    Segment(u32),
    /// A spare.
    Spare(u32),
}

impl FileName {
    /// `None` for names that the log does not give.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (digits, kind) = name.split_once('.')?;
        let canonical = digits.len() == 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u32::from_str_radix(digits, 16).ok().filter(|number| canonical && *number > 0)?;
        match kind {
            "log" => Some(Self::Segment(number)),
            "spare" => Some(Self::Spare(number)),
            _ => None,
        }
    }
}

/// The file name of a segment: eight hexadecimal digits, so that names sort like numbers.
pub(crate) fn segment_name(number: u32) -> String {
    format!("{number:08x}.log")
}

/// The file name of a spare that was, or was to be, this segment.
pub(crate) fn spare_name(number: u32) -> String {
    format!("{number:08x}.spare")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_recognised() {
        assert_eq!(FileName::parse(&segment_name(0x1f)), Some(FileName::Segment(0x1f)));
        assert_eq!(FileName::parse(&spare_name(u32::MAX)), Some(FileName::Spare(u32::MAX)));
        for foreign in ["1.log", "0000001F.log", "00000000.log", "00000001.tmp", "+0000001.log", "x", ""] {
            assert_eq!(FileName::parse(foreign), None, "{foreign}");
        }
    }
}
