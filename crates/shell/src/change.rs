//! Commands that change: each looks first, refuses in the words of the original, and then asks for an
//! operation, which refuses for reasons of its own. The code of a refusal is the one that the operation would refuse
//! with; only wrong words are wrong usage.
//!
//! `offlineendpoint` and `changeleader` wait a moment for their end, because whoever types them looks at
//! `showtable` next. The others return as soon as the operation is persisted, as in the original.

use std::time::Duration;

use api::admin::{Operation, OperationRequest, Table};
use types::settings::REPLACE_AFTER_S;
use types::{ErrorCode, Fault};

use crate::cluster::{Seen, full_name, has_ended, is_healthy, leader, replica_on};
use crate::failure::{Failure, Reason};
use crate::session::{Reply, Session};
use crate::show::{self, AUTO_FAILOVER};
use crate::words;

/// How long a change that somebody looks at next is waited for.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What a request ends in: the operation, or why there is none.
type Asked = Result<Operation, Reason>;

impl Session<'_> {
    fn look(&self) -> Result<Seen, Reason> {
        Ok(Seen::at(self.cluster)?)
    }

    fn ask_for(&self, request: OperationRequest) -> Asked {
        Ok(self.cluster.start(request)?)
    }

    /// Asks, and waits a moment for the end. An operation that failed is a reason.
    fn ask_and_wait(&self, request: OperationRequest) -> Asked {
        let started = self.cluster.start(request)?;
        let operation =
            if has_ended(&started) { started } else { self.cluster.ended(started.id, END_PATIENCE)? };
        match (operation.state.as_str(), &operation.error) {
            ("failed", Some(error)) => Err(Reason::from(Fault::from(error)).note(explain(&operation))),
            ("failed" | "cancelled", _) => {
                let text = format!("op {} was {}", operation.id, operation.state);
                Err(Reason::new(ErrorCode::Internal, text).note(explain(&operation)))
            }
            _ => Ok(operation),
        }
    }
}

/// Where to read more.
fn explain(operation: &Operation) -> String {
    format!("'skein op explain {}' tells more", operation.id)
}

/// The words of success, and for people where the operation is.
fn begun(words: &str, operation: &Operation) -> Reply {
    let reply = Reply::line(words);
    if operation.state == "done" {
        return reply;
    }
    let waits =
        if operation.waits_for.is_empty() { String::new() } else { format!(": {}", operation.waits_for) };
    let does = if operation.joined { " does this already, and" } else { "" };
    reply.note(format!("op {}{does} is {}{waits}; 'showopstatus' shows it", operation.id, operation.state))
}

/// A request about partitions of a table.
fn about(kind: &str, table: &Table, pids: &[u32]) -> OperationRequest {
    OperationRequest {
        kind: kind.to_owned(),
        table: Some(full_name(table)),
        partitions: pids.iter().map(|&pid| u64::from(pid)).collect(),
        ..OperationRequest::default()
    }
}

fn unknown_endpoint(seen: &Seen, endpoint: &str) -> Reason {
    let known: Vec<&str> = seen.status.nodes.iter().map(|node| node.endpoint.as_str()).collect();
    Reason::new(ErrorCode::UnknownNode, "endpoint does not exist")
        .note(format!("there is no node {endpoint}; there are {}", known.join(", ")))
}

fn unhealthy(endpoint: &str) -> Reason {
    Reason::new(ErrorCode::NodeUnfit, "tablet is not healthy").note(format!("{endpoint} does not answer"))
}

/// Takes a node out of service.
pub fn offline_endpoint(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    arguments.get(1).map(|word| words::concurrency(word)).transpose()?;
    let failed = |reason: Reason| reason.after("failed to offline endpoint. error msg: ");
    let seen = session.look().map_err(failed)?;
    let node = seen.node_at(arguments[0]).ok_or_else(|| failed(unknown_endpoint(&seen, arguments[0])))?;
    let request = OperationRequest { kind: "offline-node".into(), node: Some(node.id), ..Default::default() };
    let operation = session.ask_and_wait(request).map_err(failed)?;
    Ok(begun("offline endpoint ok", &operation))
}

/// Brings a node back into service.
pub fn recover_endpoint(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let restores = arguments.get(1).map(|word| words::need_restore(word)).transpose()?.unwrap_or(false);
    arguments.get(2).map(|word| words::concurrency(word)).transpose()?;
    let failed = |reason: Reason| reason.after("failed to recover endpoint. error msg: ");
    let seen = session.look().map_err(failed)?;
    let node = seen.node_at(arguments[0]).ok_or_else(|| failed(unknown_endpoint(&seen, arguments[0])))?;
    if !is_healthy(node) {
        return Err(failed(unhealthy(arguments[0])));
    }
    let (kind, node) = ("recover-node".into(), Some(node.id));
    let request = OperationRequest { kind, node, leaders: restores, ..Default::default() };
    let operation = session.ask_for(request).map_err(failed)?;
    Ok(begun("recover endpoint ok", &operation))
}

/// Lets another replica lead.
pub fn change_leader(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let pid = words::pid(arguments[1])?;
    let failed = |reason: Reason| reason.after("failed to change leader. error msg: ");
    let reason = |code, text: &str| failed(Reason::new(code, text));
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, arguments[0]).map_err(failed)?;
    let partition = seen.partition(table, pid).map_err(failed)?;
    let leads = leader(partition).filter(|leader| seen.is_alive(partition, leader));
    if let (None, Some(leader)) = (arguments.get(2), leads) {
        let words = format!(
            "{} leads; 'changeleader {} {pid} auto' moves it",
            seen.endpoint(leader.node),
            table.name
        );
        return Err(failed(Reason::new(ErrorCode::Unsafe, "leader is alive").note(words)));
    }
    let others =
        || partition.replicas.iter().filter(|one| one.role == "follower" && !one.leaving && !one.led);
    if others().next().is_none() {
        return Err(reason(ErrorCode::NotEnoughNodes, "no follower"));
    }
    let to = match arguments.get(2).filter(|word| **word != "auto") {
        None if others().any(|other| seen.is_alive(partition, other)) => None,
        None => return Err(reason(ErrorCode::NoLeader, "no alive follower")),
        Some(endpoint) => {
            let node = seen.node_at(endpoint).ok_or_else(|| failed(unknown_endpoint(&seen, endpoint)))?;
            if leads.is_some_and(|leader| leader.node == node.id) {
                return Ok(Reply::line("change leader ok").note(format!("{endpoint} leads already")));
            }
            let replica = replica_on(partition, node.id);
            if !replica.is_some_and(|replica| seen.is_alive(partition, replica)) {
                let code = if replica.is_some() { ErrorCode::NodeUnfit } else { ErrorCode::NotThere };
                let words = format!("{endpoint} has no replica of it that is alive");
                return Err(failed(Reason::new(code, "no alive follower").note(words)));
            }
            Some(node.id)
        }
    };
    let request = OperationRequest { to, ..about("change-leader", table, &[pid]) };
    let operation = session.ask_and_wait(request).map_err(failed)?;
    Ok(begun("change leader ok", &operation))
}

/// Brings one replica back into service.
pub fn recover_table(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let (pid, endpoint) = (words::pid(arguments[1])?, arguments[2]);
    let failed = |reason: Reason| reason.after("Fail to recover table. error msg:");
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, arguments[0]).map_err(failed)?;
    let partition = seen.partition(table, pid).map_err(failed)?;
    let node = seen.node_at(endpoint).ok_or_else(|| failed(unknown_endpoint(&seen, endpoint)))?;
    if !is_healthy(node) {
        return Err(failed(unhealthy(endpoint)));
    }
    let Some(replica) = replica_on(partition, node.id) else {
        let words = format!("{endpoint} has no replica of partition {pid}; 'addreplica' makes one");
        return Err(failed(Reason::new(ErrorCode::NotThere, "pid does not exist").note(words)));
    };
    if seen.is_alive(partition, replica) {
        return Err(failed(Reason::new(ErrorCode::AlreadyThere, "table is alive, need not recover")));
    }
    let request = OperationRequest { node: Some(node.id), ..about("recover-partition", table, &[pid]) };
    let operation = session.ask_for(request).map_err(failed)?;
    Ok(begun("recover table ok", &operation))
}

/// Moves replicas to another node.
pub fn migrate(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let [source, name, group, destination] = [arguments[0], arguments[1], arguments[2], arguments[3]];
    if source == destination {
        return Err(Failure::usage("migrate error. src_endpoint is same as des_endpoint"));
    }
    let pids = words::pid_group(group)?;
    let failed = |reason: Reason| reason.after("failed to migrate partition. error msg: ");
    let reason = |code, text: String| failed(Reason::new(code, text));
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, name).map_err(failed)?;
    let from = seen
        .node_at(source)
        .ok_or_else(|| reason(ErrorCode::UnknownNode, "src_endpoint does not exist or not healthy".into()))?;
    let to = seen
        .node_at(destination)
        .filter(|node| is_healthy(node))
        .ok_or_else(|| reason(ErrorCode::UnknownNode, "des_endpoint does not exist or not healthy".into()))?;
    for &pid in &pids {
        let partition = seen.partition(table, pid).map_err(failed)?;
        if replica_on(partition, to.id).is_some() {
            let text = format!("partition[{pid}] is already in des_endpoint[{destination}]. name[{name}]");
            return Err(reason(ErrorCode::AlreadyThere, text));
        }
        if replica_on(partition, from.id).is_none() {
            let text = format!("src_endpoint[{source}] has not partition[{pid}]. name[{name}]");
            return Err(reason(ErrorCode::NotThere, text));
        }
        if partition.leader.is_none() {
            let led = partition.replicas.iter().find(|replica| replica.led);
            let leader = led.map_or_else(|| "-".to_owned(), |replica| seen.endpoint(replica.node));
            let text = format!("leader[{leader}] is offline. name[{name}] pid[{pid}]");
            return Err(reason(ErrorCode::NoLeader, text));
        }
    }
    let request = OperationRequest { from: Some(from.id), to: Some(to.id), ..about("migrate", table, &pids) };
    let operation = session.ask_for(request).map_err(failed)?;
    Ok(begun("partition migrate ok", &operation))
}

/// Adds replicas on a node.
pub fn add_replica(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let [name, group, endpoint] = [arguments[0], arguments[1], arguments[2]];
    let pids = words::pid_group(group)?;
    let failed = |reason: Reason| reason.after("Fail to addreplica. error msg:");
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, name).map_err(failed)?;
    let node = seen.node_at(endpoint).ok_or_else(|| failed(unknown_endpoint(&seen, endpoint)))?;
    if !is_healthy(node) {
        return Err(failed(unhealthy(endpoint)));
    }
    for &pid in &pids {
        let partition = seen
            .partition(table, pid)
            .map_err(|reason| failed(Reason { text: "invalid parameter".into(), ..reason }))?;
        if replica_on(partition, node.id).is_some() {
            let text = format!("pid {pid} is exist in {endpoint}");
            return Err(failed(Reason::new(ErrorCode::AlreadyThere, text)));
        }
    }
    let request = OperationRequest { to: Some(node.id), ..about("add-replica", table, &pids) };
    let operation = session.ask_for(request).map_err(failed)?;
    Ok(begun("AddReplica ok", &operation))
}

/// Removes the replicas on a node.
pub fn del_replica(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let [name, group, endpoint] = [arguments[0], arguments[1], arguments[2]];
    let pids = words::pid_group(group)?;
    let failed = |reason: Reason| reason.after("Fail to delreplica. error msg:");
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, name).map_err(failed)?;
    let node = seen.node_at(endpoint).ok_or_else(|| failed(unknown_endpoint(&seen, endpoint)))?;
    for &pid in &pids {
        let partition = seen.partition(table, pid).map_err(|reason| {
            failed(Reason { text: "max pid is greater than partition size".into(), ..reason })
        })?;
        if replica_on(partition, node.id).is_none() {
            let text = format!("pid {pid} is not in {endpoint}");
            return Err(failed(Reason::new(ErrorCode::NotThere, text)));
        }
    }
    let request = OperationRequest { from: Some(node.id), ..about("remove-replica", table, &pids) };
    let operation = session.ask_for(request).map_err(failed)?;
    let reply = begun("DelReplica ok", &operation);
    let becomes_short = |pid: &u32| {
        let left = seen.partition(table, *pid).map(|partition| {
            partition.replicas.iter().filter(|one| !one.leaving && one.node != node.id).count()
        });
        left.is_ok_and(|left| left < table.replicas as usize)
    };
    let comes_back = pids.iter().any(becomes_short).then(|| replaced_after(session)).flatten();
    Ok(match comes_back {
        None => reply,
        Some(seconds) => reply.note(format!(
            "'{}' is to have {} replicas: with auto_failover=true a replica is made again after {seconds} s; \
             'skein table set-replicas' says that it is to have fewer",
            table.name, table.replicas
        )),
    })
}

/// The seconds after which the cluster replaces what is missing; `None` if it does not, or cannot be asked.
fn replaced_after(session: &Session<'_>) -> Option<u64> {
    let settings = session.cluster.settings().ok()?;
    let value =
        |name: &str| settings.iter().find(|known| known.name == name).map(|known| known.value.as_str());
    if value(AUTO_FAILOVER) != Some("true") {
        return None;
    }
    value(REPLACE_AFTER_S.name)?.parse().ok().filter(|seconds| *seconds > 0)
}

/// Cuts a partition's log.
pub fn make_snapshot(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let pid = words::pid(arguments[1])?;
    let failed = |reason: Reason| reason.after("Fail to makesnapshot. error msg:");
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, arguments[0]).map_err(failed)?;
    seen.partition(table, pid).map_err(failed)?;
    let operation = session.ask_for(about("snapshot", table, &[pid])).map_err(failed)?;
    Ok(begun("MakeSnapshot ok", &operation))
}

/// Nothing: what others edit is observed here. The words of success are what the field's tools look for.
pub fn update_table_alive(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let [name, pid, endpoint, alive] = [arguments[0], arguments[1], arguments[2], arguments[3]];
    let pid = if pid == "*" { None } else { Some(words::pid(pid)?) };
    if !matches!(alive, "yes" | "no") {
        return Err(Failure::usage("is_alive should be yes or no"));
    }
    let failed = |reason: Reason| reason.after("Fail to update table alive. error msg: ");
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, name).map_err(failed)?;
    let node = seen.node_at(endpoint).ok_or_else(|| failed(unknown_endpoint(&seen, endpoint)))?;
    let partitions = seen.partitions(table);
    let mut named = partitions.iter().filter(|one| pid.is_none_or(|pid| one.partition == u64::from(pid)));
    if !named.any(|partition| replica_on(partition, node.id).is_some()) {
        return Err(failed(Reason::new(ErrorCode::NotThere, "no pid has update")));
    }
    Ok(Reply::line("update ok").note(
        "nothing was changed: is_alive is what was observed; 'offlineendpoint' and 'recoverendpoint' change it",
    ))
}

/// Changes a setting.
pub fn conf_set(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let (key, value) = (arguments[0], arguments[1].to_lowercase());
    let failed = |reason: Reason| reason.after(&format!("failed to set {key}. error msg: "));
    let refused = |why: &str| failed(Reason::new(ErrorCode::BadArgument, "invalid parameter").note(why));
    if key != AUTO_FAILOVER {
        return Err(refused("'skein config set' changes the other settings"));
    }
    if !matches!(value.as_str(), "true" | "false") {
        return Err(refused("auto_failover is true or false"));
    }
    session.cluster.set(key, &value).map_err(|fault| failed(fault.into()))?;
    Ok(Reply::line(format!("set {key} ok")))
}

/// Ends an op early.
pub fn cancel_op(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let failed = |reason: Reason| reason.after("Cancel op failed, error msg: ");
    let id: u64 =
        arguments[0].parse().map_err(|_| Failure::usage("Invalid args. op_id should be uint64_t"))?;
    let operations = session.cluster.operations().map_err(|fault| failed(fault.into()))?;
    let Some(operation) = operations.into_iter().find(|operation| operation.id == id) else {
        return Err(failed(Reason::new(ErrorCode::UnknownOperation, "op id does not exist")));
    };
    if has_ended(&operation) {
        return Err(failed(Reason::new(ErrorCode::TooLate, "op status is not kDoing or kInited")));
    }
    let operation = session.cluster.cancel(id).map_err(|fault| failed(fault.into()))?;
    let reply = Reply::line("Cancel op ok");
    Ok(if has_ended(&operation) { reply } else { reply.note("what it did is being undone") })
}

/// Forgets ops that have ended: one, or all of a status.
pub fn delete_op(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let failed = |reason: Reason| reason.after("Delete op failed, error msg: ");
    let operations = session.cluster.operations().map_err(|fault| failed(fault.into()))?;
    let in_state =
        |state: &str| operations.iter().filter(|one| one.state == state).map(|one| one.id).collect();
    let ids: Vec<u64> = match arguments[0] {
        "done" => in_state("done"),
        "failed" => in_state("failed"),
        "canceled" => in_state("cancelled"),
        word => {
            let id: u64 = word.parse().map_err(|_| Failure::usage("invalid args"))?;
            let Some(operation) = operations.iter().find(|operation| operation.id == id) else {
                return Err(failed(Reason::new(ErrorCode::UnknownOperation, "op id does not exist")));
            };
            if !has_ended(operation) {
                let reason = Reason::new(ErrorCode::OperationActive, "cannot delete the Inited OP");
                return Err(failed(reason.note(format!("'cancelop {id}' ends it first"))));
            }
            vec![id]
        }
    };
    for id in ids {
        match session.cluster.forget(id) {
            // A part goes together with what it is a part of.
            Err(fault) if fault.code != ErrorCode::UnknownOperation => return Err(failed(fault.into())),
            _ => {}
        }
    }
    Ok(Reply::line("Delete op ok"))
}

/// Drops a table, after asking if there is somebody to ask.
pub fn drop_table(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let failed = |reason: Reason| reason.after("failed to drop. error msg: ");
    let seen = session.look().map_err(failed)?;
    let table = seen.table(&session.database, arguments[0]).map_err(failed)?;
    if let Some(ask) = session.ask
        && ask(&format!("Drop table {}? yes/no", table.name)).trim() != "yes"
    {
        return Ok(Reply::line(format!("'drop {}' cmd is canceled!", table.name)));
    }
    session.cluster.drop_table(&table.namespace, &table.name).map_err(|fault| failed(fault.into()))?;
    Ok(Reply::line("drop ok"))
}

/// Chooses the database.
pub fn use_database(session: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let Some(name) = arguments.first() else {
        session.database.clear();
        return Ok(Reply::line("Use default database"));
    };
    let failed = |reason: Reason| reason.after("Use database failed. error msg: ");
    let tables = session.cluster.tables().map_err(|fault| failed(fault.into()))?;
    if !show::databases(&tables).iter().any(|database| database == name) {
        let reason = Reason::new(ErrorCode::UnknownTable, "database not found");
        return Err(failed(reason.note("a database is a namespace that has a table; 'showdb' lists them")));
    }
    (*name).clone_into(&mut session.database);
    Ok(Reply::line(format!("Use database: {name}")))
}
