//! A backup that breaks off anywhere is never taken for a good one, and goes on where it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use backup::{BackupError, State, Target};
use proptest::prelude::*;
use support::breaking::Breaking;
use support::{ID, contents, is_good};

fn go_on(target: &dyn Target) -> Result<u32, BackupError> {
    support::go_on(target, &contents)
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
}
