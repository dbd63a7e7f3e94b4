//! Growing and shrinking: nodes that are added, join from elsewhere, take data, and leave.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use api::admin::{JoinNode, NodeStatus, Operation, Verdict};
use client::Client;
use rustix::process::Signal;

use super::support::{Cluster, Shape, alone, beside_others, free_base_port, send, until, within, words};
use super::{SKEIN, get, set, three};

/// So soon everybody knows of a new node.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// `skein node add`, which must succeed.
fn add(cluster: &Cluster) -> NodeStatus {
    let output = cluster.run(["node", "add", "--json"]);
    assert!(output.status.success(), "{}", words(&output));
    serde_json::from_slice(&output.stdout).expect("a node")
}

/// Waits until a node is listed, up, by the catalog's nodes.
fn is_listed(cluster: &Cluster, node: u64) -> NodeStatus {
    let client = cluster.client();
    within(KNOWN_WITHIN, "a node that is listed", || {
        let nodes = client.nodes().ok()?;
        nodes.into_iter().find(|found| found.id == node && found.state == "up")
    })
}

#[test]
fn a_node_is_added_and_stays() {
    let _alone = alone();
    let cluster = three();
    let added = add(&cluster);
    assert_eq!((added.id, added.replicas), (4, 0), "data comes by command only");
    assert_eq!(is_listed(&cluster, 4).pid, cluster.pid(4));
    // It is a gateway at once: every key is answered there.
    set(&cluster, 4, "a", "1");
    assert_eq!(get(&cluster, 1, "a").as_deref(), Some("1"));
    cluster.kill(4);
    cluster.node_is_ready(4);
    assert_eq!(add(&cluster).id, 5);

    cluster.down();
    cluster.up();
    assert_eq!(cluster.nodes(), [1, 2, 3, 4, 5]);
    cluster.node_is_ready(5);
    assert_eq!(get(&cluster, 5, "a").as_deref(), Some("1"));
    let refused = cluster.try_up(&["--nodes", "5", "--base-port", "1"]);
    assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
    let more = Command::new(SKEIN)
        .args(["up", "--nodes", "3", "--dir"])
        .arg(cluster.directory().path())
        .output()
        .expect("the binary");
    assert!(words(&more).contains("skein node decommission"), "{}", words(&more));
}

#[test]
fn a_node_that_somebody_stopped_stays_so_while_others_are_added_and_rebuilt() {
    let _beside = beside_others();
    let cluster = three();
    let stop = |node: u64| {
        cluster.signal(node, Signal::TERM);
        let told = format!("node {node}: was stopped by somebody else");
        let log = || std::fs::read_to_string(cluster.directory().agent_log_file()).ok();
        until("an agent that says so", || log()?.contains(&told).then_some(()));
    };
    stop(3);
    assert_eq!(add(&cluster).id, 4);
    assert!(!cluster.is_running(3), "nobody asked for it");

    let runs = cluster.run(["node", "rebuild", "4"]);
    assert_eq!(runs.status.code(), Some(3), "{}", words(&runs));
    assert!(words(&runs).contains("[node-runs]"), "{}", words(&runs));
    // What that says to do: this node alone is stopped, and the same command given again.
    stop(4);
    let rebuilt = cluster.run(["node", "rebuild", "4"]);
    assert!(rebuilt.status.success(), "{}", words(&rebuilt));
    cluster.node_is_ready(4);
    assert!(!cluster.is_running(3), "nobody asked for it");

    cluster.up();
    cluster.node_is_ready(3);
}

#[test]
fn a_cluster_of_one_grows_and_another_number_of_nodes_says_how() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    let refused = cluster.try_up(&["--nodes", "3"]);
    assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
    assert!(words(&refused).contains("skein node add --dir"), "{}", words(&refused));
    set(&cluster, 1, "a", "1");
    assert_eq!(add(&cluster).id, 2);
    assert_eq!(get(&cluster, 2, "a").as_deref(), Some("1"));
    cluster.kill_all();
    cluster.up();
    assert_eq!(get(&cluster, 2, "a").as_deref(), Some("1"));
}

#[test]
fn an_add_that_was_interrupted_goes_on_with_the_same_node() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    // As a command leaves it that is killed after the cluster has given the id.
    let base_port = cluster.topology().next_base_port().expect("room");
    let ticket = format!("format = 1\nboot = \"00000000000000ab\"\nbase_port = {base_port}\n");
    std::fs::write(cluster.directory().joining_file(), ticket).expect("written");
    let at = |offset: u16| format!("127.0.0.1:{}", base_port + offset);
    let wish = JoinNode {
        boot: "ab".into(),
        endpoint: at(0),
        http: at(1),
        redis: at(2),
        zankv: at(4),
        version: "0".into(),
        store: "0".into(),
        ..JoinNode::default()
    };
    assert_eq!(cluster.client().join(&wish).expect("an id").node, 2);
    assert_eq!(add(&cluster).id, 2, "the same node");
    assert_eq!(cluster.client().nodes().expect("nodes").len(), 2, "and no other");
    assert!(!cluster.directory().joining_file().exists());
}

/// A node that joins from a directory of its own; killed when it is dropped.
struct Far(Child);

impl Far {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let log = directory.with_extension("log");
        let log = File::options().append(true).create(true).open(log).expect("a log");
        let mut command = Command::new(SKEIN);
        command.arg("server").arg("--dir").arg(directory).args(arguments);
        command.env_remove("SKEIN_SECRET_FILE").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().expect("the binary"))
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        send(self.0.id(), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn a_node_joins_from_elsewhere_and_comes_back_by_itself() {
    let _beside = beside_others();
    let cluster = three();
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let directory = elsewhere.path().join("far");
    let (port, address) = (free_base_port(), cluster.addresses(2).http);
    let (port_text, secret) = (port.to_string(), cluster.directory().secret_file());
    let secret = secret.to_str().expect("a plain path");
    let join = ["--join", &address, "--port-base", &port_text];

    let bare = Command::new(SKEIN).args(["server", "--dir"]).arg(&directory).args(join).output();
    let bare = bare.expect("the binary");
    assert!(words(&bare).contains("unauthorized"), "{}", words(&bare));
    let wrong = elsewhere.path().join("wrong");
    std::fs::write(&wrong, "00".repeat(32)).expect("written");
    let mut refused = Command::new(SKEIN);
    refused.args(["server", "--dir"]).arg(&directory).args(join).arg("--secret-file").arg(&wrong);
    let refused = refused.output().expect("the binary");
    assert!(words(&refused).contains("unauthorized"), "{}", words(&refused));
    assert_eq!(cluster.client().nodes().expect("nodes").len(), 3);

    let with_secret = [&join[..], &["--secret-file", secret, "--label", "rack=r9"]].concat();
    let far = Far::start(&directory, &with_secret);
    let itself = Client::new(vec![format!("127.0.0.1:{}", port + 1)], None);
    let ready = || itself.identity().ok().filter(|identity| identity.ready);
    assert_eq!(until("a node that has joined", ready).node, 4);
    is_listed(&cluster, 4);
    drop(far);

    // Its directory knows everything by now; the cluster was away in the meantime.
    cluster.kill_all();
    let mut far = Far::start(&directory, &[]);
    cluster.up();
    assert_eq!(until("a node that is back", ready).node, 4);
    is_listed(&cluster, 4);
    set(&cluster, 1, "a", "1");

    // It takes data like any other, and ends when it has left.
    operate(&cluster, &["partition", "migrate", "default", "0-1", "--from", "2", "--to", "4"]);
    assert_eq!(is_listed(&cluster, 4).replicas, 2);
    operate(&cluster, &["node", "decommission", "4"]);
    let ended = until("a node that ended by itself", || far.0.try_wait().expect("a child"));
    assert_eq!(ended.code(), Some(3));
    let again = Command::new(SKEIN).args(["server", "--dir"]).arg(&directory).output().expect("the binary");
    assert!(again.status.code() == Some(3) && words(&again).contains("node-removed"), "{}", words(&again));
}

/// Clients that write and read at the first three nodes, and what became of it.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

/// Different keys of one client.
const KEYS: u64 = 500;

impl Load {
    /// Writes and reads one key after the other: what is read must be what was written last.
    fn run(&self, cluster: &Cluster, client: u64) {
        let mut connection = cluster.redis(1 + client % 3);
        let fail = |what: String| self.failures.lock().expect("no client panicked").push(what);
        for number in 0_u64.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("load:{client}:{}", number % KEYS);
            let value = format!("{number}:{}", "x".repeat(500));
            match redis::cmd("SET").arg(&key).arg(&value).query::<()>(&mut connection) {
                Ok(()) => {}
                Err(error) => fail(format!("SET {key}: {error}")),
            }
            match redis::cmd("GET").arg(&key).query::<Option<String>>(&mut connection) {
                Ok(found) if found.as_ref() == Some(&value) => {}
                other => fail(format!("GET {key} after {number}: {other:?}")),
            }
            self.answered.fetch_add(2, Ordering::Relaxed);
        }
    }

    /// Waits for so many more answers.
    fn goes_on(&self, more: u64) {
        let from = self.answered.load(Ordering::Relaxed);
        until("more answers", || (self.answered.load(Ordering::Relaxed) >= from + more).then_some(()));
    }
}

/// Ends a load, also when what goes on meanwhile has failed.
struct EndOf<'a>(&'a Load);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// An operation that must end well.
fn operate(cluster: &Cluster, arguments: &[&str]) -> Operation {
    let output = cluster.run([arguments, &["--yes", "--wait", "--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    let operation: Operation = serde_json::from_slice(&output.stdout).expect("an operation");
    assert_eq!(operation.state, "done", "{operation:?}");
    operation
}

/// Every replica of every partition has the same records.
fn replicas_are_equal(cluster: &Cluster) {
    let output = cluster.run(["digest", "default"]);
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn a_node_is_added_filled_and_taken_away_and_no_request_fails() {
    let _beside = beside_others();
    let cluster = three();
    let load = Load::default();
    std::thread::scope(|scope| {
        let _ends = EndOf(&load);
        for client in 0..6 {
            let (cluster, load) = (&cluster, &load);
            scope.spawn(move || load.run(cluster, client));
        }
        load.goes_on(1_000);
        assert_eq!(add(&cluster).id, 4);
        let moved =
            operate(&cluster, &["partition", "migrate", "default", "all", "--from", "1", "--to", "4"]);
        assert_eq!(moved.parts, 8);
        let node = is_listed(&cluster, 4);
        assert_eq!(node.replicas, 8, "{node:?}");
        load.goes_on(1_000);
        operate(&cluster, &["op", "decommission", "4"]);
        until("a node that ended by itself", || (!cluster.is_running(4)).then_some(()));
        load.goes_on(1_000);
    });
    let failures = load.failures.into_inner().expect("no client panicked");
    let answered = load.answered.into_inner();
    eprintln!("{answered} requests, {} failed", failures.len());
    assert!(failures.is_empty(), "{} of {answered}, the first: {}", failures.len(), failures[0]);
    replicas_are_equal(&cluster);

    until("a shape without it", || (cluster.nodes() == [1, 2, 3]).then_some(()));
    assert_eq!(cluster.becomes(Verdict::Healthy).nodes.len(), 3);
    cluster.down();
    cluster.up();
    assert!(!cluster.is_running(4), "nobody starts it again");
    assert_eq!(cluster.becomes(Verdict::Healthy).nodes.len(), 3);
}

#[test]
fn a_node_that_left_while_it_was_stopped_is_told_when_it_starts() {
    let _beside = beside_others();
    let cluster = three();
    assert_eq!(add(&cluster).id, 4);
    cluster.signal(4, Signal::TERM);
    until("a node that stopped", || (!cluster.is_running(4)).then_some(()));
    operate(&cluster, &["node", "decommission", "4"]);
    assert_eq!(cluster.client().nodes().expect("nodes").len(), 3);
    // The agent starts what was stopped; the node hears that it has left, and is forgotten.
    cluster.down();
    cluster.up();
    until("a shape without it", || (cluster.nodes() == [1, 2, 3]).then_some(()));
    until("a node that ended by itself", || (!cluster.is_running(4)).then_some(()));
}

#[test]
fn a_command_that_nobody_agrees_to_changes_nothing() {
    let _beside = beside_others();
    let cluster = three();
    let refused = cluster.run(["node", "drain", "1"]);
    assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
    assert!(words(&refused).contains("needs-consent") && words(&refused).contains("--yes"));
    let planned = cluster.run(["node", "drain", "1", "--plan"]);
    assert!(planned.status.success(), "{}", words(&planned));
    let wrong = cluster.run(["partition", "migrate", "default", "0", "--from", "1", "--to", "2", "--yes"]);
    assert_eq!(wrong.status.code(), Some(3), "{}", words(&wrong));
    let listed = cluster.run(["op", "list", "--json"]);
    let listed: Vec<Operation> = serde_json::from_slice(&listed.stdout).expect("operations");
    assert!(listed.is_empty(), "{listed:?}");
    // An operation without --wait goes on by itself, and is followed by its id.
    let started = cluster.run(["node", "drain", "1", "--yes", "--json"]);
    let started: Operation = serde_json::from_slice(&started.stdout).expect("an operation");
    let id = started.id.to_string();
    let watched = cluster.run(["op", "watch", &id]);
    assert!(watched.status.success() && words(&watched).contains("done in"), "{}", words(&watched));
    assert!(words(&cluster.run(["node", "list"])).contains("up,drained"));
    assert!(cluster.run(["op", "forget", &id]).status.success());
    assert_eq!(cluster.run(["op", "show", &id]).status.code(), Some(3));
}

#[test]
fn who_has_enough_of_waiting_leaves_the_operation_going_and_can_cancel_it() {
    let _beside = beside_others();
    let cluster = three();
    let mut connection = cluster.redis(1);
    for key in 0..64 {
        let value = incompressible(64 * 1024, key);
        redis::cmd("SET").arg(key).arg(value).query::<()>(&mut connection).expect("written");
    }
    assert_eq!(add(&cluster).id, 4);
    // So slow that it cannot end before somebody has had enough.
    let set = cluster.run(["config", "set", "move_bytes_per_second", "16384"]);
    assert!(set.status.success(), "{}", words(&set));
    let migrate = ["partition", "migrate", "default", "0", "--from", "1", "--to", "4", "--yes", "--wait"];
    let mut command = cluster.command(migrate);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let client = cluster.client();
    let running = || {
        let operations = client.operations().ok()?;
        operations.into_iter().find(|operation| operation.step == "catch-up")
    };
    let id = until("an operation that copies", running).id;
    send(child.id(), Signal::INT);
    let status = child.wait().expect("ended");
    assert_eq!(status.code(), Some(130));
    assert_eq!(client.operation(id).expect("there").state, "running", "it goes on");
    // Who asks for the same joins it, whether they name the node that was chosen or not.
    for to in [&migrate[6..8], &[]] {
        let again = cluster.run(migrate[..6].iter().chain(to).chain(&["--yes"]));
        let joined = format!("operation {id} does this already: default/0 moves from node 1 to node 4");
        assert!(again.status.success() && words(&again).contains(&joined), "{}", words(&again));
    }
    assert_eq!(client.operations().expect("a list").len(), 1);

    let cancelled = cluster.run(["op", "cancel", &id.to_string(), "--wait"]);
    assert!(cancelled.status.success(), "{}", words(&cancelled));
    assert_eq!(client.operation(id).expect("there").state, "cancelled");
    let watched = cluster.run(["op", "watch", &id.to_string()]);
    assert_eq!(watched.status.code(), Some(6), "{}", words(&watched));
    until("no replica on the new node", || {
        let nodes = client.nodes().ok()?;
        nodes.into_iter().find(|node| node.id == 4 && node.replicas == 0)
    });
}

/// Bytes that no compression makes fewer.
fn incompressible(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push(state as u8);
    }
    bytes
}

#[test]
fn a_cluster_of_one_becomes_three_and_its_founder_leaves() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    for key in 0..50 {
        set(&cluster, 1, &format!("key:{key}"), "kept");
    }
    add(&cluster);
    add(&cluster);
    operate(&cluster, &["table", "set-replicas", "default", "3"]);
    operate(&cluster, &["table", "set-replicas", "catalog", "3"]);
    assert_eq!(cluster.becomes(Verdict::Healthy).fault_tolerance, 1);

    // Nowhere to go yet.
    let refused = cluster.run(["node", "decommission", "1", "--yes"]);
    assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
    add(&cluster);
    operate(&cluster, &["node", "decommission", "1"]);
    until("a shape without it", || (cluster.nodes() == [2, 3, 4]).then_some(()));
    until("a node that ended by itself", || (!cluster.is_running(1)).then_some(()));
    replicas_are_equal(&cluster);

    // None of the nodes that are left has founded anything.
    cluster.kill_all();
    cluster.up();
    assert_eq!(cluster.becomes(Verdict::Healthy).fault_tolerance, 1);
    for key in 0..50 {
        assert_eq!(get(&cluster, 2 + key % 3, &format!("key:{key}")).as_deref(), Some("kept"));
    }
}

#[test]
fn with_auto_balance_a_new_node_gets_data_by_itself() {
    let _beside = beside_others();
    let cluster = three();
    let mut connection = cluster.redis(1);
    for key in 0..200 {
        let value = incompressible(4096, key);
        redis::cmd("SET").arg(key).arg(value).query::<()>(&mut connection).expect("written");
    }
    assert_eq!(add(&cluster).id, 4);
    assert_eq!(is_listed(&cluster, 4).replicas, 0);
    assert!(cluster.run(["config", "set", "auto_balance", "true"]).status.success());
    let client = cluster.client();
    until("replicas on the new node", || {
        let nodes = client.nodes().ok()?;
        nodes.into_iter().find(|node| node.id == 4 && node.replicas > 0)
    });
    let operations = client.operations().expect("operations");
    assert!(operations.iter().all(|operation| operation.by != "admin"), "{operations:?}");
}
