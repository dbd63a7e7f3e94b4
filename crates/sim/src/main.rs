//! The simulator's own program; `cargo xtask sim` builds it for speed with every assertion, and runs it.

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    std::process::exit(sim::cli::main(&arguments));
}
