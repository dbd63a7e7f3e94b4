//! The agent: keeps the nodes of one machine running, and stops them when it is asked to.
//!
//! ```text
//!   signals ────┐
//!   watchers ───┤  Observed            Action
//!   probes ─────┼──────────► supervise ───────► driver: starts, signals, kills; tells
//!   adoption ───┤            (a law)
//!   time ───────┘
//! ```
//!
//! The law ([`supervise`]) decides and never touches a process; the driver ([`driver`]) touches processes
//! and never decides. A *watcher* waits for the end of one process, a *probe* asks a started node until it
//! is ready.
//!
//! A node is not its agent's child in spirit: it runs in a session of its own and survives its agent's
//! death, however that comes. The next agent finds it by its locked pid file and goes on. What a node has
//! to tell at its end (why it refuses to run, that it was stopped cleanly) it writes beside its pid file,
//! because a process that was adopted has no other way to tell.
//!
//! | how a node ended | what the agent does |
//! |---|---|
//! | exit 0, or by SIGTERM: somebody stopped it | leaves it stopped, until `skein up` |
//! | exit 3: refused (see `exit`) | tells why, leaves it; starting it again would not help |
//! | exit 3 with `node-removed`: it has left the cluster | takes it out of `cluster.toml` and forgets it |
//! | any other way | starts it again; at once, unless it died soon after its start, again and again |
//!
//! Invariant: a process is signalled only after its pid file, locked by it, named it; a pid that the
//! system has given to another program is never touched.

pub mod driver;
pub mod event;
mod probe;
pub mod supervise;

pub use driver::Agent;
pub use event::{Ending, Event};
