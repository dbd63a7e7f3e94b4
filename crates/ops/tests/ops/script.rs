//! Runs the scripts in `testscripts/`: an operator's words in, every command and directive out.
//!
//! A script has lines that begin with `>` and the output expected behind each of them. `#` begins a
//! comment. `SKEIN_REWRITE=1 cargo test -p ops` writes what comes out instead; read the diff.

use std::fmt::Write;
use std::path::Path;

use api::admin::{Explanation, OperationRequest, PermitRelease, PermitRequest};
use api::catalog::{CatalogOp, NewTable, ReplicaRecord, TableName};
use api::restoring::{Begun, RestoreRequest, RestoreSource};
use api::saving::{BackupRequest, ScheduleChange, ScheduleProgress, ScheduleRecord};
use catalog::RecordChange;
use types::{GroupId, NodeId, OperationId};

use crate::groups::Replica;
use crate::model::{Answered, Cluster, TICK_MS, new_table};
use crate::words::{Words, parse};

#[test]
fn scripts_come_out_as_written() {
    golden::scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts"), 1, run);
}

/// The script with the output that its commands have now. Comments and blank lines before a command
/// stay; everything between a command and the next blank line or comment is output.
fn run(script: &str) -> String {
    let mut world = World::default();
    let mut out = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out += &format!("{line}\n{}", world.run(command));
        } else if line.is_empty() || line.starts_with('#') {
            out += &format!("{line}\n");
        }
    }
    out
}

#[derive(Default)]
struct World {
    cluster: Cluster,
}

impl World {
    fn run(&mut self, line: &str) -> String {
        let words = Words::of(line);
        let cluster = &mut self.cluster;
        match words.verb {
            "cluster" => {
                let meta: Vec<u64> = words.list("meta").into_iter().map(parse).collect();
                let meta = if meta.is_empty() { vec![1, 2, 3] } else { meta };
                *cluster = Cluster::new(&words.list("nodes"), &meta, &words.list("tables"));
                String::new()
            }
            "plan" => self.plan(&request(&words)),
            "op" => match cluster.start(&request(&words)) {
                Ok(ids) => format!("operations {ids:?}\n"),
                Err(why) => format!("refused: {why}\n"),
            },
            "look" => self.look(),
            "tick" => {
                (0..words.value("times").unwrap_or(1)).for_each(|_| cluster.tick());
                String::new()
            }
            "go" => self.go(words.value("looks").unwrap_or(40)),
            "crash" => {
                cluster.crash();
                String::new()
            }
            "schedule" => self.apply(CatalogOp::Schedule(schedule(&words, self.cluster.wall_ms))),
            "later" => {
                cluster.wall_ms += words.number(0);
                String::new()
            }
            "create" => {
                let namespace = words.text("namespace").unwrap_or_default().into();
                self.apply(CatalogOp::CreateTable(NewTable { namespace, ..new_table(words.argument(0)) }))
            }
            "drop" => {
                let name = TableName { namespace: String::new(), name: words.argument(0).into() };
                self.apply(CatalogOp::DropTable(name))
            }
            _ => self.strike(&words),
        }
    }

    /// What happens to nodes, disks and replicas. Prints nothing.
    fn strike(&mut self, words: &Words<'_>) -> String {
        let cluster = &mut self.cluster;
        let node = || NodeId(words.number(0));
        let replicas = |cluster: &mut Cluster, change: fn(&mut Replica)| {
            let (group, node) = (GroupId(words.number(0)), words.number(1));
            let group = cluster.groups.get_mut(&group).unwrap();
            group.replicas.values_mut().filter(|replica| replica.node == node).for_each(change);
        };
        match words.verb {
            "join" => cluster.join(words.argument(0)),
            "down" => cluster.kill(node()),
            "up" => cluster.revive(node()),
            "load" => {
                let load = words.value("per-second");
                for group in words.list("groups").into_iter().map(|group| GroupId(parse(group))) {
                    cluster.groups.get_mut(&group).unwrap().load = load;
                }
            }
            "stall" => drop(cluster.stalled.insert(node())),
            "free" => drop(cluster.free.insert(node(), words.number(1) << 20)),
            "flaps" => drop(cluster.flapping.insert(node())),
            "steady" => drop(cluster.flapping.remove(&node())),
            "disk" => drop(cluster.disks.insert(node(), words.number(1))),
            "set" => cluster.set(words.argument(0), words.argument(1)),
            "refuse" => cluster.refuses = words.list("edits").into_iter().map(String::from).collect(),
            "fail" => cluster.tasks.faults = words.list("steps").into_iter().map(String::from).collect(),
            "hang" => cluster.tasks.hang = words.list("steps").into_iter().map(String::from).collect(),
            "corrupt" => replicas(cluster, |replica| replica.is_corrupt = true),
            "large" => replicas(cluster, |replica| replica.is_large = true),
            "behind" => replicas(cluster, |replica| replica.is_behind = true),
            "lose" => {
                let (group, node) = (GroupId(words.number(0)), words.number(1));
                cluster.groups.get_mut(&group).unwrap().replicas.retain(|_, replica| replica.node != node);
            }
            _ => return self.ask(words),
        }
        String::new()
    }

    fn ask(&mut self, words: &Words<'_>) -> String {
        let cluster = &mut self.cluster;
        let (catalog, observed) = (&cluster.catalog, cluster.observed());
        let id = || OperationId(words.number(0));
        match words.verb {
            "cancel" => match ops::cancel(catalog, id(), cluster.wall_ms) {
                Ok(change) => self.apply(CatalogOp::Operate(change)),
                Err(fault) => format!("refused: {fault}\n"),
            },
            "forget" => match ops::forget(catalog, id()) {
                Ok(change) => self.apply(CatalogOp::Operate(change)),
                Err(fault) => format!("refused: {fault}\n"),
            },
            "permit" => {
                let wish = PermitRequest {
                    only_ask: words.text("ask").is_some(),
                    holder: words.text("by").map(str::to_owned),
                    seconds: words.value("seconds"),
                };
                match ops::may_stop(catalog, &observed, NodeId(words.number(0)), &wish) {
                    Ok((change, permit)) => {
                        let notes: String =
                            permit.notes.iter().map(|note| format!("  note: {note}\n")).collect();
                        format!("granted\n{notes}{}", self.apply(CatalogOp::Permit(change)))
                    }
                    Err(fault) => format!("refused: {fault}\n"),
                }
            }
            "release" => {
                let wish = PermitRelease { holder: words.text("by").map(str::to_owned) };
                match ops::give_back(catalog, NodeId(words.number(0)), &wish) {
                    Ok(Some(change)) => self.apply(CatalogOp::Permit(change)),
                    Ok(None) => "nobody holds it\n".into(),
                    Err(fault) => format!("refused: {fault}\n"),
                }
            }
            "explain" => match cluster.executor.explain_operation(catalog, &observed, id()) {
                Ok(explanation) => explained(&explanation),
                Err(fault) => format!("refused: {fault}\n"),
            },
            "explain-node" => explained(&ops::explain_node(catalog, &observed, NodeId(words.number(0)))),
            "explain-partition" => {
                explained(&ops::explain_partition(catalog, &observed, GroupId(words.number(0))))
            }
            "show" => self.show(id()),
            "groups" => self.groups(),
            other => panic!("no command '{other}'"),
        }
    }

    fn show(&self, id: OperationId) -> String {
        let Some(operation) = self.cluster.executor.show(&self.cluster.catalog, &self.cluster.observed(), id)
        else {
            return "no such operation\n".into();
        };
        let mut out = format!("{} {}: {}", operation.id, operation.kind, operation.state);
        write!(
            out,
            ", step '{}', {} of {} bytes",
            operation.step, operation.bytes_done, operation.bytes_total
        )
        .unwrap();
        write!(out, ", {} of {} parts\n  {}\n", operation.parts_ended, operation.parts, operation.what)
            .unwrap();
        if !operation.waits_for.is_empty() {
            writeln!(out, "  waits: {}", operation.waits_for).unwrap();
        }
        operation.events.iter().for_each(|event| writeln!(out, "  - {}", event.text).unwrap());
        if let Some(saved) = &operation.saved {
            writeln!(out, "  saved: {} keys={} proven={}", saved.backup, saved.keys, saved.proven).unwrap();
        }
        for report in operation.evidence {
            let hashes: Vec<String> = report
                .replicas
                .iter()
                .map(|r| format!("{}@{} {}", r.replica, r.node, &r.hash[..4]))
                .collect();
            writeln!(out, "  evidence: equal={} {}", report.equal, hashes.join(", ")).unwrap();
        }
        out
    }

    fn plan(&self, request: &OperationRequest) -> String {
        let planned = match self.cluster.plan(request) {
            Ok(planned) => planned,
            Err(fault) => return format!("refused: {fault}\n"),
        };
        let plan = planned.plan;
        let mut out = format!("{}\n", plan.summary);
        writeln!(
            out,
            "  {} MiB, {} s, lowest fault tolerance {}",
            plan.bytes >> 20,
            plan.seconds,
            plan.lowest_fault_tolerance
        )
        .unwrap();
        for part in plan.parts {
            writeln!(out, "  {}: {} ({})", part.kind, part.what, part.steps.join(" ")).unwrap();
        }
        for edit in planned.start.edits {
            writeln!(out, "  at once: {:?}", edit.edit.unwrap()).unwrap();
        }
        plan.notes.iter().for_each(|note| writeln!(out, "  note: {note}").unwrap());
        out
    }

    fn apply(&mut self, op: CatalogOp) -> String {
        match self.cluster.apply(op) {
            Answered::Refused(why) => format!("  refused: {why}\n"),
            Answered::Done(changes, _) => {
                let shown = changes
                    .iter()
                    .filter(|change| !matches!(change, RecordChange::Put(catalog::Record::Cluster(_))));
                shown.map(|change| format!("  {change}\n")).collect()
            }
        }
    }

    /// One look: what it says, and what comes of it.
    fn look(&mut self) -> String {
        let work = self.cluster.look();
        let mut out = String::new();
        for op in work.commands {
            out += &self.apply(op);
        }
        for directive in work.directives {
            writeln!(out, "  {directive:?}").unwrap();
            self.cluster.obey(&directive);
        }
        out
    }

    /// Looks and ticks until every operation has ended and nothing is said any more.
    fn go(&mut self, looks: u64) -> String {
        let mut out = String::new();
        let mut quiet = 0;
        for _ in 0..looks {
            let said = self.look();
            let idle = self.cluster.catalog.operations().all(|operation| operation.state().has_ended());
            quiet = if said.is_empty() && idle { quiet + 1 } else { 0 };
            if quiet > 1 {
                break;
            }
            out += &said;
            self.cluster.tick();
        }
        out
    }

    fn groups(&self) -> String {
        let mut out = String::new();
        for partition in self.cluster.catalog.partitions() {
            let group = &self.cluster.groups[&GroupId(partition.group)];
            let wished = |replica: &ReplicaRecord| {
                let offline = if replica.offline { "-" } else { "" };
                format!("{}{offline}@{}", replica.id, replica.node)
            };
            let members = group
                .membership
                .members
                .iter()
                .map(|member| format!("{}{}", member.replica, if member.learner { "~" } else { "" }));
            let wished: Vec<String> = partition.replicas.iter().map(wished).collect();
            let members: Vec<String> = members.collect();
            let leader = group.leader.map_or("nobody".into(), |leader| leader.to_string());
            writeln!(
                out,
                "  group {}: wished {} members {} leader {leader} of record {}",
                partition.group,
                wished.join(","),
                members.join(","),
                partition.leader
            )
            .unwrap();
        }
        for node in self.cluster.catalog.nodes() {
            let flags = catalog::status::flag_names(&self.cluster.catalog.flags(NodeId(node.id)));
            if !flags.is_empty() {
                writeln!(out, "  node {}: {}", node.id, flags.join(", ")).unwrap();
            }
        }
        out
    }
}

fn explained(explanation: &Explanation) -> String {
    let mut out = format!("{}\n", explanation.summary);
    explanation.facts.iter().for_each(|fact| writeln!(out, "  fact: {fact}").unwrap());
    for blocker in &explanation.blockers {
        let place = match (&blocker.table, blocker.partition, blocker.node) {
            (Some(table), Some(partition), Some(node)) => format!("{table}/{partition} node {node}"),
            (Some(table), Some(partition), None) => format!("{table}/{partition}"),
            (_, _, Some(node)) => format!("node {node}"),
            _ => "nothing".into(),
        };
        writeln!(out, "  blocker at {place}: {}", blocker.why).unwrap();
        if !blocker.unblock.is_empty() {
            writeln!(out, "    unblock: {}", blocker.unblock).unwrap();
        }
    }
    explanation.next.iter().for_each(|next| writeln!(out, "  next: {next}").unwrap());
    out
}

/// `kind table=flow partitions=0,1 from=1 to=4 node=2 count=3`.
pub fn request(words: &Words<'_>) -> OperationRequest {
    OperationRequest {
        kind: words.argument(0).into(),
        table: words.text("table").map(String::from),
        namespace: words.text("namespace").map(String::from),
        partitions: words.list("partitions").into_iter().map(parse).collect(),
        node: words.value("node"),
        from: words.value("from"),
        to: words.value("to"),
        count: words.value("count"),
        replicas: words.text("what") == Some("replicas"),
        leaders: words.text("what") == Some("leaders"),
        backup: words.text("at").map(|url| BackupRequest {
            url: url.into(),
            backup: words.text("backup").map(String::from),
            parent: words.text("on").map(String::from),
            tables: words.list("tables").into_iter().map(String::from).collect(),
            namespaces: words.list("namespaces").into_iter().map(String::from).collect(),
            kinds: words.list("kinds").into_iter().map(String::from).collect(),
            bytes_per_second: words.value("rate"),
            ..BackupRequest::default()
        }),
        restore: words.text("from-place").map(|url| restore(words, url)),
    }
}

/// `from-place=URL backup=ID sources=FROM:TO:PARTITIONS:REPLICAS:MIB:HELD-KEYS:BEGUN into=PARTITIONSxREPLICAS
/// conflict=skip restart=yes`.
fn restore(words: &Words<'_>, url: &str) -> RestoreRequest {
    let (partitions, replicas) = words.text("into").and_then(|into| into.split_once('x')).unzip();
    RestoreRequest {
        url: url.into(),
        backup: words.text("backup").map(String::from),
        at_ms: words.value("moment"),
        kinds: words.list("kinds").into_iter().map(String::from).collect(),
        partitions: partitions.map(parse),
        replicas: replicas.map(parse),
        on_conflict: words.text("conflict").map(String::from),
        restart: words.text("restart").is_some(),
        bytes_per_second: words.value("rate"),
        sources: words.list("sources").into_iter().map(source).collect(),
        ..RestoreRequest::default()
    }
}

fn source(text: &str) -> RestoreSource {
    let parts: Vec<&str> = text.split(':').collect();
    RestoreSource {
        from: parts[0].into(),
        to: parts[1].into(),
        partitions: parse(parts[2]),
        replicas: parse(parts[3]),
        bytes: parse::<u64>(parts[4]) << 20,
        keys: 1000,
        held_keys: parse(parts[5]),
        begun: match parts.get(6) {
            Some(&"same") => Begun::Same,
            Some(_) => Begun::Otherwise,
            None => Begun::Not,
        },
    }
}

/// `NAME cron=0_3_*_*_* at=URL tables=A namespaces=B kinds=C keep=2 drill=yes`, or `NAME` to remove it.
fn schedule(words: &Words<'_>, now: u64) -> ScheduleChange {
    let name = words.argument(0).to_owned();
    let Some(cron) = words.text("cron") else { return ScheduleChange { set: None, remove: name } };
    let set = ScheduleRecord {
        name,
        cron: cron.replace('_', " "),
        url: words.text("at").unwrap_or("file:///b").into(),
        tables: words.list("tables").into_iter().map(String::from).collect(),
        namespaces: words.list("namespaces").into_iter().map(String::from).collect(),
        kinds: words.list("kinds").into_iter().map(String::from).collect(),
        keep: words.value("keep").unwrap_or(0),
        drill: words.text("drill").is_some(),
        full_every: words.value("full-every").unwrap_or(0),
        set_ms: now,
        progress: Some(ScheduleProgress { due_ms: now, ..Default::default() }),
        ..Default::default()
    };
    ScheduleChange { set: Some(set), remove: String::new() }
}

/// A tick is half a second: scripts count in looks.
const _: () = assert!(TICK_MS == 500);
