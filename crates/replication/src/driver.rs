//! The driver: threads that execute effects. It decides nothing.
//!
//! ```text
//!            inputs                    effects
//!   world ──────────► worker threads ───────────► log thread    one write, one fsync for all
//!                       ▲   ▲   ▲    ├──────────► apply threads  engines may stall here, and only here
//!                       │   │   │    ├──────────► bulk thread    snapshots
//!                       └───┴───┴────┴──────────► outbox         messages and answers leave
//!                     reports of finished work
//!   digest thread: hashes states, one at a time
//!   flush thread: makes applied state durable from time to time
//! ```

mod apply;
mod bulk;
mod compact;
mod digest;
mod flush;
mod log;
mod queue;
mod rest;
mod store;
mod work;

pub use store::{Filled, Outbox, Store, StoreOptions};
