//! Metrics: one table of what a node reports at `/metrics`. `docs/metrics.md` is made from it.

/// How a metric behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counters by size, with their sum.
    Histogram,
}

impl Kind {
    /// The word of Prometheus.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric. Labels are bounded: never keys, never text from users.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Prometheus name, with its unit last.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What kind of thing each of its values is of; nothing for the only one of a node.
    pub label: Option<&'static str>,
    /// One sentence for `# HELP`.
    pub about: &'static str,
}

macro_rules! metrics {
    (@label) => { None };
    (@label $label:literal) => { Some($label) };
    ($($id:ident $name:literal $kind:ident $(of $label:literal)? $about:literal;)*) => {
        $(#[doc = $about]
        pub const $id: Metric =
            Metric { name: $name, kind: Kind::$kind, label: metrics!(@label $($label)?), about: $about };)*
        /// Every metric of a node.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    COMMANDS "skein_commands_total" Counter "Commands received from Redis clients.";
    COMMAND_ERRORS "skein_command_errors_total" Counter "Commands answered with an error.";
    CONNECTIONS "skein_connections" Gauge "Open Redis connections.";
    REQUESTS_FORWARDED "skein_requests_forwarded_total" Counter "Requests sent to the leader on another node.";
    REQUESTS_RETRIED "skein_requests_retried_total" Counter "Requests sent again after a leader change.";
    OUTCOMES_UNKNOWN "skein_outcomes_unknown_total" Counter "Requests whose outcome could not be told to the client.";
    READS_BY_LEASE "skein_reads_by_lease_total" Counter "Reads answered under a leader lease.";
    READS_BY_QUORUM "skein_reads_by_quorum_total" Counter "Reads that asked a quorum first.";
    LOG_SYNCS "skein_log_syncs_total" Counter "Fsyncs of the log.";
    LOG_BYTES "skein_log_written_bytes_total" Counter "Bytes written to the log.";
    LOG_SIZE "skein_log_size_bytes" Gauge "Size of the log on disk.";
    ENTRIES_APPLIED "skein_entries_applied_total" Counter "Log entries applied to state.";
    ELECTIONS "skein_elections_total" Counter "Times that a replica of this node became leader.";
    GROUPS "skein_groups" Gauge "Replicas hosted by this node.";
    GROUPS_LED "skein_groups_led" Gauge "Groups led by this node.";
    GROUPS_STOPPED "skein_groups_stopped" Gauge "Replicas stopped because of damage or a bug.";
    SNAPSHOTS_SENT "skein_snapshots_sent_total" Counter "Snapshots sent to followers.";
    SNAPSHOTS_INSTALLED "skein_snapshots_installed_total" Counter "Snapshots installed.";
    FRAMES_DROPPED "skein_frames_dropped_total" Counter "Frames to peers dropped because a queue was full.";
    FRAMES_REFUSED "skein_frames_refused_total" Counter "Frames from peers refused by validation.";
    RESIDENT_BYTES "skein_resident_bytes" Gauge "Resident memory of the process.";
    SLOW_COMMANDS "skein_slow_commands_total" Counter "Commands that took longer than slowlog-log-slower-than.";
    WRITES "skein_writes_total" Counter "Writes to one key answered to clients of this node.";
    WRITES_SLOW "skein_writes_over_128_ms_total" Counter "Writes to one key that took 128 ms or more from the command to its reply.";
    WRITE_SECONDS "skein_write_duration_seconds" Histogram of "namespace" "Writes to one key answered to clients of this node, by the time from the command to its reply.";
    WRITE_BYTES "skein_write_size_bytes" Histogram of "namespace" "Writes to one key answered to clients of this node, by the bytes of the command's words.";
    READY "skein_ready" Gauge "1 while this node serves, 0 while it does not.";
    DISK_FREE "skein_disk_free_bytes" Gauge "Bytes that the disk of this node has left for data.";
    DISK_TOTAL "skein_disk_bytes" Gauge "Bytes of the disk of this node.";
    NODES "skein_nodes" Gauge "Data nodes that the catalog knows; told by nodes that replicate it, like all that follow.";
    NODES_UP "skein_nodes_up" Gauge "Data nodes that are not down.";
    CLUSTER_STABLE "skein_cluster_stable" Gauge "1 if everything is in sync, all nodes are up and nothing is under way that takes that away.";
    PARTITIONS "skein_partitions" Gauge "Partitions of all tables.";
    PARTITIONS_UNSERVED "skein_partitions_unserved" Gauge "Partitions without a leader that has a majority.";
    PARTITIONS_DEGRADED "skein_partitions_degraded" Gauge "Partitions that are served with less redundancy than wished.";
    REPLICA_LAG "skein_replica_lag_entries" Gauge "Log entries that the replica which is furthest behind its leader, on a node that is up, has yet to apply.";
    OPERATIONS_ACTIVE "skein_operations_active" Gauge "Operations that have not ended, parts not counted.";
    OPERATIONS_FAILED "skein_operations_failed" Gauge "Operations that have failed and are remembered, parts not counted.";
    BACKUP_COMPLETE "skein_backup_last_complete_timestamp_seconds" Gauge of "schedule" "When the last backup of a schedule, or of those that somebody asked for (by-hand), was complete, since 1970.";
    BACKUP_PROVEN "skein_backup_last_proven_timestamp_seconds" Gauge of "schedule" "When a backup of a schedule, or one that somebody tried (by-hand), was last restored and found equal, since 1970.";
    BACKUP_SCHEDULE_SET "skein_backup_schedule_set_timestamp_seconds" Gauge of "schedule" "When a schedule of backups was set first, since 1970.";
    BACKUP_CHAIN "skein_backup_chain_length" Gauge of "schedule" "How many backups the last complete one of a schedule is made of: 1 for a full one, one more for each increment on it.";
    ARCHIVE_LAG "skein_archive_lag_seconds" Gauge "How long ago everything was told to the archive by the partition that is furthest behind, of those that this node leads; absent without an archive, like all that follow.";
    ARCHIVE_BEHIND "skein_archive_behind_entries" Gauge "Log entries that the partition which is furthest behind has yet to tell to the archive.";
    ARCHIVE_WAITING "skein_archive_waiting_bytes" Gauge "Bytes of changes that wait to be told, of the partition that has most of them.";
    ARCHIVE_HOLD "skein_archive_hold_bytes" Gauge "Bytes of changes that a partition keeps at most; beyond it the archive gets a gap.";
    ARCHIVE_EVERY "skein_archive_interval_seconds" Gauge "How often changes are told to the archive.";
    ARCHIVE_STUCK "skein_archive_partitions_stuck" Gauge "Partitions led by this node whose last attempt to tell changes has failed.";
    CPU_SECONDS "skein_cpu_seconds_total" Counter "Processor time used by the process.";
}
