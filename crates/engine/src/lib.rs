//! The storage contracts: what a table engine promises, and what a store of ordered records promises.
//!
//! ```text
//!   replication ──► StateMachine (one replica's state)  ◄── made, opened, removed by an Engine
//!                        │
//!                   engine-kv, catalog: semantics over …
//!                        │
//!                   Records (one replica's ordered records) ◄── made, opened, removed by a RecordStore
//! ```
//!
//! Nothing here knows keys, values, SQL or documents: a request, a reply, a snapshot chunk are opaque
//! bytes. Each engine passes [`suite`]; each record store passes [`records::suite`].
//!
//! Invariant: state, applied position and system records become visible and durable *together*. After a
//! crash a state machine is at some position that it had passed, never between two.

pub mod pace;
pub mod records;
mod state;
pub mod stubs;
pub mod suite;

pub use state::{
    Applied, ApplyContext, Change, Compaction, ContentPage, ContentSource, Digest, DigestWork, Engine,
    EngineError, Held, IsKnown, Reader, SnapshotSink, SnapshotSource, StateMachine, Statistics, SystemChange,
    SystemRecord,
};
