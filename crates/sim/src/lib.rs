//! World: the production code under seeded time, network, disks, clocks and processes.

pub mod agenda;
pub mod checkers;
pub mod cli;
pub mod client;
pub mod clock;
pub mod coverage;
pub mod event;
pub mod faults;
pub mod history;
pub mod hunt;
pub mod linearizability;
pub mod machine;
pub mod network;
pub mod outside;
pub mod plan;
pub mod process;
pub mod random;
pub mod run;
pub mod trace;
pub mod world;
