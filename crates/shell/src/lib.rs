//! Edge: the command lines of FEDB, RTIDB and OpenMLDB over the admin API.

mod change;
mod cluster;
mod commands;
mod failure;
mod layout;
mod operations;
mod session;
mod show;
mod words;
