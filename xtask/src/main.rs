//! Automation for people and CI: `cargo xtask verify|fix|layers|sim|bench`.
fn main() {}
