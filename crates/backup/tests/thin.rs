//! Archives that are thinned out, verified and removed: nothing that a backup needs goes, whatever breaks off.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use backup::archive::{self, Known, Run, ThinPlan, Thinning, Writer};
use backup::write::Progress;
use backup::{BackupError, Begun, FORMAT, Manifest, PartitionRecord, TableRecord, Target, write};
use support::Made;
use support::archive::{Place, SINCE, begun, ms, run};
use support::breaking::Breaking;

/// Files of the run: number k tells entry `SINCE` + 1 + k.
const FILES: u64 = 10;
/// A time at which everything is old.
const LATE: u64 = 1_000_000;

/// An archive of a cluster whose run has ten files of one entry each.
fn told() -> Place {
    let place = Place::new();
    archive::begin(&*place.target, &begun()).unwrap();
    let mut writer = place.writer();
    for index in SINCE + 1..=SINCE + FILES {
        place.tell(&mut writer, &[index], index).unwrap();
    }
    place
}

/// A backup of the partition at a log entry; complete or only begun.
fn take(place: &Place, id: &str, index: u64, is_complete: bool) {
    let run = run();
    let partition = PartitionRecord { partition: 0, group: run.group, index, term: 1, ..Default::default() };
    let mut begun = Begun {
        format: FORMAT,
        id: id.into(),
        at_ms: ms(index),
        tables: vec![TableRecord {
            namespace: run.namespace,
            name: run.table,
            partitions: vec![partition],
            ..support::begun().tables.remove(0)
        }],
        ..support::begun()
    };
    backup::begin(&*place.target, &begun).unwrap();
    if is_complete {
        let (table, mut source) = (&begun.tables[0], Made(support::contents(0)));
        let (partition, progress) = (&table.partitions[0], Progress::default());
        let record = write::partition(&*place.target, &begun, table, partition, &mut source, &progress);
        begun.tables[0].partitions[0] = record.unwrap();
        backup::finish(&*place.target, &Manifest::new(begun, ms(index) + 1)).unwrap();
    }
}

fn plan(place: &Place, before_ms: u64) -> ThinPlan {
    archive::plan(&*place.target, &run().archive, before_ms, LATE, &Progress::default()).unwrap()
}

fn thin(target: &dyn Target, before_ms: u64) -> Result<Thinning, BackupError> {
    let (id, progress) = (run().archive, Progress::default());
    archive::carry_out(target, &archive::plan(target, &id, before_ms, LATE, &progress)?, &progress)
}

/// The numbers of the files that are there.
fn files(place: &Place) -> Vec<u64> {
    let names = fs::read_dir(place.file("")).unwrap().map(|entry| entry.unwrap().file_name());
    let numbers = names.filter_map(|name| name.to_string_lossy().strip_suffix(".skc")?.parse().ok());
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

fn verified(place: &Place) -> archive::Verified {
    archive::verify(&*place.target, &run().archive, &Progress::default()).unwrap()
}

/// The times that can be restored over a backup.
fn window(place: &Place, known: &Known, id: &str) -> Option<(u64, u64)> {
    let manifest = backup::load(&*place.target, id).unwrap();
    known.covered(&manifest, &|_| true).ok().map(|covered| (covered.from_ms, covered.to_ms))
}

#[test]
fn only_what_is_old_and_needed_by_no_backup_goes() {
    let place = told();
    take(&place, "2-old", 104, true);
    take(&place, "3-new", 108, true);
    // A file is old once everything that it tells is: the first ends with entry 101, complete up to ms(101) + 1.
    assert_eq!(plan(&place, ms(101)).files, 0);
    assert_eq!(plan(&place, ms(102) + 1).files, 2);
    let all = plan(&place, LATE);
    assert_eq!((all.files, all.needed, all.kept_for.as_str()), (4, 6, "2-old"));
    assert_eq!(files(&place).len(), 10, "a plan changes nothing");

    assert_eq!(thin(&*place.target, LATE).unwrap(), Thinning { files: 4, runs: 0 });
    assert_eq!(files(&place), [4, 5, 6, 7, 8, 9]);
    assert_eq!(place.read(104, ms(110)).unwrap(), [105, 106, 107, 108, 109, 110]);
    assert_eq!(place.read(106, ms(109)).unwrap(), [107, 108, 109]);
    assert!(matches!(place.read(103, ms(110)), Err(BackupError::NoBackup(_))), "that is not told any more");
    assert_eq!(thin(&*place.target, LATE).unwrap(), Thinning::default(), "nothing is done twice");

    // Its writer, and the next one, go on.
    let mut writer = place.writer();
    assert_eq!(writer.next(), (111, 0));
    place.tell(&mut writer, &[111], 111).unwrap();
    assert_eq!(place.read(104, ms(111)).unwrap().len(), 7);

    // Without the older backup the newer one says what stays, although somebody has only begun one.
    backup::delete(&*place.target, "2-old").unwrap();
    take(&place, "4-begun", 106, false);
    assert_eq!(thin(&*place.target, LATE).unwrap().files, 2);
    assert_eq!(files(&place)[0], 6);
    assert!(verified(&place).damaged.is_empty());
}

#[test]
fn without_backups_all_old_files_go_and_the_run_goes_on() {
    let place = told();
    assert_eq!(thin(&*place.target, LATE).unwrap().files, FILES);
    assert!(files(&place).is_empty());
    let mut writer = place.writer();
    place.tell(&mut writer, &[113], 114).unwrap();
    take(&place, "2-new", 111, true);
    assert_eq!(place.read(111, ms(114)).unwrap(), [113]);
    assert!(verified(&place).damaged.is_empty());
    // What is younger than a minute stays, whatever is asked for: a backup may be about to be begun.
    let soon = archive::plan(&*place.target, &run().archive, LATE, ms(114) + 59_000, &Progress::default());
    assert_eq!(soon.unwrap().files, 0);
}

#[test]
fn a_run_that_a_gap_has_ended_goes_as_a_whole() {
    let place = told();
    let later = Run { since: 200, ..run() };
    let mut writer = Writer::open(&*place.target, later.clone(), ms(200)).unwrap();
    place.tell(&mut writer, &[201], 205).unwrap();
    take(&place, "2-old", 105, true);
    let needed = plan(&place, LATE);
    assert!(needed.runs.iter().all(|run| !run.whole), "{needed:?}");
    backup::delete(&*place.target, "2-old").unwrap();
    take(&place, "3-new", 202, true);
    let thinned = thin(&*place.target, LATE).unwrap();
    assert_eq!((thinned.runs, thinned.files), (1, FILES));
    assert_eq!(archive::runs(&*place.target, &run().archive).unwrap(), [later]);
    let known = Known::read(&*place.target).unwrap();
    assert_eq!(window(&place, &known, "3-new"), Some((ms(202), ms(205))));
}

#[test]
fn whatever_breaks_off_no_window_does_and_the_next_run_tidies_up() {
    for calls in 0..200 {
        let place = told();
        let later = Run { since: 200, ..run() };
        let other = Run { group: 32, partition: 8, ..run() };
        for (run, entry) in [(&later, 201), (&other, 101)] {
            let mut writer = Writer::open(&*place.target, run.clone(), ms(entry - 1)).unwrap();
            place.tell(&mut writer, &[entry], entry).unwrap();
        }
        take(&place, "2-old", if calls % 2 == 0 { 105 } else { 201 }, true);
        let expected = window(&place, &Known::read(&*place.target).unwrap(), "2-old").unwrap();
        let ended = thin(&Breaking::after(&place.target, calls), LATE);
        assert_eq!(window(&place, &Known::read(&*place.target).unwrap(), "2-old"), Some(expected));
        let found = verified(&place);
        assert_eq!(
            (window(&place, &found.known, "2-old"), found.damaged),
            (Some(expected), vec![]),
            "{calls}"
        );
        thin(&*place.target, LATE).unwrap();
        let left = archive::runs(&*place.target, &run().archive).unwrap();
        match calls % 2 {
            0 => assert_eq!(files(&place), [5, 6, 7, 8, 9], "after {calls} calls"),
            _ => assert_eq!(left, [later, other], "after {calls} calls"),
        }
        if ended.is_ok() && calls % 2 == 1 {
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn verification_says_which_times_can_really_be_restored() {
    let place = told();
    take(&place, "2-old", 102, true);
    take(&place, "3-new", 107, true);
    let found = verified(&place);
    assert_eq!((found.files, found.entries, found.damaged.len()), (FILES, FILES, 0));
    assert_eq!(window(&place, &found.known, "2-old"), Some((ms(102), ms(110))));

    // File 4, of entry 105: gone, cut off, flipped, and another one's.
    let path = place.file("00000004.skc");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let other = fs::read(place.file("00000003.skc")).unwrap();
    for damage in [None, Some(whole[..20].to_vec()), Some(flipped), Some(other)] {
        match &damage {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let found = verified(&place);
        assert_eq!(found.damaged.len(), 1, "{:?}", found.damaged);
        assert!(found.damaged[0].contains("00000004.skc"), "{:?}", found.damaged);
        assert!(damage.is_none() || found.damaged[0].contains(", byte "), "{:?}", found.damaged);
        assert_eq!(window(&place, &found.known, "2-old"), Some((ms(102), ms(104))));
        assert_eq!(window(&place, &found.known, "3-new"), Some((ms(107), ms(110))));
        // As it says, so it is.
        assert_eq!(place.read(102, ms(104)).unwrap(), [103, 104]);
        assert!(place.read(102, ms(105)).is_err());
        assert_eq!(place.read(107, ms(110)).unwrap(), [108, 109, 110]);
    }
    fs::write(&path, whole).unwrap();
    fs::write(place.file("head.json"), "{}").unwrap();
    let found = verified(&place);
    assert!(found.damaged[0].contains("head.json"), "{:?}", found.damaged);
    assert_eq!(window(&place, &found.known, "3-new"), None);
}

#[test]
fn an_archive_that_is_removed_tells_nothing_from_the_first_moment_on() {
    let ended = (0..200).find(|calls| {
        let place = told();
        take(&place, "2-old", 102, true);
        let (id, progress) = (run().archive, Progress::default());
        let removed = archive::remove(&Breaking::after(&place.target, *calls), &id, &progress);
        let is_begun = archive::begun(&*place.target, &id).is_ok();
        let known = Known::read(&*place.target).unwrap();
        assert_eq!(window(&place, &known, "2-old").is_some(), is_begun, "after {calls} calls");
        let again = archive::remove(&*place.target, &id, &Progress::default());
        assert_eq!(again.is_err(), removed.is_ok(), "what is gone is not there: {again:?}");
        assert!(archive::list(&*place.target).unwrap().is_empty());
        backup::load(&*place.target, "2-old").unwrap();
        removed.is_ok()
    });
    assert!(ended.is_some_and(|calls| calls > FILES));
}
