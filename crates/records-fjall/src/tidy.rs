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
//! ([`Place::compact_now`]) whatever can be is.
//!
//! A state that is small enough that nobody feels it is compacted as a whole; a larger one piece by piece, see
//! [`crate::levels`].
//!
//! fjall keeps the tables of before a compaction until it is told that nobody reads them any more, and it
//! tells itself only when some memtable is sealed. Where nobody writes, none is; so this module has a
//! keyspace of its own, writes a record to it, and seals that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Compaction, EngineError};
use fjall::{AbstractTree, Database, Keyspace};
use types::StateId;

use crate::error::guarded;
use crate::governor::wait_until_less;
use crate::levels::{self, Site};

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
/// A state of this size is compacted whatever part of it are graves: it takes a few seconds.
const SMALL_BYTES: u64 = 256 * 1024 * 1024;
/// A larger one is if at least the n-th part of its records are graves.
const GRAVES_PART: u64 = 4;
/// A state up to this size is compacted as a whole: fjall's worker may have to wait for that, and it takes well below a
/// second.
const WHOLE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The tables of before are let go whenever so much has been merged.
const LET_GO_BYTES: u64 = 256 * 1024 * 1024;

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
    /// One compaction at a time: a whole one that waited for a piece would make fjall's worker wait as well.
    compacts: Mutex<()>,
}

impl Space {
    /// A keyspace that was just opened.
    pub(crate) fn new(keyspace: Keyspace) -> Self {
        let activity = Activity {
            begun: Instant::now(),
            written_at: AtomicU64::new(0),
            graves: AtomicU64::new(0),
            compacts: Mutex::new(()),
        };
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
        place: Place,
        spaces: Arc<RwLock<BTreeMap<StateId, Space>>>,
    ) -> Result<Self, EngineError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        let run = move || {
            let ended = stopped.clone();
            engine::pace::set_end(move || *ended.0.lock().unwrap_or_else(PoisonError::into_inner));
            while !sleep(&stopped) {
                if !has_room_for(&place.directory, 0) {
                    continue;
                }
                if let Err(error) = place.look(&spaces) {
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

/// Where states are tidied.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) database: Database,
    /// The keyspace that is no state's.
    pub(crate) own: Keyspace,
    pub(crate) directory: PathBuf,
}

impl Place {
    fn look(&self, spaces: &RwLock<BTreeMap<StateId, Space>>) -> Result<(), EngineError> {
        let quiet: Vec<Space> = {
            let spaces = spaces.read().unwrap_or_else(PoisonError::into_inner);
            spaces.values().filter(|space| space.activity.is_quiet()).cloned().collect()
        };
        for Space { keyspace, activity } in quiet {
            let graves = activity.graves.load(Ordering::Relaxed);
            let holds_journals = self.database.journal_count() > 1;
            if !keyspace.tree.active_memtable().is_empty() {
                if graves > 0 || holds_journals {
                    guarded(|| keyspace.rotate_memtable())?;
                }
            } else if graves > 0 && keyspace.sealed_memtable_count() == 0 {
                // Whoever compacts it on demand sees to its graves.
                let _alone = match activity.compacts.try_lock() {
                    Ok(alone) => alone,
                    Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
                    Err(TryLockError::WouldBlock) => continue,
                };
                if pays(&keyspace, graves) {
                    self.compact(&keyspace)?;
                }
                activity.graves.fetch_sub(graves, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Compacts a state now, whether it pays or not.
    pub(crate) fn compact_now(&self, space: &Space) -> Result<Compaction, EngineError> {
        let Space { keyspace, activity } = space;
        let _alone = activity.compacts.lock().unwrap_or_else(PoisonError::into_inner);
        let graves = activity.graves.load(Ordering::Relaxed);
        if guarded(|| keyspace.rotate_memtable())? {
            // Graves in it count as well.
            wait_until_less(1, || keyspace.sealed_memtable_count() as u64)?;
        }
        let outcome = self.compact(keyspace)?;
        if outcome == Compaction::Done {
            activity.graves.fetch_sub(graves, Ordering::Relaxed);
        }
        Ok(outcome)
    }

    /// Compacts what was flushed of a state: as a whole if that takes no time, otherwise piece by piece.
    fn compact(&self, keyspace: &Keyspace) -> Result<Compaction, EngineError> {
        let bytes = keyspace.disk_space();
        let outcome = match bytes <= WHOLE_BYTES_MAX {
            false => levels::compact(&self.database, keyspace, &mut Room { place: self, held: 0 })?,
            true => match self.has_room(bytes) {
                Err(why) => return Ok(Compaction::Left(why)),
                Ok(()) => {
                    guarded(|| keyspace.major_compact())?;
                    Compaction::Done
                }
            },
        };
        self.let_go()?;
        Ok(outcome)
    }

    /// Lets fjall give back the tables of before a compaction.
    fn let_go(&self) -> Result<(), EngineError> {
        guarded(|| {
            self.own.insert("compacted", "")?;
            self.own.rotate_memtable()
        })?;
        Ok(())
    }

    fn has_room(&self, bytes: u64) -> Result<(), String> {
        match has_room_for(&self.directory, bytes) {
            true => Ok(()),
            false => Err(format!("the disk has no room for another {} meanwhile", mib(bytes))),
        }
    }
}

/// The room that a compaction in pieces takes.
struct Room<'a> {
    place: &'a Place,
    /// Bytes of tables that were merged and may still be there.
    held: u64,
}

impl Site for Room<'_> {
    fn has_room(&self, bytes: u64) -> Result<(), String> {
        self.place.has_room(bytes)
    }

    fn merged(&mut self, bytes: u64) -> Result<(), EngineError> {
        self.held += bytes;
        if self.held >= LET_GO_BYTES {
            self.held = 0;
            self.place.let_go()?;
        }
        Ok(())
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
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
