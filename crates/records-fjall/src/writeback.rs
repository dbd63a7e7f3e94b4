//! Writeback: tables go to the disk while they grow, not all at once when they are done.
//!
//! fjall writes a table and syncs it when it is complete. Until then it lies in the page cache, and the sync
//! hands the disk up to 64 MiB in one moment: whatever the node's log has to sync meanwhile waits behind that, for
//! 30 to 200 ms on a disk that needs 0.3 ms otherwise. So each table that grows is watched, and whenever some
//! more of it is there, the kernel is asked to begin to write that.
//!
//! ```text
//!   tables/ ── created ──► growing ── so much more ──► the kernel begins to write it
//!           ── closed ───► (synced by fjall, with little left to write)
//! ```
//!
//! The directories are watched with inotify, so a flush, a compaction and an ingestion are all the same to it, and an idle
//! store costs nothing. The request is `posix_fadvise(DONTNEED)`: Linux begins to write the dirty pages of the range
//! and waits for none of them; it drops only those that were clean before, and what has just been written is not.
//! It is advice: where the system refuses to watch, tables are written as fjall does it.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;

/// The disk is given so much of a table at once.
const STEP_BYTES: u64 = 256 * 1024;
/// How often a table that grows is looked at.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// Tables that are looked at at the same time: there are fewer threads that write any.
const GROWING_MAX: usize = 16;
/// Room for the events of one read.
const EVENT_BYTES: usize = 4096;

/// The thread that writes tables back. Dropping it ends it.
pub(crate) struct Writeback {
    shared: Option<Arc<Shared>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    inotify: OwnedFd,
    end: OwnedFd,
    /// Directories of tables, by their watch.
    watched: Mutex<BTreeMap<i32, PathBuf>>,
    /// Bytes that were handed to the disk.
    handed: AtomicU64,
}

impl Writeback {
    /// Begins to write back, or says why it does not.
    pub(crate) fn start() -> Self {
        let began = Shared::new().map_err(std::io::Error::from).and_then(|shared| {
            let shared = Arc::new(shared);
            let own = shared.clone();
            let run = move || own.run();
            Ok((shared, std::thread::Builder::new().name("writeback".into()).spawn(run)?))
        });
        match began {
            Ok((shared, thread)) => Self { shared: Some(shared), thread: Some(thread) },
            Err(error) => {
                tracing::warn!(%error, "tables are not written back as they grow: writes wait longer for the disk");
                Self { shared: None, thread: None }
            }
        }
    }

    /// Looks after the tables of a keyspace from now on, until its directory is gone.
    pub(crate) fn watch(&self, keyspace: &Path) {
        let Some(shared) = &self.shared else { return };
        let tables = keyspace.join("tables");
        let events = WatchFlags::CREATE | WatchFlags::CLOSE_WRITE | WatchFlags::DELETE;
        // The lock is held until the directory is known: an event of it may come at once.
        let mut watched = shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match inotify::add_watch(&shared.inotify, &tables, events) {
            Ok(watch) => {
                watched.insert(watch, tables);
            }
            Err(error) => {
                tracing::debug!(%error, tables = %tables.display(), "not written back as they grow");
            }
        }
    }

    /// Bytes that were handed to the disk so far.
    #[cfg(test)]
    fn handed(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.handed.load(Ordering::Relaxed))
    }
}

impl Drop for Writeback {
    fn drop(&mut self) {
        if let (Some(shared), Some(thread)) = (&self.shared, self.thread.take())
            && rustix::io::write(&shared.end, &1u64.to_ne_bytes()).is_ok()
        {
            let _ = thread.join();
        }
    }
}

/// A table that is being written.
struct Growing {
    watch: i32,
    name: Vec<u8>,
    file: File,
    /// So much of it was handed to the disk.
    handed: u64,
}

impl Shared {
    fn new() -> Result<Self, Errno> {
        Ok(Self {
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
            end: eventfd(0, EventfdFlags::CLOEXEC)?,
            watched: Mutex::default(),
            handed: AtomicU64::new(0),
        })
    }

    fn run(&self) {
        let mut growing = Vec::new();
        loop {
            let mut sources =
                [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
            let patience = (!growing.is_empty()).then_some(&LOOK_EVERY);
            let woken = poll(&mut sources, patience);
            if !matches!(woken, Ok(_) | Err(Errno::INTR)) || !sources[1].revents().is_empty() {
                return;
            }
            if let Err(error) = self.hear(&mut growing) {
                tracing::warn!(%error, "tables are not written back as they grow any more");
                return;
            }
            for table in &mut growing {
                self.hand_over(table);
            }
        }
    }

    /// Hears which tables have begun and ended.
    fn hear(&self, growing: &mut Vec<Growing>) -> Result<(), Errno> {
        let mut room = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = inotify::Reader::new(&self.inotify, &mut room);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            let (watch, events) = (event.wd(), event.events());
            let name = event.file_name().map(CStr::to_bytes).unwrap_or_default();
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                // What has ended meanwhile is not known.
                growing.clear();
            } else if events.contains(ReadFlags::IGNORED) {
                self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&watch);
                growing.retain(|table| table.watch != watch);
            } else if !events.contains(ReadFlags::CREATE) {
                growing.retain(|table| table.watch != watch || table.name != name);
            } else if growing.len() < GROWING_MAX {
                growing.extend(self.begin(watch, name));
            }
        }
    }

    fn begin(&self, watch: i32, name: &[u8]) -> Option<Growing> {
        let tables = self.watched.lock().unwrap_or_else(PoisonError::into_inner).get(&watch)?.clone();
        // One that is gone already needs nothing.
        let file = File::open(tables.join(std::ffi::OsStr::from_bytes(name))).ok()?;
        Some(Growing { watch, name: name.to_vec(), file, handed: 0 })
    }

    /// The disk gets what a table has grown by, if that is enough.
    fn hand_over(&self, table: &mut Growing) {
        let Ok(bytes) = table.file.metadata().map(|metadata| metadata.len()) else { return };
        let more = bytes.saturating_sub(table.handed) / STEP_BYTES * STEP_BYTES;
        if let Some(more) = NonZeroU64::new(more) {
            // It is advice: whoever does not take it writes later.
            let _ = fadvise(&table.file, table.handed, Some(more), Advice::DontNeed);
            table.handed += more.get();
            self.handed.fetch_add(more.get(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn wait_for(what: &str, condition: impl Fn() -> bool) {
        let began = Instant::now();
        while !condition() {
            assert!(began.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_table_is_handed_to_the_disk_while_it_grows() {
        let keyspace = tempfile::tempdir().unwrap();
        std::fs::create_dir(keyspace.path().join("tables")).unwrap();
        let writeback = Writeback::start();
        writeback.watch(keyspace.path());
        let mut table = File::create(keyspace.path().join("tables/7")).unwrap();
        for step in 1..=4 {
            table.write_all(&vec![1; STEP_BYTES as usize + 1]).unwrap();
            wait_for("a step", || writeback.handed() == step * STEP_BYTES);
        }
    }
}
