//! Backups in a bucket: as it should be, and with a bucket that refuses, forgets to answer, is slow, full, or gone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use api::kv::{ContentKind, Contents, Piece};
use backup::target::Bucket;
use backup::{BackupError, State, Target};
use server::{Mood, Server};
use support::{ID, contents, is_good};

/// Bytes of a partition that goes up in several parts.
const LARGE: usize = 20 << 20;

fn bucket(server: &Server) -> Bucket {
    Bucket::with_variables("s3://b/backups/skein", &server.variables()).unwrap()
}

fn go_on(target: &dyn Target) -> Result<u32, BackupError> {
    support::go_on(target, &contents)
}

/// Values that do not compress, so many that the file has more than one part.
fn large(partition: u32) -> Vec<Contents> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 + u64::from(partition);
    let mut piece = |number: usize| {
        let words = (0..(512 << 10) / 8).flat_map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_le_bytes()
        });
        let value = words.collect::<Vec<u8>>().into();
        let key = format!("{partition}:{number}").into();
        Piece { key, kind: ContentKind::String as i32, value, ..Default::default() }
    };
    support::pages((0..LARGE / (512 << 10)).map(&mut piece).collect(), 1)
}

/// What stands in the bucket is none, or all of a backup.
fn is_none_or_good(target: &dyn Target) -> bool {
    match backup::list(target).unwrap().first().map(|listed| listed.state) {
        None | Some(State::Begun) => matches!(backup::load(target, ID), Err(BackupError::NoBackup(_))),
        Some(State::Complete) => is_good(target),
        Some(_) => false,
    }
}

#[test]
fn a_bucket_holds_a_backup_and_gives_it_back() {
    let server = Server::start();
    let target = bucket(&server);
    assert!(backup::list(&target).unwrap().is_empty());
    assert_eq!(support::go_on(&target, &large).unwrap(), 3);
    assert!(is_good(&target) && server.uploads() == 0);
    assert_eq!(support::go_on(&target, &large).unwrap(), 0, "nothing is done twice");
    assert!(matches!(target.put_new(&format!("{ID}/begun.json"), b"other"), Err(BackupError::Exists(_))));
    assert!(matches!(target.open("nothing"), Err(BackupError::Missing(_))));

    let file = server.names().into_iter().find(|name| name.ends_with(".skb")).unwrap();
    server.damage(&file);
    assert!(!is_good(&target));
    backup::delete(&target, ID).unwrap();
    assert!(server.names().is_empty());
}

#[test]
fn a_bucket_that_refuses_for_a_while_is_asked_again() {
    let server = Server::start();
    let target = bucket(&server);
    for status in ["500 Internal Server Error", "503 Slow Down"] {
        server.set(Mood { refused: Some((2, status)), ..Mood::default() });
        go_on(&target).unwrap();
        assert!(is_good(&target));
        backup::delete(&target, ID).unwrap();
    }
}

#[test]
fn what_is_stored_without_an_answer_is_stored_once() {
    let server = Server::start();
    let target = bucket(&server);
    // The first file of a backup must not be there: the one that the request itself has put is no other's.
    server.set(Mood { forgets_to_say: true, ..Mood::default() });
    go_on(&target).unwrap();
    assert!(is_good(&target));
    server.set(Mood { forgets_to_say: true, ..Mood::default() });
    target.put_new("new", b"bytes").unwrap();
    assert!(matches!(target.put_new("new", b"others"), Err(BackupError::Exists(_))));
}

#[test]
fn a_slow_bucket_only_takes_longer() {
    let server = Server::start();
    let target = bucket(&server);
    server.set(Mood { delay: Duration::from_millis(20), ..Mood::default() });
    go_on(&target).unwrap();
    assert!(is_good(&target));
}

#[test]
fn a_full_bucket_is_called_full_and_nothing_half_done_counts() {
    let server = Server::start();
    let target = bucket(&server);
    // In the middle of the second partition, whose file goes up in parts.
    server.set(Mood { room: Some(LARGE + (18 << 20)), ..Mood::default() });
    let error = support::go_on(&target, &large).unwrap_err();
    assert!(matches!(error, BackupError::Full { .. }), "{error:?}");
    assert!(is_none_or_good(&target) && server.uploads() == 0, "what was begun is given up");
    server.set(Mood::default());
    assert_eq!(support::go_on(&target, &large).unwrap(), 2, "the first is kept");
    assert!(is_good(&target));
}

#[test]
fn a_bucket_that_goes_away_anywhere_leaves_none_or_a_whole_one() {
    let server = Server::start();
    let target = bucket(&server);
    go_on(&target).unwrap();
    let all = server.requests();
    backup::delete(&target, ID).unwrap();
    for requests in 0..all {
        // Refused at once: what would be asked again is another test.
        server.set(Mood { well_for: Some((requests, "403 Forbidden")), ..Mood::default() });
        let broken = go_on(&target);
        server.set(Mood::default());
        assert!(is_none_or_good(&target), "after {requests} requests: {broken:?}");
        if let Err(error) = broken {
            assert!(matches!(error, BackupError::Target { .. }), "{error:?}");
            go_on(&target).unwrap();
            assert!(is_good(&target));
        }
        backup::delete(&target, ID).unwrap();
    }
}

#[test]
fn a_bucket_that_goes_away_while_it_is_read_is_no_damage() {
    let server = Server::start();
    let target = bucket(&server);
    go_on(&target).unwrap();
    let manifest = backup::load(&target, ID).unwrap();
    server.set(Mood { well_for: Some((1, "403 Forbidden")), ..Mood::default() });
    let table = &manifest.begun.tables[0];
    let read = backup::read::FileContents::open(&target, &manifest, table, &table.partitions[0], 0);
    let error = match read.and_then(|mut file| file.next_block()) {
        Err(error) => error,
        Ok(_) => panic!("it is away"),
    };
    assert!(matches!(error, BackupError::Target { .. }), "{error:?}");
}
