//! A backup that breaks off anywhere is never taken for a good one, and goes on where it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use api::kv::Contents;
use backup::{BackupError, Begun, Chain, State, Target};
use proptest::prelude::*;
use support::breaking::Breaking;
use support::{ID, contents, is_good, is_good_of};

fn go_on(target: &dyn Target) -> Result<u32, BackupError> {
    support::go_on(target, &contents)
}

/// A backup that stands on that.
const INCREMENT: &str = "20261127T000000Z-5c1d9a";

/// What the partitions hold a while later: some keys were changed, and some are gone.
fn later(partition: u32) -> Vec<Contents> {
    let mut pieces: Vec<_> = contents(partition).into_iter().flat_map(|page| page.pieces).collect();
    pieces.retain(|piece| !piece.key.ends_with(b"3"));
    for piece in pieces.iter_mut().filter(|piece| piece.key.ends_with(b"1")) {
        (piece.version, piece.value) = (8, "later".into());
    }
    support::pages(pieces, 2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..Default::default() })]

    #[test]
    fn what_broke_off_is_none_and_goes_on(breaks in prop::collection::vec(0_u64..90, 1..4)) {
        let place = tempfile::TempDir::new().unwrap();
        let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
        for after in breaks {
            let ended = go_on(&Breaking::after(&target, after));
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

    #[test]
    fn an_increment_that_broke_off_is_none_and_goes_on(breaks in prop::collection::vec(0_u64..140, 1..4)) {
        let place = tempfile::TempDir::new().unwrap();
        let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
        go_on(&*target).unwrap();
        let mut wished = Begun { id: INCREMENT.into(), at_ms: 9, ..support::begun() };
        wished.parent = Some(Chain::load(&*target, ID).unwrap().link(&wished).unwrap());
        for after in breaks {
            let ended = support::go_on_with(&Breaking::after(&target, after), &wished, &later);
            match backup::load(&*target, INCREMENT) {
                Ok(_) => prop_assert!(is_good_of(&*target, INCREMENT)),
                Err(BackupError::NoBackup(_)) => prop_assert!(ended.is_err()),
                Err(error) => prop_assert!(false, "{}", error),
            }
            prop_assert!(is_good(&*target), "what it stands on is left alone");
        }
        support::go_on_with(&*target, &wished, &later).unwrap();
        prop_assert!(is_good_of(&*target, INCREMENT));
        let manifest = backup::load(&*target, INCREMENT).unwrap();
        // Of keys 0 to 11 of each partition 1 and 11 were changed, and 3 is gone.
        prop_assert_eq!((manifest.sum.keys, manifest.saved_keys(), manifest.gone()), (33, 6, 3));
        prop_assert_eq!(support::go_on_with(&*target, &wished, &later).unwrap(), 0, "nothing is done twice");
    }
}
