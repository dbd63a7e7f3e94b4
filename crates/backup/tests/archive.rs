//! Archives: written on by whoever comes next, read up to a time, and refused when anything is not as it was written.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use api::kv::EntryChanges;
use backup::BackupError;
use backup::archive::{self, Run, Writer};
use support::archive::{Place, SINCE, begun, change, ms, run};

/// An archive of four files, with two writers and an entry in two pieces that lie in different files.
fn filled() -> Place {
    let place = plain();
    let mut next = place.writer();
    assert_eq!((next.next(), next.head().files), ((111, 0), 2));
    let large = |piece: u32| EntryChanges { piece, more: piece == 0, ..change(112) };
    next.add(&*place.target, EntryChanges { written: vec![big()], ..large(0) }).unwrap();
    assert_eq!(place.writer().next(), (112, 1), "a file may end within an entry");
    next.add(&*place.target, large(1)).unwrap();
    next.complete(&*place.target, 113, ms(113) + 1).unwrap();
    place
}

/// The first two files of it.
fn plain() -> Place {
    let place = Place::new();
    let mut writer = place.writer();
    place.tell(&mut writer, &[101, 103], 104).unwrap();
    place.tell(&mut writer, &[], 107).unwrap();
    place.tell(&mut writer, &[109], 110).unwrap();
    place
}

fn big() -> api::kv::KeyChange {
    api::kv::KeyChange { value: Some(vec![7; 17 << 20].into()), ..Default::default() }
}

fn refused(place: &Place, why: &str) {
    match place.read(SINCE, ms(110)) {
        Err(error @ (BackupError::Damaged { .. } | BackupError::Missing(_))) => {
            assert!(error.to_string().contains(why), "{error}");
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_time_gets_every_entry_up_to_it_and_none_after() {
    let place = filled();
    for (after, to, expected) in [
        (SINCE, 113, vec![101, 103, 109, 112]),
        (SINCE, 109, vec![101, 103, 109]),
        (SINCE, 108, vec![101, 103]),
        (102, 113, vec![103, 109, 112]),
        (103, 109, vec![109]),
        (110, 111, vec![]),
        (111, 113, vec![112]),
    ] {
        assert_eq!(place.read(after, ms(to)).unwrap(), expected, "after {after} up to {to}");
    }
    assert!(matches!(place.read(SINCE, ms(113) + 1), Err(BackupError::NoBackup(_))), "that is not told yet");
    assert!(matches!(place.read(SINCE - 1, ms(113)), Err(BackupError::NoBackup(_))), "that was never told");
}

#[test]
fn of_two_writers_one_goes_on_and_the_other_hears_of_it() {
    let place = filled();
    let (mut one, mut other) = (place.writer(), place.writer());
    place.tell(&mut one, &[115], 116).unwrap();
    assert!(matches!(place.tell(&mut other, &[115, 117], 118), Err(BackupError::Exists(_))));
    assert_eq!(other.next(), (117, 0));
    place.tell(&mut other, &[117], 118).unwrap();
    assert_eq!(place.read(112, ms(118)).unwrap(), [115, 117]);
}

#[test]
fn what_is_not_as_it_was_written_is_refused() {
    let with = |damage: &dyn Fn(&Place), why: &str| {
        let place = plain();
        damage(&place);
        refused(&place, why);
    };
    let path = |place: &Place, number: u32| place.file(&format!("{number:08}.skc"));
    let read = |place: &Place, number: u32| fs::read(path(place, number)).unwrap();
    for number in 0..2 {
        with(&|place| fs::remove_file(path(place, number)).unwrap(), "missing");
        for cut in [0, 5, 40, 90] {
            with(&|place| fs::write(path(place, number), &read(place, number)[..cut]).unwrap(), "");
        }
        for flipped in [0, 9, 12, 20, 80, 100] {
            let flip = |place: &Place| {
                let mut bytes = read(place, number);
                let at = flipped % bytes.len();
                bytes[at] ^= 16;
                fs::write(path(place, number), bytes).unwrap();
            };
            with(&flip, "");
        }
    }
    with(&|place| fs::write(path(place, 1), read(place, 0)).unwrap(), "this is file 0 of partition 7");
    with(
        &|place| fs::write(path(place, 0), b"ZANKV0001 and something that is long enough for it").unwrap(),
        "",
    );
    let foreign = |place: &Place| {
        let other = Run { partition: 6, ..run() };
        let mut writer = Writer::open(&*place.target, other.clone(), 1000).unwrap();
        place.tell(&mut writer, &[101, 103], 104).unwrap();
        let theirs = place.directory.path().join(other.directory()).join("00000000.skc");
        fs::copy(theirs, path(place, 0)).unwrap();
    };
    with(&foreign, "another belongs here");
    // Whole, of the right place, and of another history.
    let other_history = |place: &Place| {
        let other = Place::new();
        other.tell(&mut other.writer(), &[102, 103], 104).unwrap();
        fs::copy(path(&other, 0), path(place, 0)).unwrap();
    };
    with(&other_history, "does not follow");
    let last_of_another = |place: &Place| {
        let mut bytes = fs::read_to_string(place.file("head.json")).unwrap();
        bytes = bytes.replace("\"files\": 2", "\"files\": 1");
        fs::write(place.file("head.json"), bytes).unwrap();
    };
    with(&last_of_another, "checksum");
}

#[test]
fn archives_and_their_runs_are_found() {
    let place = filled();
    let begun = begun();
    archive::begin(&*place.target, &begun).unwrap();
    assert!(matches!(archive::begin(&*place.target, &begun), Err(BackupError::Exists(_))));
    assert_eq!(archive::list(&*place.target).unwrap(), [run().archive]);
    assert_eq!(archive::begun(&*place.target, &begun.id).unwrap(), begun);
    assert_eq!(archive::runs(&*place.target, &begun.id).unwrap(), [run()]);
    assert!(backup::list(&*place.target).unwrap().is_empty(), "an archive is no backup");
    assert!(matches!(archive::begun(&*place.target, "../x"), Err(BackupError::NoBackup(_))));
}
