//! Files that must not be found half written, and files that say which process uses a directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use types::{ErrorCode, Fault};

use crate::process::Process;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the user's umask lets.
    Everyone,
    /// The owner only: secrets and passwords.
    Owner,
}

/// Writes a file so that a crash leaves either the old text or the new one, durably.
///
/// # Errors
/// `DiskFull` or `DataUnreadable`, naming the file.
pub fn write_atomically(path: &Path, text: &str, readers: Readers) -> Result<(), Fault> {
    write_bytes_atomically(path, text.as_bytes(), readers)
}

/// The same for bytes that are no text.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_bytes_atomically(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), Fault> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("new");
    let mode = match readers {
        Readers::Everyone => 0o666,
        Readers::Owner => 0o600,
    };
    let write = || -> std::io::Result<()> {
        // A leftover of a crash may have other permissions than wished.
        remove_if_there(&temporary)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_directory(directory)
    };
    write().map_err(|error| fault(&error, path))
}

/// Makes a directory with its parents, durably.
///
/// # Errors
/// `DiskFull` or `DataUnreadable`, naming the directory.
pub fn create_directory(path: &Path) -> Result<(), Fault> {
    let create = || -> std::io::Result<()> {
        std::fs::create_dir_all(path)?;
        sync_directory(path)?;
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
            _ => sync_directory(Path::new(".")),
        }
    };
    create().map_err(|error| fault(&error, path))
}

/// Removes a file; that it is not there is fine.
///
/// # Errors
/// Whatever the system says, except that there is no such file.
pub fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What the system said, as a fault that names the path.
pub fn fault(error: &std::io::Error, path: &Path) -> Fault {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
        _ => ErrorCode::DataUnreadable,
    };
    Fault::new(code, format!("{}: {error}", path.display()))
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// A pid file that this process holds: locked until it ends, however it ends.
///
/// The lock, not the number, is the truth: the system drops it with the process, so a number that was
/// left behind and now belongs to somebody else is never believed. The file itself stays for ever;
/// removing it would let two processes lock two files of the same name.
#[derive(Debug)]
pub struct PidFile {
    _locked: File,
}

/// How often a lock is tried before its holder is believed: a reader takes it for an instant.
const LOCK_TRIES: u32 = 20;
/// The pause between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

impl PidFile {
    /// Takes the file for this process.
    ///
    /// # Errors
    /// `DataInUse` with the holder's pid if another process holds it; `DataUnreadable`, `DiskFull`.
    pub fn take(path: &Path) -> Result<Self, Fault> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(|error| fault(&error, path))?;
        let mut tries = 0;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            tries += 1;
            if tries == LOCK_TRIES {
                let pid = read_holder(&mut file).map_or(0, |holder| holder.pid);
                let detail = format!("process {pid} uses {}", path.with_extension("").display());
                return Err(Fault::new(ErrorCode::DataInUse, detail));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        let text = toml::to_string(&Process::current()).expect("plain values under text names");
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())
        };
        write(&mut file).map_err(|error| fault(&error, path))?;
        Ok(Self { _locked: file })
    }

    /// The process that holds the file now, if any does.
    ///
    /// # Errors
    /// `DataUnreadable` if the file is there and cannot be read.
    pub fn holder(path: &Path) -> Result<Option<Process>, Fault> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(&error, path)),
        };
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(None);
        }
        Ok(read_holder(&mut file).filter(|holder| holder.is_alive()))
    }
}

fn read_holder(file: &mut File) -> Option<Process> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    toml::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_and_secrets_are_private() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("secret");
        std::fs::write(path.with_extension("new"), "left by a crash").expect("written");
        write_atomically(&path, "one", Readers::Owner).expect("written");
        write_atomically(&path, "two", Readers::Owner).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "two");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 1);
    }

    #[test]
    fn a_pid_file_has_one_holder_and_is_free_without_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("agent.pid");
        assert_eq!(PidFile::holder(&path), Ok(None));

        let held = PidFile::take(&path).expect("free");
        assert_eq!(PidFile::holder(&path), Ok(Some(Process::current())));
        let fault = PidFile::take(&path).expect_err("held");
        assert_eq!(fault.code, ErrorCode::DataInUse);
        assert!(fault.detail.contains(&std::process::id().to_string()), "{fault}");

        drop(held);
        assert_eq!(PidFile::holder(&path), Ok(None));
        PidFile::take(&path).expect("free again");
    }

    #[test]
    fn a_missing_directory_is_a_fault_with_its_path() {
        let fault = write_atomically(Path::new("/nonexistent/x"), "", Readers::Everyone);
        let fault = fault.expect_err("no directory");
        assert_eq!(fault.code, ErrorCode::DataUnreadable);
        assert!(fault.detail.contains("/nonexistent/x"), "{fault}");
    }
}
