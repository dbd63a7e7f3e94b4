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
//!   i │ level u8 │ first place           children u32 │ members u64        how many lie before a place?
//! ```
//!
//! # The index
//!
//! A rank is a number of members, and counting them one by one would take as long as the set is large. So
//! members are counted in nodes of at most [`index::NODE_CHILDREN_MAX`] children, nodes in nodes above them, and so on:
//!
//! ```text
//!                    the key's record:  levels 2, children 2
//!                          ┌──────────────┴──────────┐
//!   i2       ""       (3 children, 8 members)        p (2, 5)
//!                ┌─────────┼────────┐                ├────────┐
//!   i1       ""  (4, 4)    f (1, 1) k (3, 3)         p (3, 3) t (2, 2)
//!             ╱ │ │ ╲      │       ╱ │ ╲            ╱ │ ╲     ├─┐
//!   s        a  b c  e     h      k  m  n          p  q  s    t v
//! ```
//!
//! A node covers the places from its own, its *separator*, up to the next separator of its level. The rank of `m` is
//! what lies before it on each level within one node of the level above: nothing on i2, 4 + 1 on i1, 1 member.
//! The member at a rank is found the same way downwards. Both read at most a node's children on each level, and a
//! million members have three levels.
//!
//! - The first separator of each level is empty, so nothing lies before the first node. It stays even if it covers
//!   nothing.
//! - A separator of a level is one of the level below as well, so a node's first child has the node's own separator.
//! - A separator is as short as possible: it need not be a place that exists, only lie between two that do.
//! - A node that has more children than allowed is divided. A node without members is removed from all levels,
//!   unless it is the first child of one that has members: its separator is needed there. Nodes with few members are left alone:
//!   they cost little, and merging them would make removals dear (T. Johnson, D. Shasha: "B-trees with inserts and
//!   deletes: why free-at-empty is better than merge-at-half", 1993).
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
mod place;
mod range;
mod read;
mod remove;

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
