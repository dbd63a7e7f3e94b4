//! Sorted sets: members in order of their scores.
//!
//! # The parts
//!
//! A *place* is a score and a member: 8 bytes that sort as the score does, then the member. Places sort as Redis
//! sorts members. A sorted set has three kinds of parts:
//!
//! ```text
//!   sub-key                              value
//!   m │ position 6 bytes │ member        version u64 │ score f64 bits      what is the score of a member?
//!   s │ place                            empty                             which members lie between two places?
//!   i │ level u8 │ separator             members and separators            how many lie before a place?
//!                                        of runs or nodes; see `node`
//! ```
//!
//! # The index
//!
//! A rank is a number of members, and counting them one by one would take as long as the set is large. So members are
//! counted in **runs** of at most [`index::RUN_MEMBERS_MAX`], runs in nodes of at most [`index::NODE_ENTRIES_MAX`] entries, nodes
//! in nodes above them, up to one node. The key's record says how many levels there are.
//!
//! ```text
//!   i2  ""    │ "" 9 │ m 5 │                       entries: separator and number of members
//!                 │     └────────────────┐
//!   i1  ""    │ "" 4 │ f 2 │ h 3 │   m   │ m 3 │ t 2 │
//!                 │     │     │             │     │
//!   s         a b c e   f g   h k l         m n q   t v
//! ```
//!
//! A run covers the places from its own, its *separator*, up to the next one. The rank of `k` is what stands before
//! it in each node on the way down, nothing and 4 + 2, and in its run, 1. The member at a rank is found the same way
//! downwards. Both get one node on each level and walk past half a run; a million members have four levels.
//!
//! - A separator is as short as possible: it need not be a place that exists, only lie between two that do.
//! - The first entry of a node covers everything from where the node begins, whatever its separator, which then is
//!   only a name. So an entry can be removed without a change to its neighbours.
//! - A run or node that has become too large is divided. One that is empty is removed. Small ones are left alone: they
//!   cost little, and merging them would make removals dear (T. Johnson, D. Shasha: "B-trees with inserts and deletes:
//!   why free-at-empty is better than merge-at-half", 1993).
//! - A node is one record, and not a record for each entry: the numbers near the top change with every write, and a
//!   log-structured store keeps old values for a while. Getting a record does not meet them, walking through a range does.
//! - For the same reason the key's record knows the first and the last place (see `root`): a queue's front is a field
//!   of graves.
//! - Sets of few members have no index; their members are counted.
//!
//! The index is part of the state that replicas must have in common, so it follows from the requests alone.
//! `check` says what must hold of it.

mod add;
mod bounds;
mod change;
#[cfg(test)]
mod check;
mod choose;
mod combine;
mod index;
mod near;
mod node;
mod place;
mod range;
mod read;
mod remove;
mod root;

use api::kv::{KvError, SortedOp, SortedRequest};
use engine::ApplyContext;

use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
pub(crate) use read::Sorted;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &SortedRequest) -> Outcome {
    match &request.op {
        Some(SortedOp::Card(key)) => {
            let found = Sorted::find(look, &key.key)?;
            Ok(reply::integer(found.map_or(0, |set| set.count as i64)))
        }
        Some(SortedOp::Scores(ask)) => range::scores(look, ask),
        Some(SortedOp::Rank(ask)) => range::rank(look, ask),
        Some(SortedOp::Range(ask)) => range::range(look, ask),
        Some(SortedOp::Count(ask)) => range::count(look, ask),
        Some(SortedOp::Choose(ask)) => choose::choose(look, ask),
        Some(SortedOp::Scan(ask)) => choose::page(look, ask),
        Some(SortedOp::Combined(ask)) => combine::combined(look, ask),
        Some(SortedOp::CommonCount(ask)) => combine::common_count(look, ask),
        Some(SortedOp::Near(ask)) => near::near(look, ask),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &SortedRequest) -> Outcome {
    match &request.op {
        Some(SortedOp::Add(add)) => add::add(staging, context, add),
        Some(SortedOp::Remove(remove)) => add::remove(staging, context, remove),
        Some(SortedOp::RemoveBetween(remove)) => remove::remove_between(staging, context, remove),
        Some(SortedOp::PopFirst(pop)) => remove::pop_first(staging, context, pop),
        Some(SortedOp::StoreRange(store)) => combine::store_range(staging, context, store),
        Some(SortedOp::StoreCombined(store)) => combine::store_combined(staging, context, store),
        Some(SortedOp::StoreNear(store)) => near::store_near(staging, context, store),
        _ => read(&staging.look(context), request),
    }
}
