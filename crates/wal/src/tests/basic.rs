//! Both logs keep the contract, on the model disk and on the machine's.

use std::sync::Arc;

use env::OsDisk;
use types::{GroupId, LogIndex};

use super::{open, small};
use crate::model::ModelDisk;
use crate::suite::{self, append, record, reset};
use crate::{LogOptions, LogStore, MemoryLog, SegmentedLog};

#[test]
fn the_memory_log_keeps_the_contract() {
    suite::check_all(MemoryLog::new);
}

#[test]
fn the_segmented_log_keeps_the_contract_with_tiny_segments() {
    suite::check_all(|| open(&ModelDisk::new()).unwrap());
}

#[test]
fn the_segmented_log_keeps_the_contract_on_the_machines_disk() {
    let directories = std::sync::Mutex::new(Vec::new());
    for options in [small(), LogOptions::default()] {
        suite::check_all(|| {
            let directory = tempfile::tempdir().unwrap();
            let log = SegmentedLog::open(Arc::new(OsDisk), directory.path().join("log"), options.clone());
            directories.lock().unwrap().push(directory);
            log.unwrap()
        });
    }
}

#[test]
fn everything_is_there_after_opening_again() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    log.write(&[reset(GroupId(1), 5, 1), append(GroupId(1), 6, 300, 1), record(GroupId(2), "x")], false)
        .unwrap();
    log.cut(GroupId(1), LogIndex(100)).unwrap();
    log.write(&[record(GroupId(1), "y")], true).unwrap();
    let before = log.groups();
    drop(log);
    let log = open(&disk.crash(1)).unwrap();
    assert_eq!(log.groups(), before);
    let entries = log.entries(GroupId(1), LogIndex(101), LogIndex(301), u64::MAX).unwrap();
    assert_eq!(entries, (101..=300).map(|index| suite::entry(index, 1, 20)).collect::<Vec<_>>());
}
