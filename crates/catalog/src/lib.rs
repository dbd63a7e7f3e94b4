//! Laws: the cluster's metadata as a deterministic state machine.

mod catalog;
mod check;
mod commands;
mod error;
mod machine;
pub mod place;
mod record;
mod role;
mod route;
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
/// The table, in the default namespace, whose only partition is the catalog itself.
pub const SYSTEM_TABLE: &str = "catalog";
