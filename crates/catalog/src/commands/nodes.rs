//! Nodes: how they join, and how they tell where they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::catalog::{CatalogAnswer, ClusterRecord, NodeRecord, ReplicaRecord};
use types::limits::{ADDRESS_BYTES_MAX, LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, NODES_MAX};
use types::{ErrorCode, Fault, NodeId};

use super::{Decision, bad_argument, put_partition, shown};
use crate::Catalog;
use crate::record::{Record, RecordChange};
use crate::role::Role;

/// A node registers: a new one asks for an id with 0, a known one tells its addresses.
pub(super) fn register(
    catalog: &Catalog,
    mut cluster: ClusterRecord,
    node: &NodeRecord,
) -> Result<Decision, Fault> {
    let mut node = check_node(node)?;
    if node.id == 0 {
        node.id = match registered_by_boot(catalog, node.boot) {
            Some(id) => id,
            None => give_id(catalog, &mut cluster)?,
        };
    } else if !catalog.nodes.contains_key(&NodeId(node.id)) {
        return Err(unknown_node(&cluster, node.id));
    }
    let mut changes = Vec::new();
    let known = catalog.node(NodeId(node.id));
    if known.is_some_and(|known| known.store != 0 && known.store != node.store) {
        changes.extend(give_up_replicas(catalog, NodeId(node.id)));
    }
    if known != Some(&node) {
        changes.push(RecordChange::Put(Record::Node(Arc::new(node.clone()))));
    }
    Ok(Decision { answer: CatalogAnswer::Node(node), changes, cluster })
}

/// The node comes with another data directory: what it was to host may have lived, and made promises, in
/// the one before. Calling it established makes it lost there, so that it is replaced and never made again.
fn give_up_replicas(catalog: &Catalog, node: NodeId) -> Vec<RecordChange> {
    let on_node = |replica: &&mut ReplicaRecord| replica.node == node.get() && !replica.established;
    let mut changes = Vec::new();
    for partition in catalog.partitions() {
        let mut partition = partition.clone();
        if let Some(replica) = partition.replicas.iter_mut().find(on_node) {
            replica.established = true;
            changes.push(put_partition(partition));
        }
    }
    changes
}

/// The founding nodes of a cluster, checked and in their stored form.
pub(super) fn check_founders(nodes: &[NodeRecord]) -> Result<Vec<NodeRecord>, Fault> {
    if !(1..=NODES_MAX).contains(&nodes.len()) {
        return Err(bad_argument(format!("a cluster is founded by 1 to {NODES_MAX} nodes")));
    }
    let mut ids = BTreeSet::new();
    let check = |node: &NodeRecord| {
        if !(1..=NODES_MAX as u64).contains(&node.id) || !ids.insert(node.id) {
            let detail = format!("founding node id {}: each once, from 1 to {NODES_MAX}", node.id);
            return Err(bad_argument(detail));
        }
        check_node(node)
    };
    nodes.iter().map(check).collect()
}

/// A node that asks again, because it did not hear the answer, is the same run of the same process.
fn registered_by_boot(catalog: &Catalog, boot: u64) -> Option<u64> {
    if boot == 0 {
        return None;
    }
    catalog.nodes().find(|node| node.boot == boot).map(|node| node.id)
}

fn give_id(catalog: &Catalog, cluster: &mut ClusterRecord) -> Result<u64, Fault> {
    if catalog.nodes.len() >= NODES_MAX {
        return Err(bad_argument(format!("the cluster has {NODES_MAX} nodes, which is the most")));
    }
    let id = cluster.next_node;
    cluster.next_node += 1;
    Ok(id)
}

fn unknown_node(cluster: &ClusterRecord, id: u64) -> Fault {
    if id < cluster.next_node {
        return Fault::new(ErrorCode::NodeRemoved, format!("node {id}"));
    }
    let detail = format!("cluster {:016x} never gave out node id {id}", cluster.cluster);
    Fault::new(ErrorCode::WrongCluster, detail)
}

/// Checks what a node says of itself; no roles means all of them.
fn check_node(node: &NodeRecord) -> Result<NodeRecord, Fault> {
    let mut node = node.clone();
    if node.endpoint.is_empty() {
        return Err(bad_argument("a node has no endpoint"));
    }
    for address in [&node.endpoint, &node.redis, &node.zankv, &node.http] {
        if address.len() > ADDRESS_BYTES_MAX {
            let detail =
                format!("the address '{}...' is longer than {ADDRESS_BYTES_MAX} bytes", shown(address));
            return Err(bad_argument(detail));
        }
    }
    if node.version.len() > NAME_BYTES_MAX {
        return Err(bad_argument(format!("a release name is longer than {NAME_BYTES_MAX} bytes")));
    }
    let known = |role: &String| Role::ALL.iter().any(|known| known.as_str() == role);
    if let Some(role) = node.roles.iter().find(|role| !known(role)) {
        return Err(bad_argument(format!("there is no role '{}'", shown(role))));
    }
    let wanted = |role: &Role| node.roles.is_empty() || role.of(&node);
    node.roles = Role::ALL.iter().filter(|role| wanted(role)).map(|role| role.as_str().into()).collect();
    check_labels(&mut node)?;
    Ok(node)
}

fn check_labels(node: &mut NodeRecord) -> Result<(), Fault> {
    node.labels.sort_by(|a, b| a.name.cmp(&b.name));
    let twice = node.labels.windows(2).any(|pair| pair[0].name == pair[1].name);
    let fits = |text: &String| (1..=LABEL_BYTES_MAX).contains(&text.len());
    let all_fit = node.labels.iter().all(|label| fits(&label.name) && fits(&label.value));
    if twice || !all_fit || node.labels.len() > LABELS_MAX {
        let detail = format!(
            "labels: up to {LABELS_MAX}, each name once, names and values of 1 to {LABEL_BYTES_MAX} bytes"
        );
        return Err(bad_argument(detail));
    }
    Ok(())
}
