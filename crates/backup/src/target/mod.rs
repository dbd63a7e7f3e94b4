//! Where backups lie: a directory or a bucket, behind one small trait.
//!
//! Every call blocks; callers have threads for it. A file is there whole and durable, or not at all: that is what
//! `finish` and `put` promise on both kinds of targets, and all that the order of a backup's files rests on.

mod bucket;
mod directory;
mod unfinished;

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::BackupError;

pub use bucket::Bucket;
pub use directory::Directory;

/// Most bytes of a file that is read at once: descriptions, not contents. A manifest of a thousand partitions with
/// ten files each has some five megabytes.
pub const WHOLE_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A place for files. Paths are relative, with `/` between their parts.
pub trait Target: Send + Sync {
    /// The URL, for people.
    fn url(&self) -> &str;

    /// Begins a file, which replaces one of the same name when it is finished.
    fn create(&self, path: &str) -> Result<Box<dyn NewFile>, BackupError>;

    /// Stores a small file that must not be there yet.
    ///
    /// # Errors
    /// `Exists` if it is, whoever else stores it at the same time.
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<(), BackupError>;

    /// Begins to read a file.
    ///
    /// # Errors
    /// `Missing` if there is none.
    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, BackupError>;

    /// Names of what lies directly under a directory, or under the target itself if it is empty; directories end
    /// with `/`. None if there is no such directory.
    fn list(&self, directory: &str) -> Result<Vec<String>, BackupError>;

    /// Removes a file; fine if it is gone.
    fn remove(&self, path: &str) -> Result<(), BackupError>;

    /// Removes a directory in which there are no files any more, where there are directories.
    fn remove_directory(&self, directory: &str) -> Result<(), BackupError>;

    /// Removes what writers that died have left unfinished in a directory and below it, and directories in which
    /// there is nothing else; never what somebody writes. Returns how many files went. Where unfinished files have no
    /// place of their own there are none.
    fn sweep(&self, directory: &str) -> Result<u64, BackupError>;
}

/// A file being written. Dropped unfinished, it never was.
pub trait NewFile: Write + Send {
    /// All bytes are there: makes the file durable, and visible under its name.
    fn finish(self: Box<Self>) -> Result<(), BackupError>;
}

/// The target that a URL names: `file:///absolute/path` or `s3://bucket/prefix`.
///
/// # Errors
/// `BadUrl` for anything else; `Target` if the environment does not say how to reach a bucket.
pub fn open(url: &str) -> Result<Arc<dyn Target>, BackupError> {
    match url.split_once("://") {
        Some(("file", path)) => Ok(Arc::new(Directory::new(url, path)?)),
        Some(("s3", _)) => Ok(Arc::new(Bucket::new(url)?)),
        _ => {
            let detail = format!("'{url}' is neither file:///absolute/path nor s3://bucket/prefix");
            Err(BackupError::BadUrl(detail))
        }
    }
}

/// Reads a whole small file.
///
/// # Errors
/// `Missing`; `Damaged` for one that is larger than such a file can be.
pub fn read_whole(target: &dyn Target, path: &str) -> Result<Bytes, BackupError> {
    let mut bytes = Vec::new();
    let mut input = target.open(path)?.take(WHOLE_FILE_BYTES_MAX + 1);
    input.read_to_end(&mut bytes).map_err(|error| BackupError::io(path, &error))?;
    match bytes.len() as u64 > WHOLE_FILE_BYTES_MAX {
        true => Err(BackupError::damaged(path, WHOLE_FILE_BYTES_MAX, "the file is too large")),
        false => Ok(bytes.into()),
    }
}

/// Stores a whole small file, in the place of one that may be there.
///
/// # Errors
/// What the target says.
pub fn put(target: &dyn Target, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let mut file = target.create(path)?;
    file.write_all(bytes).map_err(|error| BackupError::io(path, &error))?;
    file.finish()
}

/// Every file under a directory, by its path from the target's root.
///
/// # Errors
/// What the target says.
pub fn list_all(target: &dyn Target, directory: &str) -> Result<Vec<String>, BackupError> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.trim_end_matches('/').to_owned()];
    while let Some(directory) = waiting.pop() {
        for name in target.list(&directory)? {
            let path = format!("{directory}/{name}");
            match path.strip_suffix('/') {
                Some(directory) => waiting.push(directory.to_owned()),
                None => files.push(path),
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}
