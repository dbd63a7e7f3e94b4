//! A group whose majority is lost for good goes on with one survivor.
//!
//! For a partition of a table an operation decides it, and the catalog says so first. The catalog's own group cannot
//! be told by the catalog: there the survivor goes on first, on the word of the person in charge, and the catalog
//! learns of it from the survivor as its leader. See `docs/decisions/2026-11-26-recover-quorum.md`.

use api::catalog::{ClusterRecord, PartitionRecord, RecoverCatalog, ReplicaRecord, Takeover};
use api::peer::{Member, Membership};
use types::era::{era_of, era_start};
use types::{ErrorCode, Fault, GroupId};

use super::{Decision, bad_argument, put_partition};
use crate::Catalog;

/// So far do the versions of the catalog jump when its own majority was given up, for each time that it was: copies
/// with entries that are lost now are older than everything that comes.
const VERSION_ERA_BITS: u32 = 40;

/// Makes the replica at a rank the only member, under the id `first`, from the term and epoch `begins` on. All others
/// get ids above it: whoever has a lower one is of the old group.
pub(super) fn goes_on_alone(partition: &mut PartitionRecord, place: usize, first: u64, begins: u64) {
    let old = partition.replicas[place];
    let others = (0..partition.replicas.len()).filter(|rank| *rank != place);
    partition.next_replica = first;
    for rank in std::iter::once(place).chain(others) {
        let (id, node) = (partition.next_replica, partition.replicas[rank].node);
        let established = rank == place;
        partition.replicas[rank] = ReplicaRecord { id, node, established, ..ReplicaRecord::default() };
        partition.next_replica += 1;
    }
    let member = Member { replica: first, node: old.node, learner: false };
    partition.observed = Some(Membership { epoch: begins, members: vec![member] });
    (partition.leader, partition.leader_term) = (first, begins);
    let takeover = Takeover { replica: first, survivor: old.id, term: begins, epoch: begins, node: old.node };
    partition.takeover = Some(takeover);
    partition.may_begin = true;
    partition.route_epoch += 1;
}

/// The catalog's own group went on with one survivor, which leads it now. Repeated: no effect.
pub(super) fn recover_catalog(
    catalog: &Catalog,
    cluster: ClusterRecord,
    recover: &RecoverCatalog,
) -> Result<Decision, Fault> {
    let Some(known) = catalog.partition(GroupId::CATALOG) else {
        return Err(Fault::new(ErrorCode::NotReady, "the catalog does not know its own group"));
    };
    if known.takeover.is_some_and(|takeover| takeover.replica == recover.replica) {
        return Ok(Decision::ok(cluster, Vec::new()));
    }
    let begins = era_start(era_of(recover.term));
    if begins <= known.leader_term || recover.replica < known.next_replica {
        let detail = format!("replica {} is not the survivor of a later era", recover.replica);
        return Err(Fault::new(ErrorCode::Unsafe, detail));
    }
    let Some(place) = known.replicas.iter().position(|replica| replica.node == recover.node) else {
        return Err(bad_argument(format!("node {} has no replica of the catalog", recover.node)));
    };
    let mut partition = known.clone();
    goes_on_alone(&mut partition, place, recover.replica, begins);
    let jump = era_of(begins) << VERSION_ERA_BITS;
    let cluster = ClusterRecord { version: cluster.version.max(jump), ..cluster };
    Ok(Decision::ok(cluster, vec![put_partition(partition)]))
}
