//! The catalog's own majority is lost: what this node's replica of it has, and how it goes on alone.
//!
//! Every other group is told by the catalog. This one tells the catalog: the replica becomes its group's only member
//! in an era of its own (`replication::takeover`), elects itself, and says so as its leader (`control`). Until then the
//! catalog as it is stored says that the old replicas are wished for; see `docs/decisions/2026-11-26-recover-quorum.md`.

use std::collections::BTreeSet;
use std::time::Duration;

use api::peer::ReplicaReport;
use api::recovery::CatalogSurvivor;
use catalog::Catalog;
use replication::{Input, Takeover};
use types::era::{era_of, era_start};
use types::limits::REPLICAS_MAX;
use types::{ErrorCode, Fault, GroupId, NodeId, ReplicaId};

use crate::node::Node;

/// A node that has not reported for this long is not there.
const HEARD_LATELY: Duration = Duration::from_secs(5);

impl Node {
    /// This node's replica of the catalog, and who else of its group is there.
    ///
    /// # Errors
    /// `NotMeta` if this node has no replica of the catalog, or one that is damaged; `NotReady` early in its life.
    pub fn catalog_survivor(&self) -> Result<CatalogSurvivor, Fault> {
        let report = self.catalog_report()?;
        let catalog = self.watch.latest();
        let voters = voters(&catalog);
        let heard = self.heard_lately();
        Ok(CatalogSurvivor {
            node: self.id.get(),
            replica: report.replica,
            last_term: report.last_term,
            last_index: report.last_index,
            applied: report.applied,
            stamp_ms: report.stamp_ms,
            heard: voters.iter().copied().filter(|node| heard.contains(node)).map(NodeId::get).collect(),
            voters: voters.into_iter().map(NodeId::get).collect(),
            has_leader: report.leader != 0,
        })
    }

    /// Lets this node's replica of the catalog go on alone. It takes effect when the replica is at rest, so whoever
    /// wants it asks again until the catalog has a leader.
    ///
    /// # Errors
    /// `Unsafe` while the catalog has a leader, a majority of its voters is there, or another one has a longer log;
    /// and as [`Self::catalog_survivor`].
    pub fn give_up_catalog_majority(&self) -> Result<(), Fault> {
        let survivor = self.catalog_survivor()?;
        let refuse = |detail: String| Err(Fault::new(ErrorCode::Unsafe, detail));
        if survivor.has_leader {
            return refuse("the catalog has a leader: nothing is lost".into());
        }
        if survivor.heard.len() > survivor.voters.len() / 2 {
            let detail = format!("nodes {:?} are a majority of the catalog's and will elect", survivor.heard);
            return refuse(detail);
        }
        if !survivor.voters.contains(&survivor.node) {
            return refuse(format!("node {} has no vote in the catalog's group", survivor.node));
        }
        if let Some(better) = self.better_survivor(&survivor) {
            return refuse(format!("node {better} has a longer log of the catalog: it shall go on"));
        }
        let takeover = self.takeover_of_catalog(&self.catalog_report()?)?;
        let store = self.store().ok_or(ErrorCode::NotReady)?;
        if store.input(GroupId::CATALOG, Input::TakeOver(takeover)) {
            Ok(())
        } else {
            Err(Fault::new(ErrorCode::Overloaded, "the catalog's group has no room for a request"))
        }
    }

    fn catalog_report(&self) -> Result<ReplicaReport, Fault> {
        let store = self.store().ok_or(ErrorCode::NotReady)?;
        let shared = store.shared(GroupId::CATALOG).ok_or_else(|| {
            Fault::new(ErrorCode::NotMeta, format!("node {} has no replica of the catalog", self.id))
        })?;
        Ok(shared.report())
    }

    fn heard_lately(&self) -> BTreeSet<NodeId> {
        let reports = self.observations().reports;
        reports.into_iter().filter(|(_, heard)| heard.age < HEARD_LATELY).map(|(node, _)| node).collect()
    }

    /// Another node that is there and whose replica of the catalog would win an election against this one's.
    fn better_survivor(&self, survivor: &CatalogSurvivor) -> Option<NodeId> {
        let mine = (survivor.last_term, survivor.last_index);
        let reports = self.observations().reports;
        let others = reports.iter().filter(|(_, heard)| heard.age < HEARD_LATELY);
        let has_more = |report: &&ReplicaReport| {
            report.group == GroupId::CATALOG.get() && (report.last_term, report.last_index) > mine
        };
        let (node, _) = others
            .filter(|(node, _)| survivor.voters.contains(&node.get()))
            .find(|(_, heard)| heard.report.replicas.iter().any(|report| has_more(&report)))?;
        Some(*node)
    }

    fn takeover_of_catalog(&self, report: &ReplicaReport) -> Result<Takeover, Fault> {
        let catalog = self.watch.latest();
        let partition = catalog.partition(GroupId::CATALOG).ok_or(ErrorCode::NotReady)?;
        let observed = partition.observed.as_ref().map_or(0, |observed| observed.epoch);
        let highest = [report.term, report.member_epoch, partition.leader_term, observed];
        let era = highest.into_iter().map(era_of).max().unwrap_or(0) + 1;
        // Commands that are in the log and not applied yet may give out ids before the catalog hears of this one.
        let unapplied = report.last_index.saturating_sub(report.applied);
        let replica = partition.next_replica + unapplied * u64::from(REPLICAS_MAX);
        Ok(Takeover {
            group: GroupId::CATALOG,
            survivor: ReplicaId(report.replica),
            replica: ReplicaId(replica),
            node: self.id,
            term: era_start(era),
            epoch: era_start(era),
        })
    }
}

/// The nodes whose replicas of the catalog have a vote, as far as the catalog was told.
fn voters(catalog: &Catalog) -> BTreeSet<NodeId> {
    let partition = catalog.partition(GroupId::CATALOG);
    let known = partition.and_then(|partition| partition.observed.as_ref().or(partition.birth.as_ref()));
    let members = known.iter().flat_map(|known| &known.members);
    members.filter(|member| !member.learner).map(|member| NodeId(member.node)).collect()
}
