//! The member behind ZanKV's routes.
//!
//! Nodes report to those that replicate the catalog. Any other node asks one of them, and tells it not to ask on.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::admin::{OperationRequest, StartOperation, address_elsewhere};
use api::catalog::{EngineKind, NodeRecord, PartitionRecord, TableRecord};
use api::peer::{Member, Membership, ReplicaReport, ReplicaState};
use api::zankv::{
    ClusterStats, DataNode, DataNodes, GroupMember, Info, Partition, PlacementDriver, PlacementDrivers,
    Query, RaftProgress, RaftStat, RaftStats, SlowLog, SlowLogEntry, Stats, TableStats, TableStatsOfAll,
    TableStatsReply, TablesByNamespace,
};
use catalog::{Catalog, NAMESPACE_TABLE, Role};
use client::Client;
use env::OsClock;
use proto_redis::slow_log::SlowCommand;
use replication::{GroupShared, ProgressState};
use serve::http::{Admin, Answer, OptimizeWish, StatsWish, Whom, Zankv};
use types::{ErrorCode, Fault, GroupId, NodeId, TableId};

use super::admin::NodeAdmin;
use super::{namespaces, node_counts, table_counts};

/// What stores everything, as ZanKV's programs ask.
pub(super) const ENGINE: &str = "fjall";
/// How long other nodes may take to tell of a table; those that take longer are missing.
const FAN_OUT_LIMIT: Duration = Duration::from_secs(10);
/// How long a node tries to learn from others whether the cluster is stable: less than monitors wait for an answer.
const LEARN_LIMIT: Duration = Duration::from_secs(5);

impl Zankv for NodeAdmin {
    fn info(&self) -> Info {
        let catalog = self.node.catalog();
        let record = catalog.node(self.node.id());
        let address = |address: fn(&NodeRecord) -> &String| record.map(address).cloned().unwrap_or_default();
        let (http, redis) = (address(|node| &node.http), address(|node| &node.zankv));
        Info {
            version: env!("CARGO_PKG_VERSION").into(),
            broadcast_address: host_of(&http).into(),
            hostname: host_of(&http).into(),
            http_port: port_of(&http).parse().unwrap_or(0),
            redis_port: port_of(&redis).parse().unwrap_or(0),
            start_time: self.started_at(),
        }
    }

    fn query(&self, namespace: &str) -> Result<Query, Fault> {
        let catalog = self.node.catalog();
        let unknown = || Fault::new(ErrorCode::UnknownNamespace, namespace.to_owned());
        let table = catalog.table_named(namespace, NAMESPACE_TABLE).ok_or_else(unknown)?;
        let data_node = |id: u64| catalog.node(NodeId(id)).map(data_node);
        let partition = |partition: &PartitionRecord| {
            let leads = |id: u64| partition.replicas.iter().find(|replica| replica.id == id);
            let leader = leads(partition.leader).or(partition.replicas.first());
            Partition {
                leader: leader.and_then(|replica| data_node(replica.node)),
                replicas: partition.replicas.iter().filter_map(|replica| data_node(replica.node)).collect(),
            }
        };
        let known = namespaces::namespace(table);
        let groups = table.groups.iter().filter_map(|group| catalog.partition(GroupId(*group)));
        Ok(Query {
            epoch: catalog.version().get(),
            partition_num: known.partitions,
            replicator: known.replicas,
            expire_policy: known.expiration_policy,
            fsync_optimized: false,
            eng_type: ENGINE.into(),
            partitions: groups.map(|found| (found.index.to_string(), partition(found))).collect(),
        })
    }

    fn data_nodes(&self, whom: Whom) -> Answer<DataNodes> {
        let here = self.status().map(|status| {
            let lives = |id: u64| status.nodes.iter().any(|node| node.id == id && node.state != "down");
            let catalog = self.node.catalog();
            let nodes = catalog.nodes().filter(|node| Role::Data.of(node) && lives(node.id));
            DataNodes { nodes: nodes.map(data_node).collect() }
        });
        self.here_or_elsewhere(whom, here, Client::data_nodes)
    }

    fn placement_drivers(&self) -> PlacementDrivers {
        let catalog = self.node.catalog();
        let mut ids = catalog.catalog_nodes();
        ids.sort_unstable();
        let driver = |id: NodeId| catalog.node(id).map(placement_driver);
        PlacementDrivers {
            pdnodes: ids.into_iter().filter_map(driver).collect(),
            pdleader: self.node.leader_of(GroupId::CATALOG).and_then(driver),
        }
    }

    fn cluster_stats(&self, whom: Whom) -> Answer<ClusterStats> {
        let here = self.status().map(|status| ClusterStats { stable: self.node.is_stable(&status) });
        let learned = self.here_or_elsewhere(whom, here, Client::cluster_stats);
        if whom == Whom::OnlyHere {
            return learned;
        }
        // Whoever watches knows two answers, and reads them from any node: what cannot be learned is not stable.
        Box::pin(async {
            let learned = tokio::time::timeout(LEARN_LIMIT, learned).await;
            Ok(learned.ok().and_then(Result::ok).unwrap_or(ClusterStats { stable: false }))
        })
    }

    fn stats(&self, wish: StatsWish) -> Answer<Stats> {
        node_counts::stats(self, wish)
    }

    fn raft_stats(&self, prefix: &str, leader_only: bool) -> Vec<RaftStats> {
        let catalog = self.node.catalog();
        let hosted = self.hosted(leader_only).into_iter();
        let wanted = hosted.filter(|one| one.table.namespace.starts_with(prefix));
        wanted.map(|one| one.raft_stats(&catalog)).collect()
    }

    fn table_stats(&self, table: Option<String>, leader_only: bool) -> Answer<TableStatsReply> {
        let hosted = self.hosted(leader_only);
        slowly(move || {
            let mut table_stats = TablesByNamespace::new();
            for one in &hosted {
                for found in tables_of(&one.table, &one.report, &one.shared, table.as_deref())? {
                    if table.as_ref().is_none_or(|table| *table == found.name) {
                        let key = table_key(&one.table.namespace, &found.name, table.is_some());
                        add(&mut table_stats, &key, &found);
                    }
                }
            }
            Ok(TableStatsReply { table_stats })
        })
    }

    fn table_stats_of_all(&self, table: String, leader_only: bool) -> Answer<TableStatsOfAll> {
        let catalog = self.node.catalog();
        let asked: Vec<_> = catalog
            .nodes()
            .filter(|node| Role::Data.of(node))
            .map(|node| {
                let (client, table) = (Client::new(vec![node.http.clone()], None), table.clone());
                let ask = tokio::task::spawn_blocking(move || client.table_stats(&table, leader_only));
                (data_node(node).node_id, ask)
            })
            .collect();
        Box::pin(async move {
            let mut found = TableStatsOfAll::default();
            let end = tokio::time::Instant::now() + FAN_OUT_LIMIT;
            for (node, ask) in asked {
                let Ok(Ok(Ok(reply))) = tokio::time::timeout_at(end, ask).await else { continue };
                for (namespace, stats) in &reply.table_stats {
                    add(&mut found.total, namespace, stats);
                }
                found.nodes.insert(node, reply.table_stats);
            }
            Ok(found)
        })
    }

    fn optimize(&self, wish: OptimizeWish) -> Answer<()> {
        let request = OperationRequest {
            kind: "optimize".into(),
            namespace: wish.namespace,
            // In a namespace of ZanKV's the keys of all tables lie together: they are compacted together.
            table: wish.table,
            ..Default::default()
        };
        let by = Some("http: /kv/optimize".into());
        let started = self.start_anywhere(StartOperation { request, planned: None, by });
        let client = self.catalog_client();
        Box::pin(async move {
            let operation = started.await?;
            if wish.wait {
                until_ended(client, operation.id).await?;
            }
            Ok(())
        })
    }

    fn slow_log(&self, count: usize) -> SlowLog {
        let (slower_than_micros, _) = self.redis.slow_limits();
        let entry = |(id, command): (u64, SlowCommand)| SlowLogEntry {
            id,
            time: command.at_seconds,
            micros: command.micros,
            command: command.words().iter().map(|word| word.escape_ascii().to_string()).collect(),
            client: command.address,
            client_name: command.name.escape_ascii().to_string(),
        };
        SlowLog { slower_than_micros, entries: self.redis.slow_log(count).into_iter().map(entry).collect() }
    }

    fn set_slow_log(&self, slower_than_micros: i64) {
        self.redis.set_slow_micros(slower_than_micros);
    }
}

/// A replica of this node.
pub(super) struct Hosted {
    pub(super) table: TableRecord,
    pub(super) partition: PartitionRecord,
    pub(super) report: ReplicaReport,
    pub(super) shared: Arc<GroupShared>,
}

impl NodeAdmin {
    /// The replicas of tables on this node; only those that lead, if that is wished.
    pub(super) fn hosted(&self, leader_only: bool) -> Vec<Hosted> {
        let catalog = self.node.catalog();
        let Some(store) = self.node.store() else { return Vec::new() };
        let hosted = |report: ReplicaReport| {
            let partition = catalog.partition(GroupId(report.group))?.clone();
            let table = catalog.table(TableId(partition.table))?.clone();
            let shared = store.shared(GroupId(report.group))?;
            let wanted = !leader_only || report.state() == ReplicaState::Leader;
            (table.engine() == EngineKind::Kv && wanted).then_some(Hosted {
                table,
                partition,
                report,
                shared,
            })
        };
        store.reports().into_iter().filter_map(hosted).collect()
    }

    /// What this node knows by itself, or else what one that does says.
    fn here_or_elsewhere<T: Send + 'static>(
        &self,
        whom: Whom,
        here: Result<T, Fault>,
        ask: fn(&Client) -> Result<T, Fault>,
    ) -> Answer<T> {
        match here {
            Err(fault) if whom == Whom::Anybody && fault.code == ErrorCode::NotMeta => {
                let client = self.catalog_client();
                slowly(move || ask(&client))
            }
            here => Box::pin(async { here }),
        }
    }

    /// A client of the nodes that replicate the catalog, the one that leads it first.
    fn catalog_client(&self) -> Client {
        let catalog = self.node.catalog();
        let leader = self.node.leader_of(GroupId::CATALOG);
        let others = catalog.catalog_nodes().into_iter().filter(|node| Some(*node) != leader);
        let addresses = leader.into_iter().chain(others).filter_map(|id| catalog.node(id));
        Client::new(addresses.map(|node| node.http.clone()).collect(), Some(&self.secret))
    }

    /// Starts an operation on whichever node leads the catalog.
    pub(super) fn start_anywhere(&self, wish: StartOperation) -> Answer<api::admin::Operation> {
        let here = serve::http::Operations::start(self, wish.clone());
        let client = self.catalog_client();
        Box::pin(async move {
            match here.await {
                Err(fault) if address_elsewhere(&fault).is_some() => {
                    slowly(move || client.start_operation(&wish)).await
                }
                here => here,
            }
        })
    }

    pub(super) fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    fn started_at(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(self.uptime()).as_secs() as i64
    }
}

/// Work that takes long, or waits for others, on a thread for such.
pub(super) fn slowly<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Answer<T> {
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Fault::new(ErrorCode::Internal, error.to_string())))
    })
}

/// How often the end of an operation is looked for.
const END_LOOK: Duration = Duration::from_millis(200);

async fn until_ended(client: Client, id: u64) -> Result<(), Fault> {
    let client = Arc::new(client);
    loop {
        let asked = client.clone();
        // A catalog that changes its leader is asked again.
        match slowly(move || asked.operation(id)).await {
            Ok(operation) if operation.state == "done" => return Ok(()),
            Ok(operation) if operation.ended_ms != 0 => {
                let ended = Fault::new(ErrorCode::GaveUp, format!("operation {id} was {}", operation.state));
                return Err(operation.error.as_ref().map_or(ended, Fault::from));
            }
            Err(fault) if fault.code == ErrorCode::UnknownOperation => return Err(fault),
            Ok(_) | Err(_) => tokio::time::sleep(END_LOOK).await,
        }
    }
}

impl Hosted {
    fn raft_stats(&self, catalog: &Catalog) -> RaftStats {
        let Self { partition, report, .. } = self;
        let view = self.shared.view();
        let known = report.membership.as_ref().or(partition.observed.as_ref()).or(partition.birth.as_ref());
        let members = known.map_or(&[][..], |known: &Membership| &known.members);
        let member = |member: &Member| self.member(catalog, member);
        let (learners, voters): (Vec<&Member>, Vec<&Member>) = members.iter().partition(|one| one.learner);
        let progress = view.progress.iter().map(|known| {
            let state = match known.state {
                ProgressState::Probe => "StateProbe",
                ProgressState::Replicate => "StateReplicate",
                ProgressState::Snapshot => "StateSnapshot",
            };
            let state = state.into();
            (known.replica.to_string(), RaftProgress { matched: known.matched, next: known.next, state })
        });
        let raft_state = match report.state() {
            ReplicaState::Leader => "StateLeader",
            ReplicaState::Candidate if view.pre_candidate => "StatePreCandidate",
            ReplicaState::Candidate => "StateCandidate",
            _ => "StateFollower",
        };
        RaftStats {
            leader_info: members.iter().find(|one| one.replica == report.leader).map(member),
            members: voters.into_iter().map(member).collect(),
            learners: learners.into_iter().map(member).collect(),
            raft_stat: RaftStat {
                id: report.replica,
                term: report.term,
                vote: view.vote,
                commit: report.commit,
                lead: report.leader,
                raft_state: raft_state.into(),
                applied: report.applied,
                progress: progress.collect(),
                lead_transferee: view.transferee,
            },
        }
    }

    fn member(&self, catalog: &Catalog, member: &Member) -> GroupMember {
        let node = catalog.node(NodeId(member.node));
        GroupMember {
            id: member.replica,
            node_id: member.node,
            group_name: partition_name(&self.table, &self.partition),
            group_id: self.partition.group,
            peer_urls: node.map(|node| format!("http://{}", node.endpoint)).into_iter().collect(),
        }
    }
}

/// `NAMESPACE-PARTITION`, or `NAMESPACE:TABLE-PARTITION` for a table of its own.
pub(super) fn partition_name(table: &TableRecord, partition: &PartitionRecord) -> String {
    let TableRecord { namespace, name, .. } = table;
    match name == NAMESPACE_TABLE {
        true => format!("{namespace}-{}", partition.index),
        false => format!("{namespace}:{name}-{}", partition.index),
    }
}

/// The tables of a partition: of a namespace those that its keys name, else the one that it is of.
pub(super) fn tables_of(
    table: &TableRecord,
    report: &ReplicaReport,
    shared: &GroupShared,
    only: Option<&str>,
) -> Result<Vec<TableStats>, Fault> {
    match table.name == NAMESPACE_TABLE {
        true => table_counts::of_namespace(shared, &OsClock, only, report.bytes),
        false => Ok(vec![table_counts::table_stats(table.name.clone(), report.records, report.bytes)]),
    }
}

/// Under which key a table is told: its namespace, which is enough if one table of each was asked for.
fn table_key(namespace: &str, table: &str, is_chosen: bool) -> String {
    if is_chosen { namespace.to_owned() } else { format!("{namespace}:{table}") }
}

fn add(tables: &mut TablesByNamespace, key: &str, more: &TableStats) {
    let known = tables.entry(key.to_owned()).or_default();
    known.name.clone_from(&more.name);
    known.key_num += more.key_num;
    known.disk_bytes_usage += more.disk_bytes_usage;
    known.approximate_key_num += more.approximate_key_num;
}

fn data_node(node: &NodeRecord) -> DataNode {
    let (host, redis, http) = (host_of(&node.http), port_of(&node.zankv), port_of(&node.http));
    DataNode {
        node_id: format!("{}:{host}::{redis}:{http}:datanode", node.id),
        broadcast_address: host.into(),
        hostname: host.into(),
        redis_port: redis.into(),
        http_port: http.into(),
        grpc_port: String::new(),
        version: node.version.clone(),
        dc_info: node
            .labels
            .iter()
            .find(|label| label.name == "dc")
            .map(|dc| dc.value.clone())
            .unwrap_or_default(),
    }
}

fn placement_driver(node: &NodeRecord) -> PlacementDriver {
    let (host, http) = (host_of(&node.http), port_of(&node.http));
    PlacementDriver {
        reg_id: node.id,
        id: format!("{}:{host}::{http}:pd", node.id),
        node_ip: host.into(),
        hostname: host.into(),
        redis_port: port_of(&node.zankv).into(),
        http_port: http.into(),
        rpc_port: String::new(),
        raft_transport_addr: node.endpoint.clone(),
        version: node.version.clone(),
        tags: node.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect(),
        data_root: String::new(),
        rsync_module: String::new(),
        learner_role: String::new(),
    }
}

/// The host of `host:port`, without the brackets of an address with colons.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn port_of(address: &str) -> &str {
    address.rsplit_once(':').map_or("", |(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fall_apart_into_host_and_port() {
        assert_eq!((host_of("10.0.0.1:7001"), port_of("10.0.0.1:7001")), ("10.0.0.1", "7001"));
        assert_eq!((host_of("[::1]:7001"), port_of("[::1]:7001")), ("::1", "7001"));
        assert_eq!((host_of(""), port_of("")), ("", ""));
    }

    #[test]
    fn a_node_is_named_as_in_zankv() {
        let node = NodeRecord {
            id: 3,
            zankv: "10.0.0.1:7004".into(),
            http: "10.0.0.1:7001".into(),
            ..Default::default()
        };
        assert_eq!(data_node(&node).node_id, "3:10.0.0.1::7004:7001:datanode");
    }
}
