//! A backup that breaks off anywhere is never taken for a good one, and goes on where it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::kv::{ContentKind, ContentSum, Contents, Piece};
use backup::write::{Limits, Progress};
use backup::{
    BackupError, Begun, FORMAT, Manifest, NewFile, PartitionRecord, State, TableRecord, Target, verify, write,
};
use engine::{ContentPage, ContentSource, EngineError};
use proptest::prelude::*;
use prost::Message;

const ID: &str = "20261126T233000Z-5c1d9a";
const PARTITIONS: u32 = 3;

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

/// Contents that were made up.
struct Made(Vec<Contents>);

impl ContentSource for Made {
    fn next_page(&mut self, _bytes_max: usize) -> Result<Option<ContentPage>, EngineError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let contents = self.0.remove(0);
        let mut sum = ContentSum::default();
        contents.pieces.iter().for_each(|piece| sum.add(piece));
        Ok(Some(ContentPage { body: contents.encode_to_vec().into(), sum, is_whole: true }))
    }
}

fn contents(partition: u32) -> Vec<Contents> {
    let piece = |number: u32| Piece {
        key: format!("{partition}:{number}").into(),
        kind: ContentKind::String as i32,
        value: "value".into(),
        ..Default::default()
    };
    (0..3).map(|page| Contents { pieces: (0..4).map(|key| piece(page * 10 + key)).collect() }).collect()
}

fn begun() -> Begun {
    let partition =
        |partition| PartitionRecord { partition, group: 10, index: 5, term: 1, ..Default::default() };
    Begun {
        format: FORMAT,
        id: ID.into(),
        cluster: "c".into(),
        cluster_name: "skein".into(),
        release: "0.1.0".into(),
        begun_ms: 1,
        at_ms: 2,
        kinds: Vec::new(),
        schedule: String::new(),
        tables: vec![TableRecord {
            namespace: "default".into(),
            name: "kv".into(),
            engine: "kv".into(),
            hash: "tag".into(),
            replicas: 3,
            partitions: (0..PARTITIONS).map(partition).collect(),
        }],
    }
}

/// Does what is left to do of a backup; the number of partitions that had to be written.
fn go_on(target: &dyn Target) -> Result<u32, BackupError> {
    let mut begun = match backup::begun(target, ID) {
        Err(BackupError::NoBackup(_)) => {
            backup::begin(target, &begun())?;
            begun()
        }
        begun => begun?,
    };
    let mut written = 0;
    for partition in 0..PARTITIONS {
        let table = &begun.tables[0];
        let place = &table.partitions[partition as usize];
        written += u32::from(write::complete(target, &begun, table, place)?.is_none());
        let (mut source, limits) = (Made(contents(partition)), Limits::default());
        let record =
            write::partition(target, &begun, table, place, &mut source, limits, &Progress::default())?;
        begun.tables[0].partitions[partition as usize] = record;
    }
    backup::finish(target, &Manifest::new(begun, 3))?;
    Ok(written)
}

fn is_good(target: &dyn Target) -> bool {
    let manifest = backup::load(target, ID).unwrap();
    let found = verify::all(target, &manifest, Limits::default(), &Progress::default()).unwrap();
    let keys = u64::from(PARTITIONS) * 12;
    found.damaged.is_empty() && found.sum == manifest.sum && manifest.sum.keys == keys
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
