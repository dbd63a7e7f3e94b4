//! What the admin API asks of a node: status, tables, leaders, digests.

use std::sync::Arc;
use std::time::Duration;

use api::admin;
use api::catalog::{CatalogAnswer, CatalogCommand, CatalogOp, CatalogReply};
use api::entry::RequestKind;
use api::peer::Access;
use bytes::Bytes;
use catalog::Catalog;
use catalog::status::{Observation, Observations};
use prost::Message;
use types::{ErrorCode, Fault, GroupId, LogIndex, NodeId, PartitionIndex, ReplicaId};

use crate::gateway::Call;
use crate::node::{Node, lock};
use crate::upkeep::catalog_call;

/// A node that has not reported for this long is not waited for.
const HEARD_LATELY: Duration = Duration::from_secs(1);

impl Node {
    /// The newest catalog that this node has.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.watch.latest()
    }

    /// How the cluster is, as far as this node has heard.
    pub fn status(&self) -> admin::Status {
        catalog::status::status(&self.watch.latest(), &self.observations())
    }

    /// What this node has heard.
    pub(crate) fn observations(&self) -> Observations {
        let now = self.clock.now();
        let reports = lock(&self.observations)
            .iter()
            .map(|(node, (at, report))| {
                let age = if *node == self.id { Duration::ZERO } else { now.since(*at) };
                (*node, Observation { age, report: report.clone() })
            })
            .collect();
        let listening = now.since(self.started);
        let returns = lock(&self.returns);
        let flapping = returns.iter().filter(|(_, returns)| returns.is_flapping(listening));
        let flapping = flapping.map(|(node, _)| *node).collect();
        Observations { listening, reports, flapping }
    }

    /// Whether every node that reports has routes as new as this catalog version.
    pub fn is_known_by_all(&self, version: u64) -> bool {
        let now = self.clock.now();
        lock(&self.observations)
            .values()
            .filter(|(at, _)| now.since(*at) < HEARD_LATELY)
            .all(|(_, report)| report.catalog_version >= version)
    }

    /// Changes the catalog; `done` is told what it answered.
    pub fn change_catalog(
        &self,
        op: CatalogOp,
        done: impl FnOnce(Result<CatalogAnswer, Fault>) + Send + 'static,
    ) {
        let command = CatalogCommand { op: Some(op) };
        self.submit(catalog_call(&command), Box::new(move |result| done(result.and_then(read_answer))));
    }

    /// Asks a partition's leader to hand over to the replica on a node. Returns the group.
    pub fn move_leader(&self, table: &str, partition: u64, to: u64) -> Result<GroupId, Fault> {
        let group = self.find_group(table, partition)?;
        let catalog = self.watch.latest();
        let record = catalog.partition(group).ok_or(ErrorCode::UnknownTable)?;
        let replica = record.replicas.iter().find(|replica| replica.node == to).ok_or_else(|| {
            let detail = format!("partition {partition} of {table} has no replica on node {to}");
            Fault::new(ErrorCode::BadArgument, detail)
        })?;
        let leader = self.leader_of(group).ok_or(ErrorCode::NoLeader)?;
        let transfer = api::peer::TransferLeader { group: group.get(), to: replica.id };
        if leader == self.id {
            let input = replication::Input::Transfer { group, to: ReplicaId(replica.id) };
            let store = self.store().ok_or(ErrorCode::NotReady)?;
            if !store.input(group, input) {
                return Err(ErrorCode::Overloaded.into());
            }
        } else if !self.transport.send_transfer(leader, transfer) {
            return Err(Fault::new(ErrorCode::Unreachable, format!("node {leader}")));
        }
        Ok(group)
    }

    /// The node that leads a group, as far as this node knows.
    pub fn leader_of(&self, group: GroupId) -> Option<NodeId> {
        let here = self.store()?.shared(group).and_then(|shared| shared.leader());
        here.or_else(|| self.reported_leader(group))
    }

    /// The group of a partition as people name it.
    pub fn find_group(&self, table: &str, partition: u64) -> Result<GroupId, Fault> {
        let catalog = self.watch.latest();
        let record =
            catalog.find(table).ok_or_else(|| Fault::new(ErrorCode::UnknownTable, table.to_owned()))?;
        let found = catalog.partition_of_table(record, PartitionIndex(partition));
        let found = found.ok_or_else(|| {
            let detail = format!("{table} has partitions 0 to {}", record.groups.len().saturating_sub(1));
            Fault::new(ErrorCode::UnknownPartition, detail)
        })?;
        Ok(GroupId(found.group))
    }

    /// Begins a digest of all replicas of a group; `done` is told the log index that it stands at.
    pub fn begin_digest(&self, group: GroupId, done: impl FnOnce(Result<LogIndex, Fault>) + Send + 'static) {
        let (access, kind) = (Access::Write, RequestKind::Digest);
        let call = Call { group, access, kind, body: Bytes::new() };
        self.submit(
            call,
            Box::new(move |result| {
                done(result.and_then(|bytes| match bytes.first_chunk::<8>() {
                    Some(index) => Ok(LogIndex(u64::from_be_bytes(*index))),
                    None => Err(ErrorCode::VersionUnsupported.into()),
                }));
            }),
        );
    }

    /// The digests that replicas have reported for a log index so far.
    pub fn digests(&self, group: GroupId, index: LogIndex) -> Vec<admin::ReplicaDigest> {
        let mut found = Vec::new();
        for (node, (_, report)) in lock(&self.observations).iter() {
            let replica = report.replicas.iter().find(|replica| replica.group == group.get());
            let digest = replica.and_then(|replica| {
                let digest = replica.digests.iter().find(|digest| digest.index == index.get())?;
                Some(admin::ReplicaDigest {
                    replica: replica.replica,
                    node: node.get(),
                    hash: digest.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
                    records: digest.records,
                })
            });
            found.extend(digest);
        }
        found
    }

    /// Bytes that the replicas of a group have hashed since their processes began, together: it grows while they hash.
    pub fn hashed(&self, group: GroupId) -> u64 {
        let observations = lock(&self.observations);
        let replicas = observations.values().flat_map(|(_, report)| &report.replicas);
        replicas.filter(|replica| replica.group == group.get()).map(|replica| replica.hashed).sum()
    }

    fn reported_leader(&self, group: GroupId) -> Option<NodeId> {
        let observations = lock(&self.observations);
        let leads = |report: &api::peer::Report| {
            report.replicas.iter().any(|replica| {
                replica.group == group.get() && replica.state == api::peer::ReplicaState::Leader as i32
            })
        };
        observations
            .iter()
            .filter(|(_, (_, report))| leads(report))
            .max_by_key(|(_, (at, _))| *at)
            .map(|(node, _)| *node)
    }
}

fn read_answer(bytes: Bytes) -> Result<CatalogAnswer, Fault> {
    let reply = CatalogReply::decode(bytes).map_err(|_| Fault::from(ErrorCode::VersionUnsupported))?;
    match reply.answer {
        Some(CatalogAnswer::Refused(refused)) => {
            let code = refused.code.parse().unwrap_or(ErrorCode::Internal);
            Err(Fault::new(code, refused.detail))
        }
        Some(answer) => Ok(answer),
        None => Err(ErrorCode::VersionUnsupported.into()),
    }
}
