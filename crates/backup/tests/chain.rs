//! Backups that stand on others: put together, damaged anywhere, parted from each other, removed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use api::kv::{ContentKind, Contents, Piece};
use backup::write::Progress;
use backup::{BackupError, Begun, Chain, Manifest, State, Target, read, verify, write};
use bytes::Bytes;
use support::{Made, PARTITIONS, files_of, pages};
use types::limits::BACKUP_CHAIN_MAX;

/// What a partition holds: for each key the stamp of its last change, and its value.
type Held = BTreeMap<String, (u64, String)>;

fn place() -> (tempfile::TempDir, Arc<dyn Target>) {
    let place = tempfile::TempDir::new().unwrap();
    let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
    (place, target)
}

fn name(number: usize) -> String {
    backup::id(1_795_735_800_000 + number as u64 * 1000, 7)
}

fn source(held: &Held) -> Vec<Contents> {
    let piece = |(key, (version, value)): (&String, &(u64, String))| Piece {
        key: Bytes::copy_from_slice(key.as_bytes()),
        kind: ContentKind::String as i32,
        version: *version,
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Default::default()
    };
    pages(held.iter().map(piece).collect(), 3)
}

/// What the partitions hold after so many rounds of changes.
fn held(partition: u32, rounds: usize) -> Held {
    let mut held = Held::new();
    for round in 0..=rounds {
        let stamp = 100 + round as u64;
        for key in 0..20 {
            let name = format!("{partition}:{key}");
            match (key + round) % 7 {
                _ if round == 0 => drop(held.insert(name, (stamp, "first".into()))),
                0 => drop(held.remove(&name)),
                1 | 2 => drop(held.insert(name, (stamp, format!("round {round}")))),
                _ => {}
            }
        }
        held.insert(format!("{partition}:new{round}"), (stamp, "new".into()));
    }
    held
}

fn begun(number: usize) -> Begun {
    let mut begun =
        Begun { id: name(number), begun_ms: number as u64, at_ms: 10 + number as u64, ..support::begun() };
    begun.tables[0].partitions.iter_mut().for_each(|partition| partition.index += number as u64);
    begun
}

/// Saves what there is after so many rounds; on the backup of the round before, if it is not the first.
fn save(target: &dyn Target, number: usize) -> Result<Manifest, BackupError> {
    let mut begun = begun(number);
    if number > 0 {
        begun.parent = Some(Chain::load(target, &name(number - 1))?.link(&begun)?);
    }
    backup::begin(target, &begun)?;
    for partition in 0..PARTITIONS {
        let (table, place) = (&begun.tables[0], &begun.tables[0].partitions[partition as usize]);
        let mut source = Made(source(&held(partition, number)));
        let record = write::partition(target, &begun, table, place, &mut source, &Progress::default())?;
        begun.tables[0].partitions[partition as usize] = record;
    }
    let manifest = Manifest::new(begun, 3);
    backup::finish(target, &manifest)?;
    Ok(manifest)
}

/// A full backup and increments on it.
fn chain(length: usize) -> (tempfile::TempDir, Arc<dyn Target>) {
    let (place, target) = place();
    (0..length).for_each(|number| drop(save(&*target, number).unwrap()));
    (place, target)
}

/// All that a backup holds, part by part as it is restored.
fn restored(target: &dyn Target, number: usize) -> Result<Held, BackupError> {
    let chain = Chain::load(target, &name(number))?;
    let table = &chain.newest().begun.tables[0];
    let mut held = Held::new();
    for part in read::parts(chain.newest(), table) {
        let at = (part.partition, part.file);
        let mut contents = read::PartContents::open(target, &chain, ("default", "kv"), at)?;
        while let Some(block) = contents.next_block()? {
            for piece in block.pieces {
                let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
                let before = held.insert(text(&piece.key), (piece.version, text(&piece.value)));
                assert_eq!(before, None, "a key comes once");
            }
        }
    }
    Ok(held)
}

fn expected(number: usize) -> Held {
    (0..PARTITIONS).flat_map(|partition| held(partition, number)).collect()
}

fn check(target: &dyn Target, number: usize) -> Result<(), String> {
    let chain = Chain::load(target, &name(number)).map_err(|error| error.to_string())?;
    let found = verify::all(target, &chain, &Progress::default());
    let found = found.map_err(|error| error.to_string())?;
    match found.damaged.is_empty() && found.sum == chain.newest().sum {
        true => Ok(()),
        false => Err(found.damaged.join("\n")),
    }
}

#[test]
fn each_backup_of_a_chain_is_what_there_was() {
    let (_place, target) = chain(6);
    for number in 0..6 {
        assert_eq!(restored(&*target, number).unwrap(), expected(number), "after {number} rounds");
        check(&*target, number).unwrap();
        let manifest = backup::load(&*target, &name(number)).unwrap();
        assert_eq!(manifest.sum.keys, expected(number).len() as u64);
        assert_eq!(manifest.begun.chain_length(), number + 1);
    }
    let (full, last) = (backup::load(&*target, &name(0)).unwrap(), backup::load(&*target, &name(5)).unwrap());
    assert!(last.saved_keys() < full.saved_keys() / 2 && last.gone() > 0 && full.gone() == 0);
}

#[test]
fn damage_of_any_file_of_a_chain_is_found_and_named() {
    let (place, target) = chain(3);
    let mut found = 0;
    for path in files_of(place.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What led to the manifest is not needed any more.
        if name.ends_with(".json") && name != "manifest.json" {
            continue;
        }
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(61) {
            for damage in [&good[..at], &[&good[..at], &[good[at] ^ 1], &good[at + 1..]].concat()] {
                fs::write(&path, damage).unwrap();
                let why = check(&*target, 2).unwrap_err();
                assert!(why.contains(&name) && why.contains("byte "), "{name}, byte {at}: {why}");
                assert!(restored(&*target, 2).is_err(), "{name}, byte {at}");
                found += 1;
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(check(&*target, 2).is_err() && restored(&*target, 2).is_err(), "{name} is missing");
        // Nothing is built on it either.
        if name != "manifest.json" && !name.ends_with("-000.skb") {
            assert!(save(&*target, 3).is_err(), "{name}");
            backup::delete(&*target, &self::name(3)).unwrap();
        }
        fs::write(&path, good).unwrap();
    }
    assert!(found > 300);
    check(&*target, 2).unwrap();
}

#[test]
fn files_of_one_backup_are_none_of_another() {
    let (place, target) = chain(3);
    let file = |number: usize, end: &str| place.path().join(name(number)).join("default.kv").join(end);
    for end in ["0000-keys.skb", "0000-000.skb"] {
        let (one, other) = (file(1, end), file(2, end));
        let (good, wrong) = (fs::read(&one).unwrap(), fs::read(&other).unwrap());
        fs::write(&one, wrong).unwrap();
        assert!(check(&*target, 2).unwrap_err().contains("another belongs here"), "{end}");
        fs::write(&one, good).unwrap();
    }
    fs::copy(file(1, "0000-000.skb"), file(1, "0000-keys.skb")).unwrap();
    assert!(check(&*target, 2).unwrap_err().contains("another belongs here"));
}

#[test]
fn a_parent_is_the_one_that_it_was() {
    let (place, target) = chain(2);
    check(&*target, 1).unwrap();
    let path = place.path().join(name(0)).join("manifest.json");
    let good = fs::read(&path).unwrap();
    // Everything in it fits, and it is another backup.
    let mut other = backup::load(&*target, &name(0)).unwrap();
    other.finished_ms += 1;
    fs::write(&path, backup::seal(&other)).unwrap();
    let error = backup::load(&*target, &name(1)).unwrap_err();
    assert!(matches!(&error, BackupError::Parent(_)), "{error}");
    assert!(error.to_string().contains("not the backup that it was"), "{error}");
    fs::remove_file(&path).unwrap();
    assert!(matches!(backup::load(&*target, &name(1)), Err(BackupError::Parent(_))));
    let listed = backup::list(&*target).unwrap();
    assert_eq!((listed[0].state, listed[1].state), (State::Begun, State::Damaged));
    assert!(listed[1].problem.contains(&name(0)) && listed[1].manifest.is_none(), "{listed:?}");
    assert_eq!(backup::show(&*target, &name(1)).unwrap().state, State::Damaged);
    fs::write(&path, good).unwrap();
    assert_eq!(backup::list(&*target).unwrap()[1].state, State::Complete);
}

#[test]
fn what_does_not_fit_is_no_parent() {
    let (_place, target) = chain(1);
    let chain = Chain::load(&*target, &name(0)).unwrap();
    let refused = |change: &dyn Fn(&mut Begun), why: &str| {
        let mut begun = begun(1);
        change(&mut begun);
        match chain.link(&begun) {
            Err(BackupError::Parent(what)) => assert!(what.contains(why), "{what}"),
            other => panic!("not refused: {other:?}"),
        }
    };
    assert!(chain.link(&begun(1)).is_ok());
    refused(&|begun| begun.cluster = "d".into(), "of cluster c");
    refused(&|begun| begun.at_ms = 1, "a later time");
    refused(&|begun| begun.kinds = vec!["kv".into()], "all kinds of keys");
    refused(&|begun| begun.tables.clear(), "has the table kv, and this one has not");
    refused(&|begun| begun.tables[0].name = "other".into(), "has the table kv");
    refused(&|begun| drop(begun.tables[0].partitions.pop()), "had 3 partitions, and has 2");
    refused(&|begun| begun.tables[0].partitions[1].group = 99, "dropped and made anew");
    refused(&|begun| begun.tables[0].partitions[1].index = 1, "partition 1 of kv has gone back");
    let mut more = begun(1);
    more.tables.push(backup::TableRecord { name: "more".into(), ..more.tables[0].clone() });
    assert!(chain.link(&more).unwrap_err().to_string().contains("it has not the table more"));
}

#[test]
fn of_backups_of_one_second_the_older_one_comes_first() {
    let (_place, target) = place();
    for (chance, begun_ms) in [(9, 100), (3, 300), (5, 200)] {
        let id = backup::id(1_795_735_800_000, chance);
        backup::begin(&*target, &Begun { id, begun_ms, ..support::begun() }).unwrap();
    }
    let begun = backup::list(&*target).unwrap().into_iter().map(|listed| listed.begun.unwrap().begun_ms);
    assert_eq!(begun.collect::<Vec<_>>(), [100, 200, 300]);
}

#[test]
fn a_chain_has_an_end() {
    let (_place, target) = chain(BACKUP_CHAIN_MAX);
    let error = save(&*target, BACKUP_CHAIN_MAX).unwrap_err();
    assert!(error.to_string().contains("which is the most"), "{error}");
    assert_eq!(restored(&*target, BACKUP_CHAIN_MAX - 1).unwrap(), expected(BACKUP_CHAIN_MAX - 1));
}

#[test]
fn what_others_stand_on_is_not_removed() {
    let (place, target) = chain(4);
    match backup::delete(&*target, &name(1)) {
        Err(BackupError::Needed { id, needed_by }) => {
            assert_eq!((id, needed_by), (name(1), vec![name(3), name(2)]));
        }
        other => panic!("removed: {other:?}"),
    }
    assert!(backup::delete(&*target, &name(3)).is_ok());
    // One that is only begun stands as well.
    let mut begun = begun(4);
    begun.parent = Some(Chain::load(&*target, &name(2)).unwrap().link(&begun).unwrap());
    backup::begin(&*target, &begun).unwrap();
    assert_eq!(backup::dependants(&*target, &name(0)).unwrap(), [name(4), name(2), name(1)]);
    let removed = backup::delete_with_dependants(&*target, &name(1)).unwrap();
    let names: Vec<String> = removed.into_iter().map(|(id, _)| id).collect();
    assert_eq!(names, [name(4), name(2), name(1)]);
    check(&*target, 0).unwrap();
    backup::delete(&*target, &name(0)).unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
