//! Commands that show: tables, nodes, ops, settings.

use std::fmt::Write;

use api::admin::{NodeStatus, PartitionStatus, ReplicaStatus, Table};
use types::{ErrorCode, Fault};

use crate::cluster::{DEFAULT_DATABASE, Seen, is_healthy, leader, namespace};
use crate::failure::{Failure, Reason};
use crate::layout::{Column, In, View, age, bytes, grid, table};
use crate::operations::{self, OpRow};
use crate::session::{Clock, Reply, Session};
use crate::words;

/// The one setting that the originals have.
pub const AUTO_FAILOVER: &str = "auto_failover";

/// A row of `showtable`: a replica, or a table that has none yet.
struct TableRow<'a> {
    table: &'a Table,
    replica: Option<Replica<'a>>,
}

/// A replica in such a row.
struct Replica<'a> {
    pid: u64,
    endpoint: String,
    status: &'a ReplicaStatus,
    is_alive: bool,
}

impl TableRow<'_> {
    fn of(&self, cell: impl FnOnce(&Replica<'_>) -> String) -> String {
        self.replica.as_ref().map(cell).unwrap_or_default()
    }
}

/// How much a replica's state takes on disk.
fn disk_used(row: &TableRow<'_>) -> String {
    row.of(|replica| replica.status.bytes.map(bytes).unwrap_or_default())
}

/// How much of that is records. Their share is not measured; where there are none it is nothing, as people
/// expect of a new table.
fn memory_used(row: &TableRow<'_>) -> String {
    row.of(|replica| match replica.status.records {
        Some(0) => bytes(0),
        _ => replica.status.bytes.map(bytes).unwrap_or_default(),
    })
}

#[rustfmt::skip]
fn table_columns<'a>() -> Vec<Column<TableRow<'a>>> {
    vec![
        Column { name: "name", shown: In::Both, cell: |row, _| row.table.name.clone() },
        Column { name: "tid", shown: In::Both, cell: |row, _| row.table.tid.to_string() },
        Column { name: "pid", shown: In::Both, cell: |row, _| row.of(|replica| replica.pid.to_string()) },
        Column { name: "endpoint", shown: In::Both, cell: |row, _| row.of(|replica| replica.endpoint.clone()) },
        Column { name: "role", shown: In::Both, cell: |row, _| row.of(|replica| role(replica).to_owned()) },
        Column { name: "ttl", shown: In::Fedb, cell: |row, _| row.of(|_| "0min".to_owned()) },
        Column { name: "is_alive", shown: In::Both, cell: |row, _| row.of(|replica| yes_or_no(replica.is_alive)) },
        Column { name: "compress_type", shown: In::Fedb, cell: |row, _| row.of(|_| "kNoCompress".to_owned()) },
        Column { name: "offset", shown: In::Both, cell: |row, _| row.of(|replica| number(replica.status.writes)) },
        Column { name: "record_cnt", shown: In::Both, cell: |row, _| row.of(|replica| number(replica.status.records)) },
        Column { name: "memused", shown: In::Both, cell: |row, _| memory_used(row) },
        Column { name: "diskused", shown: In::Openmldb, cell: |row, _| disk_used(row) },
    ]
}

/// The replicas of all tables of the current database, or of one.
pub fn show_table(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let failed = |reason: Reason| reason.after("failed to showtable. error msg: ");
    let seen = Seen::at(session.cluster).map_err(|fault| failed(fault.into()))?;
    let tables: Vec<&Table> = match arguments.first() {
        Some(name) => vec![seen.table(&session.database, name).map_err(failed)?],
        None => seen.tables_in(&session.database).collect(),
    };
    let rows: Vec<TableRow<'_>> = tables.into_iter().flat_map(|table| table_rows(&seen, table)).collect();
    Ok(table(&table_columns(), session.view, &rows).into())
}

fn table_rows<'a>(seen: &'a Seen, table: &'a Table) -> Vec<TableRow<'a>> {
    let replica = |partition: &'a PartitionStatus, status: &'a ReplicaStatus| {
        let (pid, endpoint) = (partition.partition, seen.endpoint(status.node));
        let is_alive = seen.is_alive(partition, status);
        TableRow { table, replica: Some(Replica { pid, endpoint, status, is_alive }) }
    };
    let rows: Vec<TableRow<'a>> = seen
        .partitions(table)
        .into_iter()
        .flat_map(|partition| {
            let wished = partition.replicas.iter().filter(|status| !status.leaving);
            wished.map(move |status| replica(partition, status))
        })
        .collect();
    if rows.is_empty() { vec![TableRow { table, replica: None }] } else { rows }
}

/// Whoever led when it went stays `leader` until it is back.
fn role(replica: &Replica<'_>) -> &'static str {
    let leads = replica.status.role == "leader" || (replica.status.led && !replica.is_alive);
    if leads { "leader" } else { "follower" }
}

fn number(known: Option<u64>) -> String {
    known.map(|number| number.to_string()).unwrap_or_default()
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

#[rustfmt::skip]
const TABLET_COLUMNS: &[Column<NodeStatus>] = &[
    Column { name: "endpoint", shown: In::Both, cell: |node, _| node.endpoint.clone() },
    Column { name: "real_endpoint", shown: In::Openmldb, cell: |_, _| String::new() },
    Column { name: "state", shown: In::Both, cell: tablet_state },
    Column { name: "age", shown: In::Both, cell: |node, _| age(node.since_ms) },
];

fn tablet_state(node: &NodeStatus, view: View) -> String {
    match (view, is_healthy(node)) {
        (View::Fedb, true) => "kTabletHealthy",
        (View::Fedb, false) => "kTabletOffline",
        (View::Openmldb, true) => "kHealthy",
        (View::Openmldb, false) => "kOffline",
    }
    .to_owned()
}

/// The nodes that hold data.
pub fn show_tablet(session: &mut Session<'_>, _: &[&str]) -> Result<Reply, Failure> {
    let failed = |fault: Fault| Reason::from(fault).after("Fail to show tablets. error msg: ");
    let nodes = session.cluster.status().map_err(failed)?.nodes.into_iter();
    let rows: Vec<NodeStatus> = nodes.filter(|node| has_role(node, "data")).collect();
    Ok(table(TABLET_COLUMNS, session.view, &rows).into())
}

/// A node that keeps the catalog.
struct NameServer {
    endpoint: String,
    leads: bool,
}

#[rustfmt::skip]
const NAME_SERVER_COLUMNS: &[Column<NameServer>] = &[
    Column { name: "endpoint", shown: In::Both, cell: |row, _| row.endpoint.clone() },
    Column { name: "real_endpoint", shown: In::Openmldb, cell: |_, _| String::new() },
    Column { name: "role", shown: In::Both, cell: |row, _| if row.leads { "leader" } else { "standby" }.to_owned() },
];

/// The nodes that keep the catalog and answer, the leader first.
pub fn show_ns(session: &mut Session<'_>, _: &[&str]) -> Result<Reply, Failure> {
    let failed = |fault: Fault| Reason::from(fault).after("Show nameserver failed. error msg: ");
    let status = session.cluster.status().map_err(failed)?;
    let answering = status.nodes.iter().filter(|node| has_role(node, "meta") && is_healthy(node));
    let mut rows: Vec<NameServer> = answering
        .map(|node| NameServer { endpoint: node.endpoint.clone(), leads: status.leader == Some(node.id) })
        .collect();
    rows.sort_by_key(|row| !row.leads);
    Ok(table(NAME_SERVER_COLUMNS, session.view, &rows).into())
}

fn has_role(node: &NodeStatus, role: &str) -> bool {
    node.roles.iter().any(|has| has == role)
}

/// An op with its times as text.
struct Op {
    row: OpRow,
    start_time: String,
    execute_time: String,
    end_time: String,
}

impl Op {
    /// A running op counts to now; one that was never begun has no times.
    fn new(row: OpRow, clock: &dyn Clock) -> Self {
        let at = |ms: u64| if ms == 0 { String::new() } else { clock.local(ms) };
        let until = if row.ended_ms == 0 { clock.now_ms() } else { row.ended_ms };
        let execute_time = match row.started_ms {
            0 => String::new(),
            started => format!("{}s", until.saturating_sub(started) / 1000),
        };
        Self { start_time: at(row.started_ms), end_time: at(row.ended_ms), execute_time, row }
    }
}

#[rustfmt::skip]
const OP_COLUMNS: &[Column<Op>] = &[
    Column { name: "op_id", shown: In::Both, cell: |op, _| op.row.id.to_string() },
    Column { name: "op_type", shown: In::Both, cell: |op, _| op.row.op_type.clone() },
    Column { name: "name", shown: In::Both, cell: |op, _| op.row.name.clone() },
    Column { name: "pid", shown: In::Both, cell: |op, _| op.row.pid.to_string() },
    Column { name: "status", shown: In::Both, cell: |op, _| op.row.status.to_owned() },
    Column { name: "start_time", shown: In::Both, cell: |op, _| op.start_time.clone() },
    Column { name: "execute_time", shown: In::Both, cell: |op, _| op.execute_time.clone() },
    Column { name: "end_time", shown: In::Both, cell: |op, _| op.end_time.clone() },
    Column { name: "cur_task", shown: In::Both, cell: |op, _| op.row.task.clone() },
    Column { name: "for_replica_cluster", shown: In::Openmldb, cell: |_, _| "no".to_owned() },
];

/// The ops of the current database, of one table, or of one partition.
pub fn show_op_status(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let name = arguments.first();
    let pid = arguments.get(1).map(|word| words::pid(word)).transpose()?;
    // The original says the same of ops as of tablets.
    let failed = |fault: Fault| Reason::from(fault).after("Fail to show tablets. error msg: ");
    let mut operations = session.cluster.operations().map_err(failed)?;
    operations.sort_by_key(|operation| operation.id);
    let database = namespace(&session.database);
    let wanted = |row: &OpRow| {
        row.database == database
            && name.is_none_or(|name| row.name == *name)
            && pid.is_none_or(|pid| row.pid == u64::from(pid))
    };
    let rows = operations.iter().flat_map(operations::rows).filter(wanted);
    let ops: Vec<Op> = rows.map(|row| Op::new(row, session.clock)).collect();
    Ok(table(OP_COLUMNS, session.view, &ops).into())
}

/// A setting. Without a name it is the one that the originals have.
pub fn conf_get(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let key = *arguments.first().unwrap_or(&AUTO_FAILOVER);
    let failed = |reason: Reason| reason.after(&format!("failed to set {key}. error msg: "));
    let settings = session.cluster.settings().map_err(|fault| failed(fault.into()))?;
    let Some(setting) = settings.into_iter().find(|setting| setting.name == key) else {
        let unknown = Reason::new(ErrorCode::BadArgument, "invalid parameter");
        return Err(failed(unknown.note("'skein config list' shows the settings")));
    };
    let heading = vec!["key".to_owned(), "value".to_owned()];
    Ok(grid(heading, vec![vec![setting.name, setting.value]]).into())
}

/// The databases: namespaces that have a table, and the default one.
pub fn show_db(session: &mut Session<'_>, _: &[&str]) -> Result<Reply, Failure> {
    let failed = |fault: Fault| Reason::from(fault).after("Show databases failed. error msg: ");
    let names = databases(&session.cluster.tables().map_err(failed)?);
    let rows = names.into_iter().enumerate().map(|(place, name)| vec![(place + 1).to_string(), name]);
    Ok(grid(vec!["#".to_owned(), "name".to_owned()], rows.collect()).into())
}

/// The names of the databases, sorted.
pub fn databases(tables: &[Table]) -> Vec<String> {
    let mut names: Vec<String> = tables.iter().map(|table| table.namespace.clone()).collect();
    names.push(DEFAULT_DATABASE.to_owned());
    names.sort_unstable();
    names.dedup();
    names
}

/// A table's shape and size.
pub fn info(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let failed = |reason: Reason| reason.after("failed to get table info. error msg: ");
    let seen = Seen::at(session.cluster).map_err(|fault| failed(fault.into()))?;
    let found = seen.table(&session.database, arguments[0]).map_err(failed)?;
    let partitions = seen.partitions(found);
    let records: u64 = partitions.iter().map(|partition| partition.records).sum();
    let size: u64 = partitions.iter().map(|partition| partition.bytes).sum();
    let mut rows = vec![
        ("name", found.name.clone()),
        ("replica_num", found.replicas.to_string()),
        ("partition_num", found.partitions.to_string()),
    ];
    if session.view == View::Fedb {
        rows.extend([("ttl", "0min".to_owned()), ("ttl_type", "kAbsoluteTime".to_owned())]);
    }
    rows.extend([
        ("compress_type", "kNoCompress".to_owned()),
        ("record_cnt", records.to_string()),
        ("memused", bytes(if records == 0 { 0 } else { size })),
        ("diskused", bytes(size)),
        ("partition_key", String::new()),
    ]);
    let heading = vec!["attribute".to_owned(), "value".to_owned()];
    Ok(grid(heading, rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()).into())
}

/// Writes what is known of a partition to a file, in the text form of the original's message.
pub fn get_table_partition(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let failed = |reason: Reason| reason.after("Fail to get table partition. error msg: ");
    let pid = words::pid(arguments[1])?;
    let seen = Seen::at(session.cluster).map_err(|fault| failed(fault.into()))?;
    let table = seen.table(&session.database, arguments[0]).map_err(failed)?;
    let partition = seen.partition(table, pid).map_err(failed)?;
    let path = session.directory.join(format!("{}_{pid}.txt", table.name));
    std::fs::write(&path, partition_text(&seen, partition)).map_err(|error| {
        failed(Reason::new(
            ErrorCode::DataUnreadable,
            format!("can not open file {}: {error}", path.display()),
        ))
    })?;
    Ok(Reply::line("get table partition ok").note(format!("it is in {}", path.display())))
}

fn partition_text(seen: &Seen, partition: &PartitionStatus) -> String {
    let mut text = format!("pid: {}\n", partition.partition);
    let leader = leader(partition).map(|leader| leader.replica);
    for replica in partition.replicas.iter().filter(|replica| !replica.leaving) {
        let known = |number: Option<u64>| number.unwrap_or_default();
        let _ = write!(
            text,
            "partition_meta {{\n  endpoint: \"{}\"\n  is_leader: {}\n  is_alive: {}\n  offset: {}\n  \
             record_cnt: {}\n  record_byte_size: {}\n  diskused: {}\n}}\n",
            seen.endpoint(replica.node),
            leader == Some(replica.replica) || (leader.is_none() && replica.led),
            seen.is_alive(partition, replica),
            known(replica.writes),
            known(replica.records),
            known(replica.bytes),
            known(replica.bytes),
        );
    }
    text
}
