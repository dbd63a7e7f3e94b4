//! Arguments of the shell, and of the programs that Skein stands in for.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use shell::Program;

use super::Find;

/// Longest name of a cluster.
const CLUSTER_NAME_MAX: usize = 64;

/// Arguments of `ns`.
#[derive(Debug, Args)]
pub struct Ns {
    /// Carry out one command and end
    #[arg(long, short = 'c', value_name = "CMD")]
    pub command: Option<String>,
    /// The database to begin with: a namespace [default: the default one]
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    #[command(flatten)]
    pub find: Find,
}

/// Arguments of `fedb`, `rtidb` and `openmldb`.
#[derive(Debug, Args)]
pub struct Original {
    /// As they were typed
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true, help = shell::FLAGS)]
    pub flags: Vec<String>,
}

/// How `zankv-backup` is used.
pub const ZANKV_BACKUP_USAGE: &str = "usage: backup -lookup HOST:PORT,... -ns NAMESPACE -table TABLE [-data_dir DIR] \
                                      [-type all|kv,hash,set,zset,list] [-qps N] [-secret_file FILE | -dir DIR]";
/// How `zankv-restore` is used.
pub const ZANKV_RESTORE_USAGE: &str = "usage: restore -lookup HOST:PORT,... -data FILE [-ns NAMESPACE] [-table TABLE] \
                                       [-type TYPE] [-qps N] [-overwrite] [-on-conflict skip|rename|fail] \
                                       [-secret_file FILE | -dir DIR]";

/// Arguments of `zankv-backup`.
#[derive(Debug, Args)]
pub struct ZankvBackup {
    /// As they were typed
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true, help = ZANKV_BACKUP_USAGE)]
    pub flags: Vec<String>,
}

/// Arguments of `zankv-restore`.
#[derive(Debug, Args)]
pub struct ZankvRestore {
    /// As they were typed
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true, help = ZANKV_RESTORE_USAGE)]
    pub flags: Vec<String>,
}

/// A name of a cluster, as `--zk_root_path` may name it too.
pub fn cluster_name(text: &str) -> Result<String, String> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    if (1..=CLUSTER_NAME_MAX).contains(&text.len()) && text.chars().all(is_allowed) {
        return Ok(text.to_owned());
    }
    Err(format!("1 to {CLUSTER_NAME_MAX} letters, digits and '_', '-', '.'"))
}

/// `fedb ...` as `skein fedb ...` when the program was started under that name; everything else as it is.
pub fn by_name(mut arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let started_as = arguments.next();
    let name = started_as.as_deref().map(Path::new).and_then(Path::file_name);
    let name = name.and_then(|name| name.to_str());
    let zankv = match name {
        Some("backup") => Some("zankv-backup"),
        Some("restore") => Some("zankv-restore"),
        _ => None,
    };
    let program = name.and_then(Program::named).map(|program| program.name());
    let inserted = program.or(zankv).map(OsString::from);
    started_as.into_iter().chain(inserted).chain(arguments)
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    fn words(line: &[&str]) -> Vec<OsString> {
        by_name(line.iter().map(OsString::from)).collect()
    }

    #[test]
    fn a_program_is_known_by_its_name() {
        assert_eq!(words(&["./bin/fedb", "--role=ns_client"]), ["./bin/fedb", "fedb", "--role=ns_client"]);
        assert_eq!(words(&["/usr/bin/skein", "fedb"]), ["/usr/bin/skein", "fedb"]);
        assert_eq!(words(&["/opt/restore", "-data"]), ["/opt/restore", "zankv-restore", "-data"]);
        assert!(words(&[]).is_empty());
    }

    #[test]
    fn names_of_clusters_are_plain() {
        for good in ["skein", "fedb_cluster", "eu-1.b"] {
            assert_eq!(cluster_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "/fedb", "two words", "ä", &"x".repeat(65)] {
            assert!(cluster_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_of_the_originals_are_passed_on_as_they_are() {
        let line = ["bin/openmldb", "--zk_cluster=a:1,b:2", "-role", "ns_client", "--cmd=showtable t1", " "];
        let cli = Cli::try_parse_from(words(&line)).expect("a command");
        let Command::Openmldb(original) = cli.command else { panic!("{cli:?}") };
        assert_eq!(original.flags, line[1..]);
    }
}
