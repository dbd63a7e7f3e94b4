//! World: the product under seeded disasters.
//!
//! A run is a small cluster living through about a minute of crashes, power cuts, partitions, stalls and
//! wrong clocks in some fifty milliseconds of real time. Everything in it that decides anything is the
//! product: `replication`'s workers, appliers, transfers and start; `wal`'s segmented log; the engines of
//! tables and catalog; `node`'s gateway, desk and control; the wire codec. The world around them is
//! made here, from one seed, without threads and without any clock but its own.
//!
//! ```text
//!    seed ──► Plan: nodes, speeds, faults          what can be known before it begins
//!               │
//!               ▼
//!    World ── Agenda: the next event, in order of virtual time
//!      │
//!      ├── Process × n ── on ── Machine × n       a run of a node; what survives it
//!      │     worker, log, apply, bulk, member      disk (unsynced bytes tear), records (a suffix is
//!      │     one step of one thread is one event   lost), clocks (drift and jump)
//!      ├── Network                                 order within a connection; delay, stall, break
//!      ├── Clients ── history ──┐            values, queues, transactions
//!      ├── Operators: operations, permits, settings; in one seed of three
//!      └── Strikes and repairs  │
//!               │               ▼
//!               └──► Checks: promises that are watched all the time, and at the end
//!                    linearizability, nothing lost, everything well again
//! ```
//!
//! # What makes a run worth its time
//!
//! - **The same seed is the same run**: maps are ordered, chance comes from `random` alone, and every
//!   event goes into a hash that two runs are compared by (`--twice`).
//! - **Faults come in stories.** Independent disasters seldom meet in the few milliseconds that matter, so
//!   some faults are composed: a follower that restarts just after the leader whom it promised to follow was
//!   isolated; a leader that is cut off just after it handed over; a crash while a snapshot is installed.
//! - **Checkers see causes, not only harm.** A vote that leaves before it is on disk is seen when it leaves
//!   (`checkers::words`), not in the one run of ten thousand in which two leaders come of it.
//! - **Operations are followed command by command.** Where operators are at work, the node that leads the catalog
//!   runs `node::operate`, and dies next to the steps of operations. The checkers see each command of the catalog
//!   as its state machine is given it (`process::tap`), and judge what it changed (`checkers::laws`).
//! - **Silence is tested.** `--mutants` plants the bugs of `bugs` one by one; each must be
//!   found. A line of the coverage table that is zero fails the run as well.
//!
//! # What is not here
//!
//! - Threads. Steps of one thread are atomic, so races *inside* a step are the business of other tests; that
//!   a reader is paused between its two looks at the clock is one of `replication::shared`'s.
//! - `fjall`. States lie in the memory store, which loses what was not persisted, as its suite says.
//! - Sockets and the Redis protocol. Clients call the gateway; those that wait for elements are `proto_redis::blocked`.
//! - The thin shells with threads, `replication::driver` and `node::Node`: `process` stands in for them and
//!   repeats the little that they do by themselves.
//! - Two machines that lose data at once. One disk per run lies, or loses a state; a replica that cannot know
//!   what it has lost is given up by whoever runs the cluster, as it would have to be in earnest.

pub mod agenda;
pub mod bugs;
pub mod checkers;
pub mod cli;
pub mod client;
pub mod clock;
pub mod coverage;
pub mod event;
pub mod faults;
pub mod history;
pub mod hunt;
pub mod linearizability;
pub mod machine;
pub mod network;
pub mod operator;
pub mod outside;
pub mod plan;
pub mod process;
pub mod random;
pub mod run;
pub mod trace;
pub mod world;
