//! The command line: every command, argument and help text, defined once.
//!
//! Parser, `--help`, shell completions and `docs/cli.md` come from here.

mod archive;
mod backup;
mod environment;
mod here;
mod import;
mod label;
mod meta;
mod operations;
mod original;
mod zankv;

use std::net::IpAddr;
use std::path::PathBuf;

use api::admin::OperationRequest;
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, builder::RangedU64ValueParser,
};
use client::Lookup;

pub use archive::{
    ArchiveCommand, ArchiveRemove, ArchiveStart, ArchiveStatus, ArchiveStop, ArchiveThin, ArchiveVerify,
};
pub use backup::{
    BackupCommand, BackupCreate, BackupDelete, BackupList, BackupNamed, BackupVerify, Restore,
    ScheduleCommand, ScheduleNamed, ScheduleSet, Speed, Waiting, Which,
};
pub use here::Here;
pub use import::{ImportCommand, ImportRdb, ImportResp, ImportTarget, OnConflict as ImportConflict};
pub use label::Label;
pub use meta::{MetaCommand, MetaRestore, MetaSnapshot};
pub use operations::{
    Change, ClusterCommand, ConfigCommand, ConfigGet, ConfigSet, ExplainCommand, NodeChange, NodeMayStop,
    NodeRecover, OpCancel, OpCommand, OpList, OpNamed, PartitionCommand, RecoverQuorum, SetReplicas,
};
pub use original::{Ns, Original, ZANKV_BACKUP_USAGE, ZANKV_RESTORE_USAGE, ZankvBackup, ZankvRestore};
pub use zankv::{NamespaceCommand, NamespaceCreate, NamespaceDelete, Optimize, Token};

use crate::say::Form;

/// A replicated key-value cluster from one command.
#[derive(Debug, Parser)]
#[command(name = "skein", version, propagate_version = true, disable_help_subcommand = true)]
#[command(arg_required_else_help = true, after_help = crate::exit::list())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a cluster on this machine, or resume it
    ///
    /// Makes the directory if there is none, starts an agent and the nodes, and prints a table of them
    /// when they serve. Ctrl-C stops them cleanly; the same command resumes with all data.
    Up(Up),
    /// Stop a cluster on this machine: its agent and all its nodes
    Down(Down),
    /// Tell how a cluster is
    ///
    /// Exits with 0 if it is healthy, 10 if it is degraded but everything is served, 20 if some data is
    /// unavailable or no node of the directory answers.
    Status(Status),
    /// List, show, make and drop tables
    #[command(subcommand, arg_required_else_help = true)]
    Table(TableCommand),
    /// List, make and delete namespaces as ZanKV means them
    #[command(subcommand, arg_required_else_help = true)]
    Namespace(NamespaceCommand),
    /// Give back the space of what was removed, one replica of the cluster at a time
    ///
    /// With --every the cluster does it by itself.
    Optimize(Optimize),
    /// List nodes, add them, and take them out of service
    #[command(subcommand, arg_required_else_help = true)]
    Node(NodeCommand),
    /// Move, add, remove and mend replicas of partitions
    #[command(subcommand, arg_required_else_help = true)]
    Partition(PartitionCommand),
    /// Mend and balance the whole cluster
    #[command(subcommand, arg_required_else_help = true)]
    Cluster(ClusterCommand),
    /// List, watch, explain and cancel operations
    ///
    /// 'skein op KIND' starts one of those that change partitions, nodes, tables or the cluster: 'op migrate' is
    /// 'partition migrate', 'op drain' is 'node drain', and so on. 'backup create', 'backup verify --drill' and
    /// 'restore' start theirs.
    #[command(subcommand, arg_required_else_help = true)]
    Op(OpCommand),
    /// Tell why a partition or a node is as it is, and what would change it
    #[command(subcommand, arg_required_else_help = true)]
    Explain(ExplainCommand),
    /// List and change settings
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Let partitions whose majority is lost for good go on with one survivor each
    ///
    /// The only command that may lose acknowledged writes. It shows which partitions are concerned, which replica
    /// has the most, and what would be given up, and goes on only after the cluster's name was typed. Stop whatever
    /// still runs of the lost nodes first.
    RecoverQuorum(RecoverQuorum),
    /// Save tables as of one point in time, and prove that they can be restored
    #[command(subcommand, arg_required_else_help = true)]
    Backup(BackupCommand),
    /// Write tables of a backup into this cluster, into as many partitions and nodes as there are
    ///
    /// A table that is not there is made. One that holds keys is refused, unless --on-conflict says what happens to
    /// them.
    ///
    /// It is an operation of the cluster: it goes on whatever becomes of this command or of any node, and 'skein op
    /// list', 'watch', 'explain' and 'cancel' know it. The same command joins it, or goes on with what one that has
    /// failed has left.
    Restore(Restore),
    /// Save the catalog in one file, and make its tables and settings in another cluster
    #[command(subcommand, arg_required_else_help = true)]
    Meta(MetaCommand),
    /// Bring in data from elsewhere
    #[command(subcommand, arg_required_else_help = true)]
    Import(ImportCommand),
    /// ZanKV's backup tool, also when the program is linked as 'backup'
    #[command(disable_help_flag = true, disable_version_flag = true)]
    ZankvBackup(ZankvBackup),
    /// ZanKV's restore tool, also when the program is linked as 'restore'
    #[command(disable_help_flag = true, disable_version_flag = true)]
    ZankvRestore(ZankvRestore),
    /// Move partition leaders
    #[command(subcommand, arg_required_else_help = true)]
    Leader(LeaderCommand),
    /// Compare the replicas of a table by the hash of their records at one log position
    Digest(Digest),
    /// Type the commands of FEDB's and OpenMLDB's name server client; 'help' lists them
    ///
    /// Without -c it reads them one after another: at a terminal with editing, history and completion, else
    /// from its input. Notes for people go to stderr.
    Ns(Ns),
    /// The command line of FEDB, also when the program is linked as 'fedb'
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Fedb(Original),
    /// The command line of RTIDB, also when the program is linked as 'rtidb'
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Rtidb(Original),
    /// The command line of OpenMLDB, also when the program is linked as 'openmldb'
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Openmldb(Original),
    /// Measure
    #[command(subcommand, arg_required_else_help = true)]
    Bench(BenchCommand),
    /// Run one node; 'skein up' and the agent do this for you
    ///
    /// With --join it becomes a node of a cluster that runs elsewhere: 'skein server --join HOST:PORT --dir DIR
    /// --secret-file FILE'. It gets data only by command, unless the setting auto_balance is true.
    Server(Server),
    /// Run an agent, which keeps the nodes of a directory running; 'skein up --detach' does this for you
    ///
    /// SIGTERM stops the nodes and the agent. SIGUSR1 starts nodes that were stopped; SIGUSR2 only those that
    /// were added, or rebuilt. If the agent is killed, its nodes go on; the next agent finds them.
    Agent(Agent),
    /// Print the token that changes over HTTP must carry
    ///
    /// As in: curl -X POST -H "Authorization: Bearer $(skein token)" http://127.0.0.1:7001/kv/optimize
    Token(Token),
    /// Explain an error code, or list all of them
    Errors(Errors),
    /// Print shell completions
    Completions(Completions),
    /// Print the version
    Version(Version),
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Output {
    /// Print JSON: data to stdout, an error as one JSON line to stderr
    #[arg(long)]
    pub json: bool,
}

/// Where the cluster is.
#[derive(Clone, Debug, Default, Args)]
pub struct Find {
    /// The cluster's directory, as given to 'skein up' [default: ./skein-data]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// HTTP addresses of any of its nodes, instead of a directory [env: SKEIN_ADDR]
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub addr: Vec<String>,
    /// A file with its secret, if it is not in the directory
    #[arg(long, value_name = "FILE", env = "SKEIN_SECRET_FILE")]
    pub secret_file: Option<PathBuf>,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Where the cluster is, or shall be
    #[arg(long, value_name = "DIR", default_value = "skein-data")]
    pub dir: PathBuf,
    /// What people call the cluster [default: skein]
    #[arg(long, value_name = "NAME", value_parser = original::cluster_name)]
    pub name: Option<String>,
    /// How many nodes [default: 3]
    #[arg(long, value_name = "N", value_parser = ["1", "3", "5"])]
    pub nodes: Option<String>,
    /// First port of the first node; node i listens from this + 10 (i - 1) [default: 7000]
    ///
    /// +0 other nodes, +1 HTTP, +2 Redis, +4 Redis with ZanKV addressing; +3 is reserved for MySQL.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub base_port: Option<u16>,
    /// Partitions of the default table [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: Option<u32>,
    /// The address that all listeners bind to [default: 127.0.0.1]
    ///
    /// Any other than loopback needs a password, see --requirepass.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<IpAddr>,
    /// The password that Redis clients must give; kept in the directory, '' removes it
    #[arg(long, value_name = "PASSWORD", env = "SKEIN_REQUIREPASS", hide_env_values = true)]
    pub requirepass: Option<String>,
    /// Where the nodes of a new cluster stand, as in dc=east,rack=r1,host=h1
    ///
    /// Replicas of a partition are spread over hosts, racks and data centres where there are enough of them. A node
    /// without a host stands on the host of its address.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub label: Vec<Label>,
    /// Return when the cluster serves; 'skein down' stops it
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub struct Down {
    /// Where the cluster is
    #[arg(long, value_name = "DIR", default_value = "skein-data")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub find: Find,
    /// Go on and print again whenever a second has passed
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Commands about tables.
#[derive(Debug, Subcommand)]
pub enum TableCommand {
    /// Make a table
    ///
    /// A namespace is there as long as it has a table, so the first table makes it. That is not what ZanKV calls a
    /// namespace: those have the partitions themselves and every table name works in them; 'skein namespace create'
    /// makes them, 'skein namespace list' shows only them, and no tables are made in them.
    Create(TableCreate),
    /// List all tables
    List(Ask),
    /// Show a table and its partitions
    Show(TableNamed),
    /// Drop a table and everything in it
    Drop(TableNamed),
    /// Give each partition of a table another number of replicas
    SetReplicas(SetReplicas),
}

/// Arguments of `table create`.
#[derive(Debug, Args)]
pub struct TableCreate {
    /// Its name: letters, digits and underscores
    pub name: String,
    /// What stores it
    #[arg(long, value_enum, default_value = "kv")]
    pub engine: EngineName,
    /// How many partitions [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: Option<u32>,
    /// How many replicas of each partition [default: 3, or as many as there are nodes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=7))]
    pub replicas: Option<u32>,
    /// Its namespace; one that is not there is made
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// What stores a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Redis values
    Kv,
}

/// Arguments of commands about one table.
#[derive(Debug, Args)]
pub struct TableNamed {
    /// Its name
    pub name: String,
    /// Its namespace
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of commands that only ask.
#[derive(Debug, Args)]
pub struct Ask {
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Commands about nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List all nodes
    List(Ask),
    /// Add a node to a running cluster on this machine
    ///
    /// The agent starts one more node with the next ports, and keeps it running from now on. The node gets
    /// data only by command, unless the setting auto_balance is true. On another machine: 'skein server
    /// --join'.
    Add(NodeAdd),
    /// Let a node lead nothing; its replicas stay
    Drain(NodeChange),
    /// Let a drained node lead again
    Undrain(NodeChange),
    /// Move everything away from a node, and take it out of the cluster
    ///
    /// Its process ends when it has left, and its agent does not start it again.
    Decommission(NodeChange),
    /// Take a node out of all quorums; it keeps its data and stays out until 'node recover'
    Offline(NodeChange),
    /// Bring a node back that is offline, and replace what it has lost
    Recover(NodeRecover),
    /// Ask whether a node may be stopped now
    ///
    /// Exits with 3, and names the partitions, if something would not be served, or not be redundant, without
    /// it.
    MayStop(NodeMayStop),
    /// Let a node whose data is damaged begin anew with copies from the others
    ///
    /// Its data directory is kept as 'data.damaged-N'; the node starts with none, and the other nodes bring
    /// it up to date. Refused while the node runs ('kill PID' stops it alone), while the others do not serve
    /// everything without it, and in a cluster of one node.
    Rebuild(NodeRebuild),
}

/// Arguments of `node add`.
#[derive(Debug, Args)]
pub struct NodeAdd {
    #[command(flatten)]
    pub here: Here,
    /// Where the node stands, as in dc=east,rack=r1,host=h1 [default: as the first node]
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub label: Vec<Label>,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `node rebuild`.
#[derive(Debug, Args)]
pub struct NodeRebuild {
    /// The node
    pub node: u64,
    #[command(flatten)]
    pub here: Here,
    #[command(flatten)]
    pub output: Output,
}

/// Commands about leaders.
#[derive(Debug, Subcommand)]
pub enum LeaderCommand {
    /// Let another replica lead a partition; returns once it does
    Move(LeaderMove),
}

/// Arguments of `leader move`.
#[derive(Debug, Args)]
pub struct LeaderMove {
    /// The table: NAME, NAMESPACE:NAME, or 'catalog'
    pub table: String,
    /// The partition
    pub partition: u64,
    /// The node that shall lead
    #[arg(long, value_name = "NODE")]
    pub to: u64,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `digest`.
#[derive(Debug, Args)]
pub struct Digest {
    /// The table: NAME, NAMESPACE:NAME, or 'catalog'
    pub table: String,
    /// The partition [default: all of them]
    pub partition: Option<u64>,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Send Redis commands and measure throughput and latency
    ///
    /// Works against any server of the Redis protocol. Every error and every unknown outcome is counted
    /// and printed; nothing is sent twice.
    Kv(BenchKv),
}

/// Arguments of `bench kv`.
#[derive(Clone, Debug, Args)]
pub struct BenchKv {
    #[command(flatten)]
    pub find: Find,
    /// Redis addresses to send to, of any server [default: those of all nodes of the cluster]
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', conflicts_with = "addr")]
    pub redis: Vec<String>,
    /// Connections in all
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub connections: usize,
    /// Threads that share the connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub threads: usize,
    /// Commands that a connection has unanswered at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub pipeline: usize,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = RangedU64ValueParser::<usize>::new().range(0..=8_388_608))]
    pub size: usize,
    /// Values of random bytes, each another, which no compression makes smaller
    #[arg(long)]
    pub incompressible: bool,
    /// Different keys
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub keys: u64,
    /// Take keys one after another instead of at random
    #[arg(long)]
    pub in_order: bool,
    /// What to send: 'set', 'get', or READS:WRITES as in 9:1
    #[arg(long, value_name = "MIX", default_value = "set")]
    pub mix: crate::bench::Mix,
    /// A command to send instead: {n} is a number below --keys, {n+99} that number and 99, {other} another
    /// one, {value} a value
    #[arg(long, value_name = "COMMAND", conflicts_with = "mix")]
    pub command: Option<crate::bench::Pattern>,
    /// How long to send, as in 10s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::bench::parse_duration)]
    pub duration: std::time::Duration,
    /// How many commands to send, instead of a time
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// The password of the server [default: the directory's, if that says where to send]
    #[arg(long, value_name = "PASSWORD", env = "SKEIN_REQUIREPASS", hide_env_values = true)]
    pub password: Option<String>,
    /// Seed of the random keys
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `server`.
#[derive(Debug, Args)]
pub struct Server {
    /// Its configuration: DIR/node-N/node.toml
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub config: Option<PathBuf>,
    /// A node's own directory, for one that was or will be joined from here, instead of a configuration
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub dir: Option<PathBuf>,
    /// Join a cluster: HTTP addresses of any of its nodes. Once joined, --dir alone is enough
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', requires = "dir")]
    pub join: Vec<String>,
    /// A file with the cluster's secret, for the first start with --join; it is copied
    #[arg(long, value_name = "FILE", env = "SKEIN_SECRET_FILE")]
    pub secret_file: Option<PathBuf>,
    /// First port of a node that joins [default: 7000]
    #[arg(long, value_name = "PORT", requires = "join", value_parser = clap::value_parser!(u16).range(1..))]
    pub port_base: Option<u16>,
    /// The address that the listeners of a node that joins bind to [default: 127.0.0.1]
    ///
    /// Any other than loopback needs a password, see --requirepass.
    #[arg(long, value_name = "ADDRESS", requires = "join")]
    pub listen: Option<IpAddr>,
    /// The address under which others reach a node that joins [default: as --listen]
    #[arg(long, value_name = "ADDRESS", requires = "join")]
    pub advertise: Option<IpAddr>,
    /// The password that Redis clients must give to a node that joins; kept in the directory
    #[arg(long, value_name = "PASSWORD", env = "SKEIN_REQUIREPASS", hide_env_values = true)]
    pub requirepass: Option<String>,
    /// Where a node that joins stands, as in dc=east,rack=r1,host=h1
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', requires = "join")]
    pub label: Vec<Label>,
    /// Leave the terminal's session first, so that Ctrl-C does not reach the node
    #[arg(long)]
    pub own_session: bool,
}

/// Arguments of `agent`.
#[derive(Debug, Args)]
pub struct Agent {
    /// Where the cluster is
    #[arg(long, value_name = "DIR", default_value = "skein-data")]
    pub dir: PathBuf,
    /// Leave the terminal's session first
    #[arg(long)]
    pub own_session: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `errors`.
#[derive(Debug, Args)]
pub struct Errors {
    /// The code, as printed in brackets after an error
    pub code: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `version`.
#[derive(Debug, Args)]
pub struct Version {
    #[command(flatten)]
    pub output: Output,
}

impl Output {
    /// As the rest of the program knows it.
    pub fn form(self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

impl Find {
    /// The same options as typed, with a blank before them: for a command to go on with.
    pub fn words(&self) -> String {
        let dir = self.dir.iter().map(|dir| format!(" --dir {}", dir.display()));
        let addr = (!self.addr.is_empty()).then(|| format!(" --addr {}", self.addr.join(",")));
        dir.chain(addr).collect()
    }

    /// As the client knows it.
    pub fn lookup(&self) -> Lookup {
        let Self { dir, addr, secret_file } = self.clone();
        // What is typed goes before what the environment says, so this one is not left to the parser.
        let addresses = match environment::addresses() {
            Some(said) if addr.is_empty() && dir.is_none() => said.split(',').map(str::to_owned).collect(),
            _ => addr,
        };
        Lookup { directory: dir, addresses, secret_file }
    }
}

impl Cli {
    /// The command line of this process.
    ///
    /// # Errors
    /// The parser's words: help that was asked for, or what is wrong.
    pub fn of_process() -> Result<Self, clap::Error> {
        let words = operations::natural(original::by_name(std::env::args_os()));
        let mut command = environment::without_empty(Self::command(), environment::is_empty);
        let matches = command.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

impl Command {
    /// The operation that the command asks for, and how; `None` for the commands that ask for none.
    pub fn operation(&self) -> Option<(OperationRequest, &Change)> {
        Some(match self {
            Command::Partition(partition) => partition.request(),
            Command::Cluster(cluster) => cluster.request(),
            Command::Table(TableCommand::SetReplicas(replicas)) => replicas.request(),
            Command::Optimize(optimize) => return optimize.request(),
            Command::Node(NodeCommand::Drain(node)) => node.request("drain"),
            Command::Node(NodeCommand::Undrain(node)) => node.request("undrain"),
            Command::Node(NodeCommand::Decommission(node)) => node.request("decommission"),
            Command::Node(NodeCommand::Offline(node)) => node.request("offline-node"),
            Command::Node(NodeCommand::Recover(recover)) => recover.request(),
            _ => return None,
        })
    }

    /// How the command prints.
    pub fn form(&self) -> Form {
        if let Some((_, change)) = self.operation() {
            return change.output.form();
        }
        let output = match self {
            Command::Up(up) => up.output,
            Command::Down(down) => down.output,
            Command::Status(status) => status.output,
            Command::Table(TableCommand::Create(create)) => create.output,
            Command::Table(TableCommand::Show(named) | TableCommand::Drop(named)) => named.output,
            Command::Table(TableCommand::List(ask)) | Command::Node(NodeCommand::List(ask)) => ask.output,
            Command::Node(NodeCommand::Add(add)) => add.output,
            Command::Node(NodeCommand::MayStop(node)) => node.output,
            Command::Node(NodeCommand::Rebuild(rebuild)) => rebuild.output,
            Command::Op(op) => op.output(),
            Command::RecoverQuorum(recover) => recover.output,
            Command::Explain(explain) => explain.output(),
            Command::Config(config) => config.output(),
            Command::Backup(backup) => backup.output(),
            Command::Meta(meta) => meta.output(),
            Command::Restore(restore) => restore.output,
            Command::Import(import) => import.target().output,
            Command::Leader(LeaderCommand::Move(leader)) => leader.output,
            Command::Digest(digest) => digest.output,
            Command::Bench(BenchCommand::Kv(bench)) => bench.output,
            Command::Agent(agent) => agent.output,
            Command::Namespace(NamespaceCommand::Create(create)) => create.output,
            Command::Namespace(NamespaceCommand::List(ask)) => ask.output,
            Command::Namespace(NamespaceCommand::Delete(delete)) => delete.output,
            Command::Optimize(optimize) => optimize.change.output,
            Command::Token(token) => token.output,
            Command::Errors(errors) => errors.output,
            Command::Version(version) => version.output,
            Command::Server(_) | Command::Completions(_) | Command::Ns(_) => Output::default(),
            Command::Fedb(_) | Command::Rtidb(_) | Command::Openmldb(_) => Output::default(),
            Command::ZankvBackup(_) | Command::ZankvRestore(_) => Output::default(),
            // Operations have answered above.
            Command::Partition(_) | Command::Cluster(_) | Command::Node(_) | Command::Table(_) => {
                Output::default()
            }
        };
        output.form()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_the_parser() {
        for bad in [
            "up --nodes 2",
            "up --partitions 0",
            "up --base-port 0",
            "table create",
            "leader move t 0",
            "bench kv --mix sometimes",
            "bench kv --requests 5 --duration 3s",
        ] {
            let words = std::iter::once("skein").chain(bad.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{bad}");
        }
    }
}
