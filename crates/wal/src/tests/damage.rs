//! Bytes that are not what they were: every one of them, files that went missing or were exchanged, and
//! forgeries with fitting checksums.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use types::{GroupId, LogIndex};

use super::{DIR, open, uncut};
use crate::format::{BATCH_HEADER_BYTES, BatchHeader, DATA_START, SegmentHeader};
use crate::log::path;
use crate::model::ModelDisk;
use crate::segment::segment_name;
use crate::suite::{append, record, reset};
use crate::{GroupSummary, LogError, LogStore};

fn segment_path(number: u32) -> PathBuf {
    path(Path::new(DIR), number)
}

fn segments(disk: &ModelDisk) -> Vec<PathBuf> {
    disk.files().into_iter().map(|(path, _)| path).filter(|path| path.extension().unwrap() == "log").collect()
}

fn damaged(disk: &ModelDisk) -> bool {
    match open(disk) {
        Err(LogError::Damaged { .. }) => true,
        Err(error) => panic!("neither opened nor damaged: {error}"),
        Ok(_) => false,
    }
}

/// Three segments of synced batches, and what the log shows after each.
fn synced_log() -> (ModelDisk, Vec<Vec<GroupSummary>>) {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    let mut states = vec![log.groups()];
    for round in 0..45u64 {
        let text = format!("record {round}");
        let batch = [append(GroupId(1), 3 * round + 1, 3 * round + 3, 1), record(GroupId(2), &text)];
        log.write(&batch, true).unwrap();
        states.push(log.groups());
    }
    drop(log);
    let disk = disk.crash(0);
    assert!(segments(&disk).len() >= 3);
    (disk, states)
}

/// Where each batch of a segment begins, and where the last one ends.
fn batches(contents: &[u8]) -> Vec<usize> {
    let header = SegmentHeader::decode(contents).unwrap();
    let mut offsets = vec![DATA_START as usize];
    while let Some(batch) = BatchHeader::decode(&contents[*offsets.last().unwrap()..], header.salt) {
        offsets.push(offsets.last().unwrap() + batch.frame_bytes() as usize);
        if *offsets.last().unwrap() >= contents.len() {
            break;
        }
    }
    offsets
}

#[test]
fn a_flipped_bit_anywhere_is_damage_or_the_last_batch() {
    let (disk, states) = synced_log();
    let files = segments(&disk);
    let newest = files.last().unwrap();
    for file in &files {
        let contents = disk.contents(file).unwrap();
        let offsets = batches(&contents);
        let end = offsets[offsets.len() - 1];
        let last = if file == newest { offsets[offsets.len() - 2] } else { end };
        for at in 0..contents.len() {
            let disk = disk.crash(0);
            let mut flipped = contents.clone();
            flipped[at] ^= 1 << (at % 8);
            disk.overwrite(file, flipped);
            let outcome = open(&disk).map(|log| log.groups());
            let place = format!("{} byte {at}", file.display());
            match outcome {
                // The header's checksum covers its first 64 bytes; the rest of its sector is unused.
                Ok(groups) if (64..512).contains(&at) || at >= end => {
                    assert_eq!(groups, states[states.len() - 1], "{place}");
                }
                Ok(groups) => {
                    assert!(at >= last, "{place} was not noticed");
                    assert_eq!(groups, states[states.len() - 2], "{place}");
                }
                Err(LogError::Damaged { .. }) => assert!(at < last, "{place} is the last batch"),
                Err(error) => panic!("{place}: {error}"),
            }
        }
    }
}

#[test]
fn a_shortened_segment_is_damage_unless_it_is_the_newest() {
    let (disk, states) = synced_log();
    let files = segments(&disk);
    for file in &files {
        let contents = disk.contents(file).unwrap();
        let newest = Some(file) == files.last();
        let offsets = batches(&contents);
        let end = offsets[offsets.len() - 1];
        for length in (0..end).step_by(7) {
            let disk = disk.crash(0);
            disk.overwrite(file, contents[..length].to_vec());
            match open(&disk) {
                Ok(log) => {
                    assert!(newest && length >= 64, "{} with {length} bytes", file.display());
                    assert!(states.contains(&log.groups()));
                }
                Err(LogError::Damaged { .. }) => assert!(!newest || length < 64),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn missing_and_exchanged_segments_are_damage() {
    let (disk, _) = synced_log();
    let log = open(&disk).unwrap();
    log.write(&[record(GroupId(3), "in one more segment")], true).unwrap();
    drop(log);
    let files = segments(&disk);
    assert!(files.len() >= 4);
    for file in &files[..files.len() - 1] {
        let disk = disk.crash(0);
        env::Disk::remove(&disk, file).unwrap();
        match open(&disk) {
            Err(LogError::Damaged { detail, .. }) => assert!(detail.contains("missing"), "{detail}"),
            _ => panic!("nobody misses {}", file.display()),
        }
    }
    for (one, other) in files.iter().zip(&files[1..]) {
        let disk = disk.crash(0);
        let (first, second) = (disk.contents(one).unwrap(), disk.contents(other).unwrap());
        disk.overwrite(one, second);
        disk.overwrite(other, first.clone());
        assert!(damaged(&disk), "{} exchanged with the next", one.display());
        disk.overwrite(other, first.clone());
        disk.overwrite(one, first);
        assert!(damaged(&disk), "{} twice", one.display());
    }
}

/// Nothing in the other segments depends on the one that is missing: only its note is missing too.
#[test]
fn a_missing_oldest_segment_is_damage_even_if_the_rest_fits() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    log.write(&[record(GroupId(1), "only in the first segment")], true).unwrap();
    drop(log);
    let log = open(&disk).unwrap();
    log.write(&[record(GroupId(2), "only in the second")], true).unwrap();
    drop(log);
    let disk = disk.crash(0);
    env::Disk::remove(&disk, &segment_path(1)).unwrap();
    match open(&disk) {
        Err(LogError::Damaged { place, detail }) => {
            assert_eq!(place, "00000001.log at 0");
            assert!(detail.contains("missing"), "{detail}");
        }
        other => panic!("{:?}", other.map(|log| log.groups())),
    }
}

/// What a recovery dropped does not count any more, even if it can be read the next time.
#[test]
fn a_dropped_batch_that_becomes_readable_again_does_not_count() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    log.write(&[append(GroupId(1), 1, 3, 1)], true).unwrap();
    let before = log.groups();
    log.write(&[append(GroupId(1), 4, 6, 1)], false).unwrap();
    drop(log);
    let intact = disk.contents(&segment_path(1)).unwrap();
    let mut torn = intact.clone();
    *torn.last_mut().unwrap() ^= 1;
    disk.overwrite(&segment_path(1), torn);
    assert_eq!(open(&disk).unwrap().groups(), before);
    disk.overwrite(&segment_path(1), intact);
    assert_eq!(open(&disk).unwrap().groups(), before);
}

#[test]
fn a_retired_segment_may_be_missing_or_still_there() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    log.write(&[reset(GroupId(1), 0, 0), record(GroupId(2), "idle")], true).unwrap();
    let mut all = BTreeMap::new();
    for round in 0..100 {
        log.write(&[append(GroupId(1), round * 5 + 1, round * 5 + 5, 1)], true).unwrap();
        log.cut(GroupId(1), LogIndex(round * 5)).unwrap();
        for file in segments(&disk) {
            let contents = disk.contents(&file).unwrap();
            let header = SegmentHeader::decode(&contents).unwrap();
            all.insert(header.number, contents);
        }
        log.reclaim().unwrap();
    }
    let retired = log.counters().segments_retired;
    let groups = uncut(&log);
    drop(log);
    assert!(retired > 5);
    assert_eq!(uncut(&open(&disk.crash(0)).unwrap()), groups);
    // As if the newest removal had not reached the disk.
    let oldest = oldest_number(&disk);
    let disk = disk.crash(0);
    disk.overwrite(&segment_path(oldest - 1), all[&(oldest - 1)].clone());
    assert_eq!(uncut(&open(&disk).unwrap()), groups);
}

fn oldest_number(disk: &ModelDisk) -> u32 {
    let contents = disk.contents(&segments(disk)[0]).unwrap();
    SegmentHeader::decode(&contents).unwrap().number
}

#[test]
fn a_newer_version_is_named_and_left_alone() {
    let (disk, _) = synced_log();
    let newest = segments(&disk).pop().unwrap();
    let mut contents = disk.contents(&newest).unwrap();
    contents[8..12].copy_from_slice(&9u32.to_le_bytes());
    let checksum = crc32c::crc32c(&contents[..60]);
    contents[60..64].copy_from_slice(&checksum.to_le_bytes());
    // Even beside damage: an older release cannot judge a newer one's files.
    disk.overwrite(&segment_path(1), vec![0; 100]);
    disk.overwrite(&newest, contents);
    let before = (disk.files(), disk.operations());
    assert!(matches!(open(&disk), Err(LogError::Newer(9))));
    assert_eq!(disk.files(), before.0);
}

#[test]
fn foreign_files_are_left_alone() {
    let (disk, states) = synced_log();
    for name in ["notes.txt", "1.log", "00000001.log.bak", "0000000G.log", ".spare"] {
        disk.overwrite(&Path::new(DIR).join(name), b"mine".to_vec());
    }
    let log = open(&disk).unwrap();
    assert_eq!(log.groups(), states[states.len() - 1]);
    let kept = disk.files().iter().filter(|(_, bytes)| *bytes == 4).count();
    assert_eq!(kept, 5);
}

#[test]
fn a_damaged_entry_is_found_when_it_is_read() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    log.write(&[append(GroupId(1), 1, 3, 1), append(GroupId(2), 1, 3, 1)], true).unwrap();
    let file = segments(&disk).pop().unwrap();
    let mut contents = disk.contents(&file).unwrap();
    let payload = contents.windows(4).position(|bytes| bytes == b"2@1.").unwrap();
    contents[payload] ^= 1;
    env::Disk::open(&disk, &file).unwrap().write_at(&contents, 0).unwrap();
    let read = |group, from, to| log.entries(GroupId(group), LogIndex(from), LogIndex(to), 1000);
    assert!(matches!(read(1, 1, 4), Err(LogError::Damaged { .. })));
    assert!(matches!(read(1, 2, 3), Err(LogError::Damaged { .. })));
    assert_eq!(read(1, 3, 4).unwrap().len(), 1);
    assert_eq!(read(2, 1, 4).unwrap().len(), 3);
}

/// Adds a batch with these records and a fitting checksum behind the last one.
fn forge(disk: &ModelDisk, records: &[u8]) {
    forge_with(disk, records, 0, 0);
}

/// The same with a salt that differs by this, claiming that this much was durable.
fn forge_with(disk: &ModelDisk, records: &[u8], salt_off: u64, synced: u64) {
    let file = segments(disk).pop().unwrap();
    let mut contents = disk.contents(&file).unwrap();
    let header = SegmentHeader::decode(&contents).unwrap();
    contents.resize(contents.len().max(DATA_START as usize + BATCH_HEADER_BYTES), 0);
    let end = *batches(&contents).last().unwrap();
    let count = batches(&contents).len() as u64 - 1;
    let mut frame = crate::format::Frame::default();
    frame.begin();
    frame.raw(records);
    contents.truncate(end);
    contents.extend_from_slice(frame.seal(header.salt ^ salt_off, header.first_sequence + count, synced));
    disk.overwrite(&file, contents);
}

#[test]
fn a_batch_of_another_segment_counts_for_nothing() {
    let (disk, states) = synced_log();
    let anchor = [vec![2], vec![9; 8], vec![1], vec![0; 20]].concat();
    forge_with(&disk, &anchor, 1, u64::MAX);
    assert_eq!(open(&disk).unwrap().groups(), states[states.len() - 1]);
    forge_with(&disk, &anchor, 0, 0);
    assert_eq!(open(&disk).unwrap().groups().len(), states[states.len() - 1].len() + 1, "a good forgery");
}

#[test]
fn forged_batches_with_fitting_checksums_do_not_panic() {
    let number = |value: u64| value.to_le_bytes().to_vec();
    let entries = |kind: u8, group: u64, first: u64, count: u32, bytes: &[u8]| {
        [vec![kind], number(group), number(first), count.to_le_bytes().to_vec(), bytes.to_vec()].concat()
    };
    let entry = |length: u32| [number(1), vec![0; 4], length.to_le_bytes().to_vec()].concat();
    let anchor = |group: u64, start: u64, length: u32| {
        [vec![2], number(group), vec![0], number(start), number(1), length.to_le_bytes().to_vec()].concat()
    };
    let bad = [
        vec![9],
        vec![1, 1, 2],
        vec![5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        anchor(1, 5, 100),
        anchor(1, u64::MAX, 0),
        entries(3, 1, 1, u32::MAX, &[]),
        entries(3, 1, u64::MAX, 1, &entry(0)),
        entries(3, 1, 136, 2, &entry(0)),
        entries(3, 1, 136, 1, &entry(u32::MAX)),
        // A gap behind the last entry, entries of nobody, a start behind the end of everything known.
        entries(3, 1, 1000, 1, &entry(0)),
        entries(4, 1, u64::MAX - 2, 1, &entry(0)),
        entries(3, 77, 1, 1, &entry(0)),
    ];
    for records in bad {
        let (disk, _) = synced_log();
        forge(&disk, &records);
        assert!(damaged(&disk), "{records:?}");
    }
    // Odd, but not contradictory.
    for records in [vec![5, 255, 255, 255, 255], anchor(1, 500, 0), entries(3, 1, 136, 1, &entry(0))] {
        let (disk, _) = synced_log();
        forge(&disk, &records);
        let log = open(&disk).unwrap();
        assert!(log.group(GroupId(1)).is_some());
        log.write(&[reset(GroupId(1), 0, 0), append(GroupId(1), 1, 2, 1)], true).unwrap();
        log.reclaim().unwrap();
    }
}

#[test]
fn numbers_at_their_end_are_refused_not_wrapped() {
    let (disk, _) = synced_log();
    let name = segment_name(u32::MAX);
    let header =
        SegmentHeader { number: u32::MAX, previous: 3, salt: 1, first_sequence: u64::MAX, oldest: u32::MAX };
    disk.overwrite(&Path::new(DIR).join(name), header.encode().to_vec());
    assert!(open(&disk).is_err());
    for file in segments(&disk).iter().filter(|file| !file.ends_with("ffffffff.log")) {
        env::Disk::remove(&disk, file).unwrap();
    }
    assert!(open(&disk).is_err());
}
