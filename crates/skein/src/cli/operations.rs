//! The part of the command line that changes and explains a cluster: operations, permits, settings.
//!
//! An operation has one natural place (`partition migrate`, `node drain`) and one definition. `skein op KIND`
//! is the same command under the name that `op list` prints; see [`natural`].

use std::ffi::OsString;
use std::str::FromStr;

use api::admin::OperationRequest;
use clap::{Args, Subcommand};
use types::limits::PARTITIONS_MAX;

use super::{Ask, Find, Output};

/// The kinds of operations, and where each one stands on the command line.
const PLACES: &[(&str, &[&str])] = &[
    ("change-leader", &["partition", "change-leader"]),
    ("add-replica", &["partition", "add-replica"]),
    ("remove-replica", &["partition", "remove-replica"]),
    ("migrate", &["partition", "migrate"]),
    ("snapshot", &["partition", "snapshot"]),
    ("recover-partition", &["partition", "recover"]),
    ("offline-node", &["node", "offline"]),
    ("recover-node", &["node", "recover"]),
    ("drain", &["node", "drain"]),
    ("undrain", &["node", "undrain"]),
    ("decommission", &["node", "decommission"]),
    ("recover-cluster", &["cluster", "recover"]),
    ("balance", &["cluster", "balance"]),
    ("set-replicas", &["table", "set-replicas"]),
    ("recover-quorum", &["recover-quorum"]),
    ("optimize", &["optimize"]),
];

/// `skein op KIND ...` as `skein PLACE ...`; everything else as it is.
pub fn natural(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = arguments.collect();
    let is_op = words.get(1).is_some_and(|word| word == "op");
    let kind = words.get(2).filter(|_| is_op).and_then(|word| word.to_str());
    if let Some((_, place)) = PLACES.iter().find(|(known, _)| Some(*known) == kind) {
        words.splice(1..3, place.iter().map(OsString::from));
    }
    words
}

/// How a command changes the cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct Change {
    /// Show what would be done, and stop
    #[arg(long, conflicts_with_all = ["yes", "wait"])]
    pub plan: bool,
    /// Do it without a question; needed where no terminal is there to ask at
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Return when it has ended; until then a line on stderr tells how far it is
    ///
    /// Ctrl-C ends the waiting, not the operation.
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Partitions of a table, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitions {
    /// In order, each once; empty means all.
    pub numbers: Vec<u64>,
}

impl FromStr for Partitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self { numbers: Vec::new() });
        }
        let mut numbers = std::collections::BTreeSet::new();
        for piece in text.split(',') {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let number = |text: &str| {
                text.parse::<u64>().ok().filter(|number| *number < u64::from(PARTITIONS_MAX)).ok_or_else(
                    || format!("'{piece}' is neither a partition nor a range; as in 0 or 1,3 or 1-5 or all"),
                )
            };
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("the range '{piece}' ends before it begins"));
            }
            numbers.extend(first..=last);
        }
        Ok(Self { numbers: numbers.into_iter().collect() })
    }
}

/// Partitions of a table.
#[derive(Debug, Args)]
pub struct Which {
    /// The table: NAME, NAMESPACE:NAME, or 'catalog'
    pub table: String,
    /// Its partitions: one, a list as 1,3, a range as 1-5, or 'all'
    pub partitions: Partitions,
}

/// Commands about operations.
#[derive(Debug, Subcommand)]
pub enum OpCommand {
    /// List operations, the oldest first
    List(OpList),
    /// Show an operation: its steps, its parts, what happened, what it measured
    Show(OpNamed),
    /// Let an operation end early, and undo what it did
    ///
    /// Refused beyond its point of no return.
    Cancel(OpCancel),
    /// Tell what an operation waits for, and what would unblock it
    Explain(OpNamed),
    /// Wait for an operation, and tell how far it is
    Watch(OpNamed),
    /// Forget an operation that has ended
    Forget(OpNamed),
}

/// Arguments of `op list`.
#[derive(Debug, Args)]
pub struct OpList {
    /// Also the parts of operations on nodes, tables and the cluster
    #[arg(long)]
    pub parts: bool,
    /// Only what has not ended
    #[arg(long)]
    pub active: bool,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of commands about one operation.
#[derive(Debug, Args)]
pub struct OpNamed {
    /// Its id
    pub id: u64,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `op cancel`.
#[derive(Debug, Args)]
pub struct OpCancel {
    /// Its id
    pub id: u64,
    /// Return when it has ended
    #[arg(long)]
    pub wait: bool,
    /// Taken as by other commands that change something; this one asks nothing
    #[arg(long, short = 'y')]
    pub yes: bool,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Commands about partitions; each starts one operation for every partition that is named.
#[derive(Debug, Subcommand)]
pub enum PartitionCommand {
    /// Move a replica to another node; the leader, too
    ///
    /// The new replica gets a copy, catches up and is compared with the others before the old one goes.
    Migrate(Migrate),
    /// Let another replica lead
    ChangeLeader(Onto),
    /// Add a replica
    AddReplica(Onto),
    /// Remove the replica on a node
    RemoveReplica(RemoveReplica),
    /// Cut the log of the replicas as far as it can be
    Snapshot(OnPartitions),
    /// Bring replicas back that are offline or lost
    Recover(RecoverPartition),
}

/// Arguments of `partition migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    pub which: Which,
    /// The node that the replica leaves; it may be dead
    #[arg(long, value_name = "NODE")]
    pub from: u64,
    /// The node that it goes to [default: the best place]
    #[arg(long, value_name = "NODE")]
    pub to: Option<u64>,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of commands that give something to a node.
#[derive(Debug, Args)]
pub struct Onto {
    #[command(flatten)]
    pub which: Which,
    /// The node [default: the best one]
    #[arg(long, value_name = "NODE")]
    pub to: Option<u64>,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of `partition remove-replica`.
#[derive(Debug, Args)]
pub struct RemoveReplica {
    #[command(flatten)]
    pub which: Which,
    /// The node that the replica is on
    #[arg(long, value_name = "NODE")]
    pub from: u64,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of commands that are about partitions alone.
#[derive(Debug, Args)]
pub struct OnPartitions {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of `partition recover`.
#[derive(Debug, Args)]
pub struct RecoverPartition {
    #[command(flatten)]
    pub which: Which,
    /// Only the replica on this node [default: all replicas]
    #[arg(long, value_name = "NODE")]
    pub node: Option<u64>,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of commands that change a node.
#[derive(Debug, Args)]
pub struct NodeChange {
    /// The node
    pub node: u64,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of `node recover`.
#[derive(Debug, Args)]
pub struct NodeRecover {
    /// The node
    pub node: u64,
    /// Let it lead again what it led when it was taken offline
    #[arg(long)]
    pub leaders: bool,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of `node may-stop`.
#[derive(Debug, Args)]
pub struct NodeMayStop {
    /// The node
    pub node: u64,
    /// Take the right to stop it; until it ends no other node may be stopped if that would be one too many
    #[arg(long, conflicts_with = "give_back")]
    pub take: bool,
    /// Give that right back
    #[arg(long)]
    pub give_back: bool,
    /// Wait until it may be stopped; Ctrl-C ends the waiting
    #[arg(long, conflicts_with = "give_back")]
    pub wait: bool,
    /// How long the right is needed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Who asks, or gives back [default: admin]
    #[arg(long, value_name = "NAME")]
    pub holder: Option<String>,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Commands about the whole cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Mend whatever is wrong with any replica; normally there is nothing to do
    Recover(ClusterRecover),
    /// Spread replicas over dc, rack and host, even them out by bytes, and leaders by load
    Balance(ClusterBalance),
}

/// Arguments of `cluster recover`.
#[derive(Debug, Args)]
pub struct ClusterRecover {
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of `cluster balance`.
#[derive(Debug, Args)]
pub struct ClusterBalance {
    /// Only replicas
    #[arg(long, conflicts_with = "leaders")]
    pub replicas: bool,
    /// Only leaders
    #[arg(long)]
    pub leaders: bool,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of `table set-replicas`.
#[derive(Debug, Args)]
pub struct SetReplicas {
    /// The table: NAME or NAMESPACE:NAME, or 'catalog'
    pub table: String,
    /// How many replicas each partition shall have
    #[arg(value_parser = clap::value_parser!(u32).range(1..=7))]
    pub replicas: u32,
    #[command(flatten)]
    pub change: Change,
}

/// Arguments of `recover-quorum`.
#[derive(Debug, Args)]
pub struct RecoverQuorum {
    /// The table: NAME or NAMESPACE:NAME [default: all tables]
    pub table: Option<String>,
    /// Its partitions: one, a list as 1,3, a range as 1-5, or 'all' [default: all]
    pub partitions: Option<Partitions>,
    /// Show which partitions have lost their majority and what would be given up, and stop
    #[arg(long, conflicts_with_all = ["name", "wait"])]
    pub plan: bool,
    /// The cluster's name, instead of typing it when asked; needed where no terminal is there to ask at
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Return when it has ended; until then a line on stderr tells how far it is
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Commands about settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// List all settings, what they take and who changed them
    List(Ask),
    /// Print the value of a setting
    Get(ConfigGet),
    /// Change a setting; it is in force at once, on all nodes
    Set(ConfigSet),
}

/// Arguments of `config get`.
#[derive(Debug, Args)]
pub struct ConfigGet {
    /// Its name
    pub name: String,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `config set`.
#[derive(Debug, Args)]
pub struct ConfigSet {
    /// Its name
    pub name: String,
    /// Its new value
    pub value: String,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// What to explain.
#[derive(Debug, Subcommand)]
pub enum ExplainCommand {
    /// Tell why a partition is as it is, and what would change it
    Partition(ExplainPartition),
    /// Tell why a node is as it is, and what would change it
    Node(ExplainNode),
}

/// Arguments of `explain partition`.
#[derive(Debug, Args)]
pub struct ExplainPartition {
    /// The table: NAME, NAMESPACE:NAME, or 'catalog'
    pub table: String,
    /// The partition
    pub partition: u64,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `explain node`.
#[derive(Debug, Args)]
pub struct ExplainNode {
    /// The node
    pub node: u64,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

impl Which {
    fn request(&self, kind: &str) -> OperationRequest {
        OperationRequest {
            kind: kind.into(),
            table: Some(self.table.clone()),
            partitions: self.partitions.numbers.clone(),
            ..Default::default()
        }
    }
}

impl PartitionCommand {
    /// The operation that it asks for, and how.
    pub fn request(&self) -> (OperationRequest, &Change) {
        match self {
            Self::Migrate(Migrate { which, from, to, change }) => {
                (OperationRequest { from: Some(*from), to: *to, ..which.request("migrate") }, change)
            }
            Self::ChangeLeader(Onto { which, to, change }) => {
                (OperationRequest { to: *to, ..which.request("change-leader") }, change)
            }
            Self::AddReplica(Onto { which, to, change }) => {
                (OperationRequest { to: *to, ..which.request("add-replica") }, change)
            }
            Self::RemoveReplica(RemoveReplica { which, from, change }) => {
                (OperationRequest { from: Some(*from), ..which.request("remove-replica") }, change)
            }
            Self::Snapshot(OnPartitions { which, change }) => (which.request("snapshot"), change),
            Self::Recover(RecoverPartition { which, node, change }) => {
                (OperationRequest { node: *node, ..which.request("recover-partition") }, change)
            }
        }
    }
}

impl NodeChange {
    /// The operation of this kind on the node.
    pub fn request(&self, kind: &str) -> (OperationRequest, &Change) {
        (OperationRequest { kind: kind.into(), node: Some(self.node), ..Default::default() }, &self.change)
    }
}

impl NodeRecover {
    /// The operation that it asks for, and how.
    pub fn request(&self) -> (OperationRequest, &Change) {
        let (kind, node) = ("recover-node".into(), Some(self.node));
        (OperationRequest { kind, node, leaders: self.leaders, ..Default::default() }, &self.change)
    }
}

impl ClusterCommand {
    /// The operation that it asks for, and how.
    pub fn request(&self) -> (OperationRequest, &Change) {
        let kind = |kind: &str| OperationRequest { kind: kind.into(), ..Default::default() };
        match self {
            Self::Recover(recover) => (kind("recover-cluster"), &recover.change),
            Self::Balance(ClusterBalance { replicas, leaders, change }) => {
                (OperationRequest { replicas: *replicas, leaders: *leaders, ..kind("balance") }, change)
            }
        }
    }
}

impl RecoverQuorum {
    /// The operation that it asks for.
    pub fn request(&self) -> OperationRequest {
        OperationRequest {
            kind: "recover-quorum".into(),
            table: self.table.clone(),
            partitions: self.partitions.as_ref().map(|which| which.numbers.clone()).unwrap_or_default(),
            ..Default::default()
        }
    }
}

impl SetReplicas {
    /// The operation that it asks for, and how.
    pub fn request(&self) -> (OperationRequest, &Change) {
        let request = OperationRequest {
            kind: "set-replicas".into(),
            table: Some(self.table.clone()),
            count: Some(self.replicas),
            ..Default::default()
        };
        (request, &self.change)
    }
}

impl OpCommand {
    /// How it prints.
    pub fn output(&self) -> Output {
        match self {
            Self::List(list) => list.output,
            Self::Cancel(cancel) => cancel.output,
            Self::Show(named) | Self::Explain(named) | Self::Watch(named) | Self::Forget(named) => {
                named.output
            }
        }
    }
}

impl ConfigCommand {
    /// How it prints.
    pub fn output(&self) -> Output {
        match self {
            Self::List(ask) => ask.output,
            Self::Get(get) => get.output,
            Self::Set(set) => set.output,
        }
    }
}

impl ExplainCommand {
    /// How it prints.
    pub fn output(&self) -> Output {
        match self {
            Self::Partition(partition) => partition.output,
            Self::Node(node) => node.output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, NodeCommand, TableCommand};
    use clap::Parser;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("skein").chain(line.split(' ')).map(OsString::from);
        Cli::try_parse_from(natural(words)).map(|cli| cli.command)
    }

    fn request(line: &str) -> OperationRequest {
        let command = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let (request, change) = command.operation().expect("an operation");
        assert!(change.yes, "{line}");
        request
    }

    #[test]
    fn partitions_are_numbers_lists_ranges_or_all() {
        let numbers = |text: &str| text.parse::<Partitions>().map(|partitions| partitions.numbers);
        assert_eq!(numbers("0"), Ok(vec![0]));
        assert_eq!(numbers("3,1,3"), Ok(vec![1, 3]));
        assert_eq!(numbers("1-3,7"), Ok(vec![1, 2, 3, 7]));
        assert_eq!(numbers("all"), Ok(vec![]));
        for bad in ["", "x", "1,", "-1", "1-", "5-1", "1-2-3", "0-18446744073709551615", "ALL"] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn commands_ask_for_what_they_say() {
        let migrate = request("partition migrate shop:flow 1-2 --from 1 --to 4 --yes");
        let expected = OperationRequest {
            kind: "migrate".into(),
            table: Some("shop:flow".into()),
            partitions: vec![1, 2],
            from: Some(1),
            to: Some(4),
            ..Default::default()
        };
        assert_eq!(migrate, expected);
        let on_node =
            |kind: &str| OperationRequest { kind: kind.into(), node: Some(2), ..Default::default() };
        assert_eq!(request("node offline 2 -y"), on_node("offline-node"));
        assert_eq!(request("node decommission 2 --yes --wait"), on_node("decommission"));
        assert!(request("cluster balance --leaders --yes").leaders);
        assert_eq!(request("table set-replicas flow 5 --yes").count, Some(5));
    }

    #[test]
    fn a_kind_is_the_same_command_under_op() {
        let arguments = |place: &[&str]| match place {
            ["partition", "migrate" | "remove-replica"] => " t 0 --from 1 --yes",
            ["partition", _] => " t all --yes",
            ["node", _] => " 3 --yes",
            ["table", _] => " t 3 --yes",
            _ => " --yes",
        };
        // The one that is not agreed to by --yes has a test of its own.
        for (kind, place) in PLACES.iter().filter(|(kind, _)| *kind != "recover-quorum") {
            let there = request(&format!("{}{}", place.join(" "), arguments(place)));
            assert_eq!(there.kind, *kind);
            assert_eq!(request(&format!("op {kind}{}", arguments(place))), there);
        }
    }

    #[test]
    fn what_gives_up_writes_is_not_agreed_to_by_yes() {
        let Ok(Command::RecoverQuorum(recover)) = parse("op recover-quorum t 1-2 --name skein") else {
            panic!("it is a command")
        };
        let request = recover.request();
        assert_eq!((request.table.as_deref(), request.partitions), (Some("t"), vec![1, 2]));
        assert_eq!(recover.name.as_deref(), Some("skein"));
        assert!(parse("recover-quorum --yes").is_err());
        assert!(parse("recover-quorum --plan --name skein").is_err());
        assert!(parse("recover-quorum").is_ok());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for bad in [
            "partition migrate t 0",
            "partition migrate t x --from 1",
            "partition snapshot t 0 --plan --yes",
            "node drain 1 --plan --wait",
            "node may-stop 1 --take --give-back",
            "cluster balance --replicas --leaders",
            "table set-replicas t 0",
            "op nothing",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(matches!(parse("node drain 1"), Ok(Command::Node(NodeCommand::Drain(_)))));
        assert!(matches!(parse("table set-replicas t 2"), Ok(Command::Table(TableCommand::SetReplicas(_)))));
    }
}
