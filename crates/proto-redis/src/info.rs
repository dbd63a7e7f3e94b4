//! `INFO`: sections rendered from facts that the listener supplies.

use crate::REDIS_VERSION;
use crate::lookups::Lookups;
use crate::reply::Reply;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fmt::Write;

/// What `INFO` tells; all numbers are of this node unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InfoFacts {
    /// Skein's version.
    pub skein_version: String,
    /// Name and release of the operating system.
    pub os: String,
    /// The node's id in its cluster.
    pub node_id: u64,
    /// The cluster's id.
    pub cluster_id: u64,
    /// This run of the process, 40 hexadecimal digits for clients that tell restarts by it.
    pub run_id: String,
    /// Of the process.
    pub process_id: u32,
    /// The Redis port that the client is connected to.
    pub tcp_port: u16,
    /// Microseconds since 1970.
    pub server_time_micros: u64,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Open Redis connections.
    pub connected_clients: u64,
    /// Those of which a command waits for an element.
    pub blocked_clients: u64,
    /// Clients of all nodes that wait for elements at this node's leaders.
    pub waits: u64,
    /// Most Redis connections.
    pub max_clients: u64,
    /// Resident memory in bytes.
    pub memory_resident_bytes: u64,
    /// The most it has been, in bytes.
    pub memory_peak_bytes: u64,
    /// Memory of the machine in bytes.
    pub memory_system_bytes: u64,
    /// Whether the node is still starting.
    pub loading: bool,
    /// Whether the log can be written.
    pub log_writable: bool,
    /// Connections since the start.
    pub connections_total: u64,
    /// Commands since the start.
    pub commands_total: u64,
    /// Commands in the last second, about.
    pub commands_per_second: u64,
    /// Bytes received from clients.
    pub input_bytes_total: u64,
    /// Bytes sent to clients.
    pub output_bytes_total: u64,
    /// Connections refused because there were too many.
    pub connections_refused: u64,
    /// Error replies since the start.
    pub errors_total: u64,
    /// Bytes received from clients in the last second, about.
    pub input_bytes_per_second: u64,
    /// Bytes sent to clients in the last second, about.
    pub output_bytes_per_second: u64,
    /// Reads that found something, and those that did not.
    pub lookups: Lookups,
    /// What each command has done, those that nobody has called left out, in order of name.
    pub commands: Vec<CommandFacts>,
    /// Error replies by their first word.
    pub errors: Vec<(String, u64)>,
    /// Keys removed because their time had come.
    pub expired_keys_total: u64,
    /// Replicas of each partition besides its leader.
    pub replicas: u64,
    /// Partitions that this node leads.
    pub partitions_led: u64,
    /// Partitions that this node holds.
    pub partitions_held: u64,
    /// Log entries that they have applied.
    pub entries_applied: u64,
    /// Processor time of the process outside the kernel, in seconds.
    pub cpu_user_seconds: f64,
    /// Processor time of the process inside the kernel, in seconds.
    pub cpu_system_seconds: f64,
    /// Keys of the default table in the whole cluster, if known.
    pub keys: Option<u64>,
    /// Those of them that have an expiry, if known.
    pub keys_with_expiry: u64,
}

/// What a command has done, from the parsed command to its reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandFacts {
    /// As `client|list`.
    pub name: &'static str,
    /// Times that it was carried out.
    pub calls: u64,
    /// How long all calls took together, in nanoseconds.
    pub nanos: u64,
    /// Times that it was refused before it was looked at.
    pub rejected: u64,
    /// Calls that were answered with an error.
    pub failed: u64,
    /// The latencies that half of the calls did not exceed, 99 of 100, and 999 of 1000, in nanoseconds.
    pub percentiles: [u64; 3],
}

/// Sections of `INFO`, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections(BTreeSet<&'static str>);

type Section = (&'static str, fn(&InfoFacts, &mut String));

/// Sections that are long, and only shown to those who ask for them, or for all.
const ON_DEMAND: [&str; 2] = ["commandstats", "latencystats"];

/// Every section with what it writes, in the order of the reply.
const SECTIONS: [Section; 13] = [
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", stats),
    ("replication", replication),
    ("cpu", cpu),
    ("modules", |_, out| out.push_str("# Modules\r\n")),
    ("commandstats", command_stats),
    ("errorstats", error_stats),
    ("latencystats", latency_stats),
    ("cluster", |_, out| out.push_str("# Cluster\r\ncluster_enabled:0\r\n")),
    ("keyspace", keyspace),
];

impl Sections {
    /// The sections that the arguments name; none means the usual ones. Unknown names are ignored.
    pub fn named(names: &[Bytes]) -> Self {
        let mut sections = BTreeSet::new();
        for name in names {
            let known = SECTIONS.iter().map(|(known, _)| *known);
            match name.to_ascii_lowercase().as_slice() {
                b"all" | b"everything" => sections.extend(known),
                b"default" => sections.extend(known.filter(|known| !ON_DEMAND.contains(known))),
                name => sections.extend(known.filter(|known| known.as_bytes() == name)),
            }
        }
        match names {
            [] => Self::named(&[Bytes::from_static(b"default")]),
            _ => Self(sections),
        }
    }

    /// Whether commands must be added up for it.
    pub fn needs_commands(&self) -> bool {
        ON_DEMAND.iter().any(|name| self.0.contains(name))
    }

    /// Whether the keys must be counted for it, which asks every partition.
    pub fn needs_keys(&self) -> bool {
        self.0.contains("keyspace")
    }
}

/// The reply to `INFO`.
pub fn render(facts: &InfoFacts, sections: &Sections) -> Reply {
    let mut out = String::with_capacity(2048);
    for (name, write) in SECTIONS {
        if sections.0.contains(name) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            write(facts, &mut out);
        }
    }
    Reply::Verbatim { format: *b"txt", text: out.into() }
}

/// One `name:value` line per pair; writing to a string cannot fail.
macro_rules! lines {
    ($out:expr, $title:literal, $($name:literal: $value:expr),* $(,)?) => {
        $out.push_str(concat!("# ", $title, "\r\n"));
        $(let _ = write!($out, concat!($name, ":{}\r\n"), $value);)*
    };
}

fn server(facts: &InfoFacts, out: &mut String) {
    lines!(out, "Server",
        "redis_version": REDIS_VERSION,
        "skein_version": facts.skein_version,
        "redis_mode": "standalone",
        "os": facts.os,
        "arch_bits": usize::BITS,
        "process_id": facts.process_id,
        "run_id": facts.run_id,
        "tcp_port": facts.tcp_port,
        "server_time_usec": facts.server_time_micros,
        "uptime_in_seconds": facts.uptime_seconds,
        "uptime_in_days": facts.uptime_seconds / 86_400,
        "skein_node_id": facts.node_id,
        "skein_cluster_id": format_args!("{:016x}", facts.cluster_id),
    );
}

fn clients(facts: &InfoFacts, out: &mut String) {
    lines!(out, "Clients",
        "connected_clients": facts.connected_clients,
        "cluster_connections": 0,
        "maxclients": facts.max_clients,
        "blocked_clients": facts.blocked_clients,
        "tracking_clients": 0,
        "skein_clients_in_line": facts.waits,
    );
}

fn memory(facts: &InfoFacts, out: &mut String) {
    lines!(out, "Memory",
        "used_memory": facts.memory_resident_bytes,
        "used_memory_human": human(facts.memory_resident_bytes),
        "used_memory_rss": facts.memory_resident_bytes,
        "used_memory_rss_human": human(facts.memory_resident_bytes),
        "used_memory_peak": facts.memory_peak_bytes,
        "used_memory_peak_human": human(facts.memory_peak_bytes),
        "total_system_memory": facts.memory_system_bytes,
        "total_system_memory_human": human(facts.memory_system_bytes),
        "maxmemory": 0,
        "maxmemory_human": "0B",
        "maxmemory_policy": "noeviction",
        "used_memory_lua": 0,
        // What the process uses is what the system gave it: there is nothing to compare.
        "mem_fragmentation_ratio": "1.00",
        "mem_fragmentation_bytes": 0,
        "mem_allocator": "libc",
    );
}

fn persistence(facts: &InfoFacts, out: &mut String) {
    lines!(out, "Persistence",
        "loading": u8::from(facts.loading),
        "async_loading": 0,
        "rdb_changes_since_last_save": 0,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_bgsave_status": "ok",
        "rdb_last_bgsave_time_sec": -1,
        "rdb_current_bgsave_time_sec": -1,
        "aof_enabled": 1,
        "aof_rewrite_in_progress": 0,
        "aof_rewrite_scheduled": 0,
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": "ok",
        "aof_last_write_status": if facts.log_writable { "ok" } else { "err" },
    );
}

fn stats(facts: &InfoFacts, out: &mut String) {
    lines!(out, "Stats",
        "total_connections_received": facts.connections_total,
        "total_commands_processed": facts.commands_total,
        "instantaneous_ops_per_sec": facts.commands_per_second,
        "total_net_input_bytes": facts.input_bytes_total,
        "total_net_output_bytes": facts.output_bytes_total,
        "instantaneous_input_kbps": kilobytes(facts.input_bytes_per_second),
        "instantaneous_output_kbps": kilobytes(facts.output_bytes_per_second),
        "rejected_connections": facts.connections_refused,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_keys": facts.expired_keys_total,
        "evicted_keys": 0,
        "evicted_clients": 0,
        "keyspace_hits": facts.lookups.hits,
        "keyspace_misses": facts.lookups.misses,
        "pubsub_channels": 0,
        "pubsub_patterns": 0,
        "latest_fork_usec": 0,
        "total_forks": 0,
        "total_error_replies": facts.errors_total,
    );
}

fn replication(facts: &InfoFacts, out: &mut String) {
    // Every node takes writes, so towards clients each of them is a master.
    lines!(out, "Replication",
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        // The history of the data is the cluster's, and it has one only.
        "master_replid": format_args!("{:040x}", facts.cluster_id),
        "master_replid2": format_args!("{:040x}", 0),
        "master_repl_offset": facts.entries_applied,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": 0,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
        "skein_replicas": facts.replicas,
        "skein_partitions_led": facts.partitions_led,
        "skein_partitions_held": facts.partitions_held,
    );
}

fn cpu(facts: &InfoFacts, out: &mut String) {
    lines!(out, "CPU",
        "used_cpu_sys": format_args!("{:.6}", facts.cpu_system_seconds),
        "used_cpu_user": format_args!("{:.6}", facts.cpu_user_seconds),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
    );
}

fn command_stats(facts: &InfoFacts, out: &mut String) {
    out.push_str("# Commandstats\r\n");
    for CommandFacts { name, calls, nanos, rejected, failed, .. } in &facts.commands {
        let micros = *nanos as f64 / 1000.0;
        let each = if *calls > 0 { micros / *calls as f64 } else { 0.0 };
        let _ = write!(
            out,
            "cmdstat_{name}:calls={calls},usec={:.0},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}\r\n",
            micros.floor()
        );
    }
}

fn error_stats(facts: &InfoFacts, out: &mut String) {
    out.push_str("# Errorstats\r\n");
    for (word, count) in &facts.errors {
        let _ = write!(out, "errorstat_{word}:count={count}\r\n");
    }
}

fn latency_stats(facts: &InfoFacts, out: &mut String) {
    out.push_str("# Latencystats\r\n");
    for CommandFacts { name, percentiles, .. } in facts.commands.iter().filter(|command| command.calls > 0) {
        let [half, most, nearly_all] = percentiles.map(|nanos| nanos as f64 / 1000.0);
        let _ = write!(
            out,
            "latency_percentiles_usec_{name}:p50={half:.3},p99={most:.3},p99.9={nearly_all:.3}\r\n"
        );
    }
}

fn keyspace(facts: &InfoFacts, out: &mut String) {
    out.push_str("# Keyspace\r\n");
    // Redis leaves an empty database out.
    if let Some(keys) = facts.keys.filter(|&keys| keys > 0) {
        let _ = write!(out, "db0:keys={keys},expires={},avg_ttl=0\r\n", facts.keys_with_expiry);
    }
}

/// A rate in KiB, as Redis writes it.
fn kilobytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1024.0)
}

/// Bytes as Redis writes them for people: `1.50M`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(names: &[&'static str]) -> String {
        let names: Vec<_> = names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect();
        let facts = InfoFacts { keys: Some(3), ..Default::default() };
        match render(&facts, &Sections::named(&names)) {
            Reply::Verbatim { text, .. } => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sections_are_chosen_by_name_whatever_the_case() {
        assert_eq!(text(&["KEYSPACE"]), "# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\n");
        assert_eq!(text(&["nosuch"]), "");
        let both = text(&["keyspace", "Cluster"]);
        assert!(both.starts_with("# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n"));
        assert_eq!(text(&[]), text(&["default"]));
        assert!(!text(&[]).contains("# Commandstats") && text(&["all"]).contains("# Latencystats"));
        assert!(text(&[]).contains("# Errorstats"));
        assert!(text(&["server"]).contains("\r\nskein_version:"));
    }

    #[test]
    fn commands_and_errors_are_told_as_monitors_read_them() {
        let get = CommandFacts {
            name: "get",
            calls: 3,
            nanos: 10_500,
            rejected: 1,
            failed: 2,
            percentiles: [1_024, 2_048, 5_120],
        };
        let refused = CommandFacts { name: "config|set", rejected: 1, ..Default::default() };
        let commands = vec![get, refused];
        let facts = InfoFacts { commands, errors: vec![("ERR".into(), 4)], ..Default::default() };
        let names = ["commandstats", "errorstats", "latencystats"].map(Bytes::from);
        let Reply::Verbatim { text, .. } = render(&facts, &Sections::named(&names)) else { panic!() };
        let wanted = "# Commandstats\r\n\
            cmdstat_get:calls=3,usec=10,usec_per_call=3.50,rejected_calls=1,failed_calls=2\r\n\
            cmdstat_config|set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n\r\n\
            # Errorstats\r\nerrorstat_ERR:count=4\r\n\r\n\
            # Latencystats\r\nlatency_percentiles_usec_get:p50=1.024,p99=2.048,p99.9=5.120\r\n";
        assert_eq!(String::from_utf8(text.to_vec()).unwrap(), wanted);
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!([human(1023), human(1536), human(24 << 30)], ["1023B", "1.50K", "24.00G"]);
    }
}
