//! A backup in a directory: made, listed, verified, proved, damaged, removed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use api::kv::{ContentKind, Contents, Piece};
use backup::write::Progress;
use backup::{
    BackupError, Begun, Chain, Manifest, ParentRecord, PartitionRecord, Proof, State, SumRecord, Target,
    verify, write,
};
use support::{ID, Made, begun_of, files_of, pages};

fn contents(partition: u32) -> Vec<Contents> {
    let piece = |number: u32| Piece {
        key: format!("{partition}:{number}").into(),
        kind: ContentKind::String as i32,
        version: 7,
        value: format!("{number:0>50}").into(),
        ..Default::default()
    };
    pages((0..80).map(piece).collect(), 20)
}

fn save(target: &dyn Target, begun: &Begun, partition: usize) -> PartitionRecord {
    let table = &begun.tables[0];
    let mut source = Made(contents(partition as u32));
    let progress = Progress::default();
    let place = &table.partitions[partition];
    write::partition(target, begun, table, place, &mut source, &progress).unwrap()
}

/// A whole backup, and the directory that it is in.
fn saved(partitions: u32) -> (tempfile::TempDir, std::sync::Arc<dyn Target>, Manifest) {
    let place = tempfile::TempDir::new().unwrap();
    let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
    let mut begun = begun_of(partitions);
    backup::begin(&*target, &begun).unwrap();
    let records: Vec<_> =
        (0..partitions as usize).map(|partition| save(&*target, &begun, partition)).collect();
    begun.tables[0].partitions = records;
    let manifest = Manifest::new(begun, 3);
    backup::finish(&*target, &manifest).unwrap();
    (place, target, manifest)
}

fn check(target: &dyn Target) -> Result<verify::Verified, BackupError> {
    let chain = Chain::load(target, ID)?;
    verify::all(target, &chain, &Progress::default())
}

#[test]
fn a_backup_exists_once_its_manifest_does() {
    let place = tempfile::TempDir::new().unwrap();
    let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
    assert!(backup::list(&*target).unwrap().is_empty());
    let mut begun = begun_of(1);
    backup::begin(&*target, &begun).unwrap();
    assert!(matches!(backup::begin(&*target, &begun), Err(BackupError::Exists(_))));
    let record = save(&*target, &begun, 0);
    assert_eq!(backup::list(&*target).unwrap()[0].state, State::Begun);
    assert!(matches!(backup::load(&*target, ID), Err(BackupError::NoBackup(_))));
    // It was done: nothing is asked of the state a second time.
    let mut nothing = Made(Vec::new());
    let table = &begun.tables[0];
    let again =
        write::partition(&*target, &begun, table, &table.partitions[0], &mut nothing, &Progress::default());
    assert_eq!(again.unwrap(), record);
    begun.tables[0].partitions[0] = record;
    backup::finish(&*target, &Manifest::new(begun, 3)).unwrap();
    let listed = backup::list(&*target).unwrap();
    assert_eq!((listed.len(), listed[0].state), (1, State::Complete));
    assert_eq!(listed[0].manifest.as_ref().unwrap().sum.keys, 80);
}

#[test]
fn a_proof_counts_while_it_says_what_the_manifest_says() {
    let (_place, target, manifest) = saved(2);
    let proof = |keys: u64| Proof {
        format: 1,
        id: ID.into(),
        begun_ms: 1000 * keys,
        took_ms: 5,
        cluster: "c".into(),
        partitions: vec![3],
        sum: SumRecord { keys, ..manifest.sum.clone() },
    };
    backup::prove(&*target, &proof(7)).unwrap();
    assert_eq!(backup::list(&*target).unwrap()[0].state, State::Complete);
    backup::prove(&*target, &proof(manifest.sum.keys)).unwrap();
    let listed = backup::list(&*target).unwrap();
    assert_eq!(listed[0].state, State::Proven);
    assert_eq!(listed[0].proof, Some(proof(manifest.sum.keys)));
}

#[test]
fn a_removed_backup_leaves_nothing() {
    let (place, target, _) = saved(2);
    assert!(backup::delete(&*target, ID).unwrap() >= 6);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    assert!(matches!(backup::delete(&*target, ID), Err(BackupError::NoBackup(_))));
    assert!(matches!(backup::delete(&*target, "../x"), Err(BackupError::NoBackup(_))));
}

fn is_good(found: &Result<verify::Verified, BackupError>, manifest: &Manifest) -> bool {
    found.as_ref().is_ok_and(|found| found.damaged.is_empty() && found.sum == manifest.sum)
}

#[test]
fn damage_of_any_file_is_found_and_named() {
    let (place, target, manifest) = saved(2);
    assert!(is_good(&check(&*target), &manifest));
    let mut found = 0;
    for path in files_of(place.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What led to the manifest is not needed any more.
        if name == "begun.json" || (name.ends_with(".json") && name != "manifest.json") {
            continue;
        }
        let good = fs::read(&path).unwrap();
        for place in (0..good.len()).step_by(41) {
            for damage in [&good[..place], &[&good[..place], &[good[place] ^ 1], &good[place + 1..]].concat()]
            {
                fs::write(&path, damage).unwrap();
                let checked = check(&*target);
                assert!(!is_good(&checked, &manifest), "{name}, byte {place}");
                let text = checked.map_or_else(|error| error.to_string(), |found| found.damaged.join("\n"));
                assert!(text.contains(&name) && text.contains("byte "), "{name}, byte {place}: {text}");
                found += 1;
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(!is_good(&check(&*target), &manifest), "{name} is missing");
        fs::write(&path, good).unwrap();
    }
    assert!(found > 100 && is_good(&check(&*target), &manifest));
}

#[test]
fn exchanged_files_are_found() {
    let (place, target, manifest) = saved(2);
    let files: Vec<_> = files_of(place.path())
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with("-000.skb"))
        .collect();
    let contents: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::write(&files[0], &contents[1]).unwrap();
    fs::write(&files[1], &contents[0]).unwrap();
    let found = check(&*target).unwrap();
    assert_eq!(found.damaged.len(), 2, "{found:?}");
    assert!(found.damaged[0].contains("this is file 0 of partition 1"), "{found:?}");
    assert!(!is_good(&Ok(found), &manifest));
}

#[test]
fn a_manifest_that_reaches_for_other_files_is_refused() {
    let (place, target, manifest) = saved(1);
    let path = place.path().join(ID).join("manifest.json");
    let refused = |change: &dyn Fn(&mut Manifest), why: &str| {
        let mut changed = manifest.clone();
        change(&mut changed);
        fs::write(&path, backup::seal(&changed)).unwrap();
        let error = backup::load(&*target, ID).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(
        &|manifest| manifest.begun.tables[0].partitions[0].files[0].path = "../../etc/passwd".into(),
        "no file",
    );
    refused(
        &|manifest| manifest.begun.tables[0].partitions[0].keys.as_mut().unwrap().path = "x".into(),
        "no file",
    );
    refused(&|manifest| manifest.begun.tables[0].partitions[0].keys = None, "totals");
    let parent = |id: &str, length| Some(ParentRecord { id: id.into(), checksum: "0".into(), length });
    refused(&|manifest| manifest.begun.parent = parent("../x", 1), "no parent");
    refused(&|manifest| manifest.begun.parent = parent(ID, 1), "no parent");
    refused(&|manifest| manifest.begun.parent = parent("20261126T233000Z-000000", 99), "no parent");
    refused(&|manifest| manifest.begun.parent = parent("20261126T233000Z-000000", 1), "stands on it");
    refused(&|manifest| manifest.begun.tables[0].name = "../x".into(), "no table");
    refused(&|manifest| manifest.begun.id = "20261126T233000Z-000000".into(), "describes backup");
    refused(&|manifest| manifest.begun.format = 2, "version 2");
    refused(&|manifest| manifest.sum.keys += 1, "totals");
    refused(&|manifest| manifest.begun.tables[0].partitions[0].partition = 3, "no partition 0");
    refused(&|manifest| manifest.begun.kinds = vec!["json".into()], "no kind");
}

#[test]
fn a_cancelled_partition_is_not_complete() {
    let place = tempfile::TempDir::new().unwrap();
    let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
    let begun = begun_of(1);
    backup::begin(&*target, &begun).unwrap();
    let progress = Progress::default();
    progress.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    let table = &begun.tables[0];
    let mut source = Made(contents(0));
    let ended = write::partition(&*target, &begun, table, &table.partitions[0], &mut source, &progress);
    assert!(matches!(ended, Err(BackupError::Cancelled)));
    assert_eq!(files_of(place.path()).len(), 1, "only what says that it was begun");
}

#[test]
fn only_places_that_are_known_are_taken() {
    for url in ["", "/tmp/x", "http://x/y", "file://relative", "s3://"] {
        assert!(matches!(backup::open(url).map(|_| ()), Err(BackupError::BadUrl(_))), "{url}");
    }
}
