//! Operations on a model cluster: scripts, crashes at every step, and random histories.

#![expect(clippy::unwrap_used, reason = "these are tests; a broken one shall stop")]

mod crash;
mod groups;
mod model;
mod random;
mod scenarios;
mod script;
mod tasks;
mod words;
