//! The agent and its nodes: who starts, stops and finds whom.

use std::path::Path;
use std::process::Command;

use api::admin::Verdict;
use rustix::process::Signal;

use super::support::{Cluster, Shape, beside_others, until, words};
use super::{SKEIN, get, set, three};

#[test]
fn a_killed_node_is_repaired() {
    let _beside = beside_others();
    let cluster = three();
    set(&cluster, 1, "a", "1");
    let before = cluster.pid(2);
    cluster.kill(2);
    until("another process", || (cluster.pid(2) != before).then_some(()));
    cluster.node_is_ready(2);
    cluster.becomes(Verdict::Healthy);
    assert_eq!(get(&cluster, 2, "a").as_deref(), Some("1"));
    let log = std::fs::read_to_string(cluster.directory().agent_log_file()).expect("a log");
    assert!(log.contains("node 2: was ended by signal 9; starting it again"), "{log}");
}

#[test]
fn nodes_survive_their_agent_and_are_adopted() {
    let _beside = beside_others();
    let cluster = three();
    let pids: Vec<u32> = cluster.nodes().into_iter().map(|node| cluster.pid(node)).collect();
    cluster.kill_agent();
    set(&cluster, 1, "a", "1");
    cluster.up();
    let now: Vec<u32> = cluster.nodes().into_iter().map(|node| cluster.pid(node)).collect();
    assert_eq!(pids, now, "the same processes");

    // The new agent repairs what it found, and stops it.
    cluster.kill(3);
    until("another process", || (cluster.pid(3) != pids[2]).then_some(()));
    cluster.node_is_ready(3);
    cluster.down();
    assert!(cluster.nodes().into_iter().all(|node| !cluster.is_running(node)));
}

#[test]
fn down_stops_nodes_without_an_agent() {
    let _beside = beside_others();
    let cluster = three();
    cluster.kill_agent();
    // A paused node hears nothing; it is woken to be stopped.
    cluster.signal(2, Signal::STOP);
    cluster.down();
    assert!(cluster.nodes().into_iter().all(|node| !cluster.is_running(node)));
}

#[test]
fn ctrl_c_stops_the_foreground_cleanly() {
    let _beside = beside_others();
    let cluster = three();
    set(&cluster, 1, "a", "1");
    cluster.down();
    let mut up = cluster.command(["up"]).spawn().expect("the binary");
    until("a cluster that serves", || cluster.client().status().ok());
    cluster.becomes(Verdict::Healthy);
    super::support::send(up.id(), Signal::INT);
    assert_eq!(up.wait().expect("ended").code(), Some(0));
    assert!(cluster.nodes().into_iter().all(|node| !cluster.is_running(node)));
    cluster.up();
    assert_eq!(get(&cluster, 3, "a").as_deref(), Some("1"));
}

#[test]
fn a_second_agent_and_a_second_server_are_refused() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    let agent = cluster.run(["agent"]);
    assert_eq!(agent.status.code(), Some(3), "{}", words(&agent));
    assert!(words(&agent).contains(&format!("process {}", cluster.agent_pid())), "{}", words(&agent));

    let config = cluster.directory().node_directory(1).join("node.toml");
    let server = Command::new(SKEIN).args(["server", "--config"]).arg(config).output().expect("the binary");
    assert_eq!(server.status.code(), Some(3), "{}", words(&server));
    assert!(words(&server).contains(&format!("process {}", cluster.pid(1))), "{}", words(&server));
    // The one that runs is not disturbed.
    set(&cluster, 1, "a", "1");
}

#[test]
fn a_copy_of_the_directory_is_refused_while_the_original_lives() {
    let _beside = beside_others();
    let cluster = three();
    set(&cluster, 1, "a", "1");
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let copied = temporary.path().join("copy");
    copy(cluster.directory().path(), &copied);
    // On the same machine the ports are taken, so the copy is told others, as on another machine.
    let copied_directory = client::Directory::new(&copied);
    let text = std::fs::read_to_string(copied_directory.topology_file()).expect("a topology");
    let base = super::support::free_base_port();
    let moved = (0..3).fold(text, |text, i| {
        let port = |base: u16| format!("base_port = {}", base + 10 * i);
        text.replace(&port(cluster.topology().base_port()), &port(base))
    });
    std::fs::write(copied_directory.topology_file(), moved).expect("written");

    let copy = Cluster::at(SKEIN, &copied, Shape::default());
    let output = copy.try_up(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("duplicate-node"), "{}", words(&output));
    assert!(copy.nodes().into_iter().all(|node| !copy.is_running(node)));
    cluster.becomes(Verdict::Healthy);
    assert_eq!(get(&cluster, 2, "a").as_deref(), Some("1"));
}

#[test]
fn one_copied_node_is_refused_and_its_original_goes_on() {
    let _beside = beside_others();
    let cluster = three();
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let copied = temporary.path().join("cluster");
    copy(cluster.directory().path(), &copied);
    let node = copied.join("node-2");
    // Nothing in the copy tells of its original but its identity: not even the last address.
    std::fs::remove_file(node.join("server.pid")).expect("removed");
    let config = std::fs::read_to_string(node.join("node.toml")).expect("a configuration");
    let (listen, founders) = config.split_once("[[founders]]").expect("founders");
    let (from, to) = (cluster.topology().base_port() + 10, super::support::free_base_port());
    let listen = (0..5).fold(listen.to_owned(), |text, i| {
        text.replace(&format!(":{}\"", from + i), &format!(":{}\"", to + i))
    });
    std::fs::write(node.join("node.toml"), format!("{listen}[[founders]]{founders}")).expect("written");

    let server = Command::new(SKEIN).args(["server", "--config"]).arg(node.join("node.toml")).output();
    let server = server.expect("the binary");
    assert_eq!(server.status.code(), Some(3), "{}", words(&server));
    assert!(words(&server).contains("duplicate-node"), "{}", words(&server));
    cluster.becomes(Verdict::Healthy);
}

/// `cp -a`, while the files are in use; that some are gone again, or half written in the copy, does not
/// matter here.
fn copy(from: &Path, to: &Path) {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output().expect("cp");
    assert!(to.join("node-1/data").exists(), "{}", words(&output));
}
