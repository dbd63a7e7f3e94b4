//! A lost majority, as stories: two followers are gone for longer than anybody waits, and their leader goes on alone.
//!
//! Whoever led has everything that was acknowledged, so in these stories nothing may be lost, and all checkers hold.

use sim::coverage::steps::Steps;
use sim::faults::Fault;
use sim::operator::{Command, Wish};
use sim::plan::{MILLI, Plan, SECOND};
use sim::world::World;

const KIND: &str = "recover-quorum";
/// Seeds of each story.
const SEEDS: u64 = 5;

/// Tells a story with each seed; returns how often the survivor went on alone.
fn tell(name: &str, story: impl Fn(&mut Plan)) -> u64 {
    tell_often(name, SEEDS, story).passed(KIND, "take-over")
}

/// Tells a story with so many seeds; returns what operations went through.
fn tell_often(name: &str, seeds: u64, story: impl Fn(&mut Plan)) -> Steps {
    let mut steps = Steps::default();
    for seed in 0..seeds {
        let mut plan = Plan::calm(seed);
        (plan.nodes, plan.metas) = (5, 5);
        plan.clocks = vec![(1_000_000, 0); plan.nodes];
        (plan.partitions, plan.replicas) = (1, 3);
        let wish = Wish { kind: KIND, table: "default", from: 0, to: 0 };
        // Refused until the lost count as down.
        plan.commands = (11..20).map(|second| (second * SECOND, Command::Ask(wish))).collect();
        story(&mut plan);
        let outcome = World::new(plan, false).run();
        if let Some(violation) = outcome.violation {
            panic!("{name}, seed {seed}: {violation}");
        }
        let taken_over = outcome.coverage.steps.passed(KIND, "take-over");
        assert!(taken_over <= 1, "{name}, seed {seed}");
        steps.add(&outcome.coverage.steps);
    }
    steps
}

#[test]
fn the_leader_goes_on_alone_and_the_others_come_back() {
    let alone = tell("others return", |plan| {
        plan.faults =
            vec![(10 * SECOND, Fault::Kill(1, 20 * SECOND)), (10 * SECOND, Fault::Kill(2, 20 * SECOND))];
    });
    assert_eq!(alone, SEEDS);
}

#[test]
fn the_survivor_loses_power_on_the_way() {
    let alone = tell("power cut", |plan| {
        plan.faults = vec![
            (10 * SECOND, Fault::Kill(1, 20 * SECOND)),
            (10 * SECOND, Fault::Kill(2, 20 * SECOND)),
            (17 * SECOND, Fault::PowerCut(0, SECOND)),
        ];
    });
    assert_eq!(alone, SEEDS);
}

#[test]
fn the_lost_come_back_in_the_very_moment() {
    // They were down for as long as it takes to count as lost; then they start beside the survivor, with an old
    // catalog and a majority of what was. Some are back before it is done, and then there is nothing to do.
    let mut alone = 0;
    for more in [0, 100, 200, 300, 500, 800] {
        let down = 6 * SECOND + more * MILLI;
        alone += tell("at once", |plan| {
            plan.faults = vec![(10 * SECOND, Fault::Kill(1, down)), (10 * SECOND, Fault::Kill(2, down))];
        });
    }
    assert!(alone > 0);
}

#[test]
fn the_leader_of_the_catalog_dies_next_to_every_step() {
    // In random runs it does so next to the steps of all other operations.
    let steps = tell_often("the catalog's leader", 8 * SEEDS, |plan| {
        plan.faults =
            vec![(10 * SECOND, Fault::Kill(1, 30 * SECOND)), (10 * SECOND, Fault::Kill(2, 30 * SECOND))];
        plan.crashes_at_steps = 300;
    });
    // For one partition it has no parts.
    let boundaries = steps.boundaries_of(KIND).into_iter().filter(|(step, _)| *step != "parts");
    for (step, [passed, before, after]) in boundaries {
        assert!(passed > 0 && before > 0 && after > 0, "{step}: {passed}, {before}, {after}");
    }
}
