//! How one partition is: its leader, its replicas, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use api::admin::{PartitionStatus, ReplicaStatus};
use api::catalog::{PartitionRecord, ReplicaRecord};
use api::peer::{Member, Membership, ReplicaReport, ReplicaState};
use types::settings::AUTO_FAILOVER;
use types::{GroupId, NodeId, TableId};

use super::tolerance::{majority, tolerance};
use super::{NodeState, Observations};
use crate::{Catalog, display_name};

/// What was heard, by what it is looked up by.
pub(crate) struct Heard<'a> {
    pub(crate) states: BTreeMap<NodeId, NodeState>,
    /// Nodes that were taken offline by command.
    pub(crate) offline: BTreeSet<NodeId>,
    /// Who has reported at all.
    nodes: BTreeSet<NodeId>,
    /// By group, replica and node.
    replicas: BTreeMap<(u64, u64, u64), &'a ReplicaReport>,
}

/// How a partition is.
pub(crate) struct Assessment {
    pub(crate) status: PartitionStatus,
    /// Nodes that may be lost; `None` when it is not served.
    pub(crate) tolerance: Option<u32>,
    /// How many voters it has.
    pub(crate) voters: usize,
    /// The nodes of those voters that are in sync and up.
    pub(crate) in_sync: Vec<u64>,
    /// It is just as it is wished.
    pub(crate) whole: bool,
}

impl<'a> Heard<'a> {
    pub(crate) fn of(catalog: &Catalog, observations: &'a Observations) -> Self {
        let state = |id: &NodeId| (*id, observations.node_state(catalog, *id));
        let mut replicas = BTreeMap::new();
        for (node, observation) in &observations.reports {
            for report in &observation.report.replicas {
                replicas.insert((report.group, report.replica, node.get()), report);
            }
        }
        let nodes = observations.reports.keys().copied().collect();
        let offline = catalog.nodes.keys().copied().filter(|id| catalog.flags(*id).offline).collect();
        Self { states: catalog.nodes.keys().map(state).collect(), offline, nodes, replicas }
    }

    pub(crate) fn state(&self, node: u64) -> NodeState {
        self.states.get(&NodeId(node)).copied().unwrap_or(NodeState::Down)
    }

    fn is_up(&self, node: u64) -> bool {
        self.state(node) == NodeState::Up
    }

    /// What nodes that are up report of a group's replicas.
    fn of_group(&self, group: u64) -> impl Iterator<Item = (u64, &'a ReplicaReport)> + '_ {
        let range = self.replicas.range((group, 0, 0)..=(group, u64::MAX, u64::MAX));
        let with_node = |(&(_, _, node), &report): (&(u64, u64, u64), &&'a ReplicaReport)| (node, report);
        range.map(with_node).filter(|(node, _)| self.is_up(*node))
    }

    /// The leader of a group: its node and its report.
    fn leader(&self, group: u64) -> Option<(u64, &'a ReplicaReport)> {
        let (node, report) = self
            .of_group(group)
            .filter(|(_, report)| report.state() == ReplicaState::Leader)
            .max_by_key(|(_, report)| report.term)?;
        let later_term = self.of_group(group).any(|(_, other)| other.term > report.term);
        (!later_term).then_some((node, report))
    }
}

/// One replica with everything that is known of it.
struct Known<'a> {
    id: u64,
    node: u64,
    wish: Option<&'a ReplicaRecord>,
    member: Option<&'a Member>,
    report: Option<&'a ReplicaReport>,
    node_state: NodeState,
    /// Its node was heard of, whatever it said.
    node_heard: bool,
    /// It leads.
    leads: bool,
    /// The leader says that it is in sync, and it does not say that it has stopped.
    in_sync: bool,
}

impl Known<'_> {
    fn votes(&self) -> bool {
        self.member.is_some_and(|member| !member.learner)
    }

    fn is_up(&self) -> bool {
        self.node_state == NodeState::Up
    }

    /// Its own word, as long as it is fresh.
    fn has_stopped(&self) -> bool {
        self.is_up() && self.report.is_some_and(|report| report.state() == ReplicaState::Stopped)
    }

    /// It is there and could vote.
    fn is_able(&self) -> bool {
        self.votes() && self.is_up() && self.report.is_some() && !self.has_stopped()
    }

    fn role(&self) -> &'static str {
        match (self.leads, self.votes()) {
            (true, _) => "leader",
            (false, true) => "follower",
            (false, false) => "learner",
        }
    }

    /// It is out of service, and led when it went: whoever led last if nobody has led since, or one that
    /// said so with its last word.
    fn led(&self, leader_of_record: u64, is_led: bool) -> bool {
        let said_so = self.report.is_some_and(|report| report.state() == ReplicaState::Leader);
        let was_told = self.wish.is_some_and(|wish| wish.led);
        let is_out = !self.is_up() || self.is_offline();
        let nobody_since = !is_led && self.id == leader_of_record;
        // Whoever says so and is not in sync has died a moment ago, or is cut off.
        !self.leads && ((said_so && !self.in_sync) || (is_out && (said_so || was_told || nobody_since)))
    }

    /// Taken offline by command.
    fn is_offline(&self) -> bool {
        self.wish.is_some_and(|wish| wish.offline)
    }

    fn state(&self) -> &'static str {
        if self.is_offline() {
            return "offline";
        }
        if self.in_sync {
            return "in-sync";
        }
        if !self.is_up() {
            return "unreachable";
        }
        match self.report.map(ReplicaReport::state) {
            Some(ReplicaState::Stopped) => "stopped",
            Some(ReplicaState::Starting) => "starting",
            Some(_) => "catching-up",
            // A node reports every replica that it has. One that existed and is not there is gone.
            None if self.node_heard && self.wish.is_none_or(|wish| wish.established) => "lost",
            None => "starting",
        }
    }

    /// What keeps it from being as wished, if anything.
    fn flaw(&self) -> Option<String> {
        let place = format!("replica {} on node {}", self.id, self.node);
        match self.state() {
            _ if self.wish.is_none() => Some(format!("{place} is to leave")),
            "offline" => Some(format!("{place} was taken offline")),
            "in-sync" if self.votes() => None,
            "in-sync" => Some(format!("{place} has no vote yet")),
            "unreachable" => Some(self.node_is_gone()),
            "stopped" => Some(self.why_stopped()),
            "catching-up" => Some(format!("{place} is catching up")),
            other => Some(format!("{place} is {other}")),
        }
    }

    /// Why it cannot vote, if it cannot.
    fn disability(&self) -> Option<String> {
        if !self.votes() || self.is_able() {
            return None;
        }
        Some(match self.report {
            _ if !self.is_up() => self.node_is_gone(),
            Some(_) => self.why_stopped(),
            None => format!("replica {} is not on node {}", self.id, self.node),
        })
    }

    fn node_is_gone(&self) -> String {
        format!("node {} is {}", self.node, self.node_state.as_str())
    }

    fn why_stopped(&self) -> String {
        let detail = self.report.map_or("", |report| report.detail.as_str());
        let why = if detail.is_empty() { "no reason given" } else { detail };
        format!("replica {} on node {} stopped ({why})", self.id, self.node)
    }
}

/// Assesses one partition.
pub(crate) fn assess(catalog: &Catalog, heard: &Heard<'_>, partition: &PartitionRecord) -> Assessment {
    let leader = heard.leader(partition.group);
    let known_by_leader = leader.and_then(|(_, report)| report.membership.as_ref());
    let membership = known_by_leader.or(partition.observed.as_ref()).or(partition.birth.as_ref());
    let replicas = replicas(heard, partition, membership, leader.map(|(_, report)| report));
    let voters = replicas.iter().filter(|replica| replica.votes()).count();
    let in_sync = || replicas.iter().filter(|replica| replica.votes() && replica.in_sync);
    let served = leader.is_some() && in_sync().count() >= majority(voters);
    let surely_in_sync: Vec<u64> =
        in_sync().filter(|replica| replica.is_up()).map(|replica| replica.node).collect();
    let tolerance = served.then(|| tolerance(&surely_in_sync, voters));
    let problem = match (leader, tolerance) {
        (None, _) => no_leader(&replicas, voters, by_command(catalog, partition, &replicas)),
        (Some(_), None) => {
            let needed = majority(voters);
            format!("only {} of {voters} voters in sync, {needed} needed", in_sync().count())
        }
        (Some(_), Some(_)) => {
            let flaws = replicas.iter().filter_map(Known::flaw).chain(too_few(catalog, partition));
            flaws.collect::<Vec<_>>().join(", ")
        }
    };
    let replica_status = |replica: &Known<'_>| ReplicaStatus {
        replica: replica.id,
        node: replica.node,
        role: replica.role().into(),
        state: replica.state().into(),
        applied: replica.report.map_or(0, |report| report.applied),
        writes: replica.report.map(|report| report.writes),
        records: replica.report.map(|report| report.records),
        bytes: replica.report.map(|report| report.bytes),
        leaving: replica.wish.is_none(),
        led: replica.led(partition.leader, leader.is_some()),
    };
    let table = catalog.table(TableId(partition.table)).map(display_name).unwrap_or_default();
    // Without a leader, whoever got furthest knows best.
    let furthest =
        || replicas.iter().filter_map(|replica| replica.report).max_by_key(|report| report.applied);
    let told = leader.map(|(_, report)| report).or_else(furthest);
    Assessment {
        tolerance,
        voters,
        in_sync: surely_in_sync,
        whole: problem.is_empty(),
        status: PartitionStatus {
            table,
            partition: partition.index,
            group: partition.group,
            leader: leader.map(|(node, _)| node),
            replicas: replicas.iter().map(replica_status).collect(),
            problem,
            records: told.map_or(0, |report| report.records),
            bytes: told.map_or(0, |report| report.bytes),
        },
    }
}

/// Whether it has fewer replicas than its table wishes, see [`Catalog::lacks`].
fn too_few(catalog: &Catalog, partition: &PartitionRecord) -> Option<String> {
    let lacks = catalog.lacks(partition);
    let has = partition.replicas.len();
    (lacks > 0).then(|| format!("it has {has} of the {} replicas that its table wishes", has + lacks))
}

/// The replicas wished for in order of rank, then members that are no longer wished for.
fn replicas<'a>(
    heard: &Heard<'a>,
    partition: &'a PartitionRecord,
    membership: Option<&'a Membership>,
    leader: Option<&'a ReplicaReport>,
) -> Vec<Known<'a>> {
    let known = |id, node, wish, member| {
        let mut known = Known {
            id,
            node,
            wish,
            member,
            report: heard.replicas.get(&(partition.group, id, node)).copied(),
            node_state: heard.state(node),
            node_heard: heard.nodes.contains(&NodeId(node)),
            leads: leader.is_some_and(|leader| leader.replica == id),
            in_sync: false,
        };
        let leader_says_so = leader.is_some_and(|leader| leader.in_sync.contains(&id));
        known.in_sync = known.leads || (leader_says_so && !known.has_stopped());
        known
    };
    let members = membership.map_or(&[][..], |membership| &membership.members);
    let wished = partition.replicas.iter().map(|wish| {
        let member = members.iter().find(|member| member.replica == wish.id);
        known(wish.id, wish.node, Some(wish), member)
    });
    let leaving = members
        .iter()
        .filter(|member| partition.replicas.iter().all(|wish| wish.id != member.replica))
        .map(|member| known(member.replica, member.node, None, Some(member)));
    wished.chain(leaving).collect()
}

/// What gives a partition a leader that gets none by itself: with `auto_failover=false` only the replica that led
/// stands for election without being asked.
fn by_command(catalog: &Catalog, partition: &PartitionRecord, replicas: &[Known<'_>]) -> Option<String> {
    if partition.group == GroupId::CATALOG.get() || catalog.setting(&AUTO_FAILOVER) != 0 {
        return None;
    }
    // Before anybody has led, the one that is to be the first.
    let led = replicas
        .iter()
        .find(|replica| replica.id == partition.leader)
        .or_else(|| replicas.iter().find(|replica| replica.wish.is_some_and(|wish| !wish.offline)))?;
    let table = catalog.table(TableId(partition.table)).map(display_name).unwrap_or_default();
    let moves = format!("'skein partition change-leader {table} {}'", partition.index);
    match led.is_able() {
        true => None,
        false if led.is_up() => Some(format!("{moves} lets another replica lead")),
        false => Some(format!("'skein node offline {}' or {moves} lets another replica lead", led.node)),
    }
}

/// Why there is no leader: too few voters, an election that should end soon, or one that waits for a command.
fn no_leader(replicas: &[Known<'_>], voters: usize, by_command: Option<String>) -> String {
    let able = replicas.iter().filter(|replica| replica.is_able()).count();
    let needed = majority(voters);
    if let (true, Some(command)) = (able >= needed, by_command) {
        return format!(
            "no leader: {able} of {voters} voters can vote, but with auto_failover=false nobody takes over by \
             himself: {command}"
        );
    }
    if able >= needed {
        return format!("no leader: {able} of {voters} voters can vote, an election is due");
    }
    let disabilities: Vec<String> = replicas.iter().filter_map(Known::disability).collect();
    format!("no leader: {able} of {voters} voters can vote, {needed} needed: {}", disabilities.join(", "))
}
