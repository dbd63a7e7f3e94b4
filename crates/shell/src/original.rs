//! The original command lines: `fedb`, `rtidb` and `openmldb` with their flags.
//!
//! Flags are those of gflags: `--name=value`, `-name=value`, `--name value`; blanks around a value are
//! dropped, because shells and files of the field leave them there.

use std::path::PathBuf;

use client::Lookup;
use types::{ErrorCode, Fault};

use crate::connect;
use crate::layout::View;
use crate::run::{Streams, Use, use_shell};

/// The flags that decide something here, for help.
pub const FLAGS: &str = "--zk_cluster=HOST:PORT,..., --zk_root_path=NAME, --role=ns_client, --endpoint=HOST:PORT, \
                         --interactive=false, --cmd=CMD, --database=NAME, --dir=DIR, --secret_file=FILE";

/// The name that a program was started under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `fedb`
    Fedb,
    /// `rtidb`
    Rtidb,
    /// `openmldb`
    Openmldb,
}

/// Flags that decide something here.
#[derive(Clone, Debug)]
struct Flags {
    role: String,
    zk_cluster: Vec<String>,
    zk_root_path: String,
    endpoint: String,
    is_interactive: bool,
    cmd: String,
    database: String,
    lookup: Lookup,
}

/// Flags that tune what is not there, such as the session with ZooKeeper: taken, and without an effect.
const WITHOUT_EFFECT: &[&str] = &[
    "flagfile",
    "glog_dir",
    "glog_level",
    "log_level",
    "openmldb_log_dir",
    "request_max_retry",
    "request_timeout_ms",
    "zk_auth_schema",
    "zk_cert",
    "zk_keep_alive_check_interval",
    "zk_log_level",
    "zk_session_timeout",
];

impl Program {
    /// The program of a file name, if it is one of these.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "fedb" => Some(Self::Fedb),
            "rtidb" => Some(Self::Rtidb),
            "openmldb" => Some(Self::Openmldb),
            _ => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fedb => "fedb",
            Self::Rtidb => "rtidb",
            Self::Openmldb => "openmldb",
        }
    }

    const fn view(self) -> View {
        match self {
            Self::Fedb | Self::Rtidb => View::Fedb,
            Self::Openmldb => View::Openmldb,
        }
    }
}

/// Carries out an original command line; what was said before is printed, in the words of the original.
///
/// # Errors
/// What kind of error it ended with; everything about it was said already.
pub fn run(program: Program, arguments: &[String], streams: &mut Streams<'_>) -> Result<(), ErrorCode> {
    if arguments.iter().any(|word| matches!(word.trim(), "-h" | "-help" | "--help")) {
        streams.print_line(&format!("usage: {} {}", program.name(), FLAGS.replace(", ", " ")));
        return Ok(());
    }
    let flags = match parse(arguments) {
        Ok(flags) => flags,
        Err(words) => {
            streams.say(&words);
            return Err(ErrorCode::BadArgument);
        }
    };
    if let Some(instead) = instead_of_role(&flags.role) {
        streams.print_line(&format!("not supported, use {instead}"));
        return Err(ErrorCode::BadArgument);
    }
    let (client, names_leader) = connected(&flags).map_err(|(words, fault)| streams.fail(words, &fault))?;
    if !flags.zk_root_path.is_empty() {
        connect::check_name(&client, &flags.lookup, &flags.zk_root_path)
            .map_err(|fault| streams.fail("get children failed", &fault))?;
    }
    let found = connect::to_leader(&client, &flags.lookup)
        .map_err(|fault| streams.fail("get leader failed", &fault))?;
    if names_leader {
        streams.print_line(&format!("ns leader: {}", found.leader));
    }
    let command = match (flags.cmd.is_empty(), flags.is_interactive) {
        (true, true) => None,
        // Without a command and without somebody to type one there is nothing to do.
        _ => Some(flags.cmd.as_str()),
    };
    let wanted = Use { program: program.name(), view: program.view(), database: &flags.database, command };
    use_shell(&found, &wanted, streams)
}

/// A client of the cluster that the flags name, and whether its leader is told.
fn connected(flags: &Flags) -> Result<(client::Client, bool), (&'static str, Fault)> {
    if !flags.zk_cluster.is_empty() {
        let found = connect::by_addresses(&flags.zk_cluster, &flags.lookup);
        return found.map(|client| (client, true)).map_err(|fault| ("zk client init failed", fault));
    }
    if flags.endpoint.is_empty() {
        let detail = "--zk_cluster takes addresses of any nodes of the cluster";
        let words = "Start failed! not set endpoint or zk_cluster";
        return Err((words, Fault::new(ErrorCode::BadArgument, detail)));
    }
    let found = connect::by_addresses(std::slice::from_ref(&flags.endpoint), &flags.lookup);
    found.map(|client| (client, false)).map_err(|fault| ("client init failed", fault))
}

/// What does the work of a role that these command lines do not have.
fn instead_of_role(role: &str) -> Option<&'static str> {
    match role {
        "ns_client" => None,
        "client" => Some("--role=ns_client, or 'skein explain' and 'skein digest'"),
        "sql_client" => Some("--role=ns_client, or redis-cli for data"),
        "nameserver" | "tablet" | "apiserver" | "taskmanager" => Some("'skein up' or 'skein server'"),
        _ => Some("--role=ns_client"),
    }
}

/// The path that a variable of the environment names; an empty one names none.
fn path_in(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The flags, or why they are none.
fn parse(arguments: &[String]) -> Result<Flags, String> {
    let mut flags = Flags {
        role: String::new(),
        zk_cluster: Vec::new(),
        zk_root_path: String::new(),
        endpoint: String::new(),
        is_interactive: true,
        cmd: String::new(),
        database: String::new(),
        lookup: Lookup {
            directory: path_in("SKEIN_DIR"),
            addresses: Vec::new(),
            secret_file: path_in("SKEIN_SECRET_FILE"),
        },
    };
    let mut words = arguments.iter().map(|word| word.trim()).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            return Err(format!("ERROR: '{word}' is not a flag; flags are --name=value"));
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.trim().to_owned()),
            None if matches!(flag, "interactive" | "nointeractive") => (flag, String::new()),
            None => (flag, words.next().unwrap_or_default().to_owned()),
        };
        match name {
            "role" => flags.role = value,
            "zk_cluster" => flags.zk_cluster = list(&value),
            "zk_root_path" => flags.zk_root_path = value,
            "endpoint" => flags.endpoint = value,
            "interactive" => {
                flags.is_interactive = matches!(value.as_str(), "" | "true" | "1" | "yes" | "t" | "y")
            }
            "nointeractive" => flags.is_interactive = false,
            "cmd" => flags.cmd = value,
            "database" => flags.database = value,
            "dir" => flags.lookup.directory = Some(value.into()),
            "secret_file" | "secret-file" => flags.lookup.secret_file = Some(value.into()),
            name if WITHOUT_EFFECT.contains(&name) => {}
            name => return Err(format!("ERROR: unknown command line flag '{name}'")),
        }
    }
    Ok(flags)
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &[&str]) -> Result<Flags, String> {
        parse(&line.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_guides_command_line_is_understood_with_its_blanks() {
        let line = [
            "--zk_cluster=172.27.128.31:8090,172.27.128.32:8090, 172.27.128.33:8090 ",
            "--zk_root_path=/fedb_cluster ",
            "--role=ns_client ",
            " ",
        ];
        let parsed = flags(&line).expect("flags");
        assert_eq!(parsed.zk_cluster, ["172.27.128.31:8090", "172.27.128.32:8090", "172.27.128.33:8090"]);
        assert_eq!((parsed.zk_root_path.as_str(), parsed.role.as_str()), ("/fedb_cluster", "ns_client"));
        assert!(parsed.is_interactive && parsed.cmd.is_empty());
    }

    #[test]
    fn all_ways_to_write_a_flag() {
        let parsed =
            flags(&["-role", "ns_client", "--interactive=false", "--cmd=showtable t1", "--database=db1"]);
        let parsed = parsed.expect("flags");
        assert_eq!((parsed.role.as_str(), parsed.is_interactive), ("ns_client", false));
        assert_eq!((parsed.cmd.as_str(), parsed.database.as_str()), ("showtable t1", "db1"));
        assert!(!flags(&["--nointeractive"]).expect("flags").is_interactive);
        assert!(flags(&["--zk_session_timeout=2000"]).is_ok());
        assert_eq!(flags(&["--bogus=1"]).expect_err("none"), "ERROR: unknown command line flag 'bogus'");
        assert!(flags(&["showtable"]).is_err());
    }

    #[test]
    fn other_roles_are_told_what_does_their_work() {
        assert_eq!(instead_of_role("ns_client"), None);
        for role in ["client", "sql_client", "tablet", ""] {
            assert!(instead_of_role(role).is_some(), "{role}");
        }
    }
}
