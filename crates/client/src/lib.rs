//! Faces: a cluster seen from outside: where it is, what it is made of, and its admin API as calls.
//!
//! ```text
//!   --dir DIR ────► Directory ──► Topology (cluster.toml), Secret (secret)
//!                                     │
//!   --addr, SKEIN_ADDR ───────────► Lookup ──► Client ──► any node's HTTP address
//! ```
//!
//! Everything is blocking and single-threaded: a command asks a question and waits. Errors are
//! [`types::Fault`]s, the ones that a node sent as well as the client's own, so that a face can print any
//! of them in the same way.
//!
//! Invariant: a request is sent to a second node only if the first one cannot have acted on it. Questions
//! may always move on; changes only when no connection was made.

mod directory;
mod http;
mod jobs;
mod lookup;
mod operations;
mod schedules;
mod topology;
mod zankv;

pub use directory::Directory;
pub use http::{Client, Health};
pub use lookup::Lookup;
pub use topology::{Addresses, PORTS_PER_NODE, Topology, TopologyError, TopologyNode};
