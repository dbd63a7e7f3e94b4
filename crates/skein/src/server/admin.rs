//! The member behind the admin API.

use std::sync::Arc;
use std::time::Duration;

use api::admin::{
    CreateTable, DigestReport, Identity, JoinNode, Joined, MoveLeader, Status, Table, TablePartition,
};
use api::archive::ArchiveReport;
use api::auth::Secret;
use api::catalog::{
    CatalogAnswer, CatalogOp, EngineKind, HashBy, Label, NewTable, NodeRecord, TableName, TableRecord,
};
use node::Node;
use serve::http::{Admin, Answer, Histogram, Jobs, LabelledValue, Schedules};
use serve::redis::RedisFace;
use tokio::sync::oneshot;
use tokio::time::Instant;
use types::metrics::Metric;
use types::{ErrorCode, Fault, NodeId, TableId, limits};

use super::jobs::NodeJobs;
use super::schedules::NodeSchedules;
use super::transport::Wires;
use wal::SegmentedLog;

/// Partitions of a table that is made without a number.
pub(super) const PARTITIONS_DEFAULT: u32 = 8;
/// How often a wish is looked at until it is fulfilled.
pub(super) const LOOK: Duration = Duration::from_millis(5);
/// How long to wait for nodes to hear of a change.
pub(super) const KNOWN_PATIENCE: Duration = Duration::from_secs(2);
/// How long a wish may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node's admin API.
pub struct NodeAdmin {
    pub(super) node: Arc<Node>,
    pub(super) wires: Arc<Wires>,
    pub(super) redis: Arc<RedisFace>,
    pub(super) log: Arc<SegmentedLog>,
    pub(super) cluster: String,
    name: String,
    /// For what this node asks of others.
    pub(super) secret: Secret,
    pub(super) begun: Instant,
    jobs: Option<Arc<NodeJobs>>,
}

impl NodeAdmin {
    /// The API of a node of a cluster, which people call by this name.
    pub fn new(
        node: Arc<Node>,
        wires: Arc<Wires>,
        redis: Arc<RedisFace>,
        log: Arc<SegmentedLog>,
        (cluster, name): (String, String),
        secret: Secret,
    ) -> Self {
        Self { node, wires, redis, log, cluster, name, secret, begun: Instant::now(), jobs: None }
    }

    /// The same, with what it does for backups and restores.
    pub fn with_jobs(self, jobs: Arc<NodeJobs>) -> Self {
        Self { jobs: Some(jobs), ..self }
    }

    /// How far the archive is, as far as this node writes it; nothing if there is none, or it has ended.
    pub(super) fn archive_report(&self) -> Option<ArchiveReport> {
        let report = self.jobs.as_ref()?.archive();
        (!report.id.is_empty() && !report.ended).then_some(report)
    }

    pub(super) fn change(&self, op: CatalogOp) -> oneshot::Receiver<Result<CatalogAnswer, Fault>> {
        let (sender, receiver) = oneshot::channel();
        self.node.change_catalog(op, move |answer| drop(sender.send(answer)));
        receiver
    }
}

impl Admin for NodeAdmin {
    fn identity(&self) -> Identity {
        Identity {
            cluster: self.cluster.clone(),
            name: self.name.clone(),
            node: self.node.id().get(),
            boot: format!("{:016x}", self.node.boot().get()),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.node.is_ready(),
        }
    }

    fn ready(&self) -> Result<(), String> {
        match self.node.is_ready() {
            true => Ok(()),
            false => Err("not ready: replicas are still being opened or catching up".into()),
        }
    }

    fn jobs(&self) -> Option<Arc<dyn Jobs>> {
        self.jobs.clone().map(|jobs| jobs as Arc<dyn Jobs>)
    }

    fn schedules(&self) -> Option<Arc<dyn Schedules>> {
        Some(NodeSchedules::new(self.node.clone()))
    }

    fn labelled_metrics(&self) -> Vec<LabelledValue> {
        super::schedules::backup_values(&self.node.catalog())
    }

    fn histograms(&self) -> Vec<Histogram> {
        self.write_histograms()
    }

    fn metrics(&self) -> Vec<(&'static Metric, f64)> {
        self.metric_values()
    }

    fn status(&self) -> Result<Status, Fault> {
        match self.node.catalog().cluster() {
            Some(_) => self.node.require_reports().map(|()| self.node.status()),
            None => Err(Fault::new(ErrorCode::NotReady, "this node has no catalog yet")),
        }
    }

    fn join(&self, wish: JoinNode) -> Answer<Joined> {
        let answer = record_of(wish).map(|record| self.change(CatalogOp::RegisterNode(record)));
        let (node, cluster) = (self.node.clone(), self.cluster.clone());
        Box::pin(async move {
            match answer?.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?? {
                CatalogAnswer::Node(record) => {
                    // Otherwise its first words may reach a node that does not know it.
                    wait_for_all(&node, |catalog| catalog.node(NodeId(record.id)).is_some()).await;
                    Ok(Joined { cluster, node: record.id })
                }
                _ => Err(ErrorCode::VersionUnsupported.into()),
            }
        })
    }

    fn tables(&self) -> Vec<Table> {
        let catalog = self.node.catalog();
        catalog.tables().filter(|table| table.engine() != EngineKind::Catalog).map(table).collect()
    }

    fn table(&self, namespace: &str, name: &str) -> Result<Table, Fault> {
        let catalog = self.node.catalog();
        let found = catalog.table_named(namespace, name).map(table);
        found.ok_or_else(|| Fault::new(ErrorCode::UnknownTable, format!("{namespace}:{name}")))
    }

    fn create_table(&self, wish: CreateTable) -> Answer<Table> {
        let op = new_table(wish).map(CatalogOp::CreateTable);
        let answer = op.map(|op| self.change(op));
        let node = self.node.clone();
        Box::pin(async move {
            match answer?.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?? {
                CatalogAnswer::Table(record) => {
                    wait_for_all(&node, |catalog| catalog.table(TableId(record.id)).is_some()).await;
                    Ok(table(&record))
                }
                _ => Err(ErrorCode::VersionUnsupported.into()),
            }
        })
    }

    fn drop_table(&self, namespace: String, name: String) -> Answer<()> {
        let dropped = TableName { namespace: namespace.clone(), name: name.clone() };
        let answer = self.change(CatalogOp::DropTable(dropped));
        let node = self.node.clone();
        Box::pin(async move {
            answer.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
            wait_for_all(&node, |catalog| catalog.table_named(&namespace, &name).is_none()).await;
            Ok(())
        })
    }

    fn move_leader(&self, wish: MoveLeader) -> Answer<()> {
        let node = self.node.clone();
        Box::pin(async move {
            let to = NodeId(wish.to);
            let begun = Instant::now();
            let mut asked = None::<Instant>;
            loop {
                let group = node.find_group(&wish.table, wish.partition)?;
                if node.leader_of(group) == Some(to) {
                    return Ok(());
                }
                if begun.elapsed() > PATIENCE {
                    let detail = format!("node {to} did not take over in {} s", PATIENCE.as_secs());
                    return Err(Fault::new(ErrorCode::NoLeader, detail));
                }
                if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
                    node.move_leader(&wish.table, wish.partition, wish.to)?;
                    asked = Some(Instant::now());
                }
                tokio::time::sleep(LOOK).await;
            }
        })
    }

    fn digest(&self, which: TablePartition) -> Answer<DigestReport> {
        let node = self.node.clone();
        Box::pin(async move {
            let group = node.find_group(&which.table, which.partition)?;
            let (sender, receiver) = oneshot::channel();
            node.begin_digest(group, move |index| drop(sender.send(index)));
            let index = receiver.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
            let catalog = node.catalog();
            let wished = catalog.partition(group).map_or(0, |partition| partition.replicas.len());
            // Hashing keeps to the rate of moves: it may take long, and says how far it is.
            let (mut hashed, mut since) = (0, Instant::now());
            loop {
                let replicas = node.digests(group, index);
                let equal = replicas.windows(2).all(|pair| pair[0].hash == pair[1].hash);
                // Replicas that differ are news whoever is missing; equal ones prove nothing about those.
                if replicas.len() >= wished || !equal {
                    return Ok(DigestReport { index: index.get(), equal, replicas });
                }
                if hashed != node.hashed(group) {
                    (hashed, since) = (node.hashed(group), Instant::now());
                }
                if since.elapsed() > PATIENCE {
                    let detail = format!(
                        "{} of {wished} replicas of partition {} told their digest; those are equal",
                        replicas.len(),
                        which.partition
                    );
                    return Err(Fault::new(ErrorCode::Unreachable, detail));
                }
                tokio::time::sleep(LOOK).await;
            }
        })
    }
}

/// Waits until this node's catalog shows a change, and every live node has one as new. Not longer than it
/// takes to notice that a node is gone: the change is made, whoever knows it.
pub(super) async fn wait_for_all(node: &Node, shows: impl Fn(&catalog::Catalog) -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < KNOWN_PATIENCE {
        let catalog = node.catalog();
        if shows(&catalog) && node.is_known_by_all(catalog.version().get()) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A node as the catalog keeps it. What it says of itself is checked there.
fn record_of(wish: JoinNode) -> Result<NodeRecord, Fault> {
    let number = |what: &str, text: &str| {
        let detail = || format!("{what}: '{text}' is not a number of up to 16 hexadecimal digits");
        u64::from_str_radix(text, 16).map_err(|_| Fault::new(ErrorCode::BadArgument, detail()))
    };
    Ok(NodeRecord {
        id: wish.node,
        boot: number("boot", &wish.boot)?,
        store: number("store", &wish.store)?,
        endpoint: wish.endpoint,
        redis: wish.redis,
        zankv: wish.zankv,
        http: wish.http,
        roles: wish.roles,
        version: wish.version,
        feature_level: wish.feature_level,
        labels: wish.labels.into_iter().map(|(name, value)| Label { name, value }).collect(),
    })
}

fn new_table(wish: CreateTable) -> Result<NewTable, Fault> {
    let engine = match wish.engine.as_deref() {
        None | Some("kv") => EngineKind::Kv,
        Some(other) => {
            return Err(Fault::new(
                ErrorCode::BadArgument,
                format!("there is no engine '{other}', only 'kv'"),
            ));
        }
    };
    let partitions = wish.partitions.unwrap_or(PARTITIONS_DEFAULT);
    if partitions == 0 || partitions > limits::PARTITIONS_MAX {
        let detail = format!("partitions: 1 to {}, not {partitions}", limits::PARTITIONS_MAX);
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    }
    Ok(NewTable {
        namespace: wish.namespace.unwrap_or_else(|| catalog::DEFAULT_NAMESPACE.into()),
        name: wish.name,
        engine: engine as i32,
        hash: HashBy::ByNamespace as i32,
        partitions,
        replicas: wish.replicas.unwrap_or(0),
        options: Vec::new(),
        scratch_of: 0,
        restoring: String::new(),
        restored_by: 0,
    })
}

fn table(record: &TableRecord) -> Table {
    let engine = match record.engine() {
        EngineKind::Catalog => "catalog",
        EngineKind::Kv => "kv",
    };
    let hash = match record.hash() {
        HashBy::Whole => "whole",
        HashBy::Tag | HashBy::ByNamespace => "tag",
    };
    Table {
        tid: record.id,
        namespace: record.namespace.clone(),
        name: record.name.clone(),
        engine: engine.into(),
        partitions: record.groups.len() as u32,
        replicas: record.replicas,
        generation: record.generation,
        hash: hash.into(),
        restoring: record.restoring.clone(),
    }
}
