//! What the simulator once found, as small stories. Each failed before the bug was mended.

use sim::faults::Fault;
use sim::plan::{MILLI, Plan, SECOND};
use sim::world::{Outcome, World};

/// Seeds of each story: what lies between its faults is still left to chance.
const SEEDS: u64 = 10;

fn tell(name: &str, story: impl Fn(&mut Plan)) -> Vec<Outcome> {
    let one = |seed| {
        let mut plan = Plan::calm(seed);
        story(&mut plan);
        let outcome = World::new(plan, false).run();
        if let Some(violation) = outcome.violation {
            panic!("{name}, seed {seed}: {violation}");
        }
        outcome
    };
    (0..SEEDS).map(one).collect()
}

/// While a leader is paused its node is silent, and the others have elected another within a second. Gateways
/// went on asking the silent one, each call for a second, although their own replica had heard of the election.
/// Altogether clients waited 219 s in these stories, and now 134.
#[test]
fn a_paused_leader_is_waited_for_as_long_as_an_election_takes() {
    let outcomes = tell("pauses", |plan| {
        plan.clients = 12;
        let pause = |node: usize| ((10 + 10 * node as u64) * SECOND, Fault::Pause(node, 6 * SECOND));
        plan.faults = (0..3).map(pause).collect();
    });
    let waited: u64 = outcomes.iter().map(|outcome| outcome.waited / SECOND).sum();
    assert!(waited < 170, "{waited} s");
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
