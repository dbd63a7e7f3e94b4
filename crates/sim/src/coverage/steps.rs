//! Which steps of which operations were entered, and next to which of them the node that leads the catalog died.

use std::collections::BTreeMap;

use api::operation::{OperationRecord, OperationState};

/// Those that random runs do not carry out, because the checkers do not know what they give up, or because a worker
/// outside of the simulator does them: counted, and not missed where they never happened.
const NOT_AT_RANDOM: [&str; 4] = ["recover-quorum", "backup", "drill", "restore"];

/// Steps that a kind does not come to: nothing is to be waited for, or nobody can ask for several at once.
const NEVER: [Boundary; 3] = [("undrain", "parts"), ("offline-replica", "parts"), ("compact", "parts")];

/// Ends and turns that any operation can take.
const ANY: [&str; 3] = ["cancelling", "cancelled", "failed"];

/// What happened at a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It was passed.
    Passed = 0,
    /// The leader of the catalog died, or was cut off, right before the command was committed.
    DiedBefore = 1,
    /// ... right after it was committed.
    DiedAfter = 2,
}

/// A kind of operation and the step that is entered, or the end that is reached.
type Boundary = (&'static str, &'static str);

/// Counts by boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(BTreeMap<Boundary, [u64; 3]>);

impl Steps {
    /// Notes what happened at the boundary that this record is at.
    pub fn note(&mut self, record: &OperationRecord, at: At) {
        let kind = kind_name(record);
        let Some((_, steps)) = ops::courses().into_iter().find(|(name, _)| *name == kind) else { return };
        for label in labels(record) {
            let known = steps.iter().chain([&"done"]).find(|step| **step == label).map(|step| (kind, *step));
            let any = || ANY.iter().find(|any| **any == label).map(|any| ("any operation", *any));
            if let Some(boundary) = known.or_else(any) {
                self.0.entry(boundary).or_default()[at as usize] += 1;
            }
        }
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Steps) {
        for (name, counts) in &other.0 {
            let known = self.0.entry(*name).or_default();
            known.iter_mut().zip(counts).for_each(|(known, count)| *known += count);
        }
    }

    /// How often a step of a kind was entered.
    pub fn passed(&self, kind: &'static str, step: &'static str) -> u64 {
        self.0.get(&(kind, step)).map_or(0, |counts| counts[At::Passed as usize])
    }

    /// Every boundary that random runs must reach, with its counts by [`At`].
    pub fn boundaries(&self) -> Vec<(Boundary, [u64; 3])> {
        let at_random = of_kinds(|kind| !NOT_AT_RANDOM.contains(&kind));
        let any = ANY.iter().map(|label| ("any operation", *label));
        at_random.chain(any).map(|boundary| (boundary, self.counts(&boundary))).collect()
    }

    /// Every boundary of one kind, with its counts by [`At`].
    pub fn boundaries_of(&self, kind: &str) -> Vec<(&'static str, [u64; 3])> {
        of_kinds(|known| known == kind).map(|boundary| (boundary.1, self.counts(&boundary))).collect()
    }

    fn counts(&self, boundary: &Boundary) -> [u64; 3] {
        self.0.get(boundary).copied().unwrap_or_default()
    }

    /// The boundaries as a table with a line for each.
    pub fn table(&self) -> String {
        let line = |kind: &str, step: &str, counts: [&str; 3]| {
            let [passed, before, after] = counts;
            format!("{kind:<16} {step:<10} {passed:>9} {before:>12} {after:>12}\n")
        };
        let head = line("operation", "boundary", ["passed", "died before", "died after"]);
        let lines = self.boundaries().into_iter().map(|((kind, step), counts)| {
            let shown = counts.map(|count| count.to_string());
            line(kind, step, shown.each_ref().map(String::as_str))
        });
        [head].into_iter().chain(lines).collect()
    }

    /// What no run has come to, a sentence each.
    pub fn holes(&self) -> Vec<String> {
        const HOW: [&str; 3] =
            ["was never passed", "no leader died right before it", "no leader died right after it"];
        let holes = |((kind, step), counts): (Boundary, [u64; 3])| {
            let missing = counts.into_iter().zip(HOW).filter(|(count, _)| *count == 0);
            missing.map(|(_, how)| format!("{kind}, {step}: {how}")).collect::<Vec<_>>()
        };
        self.boundaries().into_iter().flat_map(holes).collect()
    }
}

/// The boundaries that kinds can come to.
fn of_kinds(is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Boundary> {
    let wanted = ops::courses().into_iter().filter(move |(kind, _)| is_wanted(kind));
    let boundaries =
        wanted.flat_map(|(kind, steps)| steps.into_iter().chain(["done"]).map(move |step| (kind, step)));
    boundaries.filter(|boundary| !NEVER.contains(boundary))
}

/// What a record has come to with its last change.
fn labels(record: &OperationRecord) -> Vec<&str> {
    match record.state() {
        OperationState::Queued => Vec::new(),
        OperationState::Done => vec!["done"],
        OperationState::Failed => vec!["failed"],
        OperationState::Cancelled => vec!["cancelled"],
        OperationState::Running => {
            let step = record.steps.get(record.step as usize).map(|step| step.name.as_str());
            let cancelling = record.cancelling.then_some("cancelling");
            step.into_iter().chain(cancelling).collect()
        }
    }
}

/// The name of an operation's kind.
pub fn kind_name(record: &OperationRecord) -> &'static str {
    record.kind.as_ref().map_or("", ops::kind_name)
}
