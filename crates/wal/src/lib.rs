//! One durable log for all replication groups of a node.
//!
//! Many groups append to one sequence of segment files, so that one write and one fsync make a whole
//! turn of all groups durable. [`LogStore`] is the contract; [`SegmentedLog`] keeps it on a disk,
//! [`MemoryLog`] in memory, [`suite`] checks both, and [`model::ModelDisk`] is a disk that tears, forgets,
//! fails and lies. `docs/decisions/2026-11-26-own-log.md` says why the log is our own.
//!
//! # What is on disk
//!
//! ```text
//!   directory     00000007.log   00000008.log   00000009.log          00000005.spare
//!                 oldest ------- closed ------- newest: written to    waits to be used again
//!
//!   segment       +---------------- 512 ----------------+--------+--------+--------+- - - - - - -
//!                 | "SKEINLOG", version, number,        | batch  | batch  | batch  | zeros, or old
//!                 | previous, salt, first batch,        |  41    |  42    |  43    | batches of a
//!                 | oldest needed, crc                  |        |        |        | former life
//!                 +-------------------------------------+--------+--------+--------+- - - - - - -
//!
//!   batch         +- 4 -+--- 4 ----+- 8 --+--- 8 ----+--- 8 ---+--- 4 ----+--- 4 ----+----------
//!                 | crc | "SKB1"   | salt | sequence | synced  | length   | crc of   | body
//!                 | of the header  |      |    42    |   40    | of body  | body     |
//!                 +-----+----------+------+----------+---------+----------+----------+----------
//!
//!   body          delete  group
//!    any of       anchor  group, reset?, start index and term, record
//!                 append  group, first index, count, then (term, crc, length, payload) each
//!                 moved   the same, written by reclaiming
//!                 retired number of a segment that is not needed any more
//!                 zeros to a multiple of 8, under the checksum like the rest
//! ```
//!
//! Numbers are little-endian. Batches are numbered from 1 over all segments without a gap. `synced` is the
//! number of the last batch that was known to be durable when this one was written.
//!
//! # Writing
//!
//! A batch is assembled in one buffer, written by one `write_at`, made durable by at most one `sync`, and
//! only then shown to readers. When the newest segment has no room, it is synced, and a new one is made:
//! header written and synced under a spare's name, then renamed, then the directory synced
//! (`segment.rs`). `reclaim` keeps a stretch of zeros in front of the writer: an fsync that does not change
//! a file's length or blocks saves about a third of its time. A retired segment becomes a spare and then
//! the next segment, for the same reason.
//!
//! # Recovery, or: what was promised?
//!
//! Writes that were not synced may arrive in any order, so a hole followed by an intact batch can be
//! innocent; and it can be a synced batch that rotted. The log must drop the one and refuse the other.
//!
//! 1. *Closed segments are complete.* A segment is synced before the next one is made, and the next one's
//!    header names its own first batch. So everything before that batch must be readable, else the log is
//!    [damaged](LogError::Damaged).
//! 2. *In the newest segment* let `n` be the first batch that cannot be read. Every later intact batch
//!    header was written by the same process, behind `n`. If one says `synced >= n`, then `n` was durable,
//!    and its loss is damage. If all say less, `n` was not known to be durable when the last of them was
//!    written. Could it have become durable later? Then a sync succeeded after that, and it made all of
//!    them durable too, and `n` was damaged afterwards: possible, and the one case that cannot be told from
//!    a crash, see the caveats. Otherwise nobody was promised `n` or anything behind it, and the log ends
//!    before it.
//! 3. *What was dropped stays dropped.* Recovery never writes behind the hole. It starts a new segment
//!    whose header says "my first batch is `n`"; by rule 1 nothing numbered `n` or higher in the old
//!    segment counts from then on. Not even if the same batch is written again with the same number,
//!    byte for byte, in front of a survivor of the first try.
//! 4. *What was kept is durable.* What recovery reads may exist in the page cache only, and after a failed
//!    fsync it may stay there for ever, because the kernel takes such pages for clean. So the batches that
//!    no `synced` covers are written once more, then the segment is synced, then the new one is made.
//! 5. *Old batches never count.* A reused file is full of intact batches. Each segment has its own salt,
//!    its batches carry it, and a segment's number, from which the salt is made, is never used twice.
//!    [`LogOptions::secret`] keeps writers of payloads from imitating one.
//!
//! # Forgetting
//!
//! Segments leave from the oldest on (`reclaim.rs`): live entries are copied to the newest segment as
//! *moved*, which, unlike *append*, cuts nothing off behind it; then anchors and a *retired* note are
//! written and synced; then the file is renamed and the directory synced, before the next one's turn. A
//! crash anywhere leaves the old copy, or both, or the new one, and reading both gives the same.
//! Deletions, resets and cut-off tails are never copied: what they forget lies in front of them and has
//! left before they leave.
//!
//! The oldest segment goes when nothing lives in it, or when there are more segments than twice the live
//! bytes fill and three. So the log is at most twice its live bytes and four segments, and per byte
//! written about one byte is moved at worst.
//!
//! # Invariants
//!
//! - A `.log` file has a durable, intact header from the moment it has its name.
//! - Only the newest segment holds batches that are not durable.
//! - A segment is written by one process only; each opening starts a new one.
//! - The numbers of the batches of the segments, in order, have no gap; each header names the segment
//!   before it, and the first one's predecessor was noted as retired.
//! - An *anchor* always holds both start and record, so the newest one alone is enough. Every group has
//!   one in the segments that are there, and none of its entries between that start and its last is
//!   missing.
//! - The index points only to bytes in segments that are in it, and every entry is compared with its
//!   checksum whenever it is read.
//! - A file is used again only when no reader holds it. Readers take a handle together with the places,
//!   so that they need no lock while they read and can never meet another segment's bytes.
//!
//! # Caveats
//!
//! - If a batch is damaged that the very last sync made durable, or the newest file is taken away, that
//!   looks like a crash before that sync. Replication notices: a state that has applied more than the log
//!   holds is a damaged replica.
//! - A sector of 512 bytes must be written whole or not at all: a batch shares its first sector with the
//!   end of the one before.
//! - A disk that lies about fsync loses what it lied about. That is found when a later segment or batch
//!   proves it, and not otherwise.
//! - Once the disk has failed, the log stays failed until it is opened again, reads included.
//! - Recovery reads all segments: about a gigabyte per second.
//! - The log does not lock its directory; the node does.

mod format;
mod index;
mod log;
mod memory;
pub mod model;
mod plan;
mod reclaim;
mod recovery;
mod segment;
mod store;
pub mod suite;
#[cfg(test)]
mod tests;

pub use log::{LogCounters, LogOptions, SegmentedLog};
pub use memory::MemoryLog;
pub use store::{GroupSummary, GroupWrite, LogEntry, LogError, LogPosition, LogStore};
