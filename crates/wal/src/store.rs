//! The contract: what a log of many groups takes, gives back, and how it fails.

use bytes::Bytes;
use types::{GroupId, LogIndex, Term};

/// One entry of a group's log. The payload is opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index; entries of a group are consecutive.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// Its bytes.
    pub payload: Bytes,
}

/// A place in a group's log: an index and the term of its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The index.
    pub index: LogIndex,
    /// The term of the entry at the index.
    pub term: Term,
}

/// What one batch does to one group, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupWrite {
    /// The group.
    pub group: GroupId,
    /// Forget the group: its entries, its record, its start. The other fields are then not looked at.
    pub delete: bool,
    /// Forget all entries; the log now starts after this position. How a snapshot is installed, and how
    /// a group is made.
    pub reset: Option<LogPosition>,
    /// Append; the first may be at or below the last one there is, which is then cut off behind it.
    /// Must otherwise follow the last one without a gap.
    pub entries: Vec<LogEntry>,
    /// Replace the group's record: small bytes that belong to the group (hard state, identity).
    pub record: Option<Bytes>,
}

/// What the log knows of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// The group.
    pub group: GroupId,
    /// Its record, empty if none was written.
    pub record: Bytes,
    /// The position before its first entry.
    pub start: LogPosition,
    /// Its last entry, or `start`.
    pub last: LogPosition,
    /// Bytes of its entries.
    pub bytes: u64,
}

/// What can go wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The entries asked for were cut away.
    #[error("group {group} has no entries at or below {start}")]
    Cut {
        /// The group.
        group: GroupId,
        /// Where its log starts.
        start: LogIndex,
    },
    /// The entries asked for are beyond the log's end, or the group is unknown.
    #[error("group {group} has no entry {index}")]
    Beyond {
        /// The group.
        group: GroupId,
        /// The index.
        index: LogIndex,
    },
    /// Bytes that were made durable are not what they were. Not a torn tail.
    #[error("log damaged in {place}: {detail}")]
    Damaged {
        /// File and offset.
        place: String,
        /// What does not fit.
        detail: String,
    },
    /// The log was written by a newer release.
    #[error("log format version {0} is newer than this release")]
    Newer(u32),
    /// The disk is full. Nothing of the batch was taken; it may be tried again.
    #[error("the disk is full")]
    DiskFull,
    /// The disk failed. After a failed write or fsync nothing may be trusted: the process must stop.
    #[error("disk failed: {0}")]
    Disk(#[from] std::io::Error),
}

/// A log of many groups. One thread writes; any thread reads.
pub trait LogStore: Send + Sync {
    /// Every group there is, in order.
    fn groups(&self) -> Vec<GroupSummary>;

    /// One group.
    fn group(&self, group: GroupId) -> Option<GroupSummary>;

    /// Writes a batch for many groups at once: after a crash all of it is there or nothing. With `sync`
    /// it and everything before it is durable when this returns.
    fn write(&self, batch: &[GroupWrite], sync: bool) -> Result<(), LogError>;

    /// Entries from `from` (included) to `to` (not included), as many as fit `bytes_max`, but at least
    /// one.
    fn entries(
        &self,
        group: GroupId,
        from: LogIndex,
        to: LogIndex,
        bytes_max: u64,
    ) -> Result<Vec<LogEntry>, LogError>;

    /// The term of an entry, or of the start.
    fn term(&self, group: GroupId, index: LogIndex) -> Result<Term, LogError>;

    /// Allows entries up to `index` (included) to be forgotten. Not durable by itself; a crash may bring
    /// them back. Never beyond the last entry.
    fn cut(&self, group: GroupId, index: LogIndex) -> Result<(), LogError>;

    /// Gives space back: moves what is still needed out of the oldest files and removes them. Called
    /// regularly by the writing thread.
    fn reclaim(&self) -> Result<(), LogError>;

    /// Bytes on disk.
    fn bytes(&self) -> u64;
}
