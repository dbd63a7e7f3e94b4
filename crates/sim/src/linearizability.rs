//! Is a history linearizable? Each key by itself, because keys are independent objects.
//!
//! A history is linearizable when every operation can be given one moment between its call and its
//! return, such that the replies are those of the operations carried out one after the other. The search
//! goes through the calls and returns of a key in order of time and keeps a *frontier*: every way the
//! world could be at this moment.
//!
//! ```text
//!   A: SET 1  ├──────────┤                      calls open a window, returns close it
//!   B: SET 2      ├───────────────┤
//!   C: GET → 1          ├────────────┤
//!                        ▲        ▲  ▲
//!            A returns: {1}·A     B  C   each return must find, in some way to be, a moment for
//!                      {2}·AB            the operation; ways that have none are dropped
//!                      {1}·BA            no way left: not linearizable
//! ```
//!
//! A *way to be* is the value of the key, which of the open operations have happened, and which
//! operations of unknown outcome were used up. An operation is given its moment only when somebody's
//! return needs one (Lowe, "Testing for linearizability", 2017); that is complete, because moments can be
//! moved later as long as no return lies between.
//!
//! Four rules keep the ways few. An operation whose reply says that it changed nothing happens as soon as
//! the value fits, because having happened binds nobody. Unknown outcomes stay open for ever, which is what
//! makes searches explode: one that would change nothing is not tried; of several alike only the first is;
//! and a way that has used up more unknown operations than another one, and is equal otherwise, is dropped,
//! because whatever follows from it follows from the other as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::history::{Call, Effect, Operation, Outcome, Reply, Text};

/// Ways to be that may be looked at for one key. A history that needs more is reported, not believed.
const STEPS_MAX: u64 = 200_000_000;
/// Operations shown with a violation.
const SHOWN_BEFORE: usize = 12;

/// Why a history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key.
    pub key: Vec<u8>,
    /// The operation that has no moment, and what could have been.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", String::from_utf8_lossy(&self.key), self.detail)
    }
}

impl std::error::Error for Violation {}

/// Checks a whole history; its operations may be in any order.
///
/// # Errors
/// The first key, in order, whose operations cannot be put in a row.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    let mut keys: BTreeMap<&[u8], Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        // Unknown reads had no effect that anybody could see, and refused calls had none at all.
        let counts = match operation.outcome {
            Outcome::Returned(..) => operation.call != Call::Version,
            Outcome::Unknown => operation.call.is_write(),
            Outcome::Refused => false,
        };
        if counts {
            keys.entry(&operation.key).or_default().push(operation);
        }
    }
    keys.into_iter().try_for_each(|(key, operations)| Search::new(&operations).run(key))
}

/// Something in the life of an operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Sorts before a return of the same time: operations that touch overlap.
    Call,
    Return,
}

/// One way the world could be. `done` holds the open operations that have happened, in order of their
/// number; `used` the operations of unknown outcome, as bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    value: u32,
    done: Vec<u32>,
    used: Vec<u64>,
}

/// Ways to be, of which none is dominated by another.
#[derive(Default)]
struct Frontier(BTreeMap<(u32, Vec<u32>), Vec<Vec<u64>>>);

struct Search<'a> {
    operations: &'a [&'a Operation],
    /// Values that occur, by number.
    values: Vec<Option<Vec<u8>>>,
    numbers: BTreeMap<Option<Vec<u8>>, u32>,
    /// Open operations with a known reply, which may change the value.
    open: Vec<u32>,
    /// Open operations whose reply says that they changed nothing.
    observers: Vec<u32>,
    /// Open operations of unknown outcome: number, bit, and which of them are alike.
    unknown: Vec<(u32, usize, usize)>,
    alike: BTreeMap<&'a Call, usize>,
    steps: u64,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [&'a Operation]) -> Self {
        Self {
            operations,
            values: vec![None],
            numbers: BTreeMap::from([(None, 0)]),
            open: Vec::new(),
            observers: Vec::new(),
            unknown: Vec::new(),
            alike: BTreeMap::new(),
            steps: 0,
        }
    }

    fn run(mut self, key: &[u8]) -> Result<(), Violation> {
        let mut timeline = Vec::with_capacity(2 * self.operations.len());
        for (number, operation) in self.operations.iter().enumerate() {
            timeline.push((operation.invoked, Step::Call, number as u32));
            if let Outcome::Returned(at, _) = &operation.outcome {
                timeline.push(((*at).max(operation.invoked), Step::Return, number as u32));
            }
        }
        timeline.sort_unstable();
        let mut frontier = Frontier::default();
        frontier.add(Way { value: 0, done: Vec::new(), used: Vec::new() });
        for (_, step, number) in timeline {
            let operation = self.operations[number as usize];
            match (step, &operation.outcome) {
                (Step::Call, Outcome::Returned(_, reply)) => {
                    if is_observer(&operation.call, reply) {
                        self.observers.push(number);
                        frontier = self.settled(&frontier);
                    } else {
                        self.open.push(number);
                    }
                }
                (Step::Call, _) => {
                    let next = self.alike.len();
                    let class = *self.alike.entry(&operation.call).or_insert(next);
                    self.unknown.push((number, self.unknown.len(), class));
                }
                (Step::Return, _) => {
                    let before = frontier;
                    frontier = self.return_of(number, &before);
                    self.open.retain(|open| *open != number);
                    self.observers.retain(|open| *open != number);
                    if frontier.0.is_empty() || self.steps > STEPS_MAX {
                        let detail = self.explain(number, &before);
                        return Err(Violation { key: key.to_vec(), detail });
                    }
                }
            }
        }
        Ok(())
    }

    /// The ways to be after an operation has returned: in each it has happened by now.
    fn return_of(&mut self, number: u32, before: &Frontier) -> Frontier {
        let mut after = Frontier::default();
        let mut seen = Frontier::default();
        let mut queue = Vec::new();
        for mut way in before.ways() {
            match way.done.binary_search(&number) {
                Ok(place) => {
                    way.done.remove(place);
                    after.add(way);
                }
                Err(_) => {
                    if seen.add(way.clone()) {
                        queue.push(way);
                    }
                }
            }
        }
        // Those that used up less come first, so that they dominate the others in time.
        let mut next = 0;
        while next < queue.len() && self.steps <= STEPS_MAX {
            let way = queue[next].clone();
            next += 1;
            self.steps += 1;
            if let Some(value) = self.carry_out(number, way.value) {
                let after_it = self.settle(Way { value, ..way.clone() }, number);
                after.add(after_it);
                if self.is_determined(number, &way) {
                    continue;
                }
            }
            for other in self.successors(number, &way) {
                if seen.add(other.clone()) {
                    queue.push(other);
                }
            }
        }
        after
    }

    /// Whether an operation that fits leads to one value, whatever unknown operations came before it, and
    /// nothing else is open: then all other ways through it have only used up more.
    fn is_determined(&self, number: u32, way: &Way) -> bool {
        let mut others = self.open.iter().chain(&self.observers).filter(|other| **other != number);
        // Of these the value afterwards depends on the one before.
        let blurred = match &self.operations[number as usize].call {
            Call::Append(_) | Call::Push(_) | Call::TakeMoved | Call::Join(_) => true,
            call => matches!(call, Call::Take { .. } | Call::Move { .. }),
        };
        !blurred && others.all(|other| way.done.contains(other))
    }

    /// The ways to be after one more open operation than `way`, which is not `number`.
    fn successors(&mut self, number: u32, way: &Way) -> Vec<Way> {
        let mut found = Vec::new();
        for place in 0..self.open.len() {
            let other = self.open[place];
            if other == number || way.done.contains(&other) {
                continue;
            }
            if let Some(value) = self.carry_out(other, way.value) {
                let mut next = Way { value, ..way.clone() };
                next.insert(other);
                found.push(self.settle(next, number));
            }
        }
        let mut tried = BTreeSet::new();
        for place in 0..self.unknown.len() {
            let (other, bit, class) = self.unknown[place];
            if is_used(&way.used, bit) || !tried.insert(class) {
                continue;
            }
            match self.carry_out(other, way.value) {
                Some(value) if value != way.value => {
                    let mut used = way.used.clone();
                    if used.len() <= bit / 64 {
                        used.resize(bit / 64 + 1, 0);
                    }
                    used[bit / 64] |= 1 << (bit % 64);
                    found.push(self.settle(Way { value, done: way.done.clone(), used }, number));
                }
                _ => {}
            }
        }
        found
    }

    /// Every way, with the observers that fit its value.
    fn settled(&mut self, frontier: &Frontier) -> Frontier {
        let mut settled = Frontier::default();
        for way in frontier.ways() {
            let way = self.settle(way, u32::MAX);
            settled.add(way);
        }
        settled
    }

    /// Lets all observers happen that fit the value, but not `except`, which is just returning.
    fn settle(&mut self, mut way: Way, except: u32) -> Way {
        for place in 0..self.observers.len() {
            let observer = self.observers[place];
            if observer != except
                && !way.done.contains(&observer)
                && self.carry_out(observer, way.value).is_some()
            {
                way.insert(observer);
            }
        }
        way
    }

    /// The value after an operation, if its reply is the one that its client got.
    fn carry_out(&mut self, number: u32, value: u32) -> Option<u32> {
        let operation = self.operations[number as usize];
        let (effect, reply) = operation.call.apply(self.values[value as usize].as_deref());
        if let Outcome::Returned(_, told) = &operation.outcome
            && *told != reply
        {
            return None;
        }
        Some(match effect {
            Effect::None => value,
            Effect::Becomes(new) => match self.numbers.get(&new) {
                Some(number) => *number,
                None => {
                    let number = self.values.len() as u32;
                    self.values.push(new.clone());
                    self.numbers.insert(new, number);
                    number
                }
            },
        })
    }

    fn explain(&self, number: u32, before: &Frontier) -> String {
        if self.steps > STEPS_MAX {
            return format!("undecided after {STEPS_MAX} steps; too many outcomes are unknown");
        }
        let operation = self.operations[number as usize];
        let values: BTreeSet<u32> = before.0.keys().map(|(value, _)| *value).collect();
        let values: Vec<String> = values.iter().take(8).map(|value| self.shown(*value)).collect();
        let mut lines =
            vec![format!("{operation} has no moment; the value could be {}", values.join(" or "))];
        let mut others: Vec<&&Operation> =
            self.operations.iter().filter(|other| other.invoked <= returned(operation)).collect();
        others.sort_by_key(|other| returned(other));
        let unknown = others.iter().filter(|other| other.outcome == Outcome::Unknown);
        lines.extend(unknown.map(|other| format!("  open: {other}")));
        let known: Vec<_> = others.iter().filter(|other| other.outcome != Outcome::Unknown).collect();
        let from = known.len().saturating_sub(SHOWN_BEFORE);
        lines.extend(known[from..].iter().map(|other| format!("  {other}")));
        lines.join("\n")
    }

    fn shown(&self, value: u32) -> String {
        match &self.values[value as usize] {
            Some(bytes) => Text(bytes).to_string(),
            None => Reply::Value(None).to_string(),
        }
    }
}

impl Way {
    fn insert(&mut self, number: u32) {
        let at = self.done.partition_point(|done| *done < number);
        self.done.insert(at, number);
    }
}

/// Whether the reply of a call says that it changed nothing.
fn is_observer(call: &Call, reply: &Reply) -> bool {
    matches!(
        (call, reply),
        (Call::Get | Call::Lists | Call::Members, _)
            | (Call::SetIfAbsent(_), Reply::NotStored)
            | (Call::Remove | Call::Leave, Reply::Number(0))
            | (Call::Take { .. } | Call::Move { .. } | Call::TakeMoved, Reply::Value(None))
            | (Call::Add(_), Reply::NotANumber)
    )
}

impl Frontier {
    /// Adds a way to be unless another is as good; drops those that it makes needless.
    fn add(&mut self, way: Way) -> bool {
        let equal = self.0.entry((way.value, way.done)).or_default();
        if equal.iter().any(|used| is_part(used, &way.used)) {
            return false;
        }
        equal.retain(|used| !is_part(&way.used, used));
        equal.push(way.used);
        true
    }

    fn ways(&self) -> impl Iterator<Item = Way> + '_ {
        self.0.iter().flat_map(|((value, done), all)| {
            all.iter().map(|used| Way { value: *value, done: done.clone(), used: used.clone() })
        })
    }
}

fn is_used(used: &[u64], bit: usize) -> bool {
    used.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
}

/// Whether everything used in `part` is used in `whole` as well.
fn is_part(part: &[u64], whole: &[u64]) -> bool {
    part.iter().enumerate().all(|(place, word)| word & !whole.get(place).copied().unwrap_or(0) == 0)
}

fn returned(operation: &Operation) -> u64 {
    match operation.outcome {
        Outcome::Returned(at, _) => at,
        Outcome::Unknown | Outcome::Refused => operation.invoked,
    }
}

#[cfg(test)]
mod tests;
