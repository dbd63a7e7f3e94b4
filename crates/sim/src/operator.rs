//! Operators: what those who run the cluster ask for.
//!
//! What kind of thing an operator does is planned before a run begins; about which partitions and nodes it is, is
//! chosen when it is done, from the cluster as it is then. Some wishes make no sense and must be refused.

use api::admin::OperationRequest;
use api::catalog::{EngineKind, HashBy, NewTable, PartitionRecord};
use catalog::Catalog;
use ops::Observed;
use types::settings;
use types::{GroupId, NodeId, OperationId};

use crate::random::Random;

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Plans an operation of this kind, and starts it, at once or after so many nanoseconds.
    Operate(&'static str, u64),
    /// Exactly this operation, once, whether it is refused or not: for stories.
    Ask(Wish),
    /// Cancels an operation that has not ended.
    Cancel,
    /// Forgets one that has ended.
    Forget,
    /// Changes a setting.
    Set,
    /// Asks for a permit to stop a node, and stops it for so many nanoseconds if it is granted.
    Stop(u64),
    /// Gives a permit back.
    Release(NodeId),
    /// Makes a table of its own.
    Create,
    /// Adds a node.
    Join,
}

/// An operation on the first partition of a table, or on a node, for stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its kind.
    pub kind: &'static str,
    /// The table.
    pub table: &'static str,
    /// The node that something leaves, or that the operation is about; 0: none, or whichever has a replica.
    pub from: u64,
    /// The node that something goes to; 0: none, or whichever has none.
    pub to: u64,
}

/// Kinds of operations that can be asked for; the more often one stands here, the more often it is.
const KINDS: [&str; 21] = [
    "change-leader",
    "add-replica",
    "remove-replica",
    "migrate",
    "migrate",
    "migrate",
    "snapshot",
    "offline-node",
    "offline-node",
    "recover-node",
    "recover-node",
    "recover-partition",
    "recover-cluster",
    "balance",
    "balance",
    "drain",
    "undrain",
    "decommission",
    "set-replicas",
    "set-replicas",
    "optimize",
];

/// Of 1000 wishes, so many are about anything at all.
const SENSELESS: u64 = 60;
/// ... and so many of those about partitions are about the catalog's own.
const ABOUT_CATALOG: u64 = 150;

impl Command {
    /// Something that an operator does.
    pub fn any(random: &mut Random) -> Self {
        let second = 1_000_000_000;
        match random.below(100) {
            0..=7 => Command::Cancel,
            8..=10 => Command::Forget,
            11..=17 => Command::Set,
            18 => Command::Create,
            19..=27 => Command::Stop(random.between(second / 2, 6 * second)),
            _ => {
                let late = if random.permille(250) { random.below(3 * second) } else { 0 };
                Command::Operate(KINDS[random.below(KINDS.len() as u64) as usize], late)
            }
        }
    }
}

/// What an operator sees when choosing.
pub struct Chooser<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    /// The cluster as the leader of the catalog sees it.
    pub observed: &'a Observed,
    /// Chance.
    pub random: &'a mut Random,
}

impl Chooser<'_> {
    /// A wish of a kind.
    pub fn request(&mut self, kind: &str) -> OperationRequest {
        let senseless = self.random.permille(SENSELESS);
        let mut request = OperationRequest { kind: kind.to_owned(), ..Default::default() };
        match kind {
            "recover-cluster" => {}
            "balance" => (request.replicas, request.leaders) = self.sides(),
            "offline-node" | "recover-node" | "drain" | "undrain" | "decommission" => {
                request.node = Some(if senseless { self.random.below(9) } else { self.node_for(kind) });
                request.leaders = kind == "recover-node" && self.random.permille(300);
            }
            "set-replicas" => {
                request.table = Some(self.table());
                request.count = Some(self.random.between(2, 5) as u32);
            }
            // Of everything, or of one table.
            "optimize" if self.random.permille(300) => {}
            "optimize" => request.table = Some(self.table()),
            _ => self.about_partitions(&mut request, senseless),
        }
        request
    }

    /// The wish of a story.
    pub fn exact(&mut self, wish: Wish) -> OperationRequest {
        let mut request = OperationRequest { kind: wish.kind.into(), ..Default::default() };
        if ["offline-node", "recover-node"].contains(&wish.kind) {
            request.node = Some(wish.from);
            return request;
        }
        let record = self.catalog.find(wish.table);
        let first = record.and_then(|record| record.groups.first());
        let Some(partition) = first.and_then(|id| self.catalog.partition(GroupId(*id))).cloned() else {
            return request;
        };
        (request.table, request.partitions) = (Some(wish.table.into()), vec![0]);
        let or = |node: u64, any: Option<u64>| if node == 0 { any } else { Some(node) };
        if ["remove-replica", "migrate"].contains(&wish.kind) {
            request.from = or(wish.from, self.host(&partition));
        }
        if ["add-replica", "migrate"].contains(&wish.kind) {
            request.to = or(wish.to, self.stranger(&partition));
        }
        request
    }

    fn sides(&mut self) -> (bool, bool) {
        *self.random.pick(&[(true, false), (false, true), (false, false), (true, true)])
    }

    fn about_partitions(&mut self, request: &mut OperationRequest, senseless: bool) {
        let table = self.table();
        let Some(record) = self.catalog.find(&table) else { return };
        let groups = record.groups.clone();
        request.table = Some(table);
        let index = self.random.below(groups.len() as u64);
        if self.random.permille(800) {
            request.partitions = vec![index];
        }
        let Some(partition) = groups.get(index as usize).and_then(|id| self.catalog.partition(GroupId(*id)))
        else {
            return;
        };
        let partition = partition.clone();
        match request.kind.as_str() {
            "change-leader" if self.random.permille(600) => request.to = self.host(&partition),
            "add-replica" if self.random.permille(500) => request.to = self.stranger(&partition),
            "remove-replica" => request.from = self.host(&partition),
            "migrate" => {
                request.from = self.host(&partition);
                if self.random.permille(600) {
                    request.to = self.stranger(&partition);
                }
            }
            "recover-partition" if self.random.permille(500) => request.node = self.host(&partition),
            _ => {}
        }
        if senseless {
            let any = self.random.below(9);
            request.from = request.from.map(|_| any);
            request.to = request.to.map(|_| any);
        }
    }

    fn table(&mut self) -> String {
        let catalog = self.random.permille(ABOUT_CATALOG);
        if catalog { "catalog".into() } else { catalog::DEFAULT_TABLE.into() }
    }

    fn host(&mut self, partition: &PartitionRecord) -> Option<u64> {
        let hosts: Vec<u64> = partition.replicas.iter().map(|replica| replica.node).collect();
        (!hosts.is_empty()).then(|| *self.random.pick(&hosts))
    }

    /// A node without a replica of a partition.
    fn stranger(&mut self, partition: &PartitionRecord) -> Option<u64> {
        let hosts = |node: u64| partition.replicas.iter().any(|replica| replica.node == node);
        let others: Vec<u64> =
            self.catalog.nodes().map(|node| node.id).filter(|node| !hosts(*node)).collect();
        (!others.is_empty()).then(|| *self.random.pick(&others))
    }

    /// A node that it makes sense for, if there is any.
    fn node_for(&mut self, kind: &str) -> u64 {
        let nodes: Vec<u64> = self.catalog.nodes().map(|node| node.id).collect();
        let fits = |node: &u64| {
            let flags = self.catalog.flags(NodeId(*node));
            match kind {
                "undrain" => flags.drained,
                "recover-node" => flags.offline || !self.observed.is_up(NodeId(*node)),
                _ => !flags.drained && !flags.offline && !flags.leaving,
            }
        };
        let fitting: Vec<u64> = nodes.iter().copied().filter(fits).collect();
        let from = if fitting.is_empty() { nodes } else { fitting };
        if from.is_empty() { 1 } else { *self.random.pick(&from) }
    }

    /// An operation that has ended, or one that has not.
    pub fn operation(&mut self, ended: bool) -> Option<OperationId> {
        let known = self.catalog.operations();
        let known = known.filter(|operation| operation.state().has_ended() == ended);
        let ids: Vec<u64> = known.map(|operation| operation.id).collect();
        (!ids.is_empty()).then(|| OperationId(*self.random.pick(&ids)))
    }

    /// A setting and a value for it.
    pub fn setting(&mut self) -> (&'static str, String) {
        let between = |random: &mut Random, low, high| random.between(low, high).to_string();
        let random = &mut *self.random;
        match random.below(9) {
            0..=2 => (settings::AUTO_FAILOVER.name, random.permille(600).to_string()),
            3 | 4 => (settings::REPLACE_AFTER_S.name, between(random, 0, 9)),
            5 => (settings::AUTO_BALANCE.name, random.permille(600).to_string()),
            6 => (settings::MOVES_PER_NODE.name, between(random, 1, 4)),
            7 => (settings::MOVE_BYTES_PER_SECOND.name, random.pick(&["0", "20000", "200000"]).to_string()),
            _ => (settings::AUTOMATION_STOPS_AT.name, random.pick(&["34", "51", "100"]).to_string()),
        }
    }

    /// A table that nobody uses: what it is about is how its groups begin.
    pub fn new_table(&mut self) -> NewTable {
        let nodes = self.catalog.nodes().count() as u64;
        NewTable {
            name: format!("table{}", self.catalog.version().get()),
            engine: EngineKind::Kv.into(),
            hash: HashBy::ByNamespace.into(),
            partitions: self.random.between(1, 2) as u32,
            replicas: self.random.between(1, nodes.min(3)) as u32,
            ..NewTable::default()
        }
    }

    /// A node to be stopped.
    pub fn node_to_stop(&mut self) -> Option<NodeId> {
        let up: Vec<NodeId> =
            self.observed.nodes.keys().copied().filter(|node| self.observed.is_up(*node)).collect();
        (!up.is_empty()).then(|| *self.random.pick(&up))
    }
}
