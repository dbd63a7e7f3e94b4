//! The member behind the Redis face.

use std::net::TcpListener;
use std::sync::Arc;

use api::catalog::EngineKind;
use api::entry::RequestKind;
use api::peer::{ReplicaReport, ReplicaState};
use bytes::Bytes;
use node::Node;
use serve::redis::{
    Backend, Call, Done, NamedRoute, NodeFacts, RedisConfig, RedisFace, RedisListeners, default_threads,
};
use types::{Fault, GroupId, limits};

use super::room::Room;
use crate::node_file::NodeFile;

/// The ports of the Redis face, taken before anything else begins.
pub struct Ports {
    plain: TcpListener,
    zankv: TcpListener,
}

impl Ports {
    /// Takes both ports.
    pub fn bind(file: &NodeFile) -> Result<Self, Fault> {
        Ok(Self {
            plain: serve::listen::bind(&file.listen.redis)?,
            zankv: serve::listen::bind(&file.listen.zankv)?,
        })
    }

    /// Answers Redis clients from now on.
    pub fn open(
        self,
        node: &Arc<Node>,
        room: &Arc<Room>,
        password: Option<&str>,
        directory: String,
    ) -> Result<Arc<RedisFace>, Fault> {
        let config = RedisConfig {
            password: password.map(|password| Arc::from(password.as_bytes())),
            threads: default_threads(),
            directory,
            connections_max: limits::CLIENT_CONNECTIONS_MAX,
            clock: Arc::new(env::OsClock),
        };
        let listeners = RedisListeners { plain: self.plain, zankv: self.zankv };
        let backend = NodeBackend { node: node.clone(), room: room.clone() };
        let face = RedisFace::start(config, listeners, Arc::new(backend))?;
        Ok(Arc::new(face))
    }
}

struct NodeBackend {
    node: Arc<Node>,
    room: Arc<Room>,
}

impl Backend for NodeBackend {
    fn routes_version(&self) -> u64 {
        self.node.routes_version()
    }

    fn tables(&self) -> Vec<NamedRoute> {
        let catalog = self.node.catalog();
        let names = catalog.tables().filter(|table| table.engine() == EngineKind::Kv);
        names
            .filter_map(|table| {
                let route = self.node.table(&table.namespace, &table.name)?;
                Some(NamedRoute {
                    namespace: table.namespace.clone(),
                    name: table.name.clone(),
                    restoring: !table.restoring.is_empty(),
                    route,
                })
            })
            .collect()
    }

    fn try_read(&self, group: GroupId, request: &[u8]) -> Option<Result<Bytes, Fault>> {
        self.node.try_read(group, request)
    }

    fn try_unchanged(&self, group: GroupId, request: &[u8]) -> Option<Result<Bytes, Fault>> {
        self.node.try_unchanged(group, request)
    }

    fn submit_all(&self, calls: Vec<(Call, Done)>) {
        let call = |call: Call| {
            let Call { group, access, body } = call;
            node::Call { group, access, kind: RequestKind::Data, body }
        };
        let mut admitted = Vec::with_capacity(calls.len());
        for (asked, done) in calls {
            match self.room.refusal(&self.node, asked.group, asked.access) {
                Some(fault) => done(Err(fault)),
                None => admitted.push((call(asked), done)),
            }
        }
        self.node.submit_all(admitted);
    }

    fn facts(&self) -> NodeFacts {
        let node = &self.node;
        let reports = node.store().map(|store| store.reports()).unwrap_or_default();
        let data = |report: &&ReplicaReport| report.group != GroupId::CATALOG.get();
        let leads = |report: &&ReplicaReport| report.state == ReplicaState::Leader as i32;
        NodeFacts {
            node: node.id().get(),
            cluster: node.catalog().cluster().map_or(0, |cluster| cluster.get()),
            boot: node.boot().get(),
            loading: !node.is_ready(),
            log_writable: !self.room.is_full(),
            expired_keys: node.keys_expired(),
            waits: node.waits() as u64,
            partitions_led: reports.iter().filter(data).filter(leads).count() as u64,
            partitions_held: reports.iter().filter(data).count() as u64,
            entries_applied: reports.iter().filter(data).map(|report| report.applied).sum(),
        }
    }
}
