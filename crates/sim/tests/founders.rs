//! Tables made while nodes are down, as stories: their groups begin all the same, and never twice.

use catalog::mutants::Mutant;
use sim::bugs::{self, Bug};
use sim::faults::Fault;
use sim::operator::Command;
use sim::plan::{MILLI, Plan, SECOND};
use sim::world::{Outcome, World};

/// Seeds of each story.
const SEEDS: u64 = 8;

/// Five nodes of which the first three keep the catalog; a table is made at ten seconds, and others after it.
fn tell(seed: u64, story: impl Fn(&mut Plan)) -> Outcome {
    let mut plan = Plan::calm(seed);
    (plan.nodes, plan.metas) = (5, 3);
    plan.clocks = vec![(1_000_000, 0); plan.nodes];
    plan.commands = (0..4).map(|number| (10 * SECOND + number * 20 * MILLI, Command::Create)).collect();
    story(&mut plan);
    World::new(plan, false).run()
}

#[test]
fn a_table_made_while_nodes_are_down_begins() {
    let mut chosen = 0;
    for seed in 0..SEEDS {
        let outcome = tell(seed, |plan| {
            let down = |node| (9 * SECOND, Fault::PowerCut(node, 25 * SECOND));
            plan.faults = vec![down(3), down(4)];
        });
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
        assert!(outcome.coverage.tables_made > 0, "seed {seed}");
        chosen += outcome.coverage.founders_chosen;
    }
    assert!(chosen > SEEDS, "{chosen}");
}

/// Two nodes hear of the tables and make their founders, and nobody but themselves hears of it.
fn founders_are_not_heard(seed: u64) -> Outcome {
    tell(seed, |plan| {
        // They follow the catalog's log, which comes in.
        plan.metas = 5;
        let ways = [3, 4].into_iter().flat_map(|from| (0..3).map(move |to| (from, to)));
        let silent = |(from, to)| (10 * SECOND - MILLI, Fault::OneWay(from, to, 25 * SECOND));
        plan.faults = ways.map(silent).collect();
    })
}

#[test]
fn founders_that_are_not_heard_do_not_begin_by_themselves() {
    let mut chosen = 0;
    for seed in 0..SEEDS {
        let outcome = founders_are_not_heard(seed);
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
        chosen += outcome.coverage.founders_chosen;
    }
    assert!(chosen > 0);
}

#[test]
fn founders_that_did_would_be_seen() {
    bugs::plant(Some(Bug::Laws(Mutant::BegunTooEarly)));
    let seen = (0..SEEDS).any(|seed| founders_are_not_heard(seed).violation.is_some());
    bugs::plant(None);
    assert!(seen);
}
