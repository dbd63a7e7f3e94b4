//! Runs the scripts in `testscripts/`: what is typed, and what is said, without a cluster.
//!
//! A line `> …` is typed at the shell; behind it stands what it prints, then `note: …` for stderr, `asked: …`
//! for what the cluster was asked, and `[code]` if it failed. A line `= …` changes the world. `#` begins a
//! comment. Blanks at the ends of lines are left out; the test of the layout has them.
//! `SKEIN_REWRITE=1 cargo test -p shell` writes what comes out instead; read the difference.

use std::cell::RefCell;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use api::admin::{
    ErrorBody, NodeStatus, Operation, OperationRequest, OperationStep, PartitionStatus, ReplicaStatus,
    SettingValue, Status, Table, Verdict,
};
use jiff::tz::TimeZone;
use types::{ErrorCode, Fault};

use crate::cluster::Cluster;
use crate::layout::View;
use crate::run::local;
use crate::session::{Clock, Session};

#[test]
fn scripts_come_out_as_written() {
    golden::scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts"), 8, run);
}

/// The script with the output that it has now.
fn run(script: &str) -> String {
    let world = World::new();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut session = Session {
        cluster: &world,
        view: View::Fedb,
        database: String::new(),
        directory: directory.path().to_owned(),
        clock: &Noon,
        ask: None,
    };
    let (yes, no) = (|_: &str| "yes".to_owned(), |_: &str| "no".to_owned());
    let mut out = String::new();
    let mut in_output = false;
    for line in script.lines() {
        if let Some(typed) = line.strip_prefix("> ") {
            let outcome = session.run(typed);
            let _ = writeln!(out, "{line}");
            outcome.reply.text.lines().for_each(|said| out.push_str(&format!("{}\n", said.trim_end())));
            let place = directory.path().display().to_string();
            outcome.reply.notes.iter().for_each(|note| {
                let _ = writeln!(out, "note: {}", note.replace(&place, "."));
            });
            world.asked.borrow_mut().drain(..).for_each(|asked| out.push_str(&format!("asked: {asked}\n")));
            outcome.error.into_iter().for_each(|code| out.push_str(&format!("[{}]\n", code.as_str())));
            in_output = true;
        } else if let Some(directive) = line.strip_prefix("= ") {
            match directive {
                "view fedb" => session.view = View::Fedb,
                "view openmldb" => session.view = View::Openmldb,
                "ask yes" => session.ask = Some(&yes),
                "ask no" => session.ask = Some(&no),
                other if other.starts_with("file ") => {
                    let text = std::fs::read_to_string(directory.path().join(&other[5..])).expect("the file");
                    let _ = write!(out, "{line}\n{text}");
                    in_output = true;
                    continue;
                }
                other => world.change(other),
            }
            let _ = writeln!(out, "{line}");
            in_output = false;
        } else if line.is_empty() || line.starts_with('#') {
            let _ = writeln!(out, "{line}");
            in_output = false;
        } else {
            assert!(in_output, "neither typed, nor a change, nor output: {line}");
        }
    }
    out
}

/// The time of the FEDB guide's last operation, in its time zone.
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> u64 {
        1_535_112_388_000
    }

    fn local(&self, ms: u64) -> String {
        local(ms, &TimeZone::fixed(jiff::tz::offset(8)))
    }
}

/// The cluster of the FEDB guide: three nodes, the table `flow` of two partitions with three replicas.
struct World {
    status: RefCell<Status>,
    tables: Vec<Table>,
    operations: RefCell<Vec<Operation>>,
    settings: RefCell<Vec<SettingValue>>,
    /// What was asked that changes something.
    asked: RefCell<Vec<String>>,
    /// What the next change is refused with.
    refusal: RefCell<Option<Fault>>,
    /// How an operation that is waited for ends.
    ending: RefCell<(String, Option<Fault>)>,
}

impl World {
    fn new() -> Self {
        let node = |id: u64, host: u64| NodeStatus {
            id,
            endpoint: format!("172.27.128.{host}:8541"),
            http: format!("172.27.128.{host}:8542"),
            redis: format!("172.27.128.{host}:8543"),
            roles: vec!["meta".into(), "data".into()],
            state: "up".into(),
            since_ms: 3 * 3_600_000 + 5000,
            ..NodeStatus::default()
        };
        // In the guide the first replica of partition 0 is on .32.
        let partition = |table: &str, partition: u64, nodes: [u64; 3]| PartitionStatus {
            table: table.into(),
            partition,
            group: partition + 1,
            leader: Some(nodes[0]),
            replicas: nodes
                .map(|node| replica(node, if node == nodes[0] { "leader" } else { "follower" }))
                .to_vec(),
            problem: String::new(),
            records: 0,
            bytes: 0,
        };
        let table = |tid, namespace: &str, name: &str, partitions| Table {
            tid,
            namespace: namespace.into(),
            name: name.into(),
            engine: "kv".into(),
            partitions,
            replicas: 3,
            generation: 1,
            hash: "tag".into(),
            restoring: String::new(),
        };
        let status = Status {
            verdict: Verdict::Healthy,
            summary: String::new(),
            cluster: "00000000000000aa".into(),
            fault_tolerance: 1,
            tolerance_by: Default::default(),
            leader: Some(1),
            catalog_version: 12,
            nodes: vec![node(1, 31), node(2, 32), node(3, 33)],
            partitions: vec![
                partition("catalog", 0, [1, 2, 3]),
                partition("flow", 0, [2, 3, 1]),
                partition("flow", 1, [3, 1, 2]),
                partition("shop:orders", 0, [1, 2, 3]),
            ],
        };
        let setting = |name: &str, value: &str| SettingValue {
            name: name.into(),
            value: value.into(),
            default: value.into(),
            takes: String::new(),
            about: String::new(),
            changed_by: None,
            changed_ms: 0,
            before: None,
        };
        Self {
            status: RefCell::new(status),
            tables: vec![table(4, "default", "flow", 2), table(5, "shop", "orders", 1)],
            operations: RefCell::default(),
            settings: RefCell::new(vec![
                setting("auto_failover", "true"),
                setting("down_after_ms", "5000"),
                setting("replace_after_s", "600"),
            ]),
            asked: RefCell::default(),
            refusal: RefCell::default(),
            ending: RefCell::new(("done".into(), None)),
        }
    }

    /// `node 2 state=down since=420000`, `replica flow/0@2 state=unreachable led`, `leader flow/0 none`,
    /// `add 4 37`, `operation …`, `refuse CODE DETAIL`, `end STATE [CODE DETAIL]`
    fn change(&self, directive: &str) {
        let words: Vec<&str> = directive.split(' ').collect();
        let mut status = self.status.borrow_mut();
        match words[0] {
            "node" => {
                let node =
                    status.nodes.iter_mut().find(|node| node.id.to_string() == words[1]).expect("a node");
                for (name, value) in words[2..].iter().filter_map(|word| word.split_once('=')) {
                    match name {
                        "state" => node.state = value.into(),
                        "since" => node.since_ms = value.parse().expect("milliseconds"),
                        other => panic!("a node has no {other}"),
                    }
                }
            }
            "add" => {
                let id = words[1].parse().expect("an id");
                let mut node = NodeStatus { id, since_ms: 90_000, ..status.nodes[0].clone() };
                node.endpoint = format!("172.27.128.{}:8541", words[2]);
                (node.http, node.redis, node.roles) = (String::new(), String::new(), vec!["data".into()]);
                status.nodes.push(node);
            }
            "leader" => partition(&mut status, words[1]).leader = words[2].parse().ok(),
            "replica" => {
                let (place, node) = words[1].split_once('@').expect("partition@node");
                let node = node.parse().expect("a node");
                let replicas = &mut partition(&mut status, place).replicas;
                if !replicas.iter().any(|replica| replica.node == node) {
                    replicas.push(replica(node, "learner"));
                }
                let found = replicas.iter_mut().find(|replica| replica.node == node).expect("just made");
                words[2..].iter().for_each(|word| change_replica(found, word));
            }
            "operation" => self.operations.borrow_mut().push(operation(&words[1..])),
            "refuse" => *self.refusal.borrow_mut() = Some(fault(&words[1..])),
            "end" => {
                let error = (words.len() > 2).then(|| fault(&words[2..]));
                *self.ending.borrow_mut() = (words[1].to_owned(), error);
            }
            other => panic!("the world has no {other}"),
        }
    }

    fn ask(&self, what: String) -> Result<(), Fault> {
        self.asked.borrow_mut().push(what);
        self.refusal.borrow_mut().take().map_or(Ok(()), Err)
    }
}

fn replica(node: u64, role: &str) -> ReplicaStatus {
    ReplicaStatus {
        replica: node,
        node,
        role: role.into(),
        state: "in-sync".into(),
        applied: 7,
        writes: Some(0),
        records: Some(0),
        bytes: Some(0),
        ..ReplicaStatus::default()
    }
}

fn change_replica(replica: &mut ReplicaStatus, word: &str) {
    let number = |value: &str| value.parse().ok();
    match word.split_once('=').unwrap_or((word, "")) {
        ("state", value) => replica.state = value.into(),
        ("role", value) => replica.role = value.into(),
        ("led", value) => replica.led = value != "no",
        ("leaving", _) => replica.leaving = true,
        ("writes", value) => replica.writes = number(value),
        ("records", value) => replica.records = number(value),
        ("bytes", value) => replica.bytes = number(value),
        (other, _) => panic!("a replica has no {other}"),
    }
}

fn partition<'a>(status: &'a mut Status, place: &str) -> &'a mut PartitionStatus {
    let (table, partition) = place.split_once('/').expect("table/partition");
    let is = |one: &&mut PartitionStatus| one.table == table && one.partition.to_string() == partition;
    status.partitions.iter_mut().find(is).expect("a partition")
}

fn fault(words: &[&str]) -> Fault {
    Fault::new(words[0].parse().expect("an error code"), words[1..].join(" "))
}

/// `58 recover-replica flow/0 done 0..2 recover:0..1 catch-up:1..2 bytes=5/10`, times in seconds behind the
/// first of the guide; without an end it goes on.
fn operation(words: &[&str]) -> Operation {
    let span = |text: &str| {
        let time = |text: &str| text.parse::<u64>().map_or(0, |seconds| 1_535_111_918_000 + seconds * 1000);
        let (from, to) = text.split_once("..").expect("a span");
        (time(from), time(to))
    };
    let (table, partition) = words[2].split_once('/').map_or((None, None), |(table, partition)| {
        (Some(table.to_owned()), Some(partition.parse().expect("a partition")))
    });
    let (started_ms, ended_ms) = words.get(4).map_or((0, 0), |text| span(text));
    let mut found = Operation {
        id: words[0].parse().expect("an id"),
        parent: None,
        kind: words[1].to_owned(),
        what: String::new(),
        table,
        partition,
        state: words[3].to_owned(),
        step: String::new(),
        steps: Vec::new(),
        waits_for: String::new(),
        bytes_done: 0,
        bytes_total: 0,
        parts_ended: 0,
        parts: 0,
        by: String::new(),
        created_ms: started_ms,
        started_ms,
        ended_ms,
        error: None,
        events: Vec::new(),
        evidence: Vec::new(),
        saved: None,
        joined: false,
    };
    for word in words.iter().skip(5) {
        if let Some((done, total)) = word.strip_prefix("bytes=").and_then(|text| text.split_once('/')) {
            (found.bytes_done, found.bytes_total) =
                (done.parse().expect("bytes"), total.parse().expect("bytes"));
        } else {
            let (name, text) = word.split_once(':').expect("a step");
            let (begun_ms, ended_ms) = span(text);
            if begun_ms != 0 && ended_ms == 0 {
                found.step = name.to_owned();
            }
            found.steps.push(OperationStep { name: name.to_owned(), begun_ms, ended_ms });
        }
    }
    found
}

impl Cluster for World {
    fn status(&self) -> Result<Status, Fault> {
        Ok(self.status.borrow().clone())
    }

    fn tables(&self) -> Result<Vec<Table>, Fault> {
        Ok(self.tables.clone())
    }

    fn drop_table(&self, namespace: &str, name: &str) -> Result<(), Fault> {
        self.ask(format!("drop {namespace}:{name}"))
    }

    fn operations(&self) -> Result<Vec<Operation>, Fault> {
        Ok(self.operations.borrow().clone())
    }

    fn start(&self, request: OperationRequest) -> Result<Operation, Fault> {
        let mut asked = request.kind.clone();
        request.table.iter().for_each(|table| asked.push_str(&format!(" {table}")));
        if !request.partitions.is_empty() {
            let partitions: Vec<String> = request.partitions.iter().map(u64::to_string).collect();
            asked.push_str(&format!("/{}", partitions.join(",")));
        }
        for (name, node) in [("node", request.node), ("from", request.from), ("to", request.to)] {
            node.into_iter().for_each(|node| asked.push_str(&format!(" {name} {node}")));
        }
        self.ask(asked)?;
        Ok(operation(&["9", &request.kind, "-", "running", "0.."]))
    }

    fn ended(&self, id: u64, _: Duration) -> Result<Operation, Fault> {
        let (state, error) = self.ending.borrow().clone();
        let error = error.map(|fault| ErrorBody::from(&fault));
        Ok(Operation { error, ..operation(&[&id.to_string(), "any", "-", &state, "0..1"]) })
    }

    fn cancel(&self, id: u64) -> Result<Operation, Fault> {
        self.ask(format!("cancel {id}"))?;
        Ok(operation(&[&id.to_string(), "any", "-", "cancelling", "0.."]))
    }

    fn forget(&self, id: u64) -> Result<(), Fault> {
        self.ask(format!("forget {id}"))
    }

    fn settings(&self) -> Result<Vec<SettingValue>, Fault> {
        Ok(self.settings.borrow().clone())
    }

    fn set(&self, name: &str, value: &str) -> Result<SettingValue, Fault> {
        self.ask(format!("set {name} {value}"))?;
        let mut settings = self.settings.borrow_mut();
        let setting = settings.iter_mut().find(|setting| setting.name == name);
        let setting = setting.ok_or_else(|| Fault::new(ErrorCode::BadArgument, name))?;
        setting.value = value.into();
        Ok(setting.clone())
    }
}
