//! The skein binary: command line, server, agent.
fn main() {}
