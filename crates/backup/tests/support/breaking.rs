//! A target that breaks.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backup::{BackupError, NewFile, Target};

/// A target that goes away after so many calls, in the middle of whatever is written.
pub struct Breaking {
    target: Arc<dyn Target>,
    left: Arc<AtomicU64>,
}

fn broken() -> BackupError {
    BackupError::Target { file: "x".into(), detail: "the target is gone".into() }
}

impl Breaking {
    /// The target, until there were so many calls.
    pub fn after(target: &Arc<dyn Target>, calls: u64) -> Self {
        Self { target: target.clone(), left: Arc::new(AtomicU64::new(calls)) }
    }

    fn call(&self) -> Result<(), BackupError> {
        if spend(&self.left) { Ok(()) } else { Err(broken()) }
    }
}

fn spend(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Target for Breaking {
    fn url(&self) -> &str {
        self.target.url()
    }

    fn create(&self, path: &str) -> Result<Box<dyn NewFile>, BackupError> {
        self.call()?;
        Ok(Box::new(BreakingFile { file: Some(self.target.create(path)?), left: self.left.clone() }))
    }

    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
        self.call()?;
        self.target.put_new(path, bytes)?;
        // Done, but nobody hears of it.
        self.call()
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, BackupError> {
        self.call()?;
        self.target.open(path)
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, BackupError> {
        self.call()?;
        self.target.list(directory)
    }

    fn remove(&self, path: &str) -> Result<(), BackupError> {
        self.call()?;
        self.target.remove(path)
    }

    fn remove_directory(&self, directory: &str) -> Result<(), BackupError> {
        self.call()?;
        self.target.remove_directory(directory)
    }

    fn sweep(&self, directory: &str) -> Result<u64, BackupError> {
        self.call()?;
        self.target.sweep(directory)
    }
}

struct BreakingFile {
    file: Option<Box<dyn NewFile>>,
    left: Arc<AtomicU64>,
}

impl Write for BreakingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !spend(&self.left) {
            // The process is gone: nothing tidies up.
            std::mem::forget(self.file.take());
        }
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for BreakingFile {
    fn finish(mut self: Box<Self>) -> Result<(), BackupError> {
        let file = self.file.take().filter(|_| spend(&self.left)).ok_or_else(broken)?;
        file.finish()?;
        if spend(&self.left) { Ok(()) } else { Err(broken()) }
    }
}
