//! One member of a cluster: routing, sessions, hosted replicas, and what it tells the catalog. A library
//! without sockets: connections come and go through [`Transport`] and the `on_…` calls of [`Node`].
//!
//! ```text
//!   faces ── submit / try_read ──► Gateway ── Send(me) ──► Desk ──► replication::Store
//!                                     │                     ▲            │ answers
//!                                     └─ Send(other) ─► Transport ◄──────┘
//!                                                     Line: who waits for elements, told of commits
//!   upkeep thread: catalog copy ⇄ hosted replicas, reports, expired keys, time for the gateway
//! ```
//!
//! `gateway`, `desk`, `line`, `hosting`, `heard`, `sweep`, `control` and `operate` are pure and run in the simulator as
//! they are; `node` and `upkeep` give them threads and locks.

pub mod control;
pub mod desk;
pub mod gateway;
pub mod heard;
pub mod hosting;
pub mod line;
mod manage;
mod node;
pub mod operate;
mod operations;
mod recovery;
mod routes;
mod saving;
pub mod sweep;
mod tasks;
mod upkeep;

pub use gateway::{Call, Gateway, GatewayCounters, GatewayEffect, GroupRoute, Routes};
pub use node::{DiskRoom, Done, Node, NodeConfig, Origin, Transport};
pub use operations::set_command;
pub use ops::{TaskReport, TaskResult, UNDO, Wanted};
pub use routes::RouteTable;
pub use tasks::{Task, Tasks};
