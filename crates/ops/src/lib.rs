//! Laws: operations as procedures over the catalog.
//!
//! Whatever changes a cluster on purpose is an operation: a durable record in the catalog, with steps. Here
//! stands what to do next about each, as functions of the catalog, of what was seen, and of the time. Nothing
//! here has a clock, a thread or a socket.
//!
//! ```text
//!   request ──► plan ──► Plan, shown to people
//!                 │  └─► refusal: code, cause, the next thing to type; nothing has changed
//!                 ▼
//!          OperationChange{start} ──► catalog ◄───── OperationChange{update, edits} ──┐
//!                                        │                                            │
//!                      ┌─────────────────┴──── several times a second ────────────────┤
//!                      ▼                                                              │
//!   reports ──► Observed ──► Executor::step ──► Work { commands, directives } ────────┘
//!                                                                   │
//!        groups walk to the wished membership by themselves         ▼
//!                                              hand over, take a digest, cut the log
//! ```
//!
//! # Where an operation is kept
//!
//! In its record, and nowhere else. The executor's own memory holds what it said a moment ago and since when it
//! waits; a new one, on another node, goes on from the record at the step where it stands. Entering a step and
//! what the step changes are one command, which names the revision of the record that it was made from. So a
//! step is persisted before it acts, a command that comes twice changes nothing the second time, and of two
//! nodes that believe to lead only one gets its way.
//!
//! # Safety
//!
//! - **A replica goes only if the others can do without it**: the voters that are left have a majority in sync.
//!   This is asked when the plan is made, and again when the step is entered; the group itself asks a third time.
//! - **A replica that moves exists twice before it exists once.** The new one catches up, gets its vote and proves
//!   by a hash at one log position that it is equal; only then the old one is let go. That is the point of no
//!   return: up to there whatever was done can be undone.
//! - **Unequal hashes fail the operation, and nothing is removed.**
//! - **A partition has one running operation**; others wait for their turn, in order. Copies to and from a node
//!   are limited.
//! - **Every operation ends.** What is in its way is waited for as long as a restart takes, a copy for as long as
//!   it makes progress; then the operation fails, with the reason, and is undone as far as it can be.
//! - **Room is counted once**: what operations are still to bring to a disk is not free any more, see `room`.
//! - **Permits**: whoever stops a node on purpose asks first, see [`may_stop`].
//!
//! # Reading on
//!
//! `kind` is the table of operations and their steps. `operations` has a module for each kind: what it refuses and
//! what it would do. `steps` says what each step changes, when it is done and what it waits for. `executor` goes
//! from step to step; `automation` is what starts operations without being asked. `explain` says what is in the way and
//! what would help, `endings` what is to be told of operations that have ended.

mod automation;
mod endings;
mod executor;
mod explain;
mod founders;
mod hints;
mod kind;
pub mod observed;
mod operations;
mod permits;
mod plan;
mod room;
mod safety;
mod schedules;
mod show;
mod sight;
mod stable;
mod steps;
mod top_up;

pub use endings::{Ended, Endings};
pub use executor::memory::{TaskReport, TaskResult, Wanted};
pub use executor::{Directive, Executor, Work, cancel, forget};
pub use explain::{explain_node, explain_partition};
pub use kind::{courses, name as kind_name};
pub use observed::Observed;
pub use permits::{give_back, may_stop};
pub use plan::{Planned, plan};
pub use stable::is_stable;
pub use steps::task::UNDO;
