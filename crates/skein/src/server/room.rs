//! Room on the disk: writes stop while there is still some, so that nothing else has to.
//!
//! The log can wait for room, because nothing in it is acknowledged before it is durable. The store of
//! records cannot: a flush or a compaction that meets a full disk ends the process, and a node that starts
//! needs room as well. So clients' writes stop a *reserve* before the end, and the rest of the node lives on that.
//!
//! ```text
//!   0 ──────────── used ────────────┬── reserve / 2 ──┬── reserve / 4 ──┬── reserve / 4 ──┤ end
//!     everything is written         │ whatever is     │ small batches:  │ flushes and
//!                                   │ under way       │ elections, the  │ compactions only
//!     writes of clients: disk-full ▲│                 │ catalog, expiry │
//! ```
//!
//! What was accepted before the leaders heard of the full disk is written first: a replica that waits with an entry can
//! neither acknowledge it nor vote in its group, and where all nodes share a disk that would be all of them.
//!
//! A write that a leader here would have to log is refused with `disk-full`, which is the truth: it had no
//! effect. Reads go on. When somebody frees space the node notices within [`LOOK_EVERY`] and takes writes
//! again; a quarter more than the reserve must be free then, so that it does not change its mind all the time.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::peer::{Access, Reply, Request};
use node::Node;
use types::{ErrorCode, Fault, GroupId, LogIndex, Term, limits};
use wal::{GroupSummary, GroupWrite, LogEntry, LogError, LogStore, SegmentedLog};

/// How often the disk is looked at while nothing is written.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is free on a disk, in bytes: now, and of how many in all. `None` when the system does not say.
type Measure = Box<dyn Fn() -> Option<(u64, u64)> + Send + Sync>;

/// The room on the disk of a data directory.
pub struct Room {
    measure: Measure,
    /// What clients' writes leave free, in bytes, where the disk is large enough.
    reserve_bytes: u64,
    full: AtomicBool,
    detail: String,
    disk_number: u64,
}

impl Room {
    /// The room where a directory lies. The reserve is what flushes and compactions of this many bytes of
    /// write buffer may need; on a small disk it is a part of the disk.
    pub fn new(directory: PathBuf, write_buffer_bytes: u64) -> Self {
        let detail = format!("{} is on a disk with too little room for writes", directory.display());
        let disk_number = std::fs::metadata(&directory).map_or(0, |found| found.dev());
        let measure = move || {
            let found = rustix::fs::statvfs(&directory).ok()?;
            Some((found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize))
        };
        Self { disk_number, ..Self::with(Box::new(measure), detail, write_buffer_bytes) }
    }

    fn with(measure: Measure, detail: String, write_buffer_bytes: u64) -> Self {
        let reserve_bytes = write_buffer_bytes.saturating_mul(2);
        let room = Self { measure, reserve_bytes, full: AtomicBool::new(false), detail, disk_number: 0 };
        room.look();
        room
    }

    /// The number that the system has for the disk; 0 if it does not say.
    pub fn disk_number(&self) -> u64 {
        self.disk_number
    }

    /// Whether clients' writes are refused, as of the last look.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// What a client is told whose write is refused.
    pub fn fault(&self) -> Fault {
        Fault::new(ErrorCode::DiskFull, self.detail.clone())
    }

    /// Looks at the disk, and notes what it finds.
    pub fn look(&self) {
        let Some((free, total)) = (self.measure)() else { return };
        let reserve = self.reserve(total);
        let was_full = self.is_full();
        let is_full = free < if was_full { reserve + reserve / 4 } else { reserve };
        if is_full != was_full {
            self.full.store(is_full, Ordering::Relaxed);
            match is_full {
                true => {
                    tracing::error!(free, reserve, "the disk is full: writes are refused until there is room")
                }
                false => tracing::info!(free, "there is room on the disk: writes go on"),
            }
        }
    }

    /// Whether a batch with this many bytes of entries may be written now.
    fn admits(&self, bytes: usize) -> bool {
        self.look();
        if !self.is_full() {
            return true;
        }
        let Some((free, total)) = (self.measure)() else { return true };
        let reserve = self.reserve(total);
        // Clients' writes do not come here any more, and what keeps the cluster alive is small.
        free >= reserve / 2 || (bytes <= limits::SMALL_BATCH_BYTES && free >= reserve / 4)
    }

    /// Bytes that clients' writes may still take, and bytes of the disk; nothing if the system does not say.
    pub fn for_data(&self) -> Option<(u64, u64)> {
        let (free, total) = (self.measure)()?;
        Some((free.saturating_sub(self.reserve(total)), total))
    }

    fn reserve(&self, total: u64) -> u64 {
        self.reserve_bytes.min(total / limits::DISK_RESERVE_PART)
    }

    /// Whether a call is one that a full disk refuses: a write, and not one of the catalog, without which
    /// nobody could mend anything.
    fn refuses(&self, group: GroupId, access: Access) -> bool {
        access == Access::Write && group != GroupId::CATALOG && self.is_full()
    }

    /// What a call of this node's own is told, if the disk refuses it. Another node's leader is asked whatever the disk
    /// here is like.
    pub fn refusal(&self, node: &Node, group: GroupId, access: Access) -> Option<Fault> {
        let refused = self.refuses(group, access) && node.leader_of(group) == Some(node.id());
        refused.then(|| self.fault())
    }

    /// Takes out the requests that a full disk refuses; returns what they are told.
    pub fn refuse(&self, requests: &mut Vec<Request>) -> Vec<Reply> {
        if !self.is_full() {
            return Vec::new();
        }
        let is_refused = |request: &mut Request| {
            let access = Access::try_from(request.access).unwrap_or(Access::Read);
            self.refuses(GroupId(request.group), access)
        };
        let refused = requests.extract_if(.., is_refused);
        refused.map(|request| node::desk::refusal(request.id, &self.fault(), None)).collect()
    }
}

/// The log, which stops before the disk is full.
pub struct ReservingLog {
    /// The log itself.
    pub log: Arc<SegmentedLog>,
    /// What it looks at before it writes.
    pub room: Arc<Room>,
}

impl LogStore for ReservingLog {
    fn groups(&self) -> Vec<GroupSummary> {
        self.log.groups()
    }

    fn group(&self, group: GroupId) -> Option<GroupSummary> {
        self.log.group(group)
    }

    fn write(&self, batch: &[GroupWrite], sync: bool) -> Result<(), LogError> {
        let entries = batch.iter().flat_map(|write| &write.entries);
        match self.room.admits(entries.map(|entry| entry.payload.len()).sum()) {
            true => self.log.write(batch, sync),
            false => Err(LogError::DiskFull),
        }
    }

    fn entries(
        &self,
        group: GroupId,
        from: LogIndex,
        to: LogIndex,
        bytes_max: u64,
    ) -> Result<Vec<LogEntry>, LogError> {
        self.log.entries(group, from, to, bytes_max)
    }

    fn term(&self, group: GroupId, index: LogIndex) -> Result<Term, LogError> {
        self.log.term(group, index)
    }

    fn cut(&self, group: GroupId, index: LogIndex) -> Result<(), LogError> {
        self.log.cut(group, index)
    }

    fn reclaim(&self) -> Result<(), LogError> {
        self.log.reclaim()
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use env::OsDisk;
    use wal::{LogOptions, LogPosition};

    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// A disk of 10 GiB with this much free, and a write buffer of 64 MiB: the reserve is 128 MiB.
    fn room(free: &Arc<AtomicU64>) -> Arc<Room> {
        let free = free.clone();
        let measure = move || Some((free.load(Ordering::Relaxed), 10 * 1024 * MIB));
        Arc::new(Room::with(Box::new(measure), "here".into(), 64 * MIB))
    }

    fn request(id: u64, group: GroupId, access: Access) -> Request {
        Request { id, group: group.get(), access: access as i32, ..Default::default() }
    }

    #[test]
    fn writes_of_clients_are_refused_and_nothing_else_is() {
        let free = Arc::new(AtomicU64::new(127 * MIB));
        let room = room(&free);
        let all = || {
            vec![
                request(1, GroupId(5), Access::Write),
                request(2, GroupId(5), Access::Read),
                request(3, GroupId::CATALOG, Access::Write),
            ]
        };
        let mut requests = all();
        let refused = room.refuse(&mut requests);
        assert_eq!((refused.len(), refused[0].id), (1, 1));
        assert_eq!(requests.iter().map(|request| request.id).collect::<Vec<_>>(), [2, 3]);
        // A little more room is not enough to change its mind, a quarter more is.
        for (mib, refusals) in [(130, 1), (161, 0), (130, 0), (127, 1)] {
            free.store(mib * MIB, Ordering::Relaxed);
            room.look();
            assert_eq!(room.refuse(&mut all()).len(), refusals, "{mib} MiB free");
        }
    }

    #[test]
    fn a_small_disk_keeps_a_part_free() {
        let measure = || Some((30 * MIB, 200 * MIB));
        assert!(!Room::with(Box::new(measure), String::new(), 64 * MIB).is_full());
        let measure = || Some((20 * MIB, 200 * MIB));
        assert!(Room::with(Box::new(measure), String::new(), 64 * MIB).is_full());
    }

    #[test]
    fn the_log_waits_with_large_batches_and_lets_small_ones_through() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = SegmentedLog::open(Arc::new(OsDisk), dir.path().join("log"), LogOptions::default());
        let free = Arc::new(AtomicU64::new(1024 * MIB));
        let log = ReservingLog { log: Arc::new(log.expect("a log")), room: room(&free) };
        let write = |index: u64, bytes: usize| {
            let payload = vec![7; bytes].into();
            let entry = LogEntry { index: index.into(), term: 1.into(), payload };
            let reset = (index == 1).then(LogPosition::default);
            let record = (index == 1).then(|| "record".into());
            let group = GroupId(1);
            log.write(
                &[GroupWrite { group, reset, record, entries: vec![entry], ..Default::default() }],
                true,
            )
        };
        write(1, 1 << 20).expect("room");
        free.store(100 * MIB, Ordering::Relaxed);
        write(2, 1 << 20).expect("under way already");
        free.store(60 * MIB, Ordering::Relaxed);
        assert!(matches!(write(3, 1 << 20), Err(LogError::DiskFull)));
        write(3, 100).expect("small");
        free.store(30 * MIB, Ordering::Relaxed);
        assert!(matches!(write(4, 100), Err(LogError::DiskFull)), "the rest is the store's");
        free.store(200 * MIB, Ordering::Relaxed);
        write(4, 1 << 20).expect("room again");
    }
}
