//! Replication: many Raft groups over one log.
pub mod apply;
pub mod driver;
pub mod effects;
pub mod group;
pub mod lease;
pub mod membership;
pub mod message;
pub mod mutants;
pub mod record;
pub mod sessions;
pub mod shared;
pub mod start;
pub mod storage;
pub mod transfer;
pub mod worker;

pub use apply::{Applier, ApplyError};
pub use effects::{Answer, ApplyOutcome, ApplyTask, Effect, GroupStart, Input, LogWrite, Now, Token};
pub use record::GroupRecord;
pub use shared::GroupShared;
pub use worker::{Counters, Worker, WorkerOptions};
