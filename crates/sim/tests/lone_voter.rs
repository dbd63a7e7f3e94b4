//! A group with a single voter and a learner, as stories: what the voter says of a term outlives a power cut.

use replication::mutants::Mutant;
use sim::bugs::{self, Bug};
use sim::faults::Fault;
use sim::operator::{Command, Wish};
use sim::plan::{MILLI, Plan, SECOND};
use sim::world::{Outcome, World};

/// Moments of the second power cut, in the time in which the voter begins its next term.
const MOMENTS: u64 = 24;

/// The only voter of a partition that is being moved loses power twice, and the disk of its log is slow: the second
/// time it may lead already in a term that is not on its disk.
fn power_is_lost_twice(moment: u64) -> Outcome {
    let mut plan = Plan::calm(moment);
    (plan.nodes, plan.metas) = (4, 3);
    plan.clocks = vec![(1_000_000, 0); plan.nodes];
    (plan.partitions, plan.replicas) = (1, 1);
    plan.crashes_at_steps = 0;
    let wish = Wish { kind: "migrate", table: "default", from: 0, to: 0 };
    plan.commands = vec![(10 * SECOND, Command::Ask(wish))];
    let again = 12 * SECOND + moment * 75 * MILLI;
    plan.faults = vec![
        (10 * SECOND + 150 * MILLI, Fault::PowerCut(0, SECOND)),
        (10 * SECOND + 200 * MILLI, Fault::SlowDisk(0, 400 * MILLI, 4 * SECOND)),
        (again, Fault::PowerCut(0, SECOND)),
    ];
    World::new(plan, false).run()
}

#[test]
fn a_term_that_was_not_written_was_not_spoken_of() {
    let mut moved = 0;
    for moment in 0..MOMENTS {
        let outcome = power_is_lost_twice(moment);
        assert!(outcome.violation.is_none(), "moment {moment}: {:?}", outcome.violation);
        moved += outcome.coverage.steps.passed("migrate", "done");
    }
    assert_eq!(moved, MOMENTS);
}

#[test]
fn a_voter_that_spoke_of_it_would_be_seen() {
    bugs::plant(Some(Bug::Drive(Mutant::TermSpokenBeforeFsync)));
    let seen = (0..MOMENTS).any(|moment| power_is_lost_twice(moment).violation.is_some());
    bugs::plant(None);
    assert!(seen);
}
