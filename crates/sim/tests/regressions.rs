//! What the simulator once found, as small stories. Each failed before the bug was mended.

use sim::faults::Fault;
use sim::plan::{MILLI, Plan, SECOND};
use sim::world::World;

/// Seeds of each story: what lies between its faults is still left to chance.
const SEEDS: u64 = 10;

fn tell(name: &str, story: impl Fn(&mut Plan)) {
    for seed in 0..SEEDS {
        let mut plan = Plan::calm(seed);
        story(&mut plan);
        let outcome = World::new(plan, false).run();
        if let Some(violation) = outcome.violation {
            panic!("{name}, seed {seed}: {violation}");
        }
    }
}

/// The upkeep thread asked for the removal of a damaged replica several times while the engine stalled.
/// The second word took effect after the next replica had been made: it lost its log and its state, and
/// was made again under the same id.
#[test]
fn a_removal_behind_a_stalled_engine_does_not_hit_the_next_replica() {
    tell("removal", |plan| {
        plan.faults = vec![
            (10 * SECOND, Fault::Harm(1, 300 * MILLI)),
            (10 * SECOND + 100 * MILLI, Fault::SlowApply(1, 300 * MILLI, 9 * SECOND)),
            (25 * SECOND, Fault::Harm(1, 300 * MILLI)),
            (25 * SECOND + 100 * MILLI, Fault::SlowApply(1, 300 * MILLI, 9 * SECOND)),
        ];
    });
}

/// A node that does not replicate the catalog told only those whom its catalog named how it was, and had
/// none: so nobody sent it one.
#[test]
fn a_node_without_a_replica_of_the_catalog_is_sent_one() {
    tell("catalog copy", |plan| {
        (plan.nodes, plan.metas) = (5, 3);
        plan.clocks = vec![(1_000_000, 0); plan.nodes];
        plan.faults = vec![(20 * SECOND, Fault::PowerCut(4, SECOND)), (30 * SECOND, Fault::Kill(3, SECOND))];
    });
}
