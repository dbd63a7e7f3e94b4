//! Files beside their place, until they are whole: written, synced, and only then given their name.
//!
//! ```text
//!   0007-000.skb.4711-3.unfinished  ──► synced ──► renamed ──► 0007-000.skb
//!    └ its name     └ process, number
//! ```
//!
//! Whoever writes one has it locked. A process that dies lets go of it, and what is left is swept by somebody else: only
//! what is not locked, and was not touched for [`UNFINISHED_AGE_MIN`]. Both, because locks on network file systems do
//! not always reach every host, and because a writer may be slow. Should a file go all the same while somebody writes
//! it, then it cannot be given its name, and the writer hears so: nothing false comes to be.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use types::limits::{UNFINISHED_AGE_MIN, UNFINISHED_AGE_WITHOUT_LOCKS};

use super::NewFile;
use super::directory::cannot_write;
use crate::error::BackupError;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes that are written before the disk is waited for. Were it waited for at the end only, hundreds of megabytes
/// would then stand in the way of every log on the same disk.
const SYNC_BYTES: usize = 256 * 1024;
/// What names of unfinished files end with; they are not listed.
const SUFFIX: &str = ".unfinished";

/// A file beside its place.
pub(super) struct Unfinished {
    name: String,
    beside: PathBuf,
    target: PathBuf,
    /// There until it is synced.
    out: Option<BufWriter<Steady>>,
    /// It has its name, and this one may be somebody else's by now.
    is_renamed: bool,
    /// The same file, for its lock: it is held until the file has its name.
    _locked: File,
}

/// A file that is synced as it grows.
struct Steady {
    file: File,
    unsynced: usize,
}

/// Whether a name is that of an unfinished file.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

impl Unfinished {
    /// Begins a file that is to be at `target`; its directory is there.
    pub(super) fn begin(name: &str, target: PathBuf) -> io::Result<Self> {
        /// Two writers of one file must not write into each other's.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let mut beside = target.clone().into_os_string();
            beside.push(format!(".{}-{number}{SUFFIX}", std::process::id()));
            let beside = PathBuf::from(beside);
            let file = match File::create_new(&beside) {
                // A process of another host has the same id, or one that died had it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            if is_ours(&file)? {
                let locked = file.try_clone()?;
                let out = Some(BufWriter::with_capacity(BUFFER_BYTES, Steady { file, unsynced: 0 }));
                return Ok(Self {
                    name: name.to_owned(),
                    beside,
                    target,
                    out,
                    is_renamed: false,
                    _locked: locked,
                });
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.out.take() {
            None => Ok(()),
            Some(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.file.sync_all(),
        }
    }

    /// All bytes are there: gives the file its name, unless there is one of that name.
    pub(super) fn link(mut self) -> io::Result<()> {
        self.sync()?;
        // Unlike a rename, a link never replaces what is there.
        fs::hard_link(&self.beside, &self.target)?;
        sync_parent(&self.target)
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Some(out) => out.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl NewFile for Unfinished {
    fn finish(mut self: Box<Self>) -> Result<(), BackupError> {
        let name = self.name.clone();
        let failed = |error| cannot_write(&name, &error);
        self.sync().map_err(failed)?;
        fs::rename(&self.beside, &self.target).map_err(failed)?;
        self.is_renamed = true;
        sync_parent(&self.target).map_err(failed)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_renamed {
            // If it stays it is not listed, and swept one day.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Makes the name of a file durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Removes unfinished files that nobody writes, and directories in which there was nothing else.
pub(super) fn sweep(directory: &Path, now: SystemTime) -> io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        // Somebody else removes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    // Before anything in it is removed: a directory that was just made is about to be used.
    let is_old = age(&fs::metadata(directory)?, now) >= UNFINISHED_AGE_MIN;
    let (mut swept, mut is_empty) = (0, true);
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            swept += sweep(&path, now)?;
            is_empty &= !path.exists();
        } else if is_unfinished(&entry.file_name().to_string_lossy()) && remove_abandoned(&path, now)? {
            swept += 1;
        } else {
            is_empty = false;
        }
    }
    if is_empty && is_old {
        match fs::remove_dir(directory) {
            // Somebody was faster, or has put something there.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {}
            removed => removed?,
        }
    }
    Ok(swept)
}

/// Removes a file if whoever wrote it is gone. The lock is held meanwhile, so that nobody begins to use it.
fn remove_abandoned(path: &Path, now: SystemTime) -> io::Result<bool> {
    let file = match File::options().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let age = age(&file.metadata()?, now);
    if age < UNFINISHED_AGE_MIN {
        return Ok(false);
    }
    let is_abandoned = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => age >= UNFINISHED_AGE_WITHOUT_LOCKS,
    };
    if is_abandoned {
        fs::remove_file(path)?;
    }
    Ok(is_abandoned)
}

/// Locks a file that was just made. False if somebody has swept it at this moment.
fn is_ours(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(false),
        // Here there are no locks; then age alone protects it.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file.metadata()?.nlink() > 0),
    }
}

fn age(file: &fs::Metadata, now: SystemTime) -> Duration {
    // A time in the future, by the clock of another host, is no age.
    file.modified().ok().and_then(|at| now.duration_since(at).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(seconds: u64) -> SystemTime {
        SystemTime::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn what_a_dead_writer_left_is_swept_and_what_lives_is_not() {
        let place = tempfile::TempDir::new().unwrap();
        let directory = place.path().join("b");
        fs::create_dir_all(directory.join("t")).unwrap();
        let mut alive = Unfinished::begin("t/x", directory.join("t/x")).unwrap();
        alive.write_all(b"half").unwrap();
        // As a process that was killed leaves it: there, and not locked.
        let left = directory.join("t/y.1-1.unfinished");
        fs::write(&left, b"half").unwrap();
        assert_eq!(
            sweep(place.path(), later(1)).unwrap(),
            0,
            "it may be that of somebody who has just begun"
        );
        assert_eq!(sweep(place.path(), later(100_000)).unwrap(), 1);
        assert!(!left.exists() && alive.beside.exists());
        Box::new(alive).finish().unwrap();
        assert_eq!(fs::read(directory.join("t/x")).unwrap(), b"half");
        assert_eq!(sweep(place.path(), later(100_000)).unwrap(), 0);
        assert!(directory.join("t/x").exists());
    }

    #[test]
    fn directories_of_which_nothing_is_left_go_once_they_are_old() {
        let place = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(place.path().join("b/t")).unwrap();
        fs::write(place.path().join("b/begun.json.1-1.unfinished"), b"{").unwrap();
        assert_eq!(sweep(&place.path().join("b"), later(1)).unwrap(), 0);
        assert!(place.path().join("b/t").exists());
        assert_eq!(sweep(&place.path().join("b"), later(100_000)).unwrap(), 1);
        assert!(!place.path().join("b").exists());
        assert_eq!(sweep(&place.path().join("gone"), later(1)).unwrap(), 0);
    }

    #[test]
    fn the_number_of_another_process_is_passed_over() {
        let place = tempfile::TempDir::new().unwrap();
        let first = Unfinished::begin("x", place.path().join("x")).unwrap();
        let name = first.beside.file_name().unwrap().to_string_lossy().into_owned();
        let number: u64 = name.rsplit_once('-').unwrap().1.trim_end_matches(SUFFIX).parse().unwrap();
        for taken in number + 1..number + 100 {
            let other = place.path().join(format!("x.{}-{taken}{SUFFIX}", std::process::id()));
            fs::write(other, b"another's").unwrap();
        }
        let mut second = Unfinished::begin("x", place.path().join("x")).unwrap();
        second.write_all(b"mine").unwrap();
        second.link().unwrap();
        assert_eq!(fs::read(place.path().join("x")).unwrap(), b"mine");
    }
}
