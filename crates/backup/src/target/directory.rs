//! A directory as a target. Files are written beside, synced, renamed, and the directory synced: see `unfinished`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::unfinished::{self, Unfinished, is_unfinished, sync_parent};
use super::{NewFile, Target};
use crate::error::BackupError;

/// Bytes that are collected before they are handed on.
const BUFFER_BYTES: usize = 256 * 1024;

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
        let target = self.path(path);
        let begun = self.make_parents(&target).and_then(|()| Unfinished::begin(path, target));
        begun.map_err(|error| cannot_write(path, &error))
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
        file.link().map_err(failed)
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
            if is_unfinished(&name) {
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
            } else if is_unfinished(&name) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        fs::remove_dir(&path).map_err(failed)
    }

    fn sweep(&self, directory: &str) -> Result<u64, BackupError> {
        let swept = unfinished::sweep(&self.path(directory), SystemTime::now());
        swept.map_err(|error| BackupError::io(directory, &error))
    }
}

/// A file that is being written cannot be missing: its directory is.
pub(super) fn cannot_write(file: &str, error: &io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::NotFound => BackupError::Target { file: file.to_owned(), detail: error.to_string() },
        _ => BackupError::io(file, error),
    }
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
