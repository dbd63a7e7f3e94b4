//! One node in this process: disk, engines, member and faces put together, and taken apart at the end.
//!
//! ```text
//!   identity ─► ports ─► "is there another me?" ─► log, records ─► node ─► peers, Redis, HTTP
//! ```
//!
//! Nothing of the data is touched before the ports are ours and every peer that answers has said that it
//! knows no other run of this node.

mod admin;
mod announce;
mod archiver;
mod bridge;
mod identity;
mod jobs;
mod metrics;
mod namespaces;
mod node_counts;
mod operations;
mod redis;
mod restores;
mod room;
mod schedules;
mod table_counts;
mod tasks;
mod thinner;
mod transport;
mod zankv;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::auth::Secret;
use api::catalog::{Bootstrap, EngineKind, Label, NewTable, NodeRecord};
use api::peer::{Member, Membership};
use catalog::{CatalogEngine, CatalogWatch};
use engine::Engine;
use engine_kv::KvEngine;
use env::{OsClock, OsDisk};
use node::{Node, NodeConfig};
use records_fjall::FjallStore;
use replication::driver::StoreOptions;
use replication::start::Engines;
use serve::http::HttpLimits;
use serve::peers::{PeerConfig, Peers};
use tokio::runtime::Runtime;
use types::settings::{BLOCK_CACHE_BYTES, FLUSH_INTERVAL_MS, WRITE_BUFFER_BYTES};
use types::{BootId, ClusterId, ErrorCode, Fault, GroupId, NodeId, limits};
use wal::{LogOptions, LogStore, SegmentedLog};

use crate::files::{Readers, write_atomically};
use crate::node_file::{NodeFile, NodePlace};
use crate::signals::{self, Asked};
use identity::Identity;
use room::{ReservingLog, Room};
use transport::{Handler, Wires};

/// Most threads for connections between nodes and for HTTP. On two processors there is one: a second
/// would mostly wake the first.
const NETWORK_THREADS_MAX: usize = 2;

/// A file in the node's directory that says that the node has served.
const SERVED_MARK: &str = "served";

/// Why a node ends.
type End = Result<(), Fault>;

/// Runs a node until it is asked to stop or cannot go on.
pub fn run(file: &NodeFile, place: &NodePlace) -> Result<(), Fault> {
    log_to_stderr();
    let base = place.path();
    let secret = read_secret(&base.join(&file.secret_file))?;
    let password = file.password_file.as_ref().map(|path| read_text(&base.join(path))).transpose()?;
    let data = base.join(&file.data);
    let cluster = u64::from_str_radix(&file.cluster, 16).map_err(|_| Fault::from(ErrorCode::DataDamaged))?;
    let identity = Identity::open(&data, ClusterId(cluster), NodeId(file.node), &file.listen.peer)?;
    let boot = BootId(random()?);

    let (end, ended) = mpsc::channel::<End>();
    let stop = end.clone();
    signals::listen(move |asked| {
        if asked == Asked::Stop {
            let _ = stop.send(Ok(()));
        }
    })?;

    let runtime = network_runtime()?;
    let ports = redis::Ports::bind(file)?;
    let http = serve::listen::bind(&file.listen.http)?;
    let served_mark = base.join(SERVED_MARK);
    let begin = Beginning { file, data: &data, served_mark: &served_mark, identity: &identity, boot };
    let me = node_record(file, boot, identity.store());
    let Running { node, wires, log, room } = start(&begin, &secret, &runtime, end.clone())?;
    announce::until_known(&node, &me, announce::others(file, &secret), end)?;
    let face = ports.open(&node, &room, password.as_deref(), absolute(&data))?;
    let names = (file.cluster.clone(), file.name.clone());
    node.set_tasks(tasks::NodeTasks::new(&node, secret.clone(), names.clone()));
    let admin = admin::NodeAdmin::new(node.clone(), wires, face.clone(), log, names, secret.clone())
        .with_jobs(jobs::NodeJobs::start(node.clone(), room.clone(), &data.join("scratch"))?);
    let http = {
        let _inside = runtime.enter();
        serve::http::HttpServer::start(http, secret, Arc::new(admin), HttpLimits::default())?
    };
    tracing::info!(node = file.node, cluster = file.cluster, "serving");
    let outcome = wait_for_end(&node, &room, &ended, identity, &file.listen.peer, &served_mark);
    drop((http, face));
    match outcome {
        Ok(()) => {
            tracing::info!("stopping");
            node.stop()?;
            runtime.shutdown_timeout(Duration::from_secs(1));
            Ok(())
        }
        // Whatever failed is not to be used any more, not even for a clean end.
        Err(fault) => Err(fault),
    }
}

/// How often a node that starts is asked whether it serves.
const READY_LOOK: Duration = Duration::from_millis(50);

/// Waits for the end, and looks after the room on the disk meanwhile. Once the node has served, its identity
/// says so for ever.
fn wait_for_end(
    node: &Node,
    room: &Room,
    ended: &mpsc::Receiver<End>,
    identity: Identity,
    endpoint: &str,
    served_mark: &Path,
) -> End {
    while !node.is_ready() {
        match ended.recv_timeout(READY_LOOK) {
            Ok(end) => return end,
            Err(mpsc::RecvTimeoutError::Timeout) => look(node, room)?,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    identity.serves(endpoint)?;
    if !served_mark.exists() {
        write_atomically(
            served_mark,
            "This node has served; its data directory is not new.\n",
            Readers::Everyone,
        )?;
    }
    loop {
        match ended.recv_timeout(room::LOOK_EVERY) {
            Ok(end) => return end,
            Err(mpsc::RecvTimeoutError::Timeout) => look(node, room)?,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Looks after the room on the disk, and whether this node is still one of the cluster.
fn look(node: &Node, room: &Room) -> Result<(), Fault> {
    room.look();
    match node.catalog().has_left(node.id()) {
        true => Err(Fault::new(ErrorCode::NodeRemoved, format!("node {}", node.id()))),
        false => Ok(()),
    }
}

/// A node and its connections.
struct Running {
    node: Arc<Node>,
    wires: Arc<Wires>,
    log: Arc<SegmentedLog>,
    room: Arc<Room>,
}

/// What a process begins with.
struct Beginning<'a> {
    file: &'a NodeFile,
    data: &'a Path,
    served_mark: &'a Path,
    identity: &'a Identity,
    boot: BootId,
}

fn start(
    begin: &Beginning<'_>,
    secret: &Secret,
    runtime: &Runtime,
    end: mpsc::Sender<End>,
) -> Result<Running, Fault> {
    let Beginning { file, data, served_mark, identity, boot } = *begin;
    let peers = runtime.block_on(async {
        let listener = serve::listen::bind(&file.listen.peer)?;
        let peers = Peers::listen(peer_config(file, identity, boot, secret), listener)
            .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        let founders = file
            .founders
            .iter()
            .map(|founder| (NodeId(founder.id), founder.addresses.peer.clone()))
            .collect::<BTreeMap<_, _>>();
        peers.probe(identity.endpoint(), &founders).await?;
        Ok::<_, Fault>(peers)
    })?;
    // The mark lies beside the data directory, so that a lost or unmounted one is not taken for a new one.
    let served = identity.has_served() || served_mark.exists();
    let (engines, watch) = open_engines(file, data)?;
    let log = open_log(data)?;
    if served && log.groups().is_empty() && file.is_only_node() {
        let detail = format!(
            "{}: this node has served before, and its log is gone; no other node has the data",
            data.display()
        );
        return Err(Fault::new(ErrorCode::DataDamaged, detail));
    }
    let wires = Arc::new(Wires::new(peers, runtime.handle().clone(), end));
    let seed = random()?;
    let room = Arc::new(Room::new(data.to_owned(), file.setting(&WRITE_BUFFER_BYTES)));
    let disk = room.clone();
    let config = NodeConfig {
        me: node_record(file, boot, identity.store()),
        bootstrap: Some(bootstrap(file, identity.cluster())),
        may_found: !served && !file.has_joined(),
        seed,
        store: StoreOptions {
            seed,
            workers: 1,
            appliers: 1,
            flush_interval: Duration::from_millis(file.setting(&FLUSH_INTERVAL_MS)),
        },
        disk: Box::new(move || disk.for_data()),
        disk_number: room.disk_number(),
    };
    let reserving = Arc::new(ReservingLog { log: log.clone(), room: room.clone() });
    let node = Node::start(config, reserving, engines, watch, Arc::new(OsClock), wires.clone())?;
    if let Some(fault) = node.damage(GroupId::CATALOG)
        && file.is_only_node()
    {
        let detail = format!("{}; no other node has the data", located(&fault, data).detail);
        return Err(Fault::new(fault.code, detail));
    }
    wires.start(Arc::new(Handler::new(node.clone(), wires.clone(), room.clone())));
    node.connect();
    Ok(Running { node, wires, log, room })
}

/// A path as others can use it. One that cannot be made absolute is said as it is.
fn absolute(path: &Path) -> String {
    let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}

fn open_engines(file: &NodeFile, data: &Path) -> Result<(Engines, CatalogWatch), Fault> {
    let options = records_fjall::StoreOptions {
        write_buffer_bytes: file.setting(&WRITE_BUFFER_BYTES),
        block_cache_bytes: file.setting(&BLOCK_CACHE_BYTES),
    };
    let path = data.join("state");
    let records = FjallStore::open(&path, options)
        .map_err(|error| located(&replication::start::engine_fault(&error), &path))?;
    let records = Arc::new(records);
    let catalog = CatalogEngine::new(records.clone());
    let watch = catalog.watch();
    let kv = KvEngine::new(records);
    let engines = BTreeMap::from([
        (EngineKind::Catalog as i32, Arc::new(catalog) as Arc<dyn Engine>),
        (EngineKind::Kv as i32, Arc::new(kv) as Arc<dyn Engine>),
    ]);
    Ok((engines, watch))
}

fn open_log(data: &Path) -> Result<Arc<SegmentedLog>, Fault> {
    let options = LogOptions { secret: random()?, ..LogOptions::default() };
    let path = data.join("log");
    let log = SegmentedLog::open(Arc::new(OsDisk), path.clone(), options);
    log.map(Arc::new).map_err(|error| located(&replication::start::log_fault(&error), &path))
}

/// A fault of a layer that does not say where its files are; what it only repeats of its cause is left out.
fn located(fault: &Fault, path: &Path) -> Fault {
    let path = path.display();
    let detail = match fault.detail == fault.code.cause() {
        true => path.to_string(),
        false => format!("{path}: {}", fault.detail),
    };
    Fault::new(fault.code, detail)
}

fn peer_config(file: &NodeFile, identity: &Identity, boot: BootId, secret: &Secret) -> PeerConfig {
    PeerConfig {
        cluster: identity.cluster(),
        node: NodeId(file.node),
        boot,
        secret: secret.clone(),
        endpoint: file.reached().peer.clone(),
    }
}

fn node_record(file: &NodeFile, boot: BootId, store: u64) -> NodeRecord {
    // In order of their names, as the catalog keeps them: a node compares its record with that one.
    let label = |(name, value): (&String, &String)| Label { name: name.clone(), value: value.clone() };
    let labels = file.labels.iter().map(label).collect();
    NodeRecord { store, labels, ..record(file.node, file.reached(), boot) }
}

fn record(id: u64, addresses: &crate::node_file::NodeAddresses, boot: BootId) -> NodeRecord {
    NodeRecord {
        id,
        endpoint: addresses.peer.clone(),
        redis: addresses.redis.clone(),
        zankv: addresses.zankv.clone(),
        http: addresses.http.clone(),
        roles: ["meta", "data", "gateway"].map(String::from).to_vec(),
        boot: boot.get(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        feature_level: serve::peers::FEATURE_LEVEL,
        labels: Vec::new(),
        store: 0,
    }
}

/// What all founders agree on, from what all of them were told.
fn bootstrap(file: &NodeFile, cluster: ClusterId) -> Bootstrap {
    let mut founders: Vec<_> = file.founders.iter().collect();
    founders.sort_by_key(|founder| founder.id);
    let nodes = founders.iter().map(|founder| record(founder.id, &founder.addresses, BootId(0))).collect();
    let members = founders
        .iter()
        .filter(|founder| !founder.joined)
        .take(limits::META_NODES_MAX)
        .map(|founder| Member { replica: founder.id, node: founder.id, learner: false })
        .collect();
    let table = NewTable {
        namespace: catalog::DEFAULT_NAMESPACE.into(),
        name: catalog::DEFAULT_TABLE.into(),
        engine: EngineKind::Kv as i32,
        partitions: file.partitions,
        ..Default::default()
    };
    Bootstrap {
        cluster: cluster.get(),
        nodes,
        membership: Some(Membership { epoch: 1, members }),
        tables: vec![table],
    }
}

fn network_runtime() -> Result<Runtime, Fault> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).clamp(1, NETWORK_THREADS_MAX))
        .thread_name("network")
        .enable_all()
        .build()
        .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))
}

fn read_secret(path: &Path) -> Result<Secret, Fault> {
    let wrong = || Fault::new(ErrorCode::BadFile, format!("{}: no secret in it", path.display()));
    Secret::from_text(&read_text(path)?).ok_or_else(wrong)
}

fn read_text(path: &Path) -> Result<String, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| crate::files::fault(&error, path))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn random() -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Words of a node go to its standard error; the agent keeps them in `server.log`. `SKEIN_LOG` chooses
/// which (`info` when unset), as `tracing-subscriber` reads it.
fn log_to_stderr() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let filter = tracing_subscriber::EnvFilter::try_from_env("SKEIN_LOG")
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
        // A full disk must cost words, not the process.
        tracing_subscriber::fmt()
            .log_internal_errors(false)
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    });
}
