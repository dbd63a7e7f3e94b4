//! Laws: operations as procedures over the catalog.

mod automation;
mod executor;
mod explain;
mod kind;
pub mod observed;
mod operations;
mod permits;
mod plan;
mod safety;
mod show;
mod sight;
mod steps;

pub use executor::{Directive, Executor, Work, cancel, forget};
pub use explain::{explain_node, explain_partition};
pub use observed::Observed;
pub use permits::may_stop;
pub use plan::{Planned, plan};
