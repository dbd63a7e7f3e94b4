//! What a node has counted, as ZanKV's `/stats` tells it.
//!
//! Two kinds of counts meet here. What a replica has applied (`db_write_stats`) is counted at that replica. What clients
//! have sent (`cluster_write_stats`) is counted at the node that took it, whichever node leads the partition: ZanKV's
//! clients go to the leader themselves, those of Redis go to any node. So a node tells of the partitions that it leads,
//! and besides of every other one that its own clients have written to, with that count alone. Each write of a client is
//! in the plain `/stats` of exactly one node, and whoever adds up all nodes has all of them once.

use std::collections::BTreeMap;

use api::catalog::{PartitionRecord, TableRecord};
use api::peer::{ReplicaReport, ReplicaState};
use api::zankv::{CompactStats, NodeCounts, PartitionCounts, ScanStats, Stats, WriteStats};
use catalog::Catalog;
use serve::http::{Answer, StatsWish};
use serve::redis::Written;
use types::{GroupId, TableId};

use super::admin::NodeAdmin;
use super::zankv::{ENGINE, Hosted, partition_name, slowly, tables_of};

/// The answer to `/stats`.
pub(super) fn stats(admin: &NodeAdmin, wish: StatsWish) -> Answer<Stats> {
    let hosted = admin.hosted(wish.leader_only);
    let mut taken = admin.redis.written();
    let (scan_count, scan_latency_stats) = admin.redis.scan_counts();
    let catalog = admin.node.catalog();
    let up_time = admin.uptime().as_secs();
    slowly(move || {
        let mut ns_stats = Vec::new();
        for Hosted { table, partition, report, shared } in &hosted {
            let group = GroupId(partition.group);
            let tables = wish.table_detail.then(|| tables_of(table, report, shared, None)).transpose()?;
            ns_stats.push(PartitionCounts {
                table_stats: tables,
                db_write_stats: shared.write_statistics().counts().into(),
                cluster_write_stats: taken.remove(&group).unwrap_or_default().counts.into(),
                internal_stats: internal_stats(report),
                is_leader: report.state() == ReplicaState::Leader,
                ..counts(table, partition)
            });
        }
        ns_stats.extend(taken.into_iter().filter_map(|taken| of_others(&catalog, taken)));
        let scan_stats = ScanStats { scan_count, scan_latency_stats };
        let version = env!("CARGO_PKG_VERSION").into();
        Ok(Stats { version, up_time, stats: NodeCounts { ns_stats, scan_stats } })
    })
}

/// What clients of this node have written to a partition that is not told of otherwise.
fn of_others(catalog: &Catalog, (group, written): (GroupId, Written)) -> Option<PartitionCounts> {
    let partition = catalog.partition(group)?;
    let table = catalog.table(TableId(partition.table))?;
    Some(PartitionCounts {
        cluster_write_stats: WriteStats::from(written.counts),
        ..counts(table, partition)
    })
}

/// A partition of which nothing was counted.
fn counts(table: &TableRecord, partition: &PartitionRecord) -> PartitionCounts {
    PartitionCounts {
        name: partition_name(table, partition),
        table_stats: None,
        db_write_stats: WriteStats::default(),
        cluster_write_stats: WriteStats::default(),
        internal_stats: BTreeMap::new(),
        db_compact_stats: CompactStats::default(),
        eng_type: ENGINE.into(),
        is_leader: false,
        top_n_write_keys: Vec::new(),
        top_n_large_coll_keys: Vec::new(),
    }
}

fn internal_stats(report: &ReplicaReport) -> BTreeMap<String, u64> {
    [("bytes", report.bytes), ("records", report.records), ("writes", report.writes)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}
