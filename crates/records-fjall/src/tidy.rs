//! Tidying: what was removed leaves the disk when its state is quiet.
//!
//! A removal is a record, a *grave*; it and what it covers leave when a compaction meets both. In a state that
//! is written to that happens by itself. In one that is not, after a FLUSH say, nothing would happen any more:
//! graves stay in the memtable, the memtable keeps its journals, and the tables keep what was removed.
//!
//! ```text
//!   written ──► quiet for a while ──► memtable sealed and flushed ──► compacted, if something was removed
//!                                      (journals go)                   (graves and what they cover go)
//! ```
//!
//! Only what pays is compacted: a state that is small, or one of which a good part are graves. On demand
//! ([`compact_now`]) whatever can be is.
//!
//! While fjall compacts the whole of a state, its only worker, which also flushes, may wait for that: when the
//! state's own memtable is flushed meanwhile, the worker goes on to compact it and finds it taken. So a state
//! that is written to is compacted as a whole only if it is small enough that nobody feels the wait.
//!
//! fjall keeps the tables of before a compaction until it is told that nobody reads them any more, and it
//! tells itself only when some memtable is sealed. Where nobody writes, none is; so this module has a
//! keyspace of its own, writes a record to it, and seals that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Compaction, EngineError};
use fjall::{AbstractTree, Database, Keyspace};
use types::StateId;

use crate::error::guarded;
use crate::governor::wait_until_less;

/// Tidying writes before it gives back: it needs this much free, so that it is never what fills the disk ...
const ROOM_BYTES: u64 = 64 * 1024 * 1024;
/// ... or, where that is less, the n-th part of the disk.
const ROOM_PART: u64 = 16;
/// The keyspace that is no state's.
pub(crate) const OWN_KEYSPACE: &str = "tidy";
/// How often quiet states are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A state that was not written to for this long is quiet.
pub(crate) const QUIET: Duration = Duration::from_secs(5);
/// A state of this size is compacted whatever part of it are graves: it takes about a second.
const SMALL_BYTES: u64 = 256 * 1024 * 1024;
/// A larger one is if at least the n-th part of its records are graves.
const GRAVES_PART: u64 = 4;
/// A state that is being written to is compacted on demand up to this size: it takes well below a second.
pub(crate) const BUSY_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A state's keyspace, and what was done to it lately.
#[derive(Clone)]
pub(crate) struct Space {
    pub(crate) keyspace: Keyspace,
    pub(crate) activity: Arc<Activity>,
}

/// What was done to a state lately.
pub(crate) struct Activity {
    begun: Instant,
    /// When it was written to last, in milliseconds since `begun`.
    written_at: AtomicU64,
    /// Records removed since it was compacted last.
    graves: AtomicU64,
}

impl Space {
    /// A keyspace that was just opened.
    pub(crate) fn new(keyspace: Keyspace) -> Self {
        let activity =
            Activity { begun: Instant::now(), written_at: AtomicU64::new(0), graves: AtomicU64::new(0) };
        Self { keyspace, activity: Arc::new(activity) }
    }
}

impl Activity {
    /// It was written to; so many records were removed.
    pub(crate) fn note(&self, removed: u64) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.written_at.store(now, Ordering::Relaxed);
        self.graves.fetch_add(removed, Ordering::Relaxed);
    }

    fn is_quiet(&self) -> bool {
        let written = Duration::from_millis(self.written_at.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(written) >= QUIET
    }
}

/// The thread that tidies. Dropping it ends it.
pub(crate) struct Tidier {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Tidier {
    /// Begins to look after these states.
    ///
    /// # Errors
    /// `Storage` when the system gives no thread.
    pub(crate) fn start(
        database: Database,
        spaces: Arc<RwLock<BTreeMap<StateId, Space>>>,
        own: Keyspace,
        directory: PathBuf,
    ) -> Result<Self, EngineError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        let run = move || {
            while !sleep(&stopped) {
                if !has_room(&directory) {
                    continue;
                }
                if let Err(error) = look(&database, &spaces, &own) {
                    // Whoever writes next is told the same.
                    tracing::warn!(%error, "quiet states are not tidied any more");
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("tidy".into()).spawn(run);
        let thread = thread.map_err(|error| EngineError::Storage(format!("no thread: {error}")))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Tidier {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        // It holds the database open.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sleeps until the next look. Returns whether it is over.
fn sleep(stop: &(Mutex<bool>, Condvar)) -> bool {
    let stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let wait = stop.1.wait_timeout_while(stopped, LOOK_EVERY, |stopped| !*stopped);
    *wait.unwrap_or_else(PoisonError::into_inner).0
}

fn look(
    database: &Database,
    spaces: &RwLock<BTreeMap<StateId, Space>>,
    own: &Keyspace,
) -> Result<(), EngineError> {
    let mut has_compacted = false;
    let quiet: Vec<Space> = {
        let spaces = spaces.read().unwrap_or_else(PoisonError::into_inner);
        spaces.values().filter(|space| space.activity.is_quiet()).cloned().collect()
    };
    for Space { keyspace, activity } in quiet {
        let graves = activity.graves.load(Ordering::Relaxed);
        let holds_journals = database.journal_count() > 1;
        if !keyspace.tree.active_memtable().is_empty() {
            if graves > 0 || holds_journals {
                guarded(|| keyspace.rotate_memtable())?;
            }
        } else if graves > 0 && keyspace.sealed_memtable_count() == 0 {
            if pays(&keyspace, graves) {
                guarded(|| keyspace.major_compact())?;
                has_compacted = true;
            }
            activity.graves.fetch_sub(graves, Ordering::Relaxed);
        }
    }
    if has_compacted {
        let_go(own)?;
    }
    Ok(())
}

/// Lets fjall give back the tables of before a compaction.
fn let_go(own: &Keyspace) -> Result<(), EngineError> {
    guarded(|| {
        own.insert("compacted", "")?;
        own.rotate_memtable()
    })?;
    Ok(())
}

/// Compacts a state as a whole now, whether it pays or not, unless others would feel it.
pub(crate) fn compact_now(
    Space { keyspace, activity }: &Space,
    own: &Keyspace,
    directory: &Path,
) -> Result<Compaction, EngineError> {
    let bytes = keyspace.disk_space();
    if !activity.is_quiet() && bytes > BUSY_BYTES_MAX {
        return Ok(Compaction::Left(format!(
            "it is being written to, and compacting its {} at once would hold up writers; it compacts itself by and \
             by",
            mib(bytes)
        )));
    }
    if !has_room_for(directory, bytes) {
        return Ok(Compaction::Left(format!("the disk has no room for another {} meanwhile", mib(bytes))));
    }
    let graves = activity.graves.load(Ordering::Relaxed);
    if guarded(|| keyspace.rotate_memtable())? {
        // Graves in it count as well.
        wait_until_less(1, || keyspace.sealed_memtable_count() as u64)?;
    }
    guarded(|| keyspace.major_compact())?;
    activity.graves.fetch_sub(graves, Ordering::Relaxed);
    let_go(own)?;
    Ok(Compaction::Done)
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

/// Whether there is room to tidy.
fn has_room(directory: &Path) -> bool {
    has_room_for(directory, 0)
}

/// Whether there is room to tidy and for some bytes more. Where the system does not say, there is.
fn has_room_for(directory: &Path, bytes: u64) -> bool {
    rustix::fs::statvfs(directory).ok().is_none_or(|found| {
        let (free, total) = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize);
        free >= ROOM_BYTES.min(total / ROOM_PART).saturating_add(bytes)
    })
}

fn pays(keyspace: &Keyspace, graves: u64) -> bool {
    let records = keyspace.approximate_len() as u64;
    keyspace.disk_space() <= SMALL_BYTES || graves.saturating_mul(GRAVES_PART) >= records
}
