//! Laws: the cluster's metadata as a deterministic state machine.
//!
//! The catalog says which nodes there are, which tables, and which replica of which partition *shall*
//! live where. It is the state of group 0, replicated like any other group, on up to five `meta` nodes.
//! Every other node works from a copy.
//!
//! ```text
//!   command ──► decide ──► changes ──► absorb            Catalog::apply, a pure function
//!                 │           │           │
//!              refusal     records     Catalog  ──► route   (namespace, name) → groups, epochs, nodes
//!            (no change)      │           │     ──► hosted  node → replicas that it shall host
//!                             ▼           │     ──► wish    group → the membership it shall get
//!                     one record each     │     ──► status  + reports of nodes → verdict, tolerance
//!                     in group 0's state  │
//!                                         ▼
//!                     CatalogWatch: the newest copy on this node ◄── copies from meta nodes
//! ```
//!
//! A decision reads the catalog and only *says* what to change. So a refusal cannot leave half a change
//! behind, and the same records serve as the change, as what is stored, and as what a test prints.
//!
//! # The wish and the truth
//!
//! For quorums the truth is the membership inside each group; the catalog holds the wish and the last
//! membership that it was told. Nothing here is needed while a partition elects a leader. A replica goes
//! through
//!
//! ```text
//!   wished, founding ─────────► established ────────► replaced: out of the wish for ever,
//!   (born with the birth         (exists durably;      and a new id takes its rank
//!    membership)                  if missing: lost)    and node
//!   wished, joining ──snapshot──►      │                        ▲
//!        ▲                             └── disk lost or damaged ┘
//!        └──────────────────────────────────────────────────────┘
//! ```
//!
//! # Invariants
//!
//! - **Ids are never reused.** Node, table, group and replica ids come from counters that only rise, in
//!   the same commit as the thing they name.
//! - **The membership at birth is constant.** All founders of a group are born with the same one, even
//!   if one of them was replaced before another was born. Otherwise two founders could begin with
//!   different majorities. Only a group that may not begin yet gets others: see `commands::founders`.
//! - **An established replica is never born again.** Missing, it is lost, and with it the votes and the
//!   entries that it had promised; only an empty replica under a new id may take its place, and that has
//!   no vote until it was sent a snapshot.
//! - **The last replica that is known to hold the data is never replaced**, removed or taken offline.
//! - **With `auto_failover=false` no lost replica is replaced without a command**, except those of the catalog itself.
//! - **A change by an operation is all or nothing.** It names the revision of the operation's record, so the
//!   word of a meta leader that is no longer one changes nothing; a partition has one running operation.
//! - **The same is not done twice at once.** Whoever asks for what goes on already joins it, see [`alike`].
//! - **The leader of record only moves forward**: word of a term that is not later has no effect, and the leader
//!   that an operation has set stays set until a later term is told.
//! - **A refusal changes nothing**, and a command that is repeated has no effect or is refused.
//! - **Equal commands at equal indexes make equal catalogs**: ordered maps, no clock, no chance.
//! - `version` is the log index of the last change. A copy with a higher version is newer, always.
//!
//! # What it does not know
//!
//! Who is alive and how far a replica is: these are reports, and [`status`] takes them as an argument. Whether
//! an establishment was told *before* the replica first promised anything is for the node to keep. What an
//! operation should do next is for `ops` to say; here stand the rules that hold whoever says it. Other
//! generations than the first come later; the records have room for them.

pub mod alike;
mod catalog;
mod check;
mod commands;
pub mod cron;
mod error;
mod machine;
mod mending;
pub mod mutants;
pub mod place;
mod record;
pub mod returns;
mod role;
mod route;
pub mod saved;
mod snapshot;
pub mod status;
mod watch;

pub use catalog::Catalog;
pub use error::CatalogError;
pub use machine::CatalogEngine;
pub use record::{FORMAT, Record, RecordChange, RecordName};
pub use role::Role;
pub use route::{Birth, HostedReplica, PartitionRoute, TableRoute, Wish, display_name};
pub use watch::CatalogWatch;

/// The namespace of tables that were made without one.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The table in the default namespace that the Redis port serves.
pub const DEFAULT_TABLE: &str = "default";
/// The table that makes a namespace one of ZanKV's: in such a namespace the partitions are the namespace's, and
/// a table is no more than the first part of a key. Every table that is not one of its own lives in this one,
/// whose stored keys are `table:rest`. The name is an allowed one, and a key `NAMESPACE:_:rest` finds its way like
/// any other.
pub const NAMESPACE_TABLE: &str = "_";
/// The table, in the default namespace, whose only partition is the catalog itself.
pub const SYSTEM_TABLE: &str = "catalog";
