//! Faces: sockets and sessions.
//!
//! ```text
//!     other nodes           Redis clients            people and tools
//!    ┌─────┴─────┐      ┌────────┴────────┐          ┌──────┴──────┐
//!    │   peers   │      │      redis      │          │    http     │
//!    └─────┬─────┘      └────────┬────────┘          └──────┬──────┘
//!     PeerHandler             Backend                     Admin         ← what a node must answer
//! ```
//!
//! This crate knows sockets, connections, limits and text; it knows nothing of Raft, engines or routing.

pub mod http;
pub mod listen;
pub mod peers;
pub mod process;
pub mod redis;
