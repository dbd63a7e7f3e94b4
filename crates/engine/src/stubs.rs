//! Two small engines with opposite habits, to prove that the contract assumes neither of them.
//!
//! [`memory`] keeps a state as one value in memory, and each commit is durable at once. [`files`] writes
//! whole segments, only when it is flushed, so that its durable position lags as a search index's does.
//! What they share is in `state`. Both execute the small text language of [`language`], which has nothing in
//! common with the `kv` engine's requests. They pass [`crate::suite`], and are examples of how an engine is written.

pub mod files;
pub mod language;
pub mod memory;
mod state;
