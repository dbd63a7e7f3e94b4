//! The figures that Skein is to reach, measured and printed side by side with Redis and etcd.
//!
//! Every figure starts what it measures, in a temporary directory and on free ports, and stops it again.
//! Bars are floors that the project set for itself. Nothing here is a test: a busy machine measures low.

mod failover;
mod figure;
mod idle;
mod kv;
mod memory;
mod moves;
mod others;
mod replay;
mod writers;

#[path = "../../../crates/skein/tests/process/support/mod.rs"]
mod support;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::tools::{cargo, root, run as run_tool};
use figure::{Figure, print};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Which figures; 'kv' is all of them
    #[arg(value_enum, default_value = "kv")]
    figures: Vec<Which>,
    /// Seconds for each throughput
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u32,
    /// Kills of a leader
    #[arg(long, value_name = "N", default_value_t = 20)]
    kills: u32,
}

/// A figure, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// All figures
    Kv,
    /// A leader killed: how long its partitions take no write
    Failover,
    /// A leader moved: how long its partition takes no write
    Moves,
    /// SET, one replica and three
    Set,
    /// GET, one node and three
    Get,
    /// Memory and processor time of an idle cluster
    Idle,
    /// Memory after a million keys
    Memory,
    /// A start after kill -9 with a million keys
    Replay,
}

/// What every figure is given.
struct Bench {
    /// The release build.
    skein: PathBuf,
    seconds: u32,
    kills: u32,
}

/// Measures and prints a table.
///
/// # Errors
/// Something that is measured does not start or does not answer.
pub fn run(options: &Options) -> Result<()> {
    run_tool(&mut cargo(["build", "--release", "--package", "skein"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let bench = Bench { skein: target.join("release/skein"), seconds: options.seconds, kills: options.kills };
    let wanted = |which| options.figures.contains(&Which::Kv) || options.figures.contains(&which);
    let mut figures: Vec<Figure> = Vec::new();
    for (which, name, measure) in FIGURES {
        if wanted(*which) {
            eprintln!("measuring: {name}");
            figures.extend(measure(&bench).with_context(|| (*name).to_owned())?);
        }
    }
    print(&figures);
    Ok(())
}

/// A figure's kind, its name while it is measured, and how.
type Measure = (Which, &'static str, fn(&Bench) -> Result<Vec<Figure>>);

const FIGURES: &[Measure] = &[
    (Which::Failover, "leaders killed", failover::measure),
    (Which::Moves, "leaders moved", moves::measure),
    (Which::Set, "SET", kv::set),
    (Which::Get, "GET", kv::get),
    (Which::Idle, "idle", idle::measure),
    (Which::Memory, "memory", memory::measure),
    (Which::Replay, "start after kill -9", replay::measure),
];
