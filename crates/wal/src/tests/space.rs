//! Space is given back, files are used again, and readers never see another file's bytes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use env::OsDisk;
use types::{GroupId, LogIndex};

use super::{open, uncut};
use crate::model::ModelDisk;
use crate::suite::{append, entry, record, reset};
use crate::{GroupWrite, LogError, LogOptions, LogStore, SegmentedLog};

const SEGMENT_BYTES: u64 = 16 << 10;

fn open_medium(disk: &ModelDisk) -> SegmentedLog {
    let options = LogOptions { segment_bytes: SEGMENT_BYTES, secret: 1 };
    SegmentedLog::open(Arc::new(disk.clone()), "/log".into(), options).unwrap()
}

/// Bytes that the log could not do without.
fn live(log: &SegmentedLog) -> u64 {
    log.index().live
}

#[test]
fn the_log_is_at_most_twice_its_live_bytes_and_four_segments() {
    let disk = ModelDisk::new();
    let log = open_medium(&disk);
    // Idle groups with a few entries each, an old reader that holds much, and busy groups.
    for group in 100..150 {
        log.write(&[record(GroupId(group), "idle"), append(GroupId(group), 1, 4, 1)], false).unwrap();
    }
    let mut last = [0u64; 4];
    let mut largest = 0;
    for round in 0..4000usize {
        let group = round % 4;
        let entries = vec![entry(last[group] + 1, 1, 100 + 37 * (round % 11))];
        let batch = [GroupWrite { group: GroupId(group as u64), entries, ..GroupWrite::default() }];
        log.write(&batch, round % 3 == 0).unwrap();
        last[group] += 1;
        let keep = if group == 0 { 300 } else { 20 };
        log.cut(GroupId(group as u64), LogIndex(last[group].saturating_sub(keep))).unwrap();
        if round % 5 == 0 {
            log.reclaim().unwrap();
            let bound = 2 * live(&log) + 4 * SEGMENT_BYTES;
            assert!(log.bytes() <= bound, "{} bytes over {bound} in round {round}", log.bytes());
            largest = largest.max(log.bytes());
        }
    }
    let on_disk: u64 = disk.files().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(log.bytes(), on_disk, "the log knows its size");
    assert!(largest > 6 * SEGMENT_BYTES);
    let counters = log.counters();
    assert!(2 * counters.bytes_moved < counters.bytes_written, "more moved than written: {counters:?}");
    log.write(&[], true).unwrap();
    let groups = uncut(&log);
    drop(log);
    assert_eq!(uncut(&open_medium(&disk.crash(1))), groups);
}

#[test]
fn an_idle_log_becomes_small_and_stays_small() {
    let disk = ModelDisk::new();
    let mut log = open_medium(&disk);
    for group in 0..500 {
        log.write(&[reset(GroupId(group), 5, 1), record(GroupId(group), "a record of a group")], false)
            .unwrap();
    }
    for start in 0..40 {
        log.write(&[record(GroupId(0), &format!("start {start}"))], true).unwrap();
        log.reclaim().unwrap();
        log = open_medium(&disk);
    }
    let files = disk.files().len();
    assert!(files <= 10, "{files} files after 40 short lives");
    assert_eq!(log.groups().len(), 500);
}

#[test]
fn retired_files_are_used_again() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    let mut names = BTreeSet::new();
    for round in 0..200 {
        log.write(&[append(GroupId(1), 5 * round + 1, 5 * round + 5, 1)], true).unwrap();
        log.cut(GroupId(1), LogIndex(5 * round)).unwrap();
        log.reclaim().unwrap();
        names.extend(disk.files().into_iter().map(|(path, _)| path));
    }
    assert!(names.iter().any(|name| name.extension().unwrap() == "spare"));
    assert!(log.counters().segments_retired > 10);
}

/// Old batches in a file that is used again lie exactly where new ones are expected: all batches have
/// the same length here.
#[test]
fn old_batches_in_a_reused_file_are_not_taken_for_new_ones() {
    for keep in 1..40 {
        let disk = ModelDisk::new();
        let log = open(&disk).unwrap();
        let mut last = 0;
        while log.counters().segments_retired < 3 || last % 40 != keep {
            last += 1;
            log.write(&[append(GroupId(1), last, last, 1)], true).unwrap();
            log.cut(GroupId(1), LogIndex(last - 1)).unwrap();
            log.reclaim().unwrap();
        }
        let groups = uncut(&log);
        drop(log);
        assert_eq!(uncut(&open(&disk.crash(keep)).unwrap()), groups);
    }
}

#[test]
fn a_file_that_a_reader_holds_is_not_used_again() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    log.write(&[append(GroupId(1), 1, 5, 1)], true).unwrap();
    // As `entries` holds it between looking places up and reading them.
    let (number, held) = {
        let index = log.index();
        let (number, segment) = index.segments.last_key_value().unwrap();
        (*number, Arc::clone(&segment.file))
    };
    let contents = || {
        let mut bytes = vec![0; 300];
        assert_eq!(held.read_at(&mut bytes, 0).unwrap(), 300);
        bytes
    };
    let before = contents();
    for round in 1..200 {
        log.write(&[append(GroupId(1), 5 * round + 1, 5 * round + 5, 1)], true).unwrap();
        log.cut(GroupId(1), LogIndex(5 * round)).unwrap();
        log.reclaim().unwrap();
    }
    assert!(!log.index().segments.contains_key(&number), "the segment was retired");
    assert_eq!(contents(), before);
}

#[test]
fn readers_see_entries_or_that_they_were_cut() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 16 << 10, secret: 1 };
    let log = SegmentedLog::open(Arc::new(OsDisk), directory.path().join("log"), options).unwrap();
    log.write(&[reset(GroupId(1), 0, 0), append(GroupId(2), 1, 50, 1)], false).unwrap();
    let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let everybody_started = Barrier::new(3);
    let read_all = || {
        everybody_started.wait();
        let mut read = 0;
        while !done.load(Ordering::Acquire) {
            let last = written.load(Ordering::Acquire);
            let from = last.saturating_sub(10).max(1);
            match log.entries(GroupId(1), LogIndex(from), LogIndex(last + 1), u64::MAX) {
                Ok(entries) => {
                    for got in &entries {
                        assert_eq!(*got, entry(got.index.get(), 1, 150));
                    }
                    read += entries.len();
                }
                Err(LogError::Cut { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            let idle = log.entries(GroupId(2), LogIndex(1), LogIndex(51), u64::MAX).unwrap();
            assert_eq!(idle, (1..=50).map(|index| entry(index, 1, 20)).collect::<Vec<_>>());
        }
        read
    };
    std::thread::scope(|scope| {
        let readers = [scope.spawn(read_all), scope.spawn(read_all)];
        everybody_started.wait();
        for last in 1..=6000 {
            let entries = vec![entry(last, 1, 150)];
            log.write(&[GroupWrite { group: GroupId(1), entries, ..GroupWrite::default() }], false).unwrap();
            written.store(last, Ordering::Release);
            log.cut(GroupId(1), LogIndex(last.saturating_sub(20))).unwrap();
            if last % 20 == 0 {
                log.reclaim().unwrap();
            }
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert!(log.counters().segments_retired > 20);
}
