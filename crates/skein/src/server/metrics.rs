//! The values of a node's metrics.

use std::collections::BTreeMap;

use api::admin::{NodeStatus, PartitionStatus};
use api::archive::ArchivedPartition;
use api::operation::OperationState;
use api::peer::ReplicaState;
use serve::http::{Admin, Histogram};
use serve::redis::Written;
use types::TableId;
use types::buckets::{BUCKETS, BucketCounts, LATENCY_BORDERS, SIZE_BORDERS, latency_bucket};
use types::metrics::{self, Metric};
use wal::LogStore;

use super::admin::NodeAdmin;

/// A write that takes so long is slow, in microseconds: the border of a bucket.
const SLOW_WRITE_MICROS: u64 = 128_000;

impl NodeAdmin {
    /// The value of each metric that is known.
    pub(super) fn metric_values(&self) -> Vec<(&'static Metric, f64)> {
        let (gateway, by_lease) = self.node.counters();
        let face = self.redis.counters();
        let (dropped, refused) = self.wires.counters();
        let usage = serve::process::usage();
        let mut values: Vec<(&'static Metric, f64)> = vec![
            (&metrics::COMMANDS, face.commands as f64),
            (&metrics::COMMAND_ERRORS, face.errors as f64),
            (&metrics::CONNECTIONS, face.connections as f64),
            (&metrics::REQUESTS_FORWARDED, gateway.forwarded as f64),
            (&metrics::REQUESTS_RETRIED, gateway.retried as f64),
            (&metrics::OUTCOMES_UNKNOWN, gateway.unknown as f64),
            (&metrics::READS_BY_LEASE, by_lease as f64),
            (&metrics::LOG_SYNCS, self.log.counters().syncs as f64),
            (&metrics::LOG_BYTES, self.log.counters().bytes_written as f64),
            (&metrics::LOG_SIZE, self.log.bytes() as f64),
            (&metrics::FRAMES_DROPPED, dropped as f64),
            (&metrics::FRAMES_REFUSED, refused as f64),
            (&metrics::RESIDENT_BYTES, usage.resident_bytes as f64),
            (&metrics::CPU_SECONDS, usage.user_seconds + usage.system_seconds),
        ];
        if let Some(store) = self.node.store() {
            let (groups, applied) = store.counters();
            let reports = store.reports();
            let count = |state: ReplicaState| {
                reports.iter().filter(|report| report.state == state as i32).count() as f64
            };
            values.extend([
                (&metrics::READS_BY_QUORUM, groups.reads_by_quorum as f64),
                (&metrics::ENTRIES_APPLIED, applied as f64),
                (&metrics::ELECTIONS, groups.elections as f64),
                (&metrics::GROUPS, reports.len() as f64),
                (&metrics::GROUPS_LED, count(ReplicaState::Leader)),
                (&metrics::GROUPS_STOPPED, count(ReplicaState::Stopped)),
                (&metrics::SNAPSHOTS_SENT, groups.snapshots_sent as f64),
                (&metrics::SNAPSHOTS_INSTALLED, groups.snapshots_installed as f64),
            ]);
        }
        values.extend(self.of_commands());
        values.extend(self.of_cluster());
        values.extend(self.of_archive());
        values
    }

    /// How far the archive is behind, if there is one.
    fn of_archive(&self) -> Vec<(&'static Metric, f64)> {
        let Some(report) = self.archive_report() else { return Vec::new() };
        let partitions = &report.partitions;
        let most = |of: fn(&ArchivedPartition) -> u64| partitions.iter().map(of).max().unwrap_or(0) as f64;
        let stuck = partitions.iter().filter(|partition| !partition.problem.is_empty()).count();
        vec![
            (&metrics::ARCHIVE_LAG, most(|partition| partition.lag_ms) / 1000.0),
            (&metrics::ARCHIVE_BEHIND, most(|partition| partition.behind_entries)),
            (&metrics::ARCHIVE_WAITING, most(|partition| partition.kept_bytes)),
            (&metrics::ARCHIVE_HOLD, report.hold_bytes_max as f64),
            (&metrics::ARCHIVE_EVERY, report.every_ms as f64 / 1000.0),
            (&metrics::ARCHIVE_STUCK, stuck as f64),
        ]
    }

    fn of_commands(&self) -> Vec<(&'static Metric, f64)> {
        let mut latencies: BucketCounts = [0; BUCKETS];
        for written in self.redis.written().values() {
            latencies.iter_mut().zip(written.counts.latencies).for_each(|(sum, more)| *sum += more);
        }
        let slow = latency_bucket(SLOW_WRITE_MICROS);
        vec![
            (&metrics::SLOW_COMMANDS, self.redis.counters().slow_commands as f64),
            (&metrics::WRITES, latencies.iter().sum::<u64>() as f64),
            (&metrics::WRITES_SLOW, latencies[slow..].iter().sum::<u64>() as f64),
        ]
    }

    /// How long the writes to each namespace took, and how large they were.
    pub(super) fn write_histograms(&self) -> Vec<Histogram> {
        let catalog = self.node.catalog();
        let mut namespaces: BTreeMap<String, Written> = BTreeMap::new();
        for (group, more) in self.redis.written() {
            let partition = catalog.partition(group);
            let Some(table) = partition.and_then(|one| catalog.table(TableId(one.table))) else { continue };
            add(namespaces.entry(table.namespace.clone()).or_default(), &more);
        }
        let seconds = |micros: u64| micros as f64 / 1e6;
        let latencies = namespaces.iter().map(|(namespace, written)| Histogram {
            metric: &metrics::WRITE_SECONDS,
            of: namespace.clone(),
            borders: LATENCY_BORDERS.iter().copied().map(seconds).collect(),
            counts: written.counts.latencies.to_vec(),
            sum: seconds(written.micros),
        });
        let sizes = namespaces.iter().map(|(namespace, written)| Histogram {
            metric: &metrics::WRITE_BYTES,
            of: namespace.clone(),
            borders: SIZE_BORDERS.iter().map(|border| *border as f64).collect(),
            counts: written.counts.sizes.to_vec(),
            sum: written.bytes as f64,
        });
        latencies.chain(sizes).collect()
    }

    /// What this node knows of the cluster: nothing, unless nodes report to it.
    fn of_cluster(&self) -> Vec<(&'static Metric, f64)> {
        let mut values = vec![(&metrics::READY, f64::from(u8::from(self.node.is_ready())))];
        if let Some((free, total)) = self.node.disk_room() {
            values.extend([(&metrics::DISK_FREE, free as f64), (&metrics::DISK_TOTAL, total as f64)]);
        }
        let Ok(status) = self.status() else { return values };
        let catalog = self.node.catalog();
        let data_nodes = || status.nodes.iter().filter(|node| node.roles.iter().any(|role| role == "data"));
        let lives = |node: &&NodeStatus| node.state != "down";
        let partitions = |which: fn(&PartitionStatus) -> bool| {
            status.partitions.iter().filter(|partition| which(partition)).count() as f64
        };
        let operations = || catalog.operations().filter(|known| known.parent == 0);
        let stable = self.node.is_stable(&status);
        values.extend([
            (&metrics::NODES, data_nodes().count() as f64),
            (&metrics::NODES_UP, data_nodes().filter(lives).count() as f64),
            (&metrics::CLUSTER_STABLE, f64::from(u8::from(stable))),
            (&metrics::PARTITIONS, status.partitions.len() as f64),
            (&metrics::PARTITIONS_UNSERVED, partitions(|one| !is_served(one))),
            (&metrics::PARTITIONS_DEGRADED, partitions(|one| is_served(one) && !one.problem.is_empty())),
            (&metrics::REPLICA_LAG, status.partitions.iter().map(lag).max().unwrap_or(0) as f64),
            (
                &metrics::OPERATIONS_ACTIVE,
                operations().filter(|known| !known.state().has_ended()).count() as f64,
            ),
            (
                &metrics::OPERATIONS_FAILED,
                operations().filter(|known| known.state() == OperationState::Failed).count() as f64,
            ),
        ]);
        values
    }
}

fn add(sum: &mut Written, more: &Written) {
    let add = |sums: &mut BucketCounts, more: BucketCounts| {
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    };
    add(&mut sum.counts.sizes, more.counts.sizes);
    add(&mut sum.counts.latencies, more.counts.latencies);
    sum.bytes += more.bytes;
    sum.micros += more.micros;
}

/// Whether a partition has a leader with a majority of voters in sync.
fn is_served(partition: &PartitionStatus) -> bool {
    let voters = || partition.replicas.iter().filter(|one| one.role != "learner");
    let in_sync = voters().filter(|one| one.state == "in-sync").count();
    partition.leader.is_some() && in_sync > voters().count() / 2
}

/// How far the last of the replicas whose nodes are up is behind the leader, in log entries.
fn lag(partition: &PartitionStatus) -> u64 {
    let applied = |leads: bool| {
        let there =
            partition.replicas.iter().filter(|one| one.state != "unreachable" && one.state != "offline");
        there.filter(move |one| (one.role == "leader") == leads).map(|one| one.applied)
    };
    let last = applied(false).min();
    applied(true).next().zip(last).map_or(0, |(leader, last)| leader.saturating_sub(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::admin::ReplicaStatus;

    fn partition(leader: Option<u64>, replicas: &[(&str, &str, u64)]) -> PartitionStatus {
        let replica = |(role, state, applied): &(&str, &str, u64)| ReplicaStatus {
            role: (*role).into(),
            state: (*state).into(),
            applied: *applied,
            ..Default::default()
        };
        PartitionStatus {
            table: "t".into(),
            partition: 0,
            group: 1,
            leader,
            replicas: replicas.iter().map(replica).collect(),
            problem: String::new(),
            records: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_partition_is_served_by_a_leader_with_a_majority() {
        let all = [("leader", "in-sync", 9), ("follower", "in-sync", 9), ("follower", "unreachable", 1)];
        assert!(is_served(&partition(Some(1), &all)));
        assert!(!is_served(&partition(None, &all)));
        let alone = [
            ("leader", "in-sync", 9),
            ("follower", "catching-up", 9),
            ("learner", "in-sync", 9),
            ("follower", "stopped", 1),
        ];
        assert!(!is_served(&partition(Some(1), &alone)));
    }

    #[test]
    fn the_lag_is_that_of_the_last_one_there() {
        let replicas =
            [("leader", "in-sync", 90), ("follower", "in-sync", 88), ("follower", "unreachable", 1)];
        assert_eq!(lag(&partition(Some(1), &replicas)), 2);
        assert_eq!(lag(&partition(Some(1), &replicas[..1])), 0);
        assert_eq!(lag(&partition(None, &replicas[1..])), 0);
    }
}
