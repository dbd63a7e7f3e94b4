//! Replication: many Raft groups over one log.
//!
//! Consensus itself is the `raft` crate, a pure state machine. This crate is everything between it and
//! the world: what must be durable before what is said, who may read without asking, how a state that
//! is too old is replaced, and how a request that is sent twice is carried out once.
//!
//! # The way through
//!
//! ```text
//!            Input                             Effect
//!   message ───────►┌────────────────────────┐────────► Send          leaves at once
//!   propose ───────►│ Worker                 │────────► Write ──sync──► then: promises leave; Persisted
//!   read    ───────►│  Group  (raft, leases, │────────► Apply ────────► answers leave;        Applied
//!   tick    ───────►│  Group   membership …) │────────► TakeSnapshot, SendSnapshot, Adopt, Cut, Answer
//!   reports ───────►└────────────────────────┘
//! ```
//!
//! A [`Worker`] is the law: no thread, file, socket or clock is in it, and its maps are ordered, so the
//! same inputs give the same effects. The [`driver`] executes effects with threads; the simulator
//! executes them in virtual time. [`Applier`] turns committed entries into one replica's state.
//!
//! # What holds
//!
//! 1. **Ack**: a write is answered when it is durable on a quorum and applied on the leader. Only
//!    [`LogWrite::then`] carries words that promise something durable, and it leaves after the sync.
//! 2. **One commit point**: data, applied position, membership, clock and sessions of a state change in
//!    one batch of its engine. A state counts only if the group's [`record`] in the log names it; one
//!    synced log batch moves start, hard state and name together when a snapshot is installed.
//! 3. **Reads** are linearizable: under a [`lease`], checked again after the value was read
//!    ([`shared`]), or after a quorum has heard a later round.
//! 4. **A promise survives a restart**: a replica votes for nobody for one election timeout after its
//!    process started, because it cannot remember whom it promised to follow.
//! 5. **Exactly once** between a gateway and a group, by [`sessions`] stored with the data.
//! 6. **Damage is no lag**: a state or log that cannot be where it claims is never run ([`start`]); the
//!    replica comes back under a new id, which Raft has made no promise to.
//! 7. **Bounded**: queues, batches, windows, transfers and retention have limits with names
//!    (`types::limits`, [`retention`]).
//! 8. **A lost majority is given up by name only**: a survivor goes on alone under a new id, in terms and epochs
//!    that no replica of the old group can reach ([`takeover`]).
//!
//! # Caveats
//!
//! - Leases trust that the machines' monotonic clocks run at nearly the same rate. They do not trust
//!   wall clocks; expiry does, as far as the peers' clocks bear them out (see [`clocks`]). A node whose clock
//!   is far away gives up leadership (see `node::control`).
//! - A value that a read under a clock ahead has seen as expired may, after a failover to a leader whose
//!   clock is behind, be seen again for that difference, at most [`types::limits::CLOCK_SKEW_MAX`].
//! - `raft` treats a contradiction as a bug and panics. Messages are checked before they reach it, and a
//!   group that panics all the same is stopped and reported; the node lives.
//! - Membership changes one replica at a time. Joint consensus is not used.
//!
//! Sources: Ongaro, "Consensus: Bridging Theory and Practice" (2014); Kulkarni et al., "Logical Physical
//! Clocks" (2014).

pub mod apply;
pub mod budget;
pub mod clocks;
pub mod driver;
pub mod effects;
pub mod group;
pub mod holds;
pub mod lease;
mod load;
pub mod membership;
pub mod message;
pub mod mutants;
mod pace;
pub mod record;
pub mod retention;
pub mod sessions;
pub mod shared;
pub mod start;
pub mod storage;
pub mod takeover;
pub mod transfer;
pub mod worker;

pub use apply::{Applier, ApplyError, BarrierHold};
pub use effects::{
    Answer, ApplyOutcome, ApplyTask, Campaign, Effect, GroupStart, Input, LogWrite, Now, Token,
};
pub use membership::Wished;
pub use record::GroupRecord;
pub use shared::{Compacted, GroupShared, ProgressState, ProgressView, RaftView};
pub use takeover::Takeover;
pub use worker::{Counters, Worker, WorkerOptions};
