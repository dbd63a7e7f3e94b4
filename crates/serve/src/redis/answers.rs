//! Answers to questions about the node, the face and its clients.

use std::time::{SystemTime, UNIX_EPOCH};

use api::kv::{KvAnswer, KvReply};
use proto_redis::client::{self, ClientFacts};
use proto_redis::config::{self, ConfigChange, LiveConfig};
use proto_redis::info::{self, CommandFacts, InfoFacts, Sections};
use proto_redis::table::NUMBERED;
use proto_redis::{Question, Reply, Session};
use types::Fault;

use super::client::Client;
use super::directory::Directory;
use super::worker::Face;

/// The answer to a question that needs no partition. `WAIT`, and `INFO` with numbers of keys, are not
/// such; the executor has them in hand.
pub(crate) fn answer(
    question: &Question,
    face: &Face,
    asking: &Client,
    session: &Session,
    directory: &Directory,
) -> Reply {
    match question {
        Question::Info(sections) => info(sections, Vec::new(), face, asking, directory),
        Question::ConfigGet(patterns) => config::get(patterns, &live_config(face, asking)),
        Question::ConfigSet(changes) => {
            for change in changes {
                match change {
                    ConfigChange::Timeout(seconds) => face.set_idle_timeout(*seconds),
                    ConfigChange::SlowLogMicros(micros) => face.statistics.set_slow_micros(*micros),
                    ConfigChange::SlowLogEntries(entries) => face.statistics.set_slow_entries(*entries),
                }
            }
            Reply::OK
        }
        Question::ResetStatistics => {
            face.counters.reset();
            face.statistics.reset();
            Reply::OK
        }
        Question::SlowLog(question) => face.statistics.ask_slow(*question),
        Question::Time => client::time_reply(wall_micros()),
        Question::Wait { disks, .. } => client::wait_reply(directory.followers_in_quorum(), *disks),
        Question::ClientInfo => {
            // The session of this very command, not what was noted after the one before.
            asking.note(session, 0, 0);
            client::info_reply(&asking.facts())
        }
        Question::ClientList(filter) => {
            asking.note(session, 0, 0);
            let clients: Vec<ClientFacts> = face.clients().iter().map(|client| client.facts()).collect();
            client::list_reply(&clients, filter, asking.id)
        }
        Question::ClientUnblock { id, with_error } => {
            Reply::flag(face.client(*id).is_some_and(|client| client.unblock(*with_error)))
        }
        Question::ClientKill(filter) => {
            let meant = |client: &&std::sync::Arc<Client>| filter.matches(&client.facts(), asking.id);
            let killed = face.clients().iter().filter(meant).map(|client| client.kill()).count();
            client::kill_reply(filter, killed)
        }
    }
}

/// `INFO`; `counts` has the number of keys of each partition, if it was asked for.
pub(crate) fn info(
    sections: &Sections,
    counts: Vec<Result<KvReply, Fault>>,
    face: &Face,
    asking: &Client,
    directory: &Directory,
) -> Reply {
    let node = face.backend.facts();
    let (counters, rates) = (face.counters(), face.counters.rates());
    let process = crate::process::usage();
    let facts = InfoFacts {
        skein_version: env!("CARGO_PKG_VERSION").into(),
        os: crate::process::operating_system(),
        node_id: node.node,
        cluster_id: node.cluster,
        // Forty digits of which sixteen tell runs apart.
        run_id: format!("{:016x}{:016x}{:08x}", node.boot, node.cluster, node.node as u32),
        process_id: std::process::id(),
        tcp_port: asking.port(),
        server_time_micros: wall_micros(),
        uptime_seconds: face.uptime().as_secs(),
        connected_clients: counters.connections,
        waits: node.waits,
        blocked_clients: face.clients().iter().filter(|client| client.is_blocked()).count() as u64,
        max_clients: face.config.connections_max as u64,
        memory_resident_bytes: process.resident_bytes,
        memory_peak_bytes: process.resident_peak_bytes,
        memory_system_bytes: process.machine_bytes,
        loading: node.loading,
        log_writable: node.log_writable,
        connections_total: counters.connections_total,
        commands_total: counters.commands,
        commands_per_second: rates.commands,
        input_bytes_per_second: rates.bytes_in,
        output_bytes_per_second: rates.bytes_out,
        lookups: face.statistics.lookups(),
        commands: if sections.needs_commands() { command_facts(face) } else { Vec::new() },
        errors: face.statistics.errors(),
        input_bytes_total: counters.bytes_in,
        output_bytes_total: counters.bytes_out,
        connections_refused: counters.connections_refused,
        errors_total: counters.errors,
        expired_keys_total: node.expired_keys,
        replicas: directory.followers(),
        partitions_led: node.partitions_led,
        partitions_held: node.partitions_held,
        entries_applied: node.entries_applied,
        cpu_user_seconds: process.user_seconds,
        cpu_system_seconds: process.system_seconds,
        keys: if sections.needs_keys() { sum(counts) } else { None },
        keys_with_expiry: 0,
    };
    info::render(&facts, sections)
}

/// What each command has done, those that nobody has called left out.
fn command_facts(face: &Face) -> Vec<CommandFacts> {
    let counts = face.statistics.command_counts();
    let facts = NUMBERED.iter().zip(counts).map(|(command, count)| CommandFacts {
        name: command.full_name,
        calls: count.calls,
        nanos: count.nanos,
        rejected: count.rejected,
        failed: count.failed,
        percentiles: [500, 990, 999].map(|of_thousand| count.percentile(of_thousand)),
    });
    let mut facts: Vec<_> = facts.filter(|facts| facts.calls > 0 || facts.rejected > 0).collect();
    facts.sort_by_key(|facts| facts.name);
    facts
}

/// The sum of all counts; unknown if one is.
fn sum(counts: Vec<Result<KvReply, Fault>>) -> Option<u64> {
    counts.into_iter().try_fold(0u64, |sum, count| match count.ok()?.answer? {
        KvAnswer::Integer(number) => Some(sum.saturating_add(u64::try_from(number).ok()?)),
        _ => None,
    })
}

fn live_config(face: &Face, asking: &Client) -> LiveConfig {
    let (slow_log_micros, slow_log_entries) = face.statistics.slow_limits();
    LiveConfig {
        slow_log_micros,
        slow_log_entries,
        timeout_seconds: face.idle_timeout().map_or(0, |timeout| timeout.as_secs()),
        port: asking.port(),
        bind: asking.local_ip(),
        directory: face.config.directory.clone(),
    }
}

fn wall_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros() as u64)
}
