//! The part of the command line that brings in data from elsewhere.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Find, Output};

/// Commands that bring in data.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Read a file that Redis has saved: dump.rdb
    ///
    /// The whole file is checked before anything is written. Streams and values of modules are counted and left out.
    RedisRdb(ImportRdb),
    /// Carry out a file of commands as Redis clients send them
    ///
    /// As 'redis-cli --pipe' takes it, and as Redis writes its append-only file. The commands of one database are carried
    /// out, those of the others are counted.
    Resp(ImportResp),
}

/// Arguments of `import redis-rdb`.
#[derive(Debug, Args)]
pub struct ImportRdb {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What to do with a key that exists
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnConflict::Fail)]
    pub on_conflict: OnConflict,
    /// Which of the file's databases to read; the others are counted
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub database: u64,
    /// What to put before each key: 'namespace:table:' brings them into a table of the ZanKV port
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prefix: String,
    #[command(flatten)]
    pub target: ImportTarget,
}

/// Arguments of `import resp`.
#[derive(Debug, Args)]
pub struct ImportResp {
    /// The file; '-' is the input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which of the stream's databases to carry out; it begins with 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub database: u64,
    #[command(flatten)]
    pub target: ImportTarget,
}

/// Where data goes.
#[derive(Debug, Args)]
pub struct ImportTarget {
    /// The Redis port to send it to [default: that of a node of the cluster]
    #[arg(long, value_name = "HOST:PORT")]
    pub to: Option<String>,
    /// Send it to the node's ZanKV port
    #[arg(long, conflicts_with = "to")]
    pub zankv: bool,
    /// The password of the port [default: the directory's, without --addr and --to]
    #[arg(long, value_name = "PASSWORD", env = "SKEIN_REQUIREPASS", hide_env_values = true)]
    pub password: Option<String>,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// What to do with a key that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// Leave it as it is, and count it
    Skip,
    /// Replace it
    Overwrite,
    /// Stop
    Fail,
}

impl ImportCommand {
    /// Where the data goes.
    pub fn target(&self) -> &ImportTarget {
        match self {
            ImportCommand::RedisRdb(import) => &import.target,
            ImportCommand::Resp(import) => &import.target,
        }
    }
}
