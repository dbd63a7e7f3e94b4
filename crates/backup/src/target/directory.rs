//! A directory as a target. Files are written beside, synced, renamed, and the directory synced.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{NewFile, Target};
use crate::error::BackupError;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes that are written before the disk is waited for. Were it waited for at the end only, hundreds of megabytes
/// would then stand in the way of every log on the same disk.
const SYNC_BYTES: usize = 256 * 1024;
/// What names of unfinished files end with; they are not listed.
const UNFINISHED: &str = ".unfinished";

/// A directory.
pub struct Directory {
    url: String,
    root: PathBuf,
}

impl Directory {
    /// The directory at a path, as `url` names it. It need not exist yet.
    ///
    /// # Errors
    /// `BadUrl` for a path that is not absolute.
    pub fn new(url: &str, path: &str) -> Result<Self, BackupError> {
        let root = PathBuf::from(path);
        if !root.is_absolute() {
            let detail = format!("'{url}' names no absolute path; write file:///path");
            return Err(BackupError::BadUrl(detail));
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned(), root })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Makes the directories in which a file is to lie, durably.
    fn make_parents(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) else { return Ok(()) };
        self.make_parents(parent)?;
        match fs::create_dir(parent) {
            // Another thread or process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync_parent(parent),
        }
    }

    fn begin(&self, path: &str) -> Result<Unfinished, BackupError> {
        /// Two writers of one file must not write into each other's.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let target = self.path(path);
        let failed = |error| cannot_write(path, &error);
        self.make_parents(&target).map_err(failed)?;
        let beside = format!("{path}.{}-{number}{UNFINISHED}", std::process::id());
        let beside = self.path(&beside);
        let file = File::create(&beside).map_err(failed)?;
        let out = Some(BufWriter::with_capacity(BUFFER_BYTES, Steady { file, unsynced: 0 }));
        Ok(Unfinished { name: path.to_owned(), beside, target, out })
    }
}

impl Target for Directory {
    fn url(&self) -> &str {
        &self.url
    }

    fn create(&self, path: &str) -> Result<Box<dyn NewFile>, BackupError> {
        Ok(Box::new(self.begin(path)?))
    }

    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let mut file = self.begin(path)?;
        let failed = |error| cannot_write(path, &error);
        file.write_all(bytes).map_err(failed)?;
        file.sync().map_err(failed)?;
        // Unlike a rename, a link never replaces what is there.
        fs::hard_link(&file.beside, &file.target).map_err(failed)?;
        sync_parent(&file.target).map_err(failed)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, BackupError> {
        let file = File::open(self.path(path)).map_err(|error| BackupError::io(path, &error))?;
        Ok(Box::new(io::BufReader::with_capacity(BUFFER_BYTES, file)))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, BackupError> {
        let failed = |error: io::Error| BackupError::io(directory, &error);
        let entries = match fs::read_dir(self.path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // What is no text was not written by us.
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            if name.ends_with(UNFINISHED) {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                name.push('/');
            }
            names.push(name);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, path: &str) -> Result<(), BackupError> {
        match fs::remove_file(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| BackupError::io(path, &error)),
        }
    }

    fn remove_directory(&self, directory: &str) -> Result<(), BackupError> {
        let path = self.path(directory);
        let failed = |error: io::Error| BackupError::io(directory, &error);
        // What a writer that died has left is nobody's.
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().map_err(failed)?.is_dir() {
                self.remove_directory(&format!("{directory}/{name}"))?;
            } else if name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        fs::remove_dir(&path).map_err(failed)
    }
}

/// A file beside its place.
struct Unfinished {
    name: String,
    beside: PathBuf,
    target: PathBuf,
    /// There until it is synced.
    out: Option<BufWriter<Steady>>,
}

/// A file that is synced as it grows.
struct Steady {
    file: File,
    unsynced: usize,
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

impl Unfinished {
    fn sync(&mut self) -> io::Result<()> {
        match self.out.take() {
            None => Ok(()),
            Some(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.file.sync_all(),
        }
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
        let synced = self.sync();
        let failed = |error| cannot_write(&self.name, &error);
        synced.map_err(failed)?;
        fs::rename(&self.beside, &self.target).map_err(failed)?;
        sync_parent(&self.target).map_err(failed)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After a rename there is nothing under this name; if it stays, it is not listed.
        let _ = fs::remove_file(&self.beside);
    }
}

/// A file that is being written cannot be missing: its directory is.
fn cannot_write(file: &str, error: &io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::NotFound => BackupError::Target { file: file.to_owned(), detail: error.to_string() },
        _ => BackupError::io(file, error),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::super::{list_all, put, read_whole};
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("deep/er").display().to_string();
        let directory = Directory::new(&format!("file://{path}/"), &path).unwrap();
        (place, directory)
    }

    #[test]
    fn a_file_is_there_once_it_is_finished() {
        let (_place, target) = directory();
        assert!(target.list("").unwrap().is_empty());
        let mut file = target.create("a/b").unwrap();
        file.write_all(b"half").unwrap();
        assert!(target.list("a").unwrap().is_empty());
        drop(file);
        assert!(matches!(target.open("a/b").map(|_| ()), Err(BackupError::Missing(_))));
        put(&target, "a/b", b"one").unwrap();
        put(&target, "a/b", b"two").unwrap();
        assert_eq!(read_whole(&target, "a/b").unwrap(), "two");
        assert_eq!(target.list("").unwrap(), ["a/"]);
        assert_eq!(list_all(&target, "a").unwrap(), ["a/b"]);
        assert!(!target.url().ends_with('/'));
    }

    #[test]
    fn only_one_can_be_new() {
        let (_place, target) = directory();
        target.put_new("m", b"first").unwrap();
        assert!(matches!(target.put_new("m", b"second"), Err(BackupError::Exists(_))));
        assert_eq!(read_whole(&target, "m").unwrap(), "first");
        assert_eq!(fs::read_dir(&target.root).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_was_removed_is_gone_and_what_died_with_it() {
        let (_place, target) = directory();
        put(&target, "a/b", b"x").unwrap();
        let file = target.begin("a/c").unwrap();
        std::mem::forget(file);
        target.remove("a/b").unwrap();
        target.remove("a/b").unwrap();
        target.remove_directory("a").unwrap();
        target.remove_directory("a").unwrap();
        assert!(target.list("").unwrap().is_empty());
        assert!(Directory::new("file://relative", "relative").is_err());
    }
}
