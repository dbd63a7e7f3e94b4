//! The power fails during each single operation of a history that goes through everything: growing,
//! prefilling, new segments, moving, retiring, reusing.

use types::{GroupId, LogIndex};

use super::history::{History, Part, Step};
use super::{open, small};
use crate::model::{Fault, ModelDisk};
use crate::suite::{append, record, reset};
use crate::{LogError, LogStore};

/// Writes to a busy group that is cut, beside idle ones that must be carried along.
fn script() -> Vec<Step> {
    let mut steps = Vec::new();
    for group in 1..4 {
        let parts =
            vec![Part::Record { group, bytes: 30 }, Part::Append { group, overlap: 0, count: 2, bytes: 100 }];
        steps.push(Step::Write { parts, sync: group == 2 });
    }
    for round in 0..18u8 {
        let overlap = if round % 5 == 4 { 2 } else { 0 };
        let parts = vec![
            Part::Append { group: 0, overlap, count: 2, bytes: 250 },
            Part::Append { group: 1 + u64::from(round % 3), overlap: 0, count: 0, bytes: 20 },
        ];
        steps.push(Step::Write { parts, sync: round % 3 == 0 });
        steps.push(Step::Cut { group: 0, part: 200 });
        if round == 9 {
            steps.push(Step::Write { parts: vec![Part::Delete { group: 3 }], sync: false });
        }
        if round == 12 {
            steps.push(Step::Write { parts: vec![Part::Reset { group: 2, index: 40 }], sync: true });
        }
        if round % 2 == 1 {
            steps.push(Step::Reclaim);
        }
    }
    steps
}

#[test]
fn a_power_cut_during_any_operation_loses_nothing_that_was_durable() {
    let losses = fail_at_every_operation(Fault::PowerOff, &[0, 2, 4, 6]);
    assert!(losses > 0, "no power cut lost anything: the disk does not forget");
}

#[test]
fn a_failure_of_any_operation_loses_nothing_that_was_durable() {
    // See `History::start_again`: the odd ones start again with the page cache as it is.
    fail_at_every_operation(Fault::Broken, &[0, 1, 3, 11, 15, 19, 23, 27, 31, 55, 59, 87, 91]);
}

/// How many of the power cuts lost something.
fn fail_at_every_operation(fault: Fault, seeds: &[u64]) -> u64 {
    let mut dry = History::new(small());
    let before = dry.disk.operations();
    for step in script() {
        dry.step(&step).unwrap();
    }
    let operations = dry.disk.operations() - before;
    let counters = dry.log.as_ref().unwrap().counters();
    assert!(counters.segments_retired >= 3 && counters.bytes_moved > 0, "{counters:?}");
    let mut losses = 0;
    for at in 0..operations {
        for &seed in seeds {
            let mut history = History::new(small());
            history.seed = seed;
            history.disk.inject(at, fault);
            for step in script() {
                let outcome = history.step(&step);
                assert_eq!(outcome, Ok(()), "{fault:?} at operation {at}, seed {seed}, during {step:?}");
            }
            // And once more, while the log is being opened.
            let again = Some((at % 7) as u8);
            assert_eq!(history.step(&Step::PowerCut { seed, again }), Ok(()), "at {at}, seed {seed}");
            losses += history.losses;
        }
    }
    losses
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let wrong = (0..40).filter(|seed| {
        let mut history = History::new(small());
        history.disk.set_syncs_lie(true);
        let mut steps = script();
        steps.push(Step::PowerCut { seed: *seed, again: None });
        steps.iter().any(|step| history.step(step).is_err())
    });
    assert!(wrong.count() > 20, "these tests would not notice a missing fsync");
}

/// The hole that unsynced writes may leave: a later batch is there and an earlier one is not.
#[test]
fn a_batch_behind_a_hole_is_dropped_for_good() {
    let mut holes = 0;
    for seed in 0..200 {
        let disk = ModelDisk::new();
        let log = open(&disk).unwrap();
        log.write(&[append(GroupId(1), 1, 3, 1)], true).unwrap();
        for group in 2..6 {
            log.write(&[append(GroupId(group), 1, 30, 1)], false).unwrap();
        }
        let disk = disk.crash(seed);
        let log = open(&disk).expect("lost bytes that were never promised are no damage");
        let groups = log.groups();
        let expected: Vec<u64> = (1..=groups.len() as u64).collect();
        assert_eq!(groups.iter().map(|summary| summary.group.get()).collect::<Vec<_>>(), expected);
        // The very same bytes with the very same numbers again, so that what lies behind would fit.
        let next = GroupId(groups.len() as u64 + 1);
        log.write(&[append(next, 1, 30, 1)], true).unwrap();
        drop(log);
        let log = open(&disk.crash(seed + 1)).unwrap();
        assert_eq!(log.groups().len(), groups.len() + 1, "seed {seed}: a dropped batch came back");
        holes += usize::from(groups.len() < 5);
    }
    assert!(holes > 50);
}

#[test]
fn a_failed_fsync_ends_the_log_and_what_is_read_afterwards_is_durable() {
    for seed in 0..50 {
        let disk = ModelDisk::new();
        let log = open(&disk).unwrap();
        log.write(&[append(GroupId(1), 1, 3, 1)], true).unwrap();
        disk.inject(1, Fault::Broken);
        let failed = log.write(&[append(GroupId(1), 4, 40, 1)], true);
        assert!(matches!(failed, Err(LogError::Disk(_))));
        assert!(matches!(log.write(&[], true), Err(LogError::Disk(_))));
        assert!(matches!(log.write(&[record(GroupId(1), "x")], false), Err(LogError::Disk(_))));
        assert!(matches!(log.reclaim(), Err(LogError::Disk(_))));
        assert!(matches!(log.cut(GroupId(1), LogIndex(1)), Err(LogError::Disk(_))));
        assert!(matches!(log.entries(GroupId(1), LogIndex(1), LogIndex(2), 1), Err(LogError::Disk(_))));
        drop(log);
        // The page cache still has what the disk has not.
        let log = open(&disk).unwrap();
        let before = log.groups();
        drop(log);
        assert_eq!(open(&disk.crash(seed)).unwrap().groups(), before, "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_a_batch_and_goes_on_when_there_is_room() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    log.write(&[reset(GroupId(1), 0, 0), append(GroupId(1), 1, 1, 1)], true).unwrap();
    let used: u64 = disk.files().iter().map(|(_, bytes)| bytes).sum();
    disk.set_capacity(Some(used + 5000));
    let mut last = 1;
    loop {
        match log.write(&[append(GroupId(1), last + 1, last + 5, 1)], true) {
            Ok(()) => last += 5,
            Err(LogError::DiskFull) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(last > 20);
    assert_eq!(log.group(GroupId(1)).unwrap().last.index, LogIndex(last), "nothing of the batch was taken");
    assert_eq!(log.term(GroupId(1), LogIndex(last)).unwrap().get(), 1);
    disk.set_capacity(None);
    log.write(&[append(GroupId(1), last + 1, last + 5, 1)], true).unwrap();
    drop(log);
    let log = open(&disk.crash(3)).unwrap();
    assert_eq!(log.group(GroupId(1)).unwrap().last.index, LogIndex(last + 5));
}

#[test]
fn a_full_disk_can_be_freed_by_cutting_and_reclaiming() {
    let disk = ModelDisk::new();
    let log = open(&disk).unwrap();
    let mut last = 0;
    let mut full = false;
    for round in 0..400 {
        match log.write(&[append(GroupId(1), last + 1, last + 5, 1)], true) {
            Ok(()) => last += 5,
            Err(LogError::DiskFull) => {
                full = true;
                log.cut(GroupId(1), LogIndex(last)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        log.reclaim().unwrap();
        if round == 100 {
            disk.set_capacity(Some(disk.files().iter().map(|(_, bytes)| bytes).sum()));
        }
    }
    assert!(full && last > 500, "full: {full}, last: {last}");
}
