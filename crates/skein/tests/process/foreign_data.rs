//! Data directories that a node must not touch: another cluster's, another node's, a newer release's.
//!
//! Each is refused with its cause and the next thing to do, by the process, by `up`, by the agent and by `status`; the
//! others serve. Nothing in it is changed: put where it belongs, it serves again with all that it had.

use std::path::{Path, PathBuf};

use api::admin::Verdict;

use super::support::{Cluster, Shape, beside_others, until, words};
use super::{SKEIN, get, set, three};

/// Where the version stands in the header of a file of the log, and what its checksum covers.
const LOG_VERSION: usize = 8;
const LOG_CHECKSUM: usize = 60;

fn data_of(cluster: &Cluster, node: u64) -> PathBuf {
    cluster.directory().node_directory(node).join("data")
}

/// Every file of a directory with its content.
fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory").flatten() {
            match entry.file_type().expect("a type").is_dir() {
                true => directories.push(entry.path()),
                false => files.push((entry.path(), std::fs::read(entry.path()).expect("a file"))),
            }
        }
    }
    files.sort();
    files
}

/// Node 1 of a cluster that does not run has data that it must refuse.
fn is_refused(cluster: &Cluster, code: &str, words_of: &[&str]) {
    let data = data_of(cluster, 1);
    let before = content(&data);
    refused_by_the_process(cluster, code, words_of);
    let up = cluster.try_up(&[]);
    let text = words(&up);
    assert!(up.status.success(), "the others serve: {text}");
    assert!(text.contains("node 1 does not run: ") && text.contains(code), "{text}");
    assert!(words_of.iter().all(|wanted| text.contains(wanted)), "{text}");

    let status = cluster.run(["status", "--json"]);
    assert_eq!(status.status.code(), Some(10), "{}", words(&status));
    let told: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let refusals = told["refusals"].as_array().expect("refusals");
    let named: Vec<_> = refusals.iter().map(|one| (&one["node"], &one["error"]["code"])).collect();
    assert_eq!(named, [(&serde_json::json!(1), &serde_json::json!(code))], "{told}");
    assert!(words(&cluster.run(["status"])).contains("node 1 does not run: "));

    // The agent does what it is for, and leaves this one alone: no restart cures it.
    let pid = cluster.pid(3);
    cluster.kill(3);
    until("another process", || (cluster.pid(3) != pid).then_some(()));
    cluster.node_is_ready(3);
    let log = std::fs::read_to_string(cluster.directory().agent_log_file()).expect("the agent's log");
    assert_eq!(log.matches("node 1: refuses to run: ").count(), 1, "{log}");
    assert!(!cluster.is_running(1));
    cluster.down();
    assert_eq!(content(&data), before, "nothing is changed");
}

/// Run by hand, it says the same and ends with the status of what no restart cures.
fn refused_by_the_process(cluster: &Cluster, code: &str, words_of: &[&str]) {
    let config = cluster.directory().node_directory(1).join("node.toml");
    let server = std::process::Command::new(SKEIN).args(["server", "--config"]).arg(config).output();
    let server = server.expect("the binary");
    let text = words(&server);
    assert_eq!(server.status.code(), Some(3), "{text}");
    assert!(text.contains(code) && text.contains("next: "), "{text}");
    assert!(words_of.iter().all(|wanted| text.contains(wanted)), "{text}");
}

#[test]
fn the_data_of_another_cluster_and_of_another_node_is_refused_and_kept() {
    let _beside = beside_others();
    let other = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    set(&other, 1, "whose", "the other's");
    other.down();
    let cluster = three();
    set(&cluster, 2, "whose", "ours");
    cluster.down();
    let (ours, theirs) = (data_of(&cluster, 1), data_of(&other, 1));
    let kept = ours.with_extension("kept");
    std::fs::rename(&ours, &kept).expect("moved");

    std::fs::rename(&theirs, &ours).expect("moved");
    let id = &other.topology().cluster;
    let whose = format!("is of node 1 of cluster {:016x}, not of node 1 of cluster", id.get());
    is_refused(&cluster, "wrong-cluster", &[&whose, "a data directory serves one cluster only"]);
    std::fs::rename(&ours, &theirs).expect("moved back");

    // As by a mount in the wrong place.
    std::fs::rename(data_of(&cluster, 2), &ours).expect("moved");
    std::fs::rename(&kept, data_of(&cluster, 2)).expect("moved");
    refused_by_the_process(&cluster, "wrong-cluster", &["is of node 2 of cluster"]);
    std::fs::rename(data_of(&cluster, 2), &kept).expect("moved back");
    std::fs::rename(&ours, data_of(&cluster, 2)).expect("moved back");
    std::fs::rename(&kept, &ours).expect("moved back");

    for (cluster, value) in [(&cluster, "ours"), (&other, "the other's")] {
        cluster.up();
        cluster.becomes(Verdict::Healthy);
        cluster.node_is_ready(1);
        assert_eq!(get(cluster, 1, "whose").as_deref(), Some(value));
    }
}

#[test]
fn the_data_of_a_newer_release_is_refused_and_kept() {
    let _beside = beside_others();
    let cluster = three();
    set(&cluster, 2, "a", "1");
    cluster.becomes(Verdict::Healthy);
    cluster.down();
    let next = "start it with the release that wrote it, or a later one";

    // The file that says whose it is, in a format that is to come.
    let identity = data_of(&cluster, 1).join("identity");
    let ours = std::fs::read_to_string(&identity).expect("an identity");
    std::fs::write(&identity, ours.replacen("format = 1", "format = 2", 1)).expect("written");
    is_refused(&cluster, "data-newer", &["identity: format 2, this release reads up to 1", next]);
    std::fs::write(&identity, ours).expect("written");

    // A log whose newest file was begun by a newer release.
    let (log, ours) = content(&data_of(&cluster, 1).join("log")).pop().expect("a file of the log");
    let mut newer = ours.clone();
    newer[LOG_VERSION] += 1;
    let checksum = crc32c::crc32c(&newer[..LOG_CHECKSUM]);
    newer[LOG_CHECKSUM..LOG_CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&log, newer).expect("written");
    refused_by_the_process(&cluster, "data-newer", &["log", next]);
    std::fs::write(&log, ours).expect("written");

    // The whole directory: nobody touches it.
    let topology = cluster.directory().topology_file();
    let ours = std::fs::read_to_string(&topology).expect("a topology");
    std::fs::write(&topology, ours.replacen("format = 1", "format = 2", 1)).expect("written");
    for command in ["up", "status"] {
        let output = cluster.run([command]);
        assert_eq!(output.status.code(), Some(3), "{command}: {}", words(&output));
        assert!(words(&output).contains("data-newer"), "{command}: {}", words(&output));
    }
    std::fs::write(&topology, ours).expect("written");

    cluster.up();
    cluster.becomes(Verdict::Healthy);
    cluster.node_is_ready(1);
    assert_eq!(get(&cluster, 1, "a").as_deref(), Some("1"));
}
