//! Automation for people and CI: `cargo xtask verify|fix|layers|sim|bench`. CI runs the same verbs.

mod bench;
mod files;
mod layers;
mod licences;
mod links;
mod metadata;
mod readme;
mod simulation;
mod tools;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Automation for people and CI.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check everything; changes nothing
    Verify(verify::Options),
    /// Format, apply what clippy can, write the made parts of the documents
    Fix,
    /// Check that crates use only crates of lower layers
    Layers,
    /// Execute the transcripts of README.md
    Readme,
    /// Run seeds of the simulator: --seeds N [--from S], --seed S --trace, --mutants
    #[command(disable_help_flag = true)]
    Sim {
        /// What the simulator is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure the figures, side by side with other systems where they are installed
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Verify(options) => verify::verify(&options),
        Verb::Fix => verify::fix(),
        Verb::Layers => layers::check(&metadata::Workspace::load()?).map(|report| println!("{report}")),
        Verb::Readme => readme::check().map(|report| println!("{report}")),
        Verb::Sim { arguments } => simulation::pass_on(&arguments),
        Verb::Bench(options) => bench::run(&options),
    }
}
