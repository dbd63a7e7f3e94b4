//! Arguments of `meta`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Find, Output};

/// Commands about the catalog as a whole.
#[derive(Debug, Subcommand)]
pub enum MetaCommand {
    /// Write all of the catalog into one checksummed file
    ///
    /// Nodes, tables, partitions, settings and operations as of one version. It has no keys: those are for 'skein
    /// backup'.
    Snapshot(MetaSnapshot),
    /// Make the tables and settings of a saved catalog in this cluster
    ///
    /// For a fresh cluster in the place of one that is lost: the tables are made with the partitions that they had, and
    /// are empty; 'skein restore' brings their keys. Nodes are those that there are. A cluster that holds keys is refused,
    /// unless --merge says that its tables stay as they are.
    Restore(MetaRestore),
}

/// Arguments of `meta snapshot`.
#[derive(Debug, Args)]
pub struct MetaSnapshot {
    /// The directory for the file, made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `meta restore`.
#[derive(Debug, Args)]
pub struct MetaRestore {
    /// The file, or a directory of which the latest one is taken
    pub from: PathBuf,
    /// Tables that hold keys stay as they are; others are made beside them
    #[arg(long)]
    pub merge: bool,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

impl MetaCommand {
    /// How to print.
    pub fn output(&self) -> Output {
        match self {
            Self::Snapshot(snapshot) => snapshot.output,
            Self::Restore(restore) => restore.output,
        }
    }
}
