//! Random histories of writes, cuts, reclaims, restarts, power cuts and failing disks.

use proptest::prelude::*;

use super::history::{History, Part, Step};
use super::small;
use crate::model::Fault;

const GROUPS: u64 = 4;

fn part() -> impl Strategy<Value = Part> {
    let group = 0..GROUPS;
    prop_oneof![
        12 => (group.clone(), prop_oneof![4 => Just(0), 1 => 0u8..9], 0u8..5, prop_oneof![
            8 => 0u16..300,
            1 => 0u16..6000,
        ])
            .prop_map(|(group, overlap, count, bytes)| Part::Append { group, overlap, count, bytes }),
        1 => (group.clone(), 0u8..40).prop_map(|(group, index)| Part::Reset { group, index }),
        1 => group.clone().prop_map(|group| Part::Delete { group }),
        3 => (group, 0u8..60).prop_map(|(group, bytes)| Part::Record { group, bytes }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![2 => Just(Fault::PowerOff), 1 => Just(Fault::Broken), 1 => Just(Fault::Full)];
    prop_oneof![
        20 => (proptest::collection::vec(part(), 1..4), any::<bool>())
            .prop_map(|(parts, sync)| Step::Write { parts, sync }),
        4 => (0..GROUPS, any::<u8>()).prop_map(|(group, part)| Step::Cut { group, part }),
        5 => Just(Step::Reclaim),
        1 => Just(Step::Restart),
        2 => (any::<u64>(), proptest::option::of(0u8..12))
            .prop_map(|(seed, again)| Step::PowerCut { seed, again }),
        1 => (0u8..30, fault).prop_map(|(after, fault)| Step::Inject { after, fault }),
        1 => proptest::option::of(0u16..6000).prop_map(|bytes| Step::Room { bytes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_the_log_is_what_the_model_allows(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut history = History::new(small());
        for step in &steps {
            if let Err(wrong) = history.step(step) {
                return Err(TestCaseError::fail(wrong));
            }
        }
        prop_assert_eq!(history.step(&Step::PowerCut { seed: 1, again: None }), Ok(()));
    }
}
