//! A backup that breaks off anywhere is never taken for a good one, and goes on where it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backup::{BackupError, NewFile, State, Target};
use proptest::prelude::*;
use support::{ID, contents, is_good};

/// A target that goes away after so many calls, in the middle of whatever is written.
struct Breaking {
    target: Arc<dyn Target>,
    left: Arc<AtomicU64>,
}

fn broken() -> BackupError {
    BackupError::Target { file: "x".into(), detail: "the target is gone".into() }
}

impl Breaking {
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

fn go_on(target: &dyn Target) -> Result<u32, BackupError> {
    support::go_on(target, &contents)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..Default::default() })]

    #[test]
    fn what_broke_off_is_none_and_goes_on(breaks in prop::collection::vec(0_u64..90, 1..4)) {
        let place = tempfile::TempDir::new().unwrap();
        let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
        for after in breaks {
            let left = Arc::new(AtomicU64::new(after));
            let ended = go_on(&Breaking { target: target.clone(), left });
            let listed = backup::list(&*target).unwrap();
            match listed.first().map(|listed| listed.state) {
                None | Some(State::Begun) => {
                    prop_assert!(ended.is_err());
                    prop_assert!(matches!(backup::load(&*target, ID), Err(BackupError::NoBackup(_))));
                }
                // The manifest may be there although nobody heard of it: then everything is.
                Some(State::Complete) => prop_assert!(is_good(&*target)),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        go_on(&*target).unwrap();
        prop_assert!(is_good(&*target));
        prop_assert_eq!(go_on(&*target).unwrap(), 0, "nothing is done twice");
        backup::delete(&*target, ID).unwrap();
        prop_assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing is left");
    }
}
