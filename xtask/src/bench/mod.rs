//! The figures that Skein is to reach, measured and printed side by side with Redis and etcd.
//!
//! Every figure starts what it measures, in a temporary directory and on free ports, and stops it again.
//! Bars are floors that the project set for itself. Nothing here is a test: a busy machine measures low.

mod backup;
mod decommission;
mod failover;
mod figure;
mod idle;
mod kv;
mod memory;
mod migrate;
mod moves;
mod operate;
mod optimize;
mod others;
mod replay;
mod restart;
mod returning;
mod types;
mod writers;

#[path = "../../../crates/skein/tests/process/support/mod.rs"]
mod support;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::tools::{cargo, run as run_tool, target};
use figure::{Figure, print};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Which figures; 'kv' and 'ops' are all of theirs
    #[arg(value_enum, default_value = "kv")]
    figures: Vec<Which>,
    /// Of 'kv', the figures of collections instead of the others
    #[arg(long)]
    types: bool,
    /// Seconds for each throughput
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u32,
    /// Kills of a leader
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// Data that operations move [default: 1024] or backups hold [default: 2048]; less is a quick look, and no figure
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    size: Option<u64>,
    /// Members of large collections; fewer are a quick look, and no figure
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    members: u64,
    /// Measure this program instead of a release build of the repository
    #[arg(long, value_name = "FILE")]
    skein: Option<PathBuf>,
}

/// A figure, or all of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// All figures of the key-value cluster
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
    /// Collections: writes, reads out of large ones, and how fast a large one is gone
    Types,
    /// All figures of operations
    Ops,
    /// A node with 64 partitions killed: how long they take no write
    Failover64,
    /// A node that returns after 10 s under load: how long until all is in sync
    Return,
    /// An empty partition moved
    MigrateEmpty,
    /// A full partition moved, as fast as it goes and at a limit under load
    Migrate,
    /// A node with 64 partitions taken away under load
    Decommission,
    /// All nodes killed and started again
    Restart,
    /// A large partition compacted under load
    Optimize,
    /// A backup, with and without load, its restore, and its drill
    Backup,
}

/// What every figure is given.
struct Bench {
    /// The program that is measured.
    skein: PathBuf,
    seconds: u32,
    kills: u32,
    /// MiB of values that operations move, or backups hold.
    size_mib: u64,
    /// Members of large collections.
    members: u64,
}

/// Measures and prints a table.
///
/// # Errors
/// Something that is measured does not start or does not answer.
pub fn run(options: &Options) -> Result<()> {
    let mut bench = Bench {
        skein: options.skein.clone().map_or_else(release_build, Ok)?,
        seconds: options.seconds,
        kills: options.kills,
        size_mib: 0,
        members: options.members,
    };
    let wanted = |wish| match wish {
        Which::Kv if options.types => false,
        Which::Types if options.types && options.figures.contains(&Which::Kv) => true,
        _ => options.figures.contains(&wish),
    };
    let (mut figures, mut failed): (Vec<Figure>, u32) = (Vec::new(), 0);
    let subjects = [
        (Which::Kv, KV, OPS_MIB),
        (Which::Types, TYPES, OPS_MIB),
        (Which::Ops, OPS, OPS_MIB),
        (Which::Backup, BACKUP, BACKUP_MIB),
    ];
    for (subject, measures, mib) in subjects {
        bench.size_mib = options.size.unwrap_or(mib);
        for (which, name, measure) in measures {
            if wanted(subject) || wanted(*which) {
                eprintln!("measuring: {name}");
                // One that cannot be measured takes nothing away from the others.
                measure(&bench).map_or_else(
                    |error| {
                        eprintln!("error: {name}: {error:#}");
                        failed += 1;
                    },
                    |measured| figures.extend(measured),
                );
            }
        }
    }
    print(&figures);
    ensure!(failed == 0, "{failed} figures could not be measured");
    Ok(())
}

/// MiB that operations move when nothing else is asked for.
const OPS_MIB: u64 = 1024;
/// MiB that a backup holds when nothing else is asked for.
const BACKUP_MIB: u64 = 2048;

/// Builds the repository's program.
fn release_build() -> Result<PathBuf> {
    run_tool(&mut cargo(["build", "--release", "--package", "skein"]))?;
    Ok(target().join("release/skein"))
}

/// A figure's kind, its name while it is measured, and how.
type Measure = (Which, &'static str, fn(&Bench) -> Result<Vec<Figure>>);

const KV: &[Measure] = &[
    (Which::Failover, "leaders killed", failover::measure),
    (Which::Moves, "leaders moved", moves::measure),
    (Which::Set, "SET", kv::set),
    (Which::Get, "GET", kv::get),
    (Which::Idle, "idle", idle::measure),
    (Which::Memory, "memory", memory::measure),
    (Which::Replay, "start after kill -9", replay::measure),
];

const TYPES: &[Measure] = &[(Which::Types, "collections", types::measure)];

const OPS: &[Measure] = &[
    (Which::Failover64, "nodes with 64 partitions killed", failover::measure_64),
    (Which::Return, "nodes that return", returning::measure),
    (Which::MigrateEmpty, "empty partitions moved", migrate::empty),
    (Which::Migrate, "a full partition moved", migrate::full),
    (Which::Decommission, "a node taken away", decommission::measure),
    (Which::Restart, "all nodes killed and started again", restart::measure),
    (Which::Optimize, "a partition compacted", optimize::measure),
];

const BACKUP: &[Measure] = &[(Which::Backup, "backup, restore and drill", backup::measure)];
