//! Words: the ids, limits, settings, metrics and error codes that every crate of Skein shares.
//!
//! Everything here is plain data. Nothing reads a clock, a file or a socket, and nothing decides.
//! One word has one meaning (see `ids`), one limit has one name (`limits`), one user-visible error
//! has one code (`errors`).

pub mod buckets;
pub mod era;
pub mod errors;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hlc;
pub mod ids;
pub mod limits;
pub mod metrics;
pub mod mutants;
pub mod settings;
pub mod utc;

pub use errors::{ErrorCode, Fault};
pub use hlc::{Hlc, HybridClock};
pub use ids::*;
