//! Nodes that cannot run, or not for long: damaged files, a full disk, no place for words.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use api::admin::Verdict;
use rustix::process::Signal;

use super::support::{Cluster, Shape, beside_others, free_base_port, send, until, words};
use super::{SKEIN, get, set, three};

/// Damages a byte in the log of a node that does not run: in its first file, which is not the newest.
fn damage_log(cluster: &Cluster, node: u64) {
    // Each start begins a file.
    let log = cluster.directory().node_directory(node).join("data/log");
    let mut files: Vec<_> = std::fs::read_dir(&log).expect("a log").flatten().map(|e| e.path()).collect();
    files.sort();
    let file = File::options().read(true).write(true).open(&files[0]).expect("a file of the log");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1000).expect("a byte of the first batch");
    file.write_all_at(&[byte[0] ^ 0x40], 1000).expect("damaged");
}

#[test]
fn a_node_that_refuses_to_run_is_named_with_its_cause_and_can_be_rebuilt() {
    let _beside = beside_others();
    let cluster = three();
    set(&cluster, 2, "a", "1");
    let running = cluster.run(["node", "rebuild", "1"]);
    assert_eq!(running.status.code(), Some(3), "{}", words(&running));
    assert!(words(&running).contains("node-runs"), "{}", words(&running));
    cluster.down();
    damage_log(&cluster, 1);

    let output = cluster.try_up(&[]);
    let text = words(&output);
    assert!(output.status.success(), "the others serve: {text}");
    assert!(text.contains("node 1 does not run: stored data is damaged"), "{text}");
    assert!(text.contains("data/log: log damaged in ") && text.contains("skein node rebuild"), "{text}");
    assert!(!text.contains("on node 1 is starting"), "{text}");
    let other = cluster.addresses(2).redis;
    let port = other.rsplit_once(':').expect("a port").1;
    assert!(text.contains(&format!("next: redis-cli -p {port} ")), "{text}");
    let status = cluster.run(["status", "--json"]);
    assert_eq!(status.status.code(), Some(10), "{}", words(&status));
    let told: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(told["refusals"][0]["error"]["code"], "data-damaged", "{told}");
    assert!(words(&cluster.run(["status"])).contains("node 1 does not run: stored data is damaged"));

    let rebuilt = cluster.run(["node", "rebuild", "1"]);
    assert!(rebuilt.status.success(), "{}", words(&rebuilt));
    cluster.becomes(Verdict::Healthy);
    cluster.node_is_ready(1);
    assert_eq!(get(&cluster, 1, "a").as_deref(), Some("1"));
    assert!(cluster.directory().node_directory(1).join("data.damaged-1/log").exists(), "kept");
}

#[test]
fn a_node_that_others_cannot_spare_is_not_rebuilt() {
    let _beside = beside_others();
    let cluster = three();
    for node in [2, 3] {
        cluster.signal(node, Signal::TERM);
        until("a node that stopped", || (!cluster.is_running(node)).then_some(()));
    }
    let output = cluster.run(["node", "rebuild", "2"]);
    assert!(!output.status.success() && words(&output).contains("no-leader"), "{}", words(&output));
    let data = cluster.directory().node_directory(2).join("data");
    assert!(data.exists() && !data.with_extension("damaged-1").exists());
}

#[test]
fn one_node_without_its_state_says_so_at_once() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    cluster.down();
    std::fs::remove_dir_all(cluster.directory().node_directory(1).join("data/state")).expect("removed");
    let begun = std::time::Instant::now();
    let output = cluster.try_up(&[]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("data-damaged") && text.contains("no other node has the data"), "{text}");
    assert!(begun.elapsed().as_secs() < 30, "in {:?}", begun.elapsed());
    let rebuild = cluster.run(["node", "rebuild", "1"]);
    assert_eq!(rebuild.status.code(), Some(3), "{}", words(&rebuild));
    assert!(words(&rebuild).contains("no other node has the data"), "{}", words(&rebuild));
}

#[test]
fn a_node_whose_words_cannot_be_written_serves() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    cluster.down();
    let config = cluster.directory().node_directory(1).join("node.toml");
    let full = File::options().write(true).open("/dev/full").expect("a device that takes nothing");
    let mut command = Command::new(SKEIN);
    command.args(["server", "--config"]).arg(config);
    let mut server = command.stdout(Stdio::null()).stderr(full).spawn().expect("the binary");
    cluster.node_is_ready(1);
    set(&cluster, 1, "a", "1");
    send(server.id(), Signal::TERM);
    assert_eq!(server.wait().expect("ended").code(), Some(0));
}

#[test]
fn data_that_cannot_be_written_is_no_success() {
    let to = |place: Stdio, arguments: &[&str]| {
        Command::new(SKEIN).args(arguments).stdout(place).output().expect("the binary")
    };
    for arguments in [&["completions", "bash"][..], &["errors"], &["version", "--json"], &["--help"]] {
        let full = File::options().write(true).open("/dev/full").expect("a device that takes nothing");
        let output = to(full.into(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", words(&output));
        assert!(words(&output).contains("could not be written"), "{}", words(&output));
        // Whoever reads no more is no reason to complain.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = to(writer.into(), arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", words(&output));
    }
}

/// A cluster of one node on a small disk of its own; nobody but it and [`Self::path`] sees the disk.
pub struct OnSmallDisk {
    up: Child,
    redis: String,
    _mount: tempfile::TempDir,
    mount: std::path::PathBuf,
}

impl OnSmallDisk {
    /// `None` where this user may not mount.
    pub fn start() -> Option<Self> {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let mount = temporary.path().to_owned();
        let base = free_base_port();
        let script = format!(
            "mount -t tmpfs -o size=200m none {0} && exec {SKEIN} up --dir {0}/c --nodes 1 --base-port {base}",
            mount.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        let up = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut this = Self { up, redis: format!("127.0.0.1:{}", base + 2), _mount: temporary, mount };
        let ended = until("a cluster, or its end", || match this.up.try_wait().expect("a child") {
            Some(_) => Some(true),
            None => std::net::TcpStream::connect(&this.redis).is_ok().then_some(false),
        });
        (!ended).then_some(this)
    }

    /// A file on the disk, seen from outside.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        let inside = self.mount.strip_prefix("/").expect("absolute");
        Path::new("/proc").join(self.up.id().to_string()).join("root").join(inside).join(name)
    }

    pub fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}", self.redis)).expect("an address");
        until("a Redis connection", || client.get_connection().ok())
    }
}

impl Drop for OnSmallDisk {
    fn drop(&mut self) {
        send(self.up.id(), Signal::TERM);
        let _ = self.up.wait();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let _beside = beside_others();
    let Some(cluster) = OnSmallDisk::start() else {
        eprintln!("not tested: this user may not mount a disk");
        return;
    };
    let mut connection = cluster.connection();
    let value = vec![b'x'; 60_000];
    let mut set = |key: &str| redis::cmd("SET").arg(key).arg(&value).query::<()>(&mut connection);
    until("the first write", || set("first").ok());
    std::fs::write(cluster.path("ballast"), vec![0; 120 << 20]).expect("room");
    let refusal = until("a refusal", || set("more").err());
    assert!(refusal.to_string().contains("disk-full"), "{refusal}");
    let mut connection = cluster.connection();
    let read: Vec<u8> = redis::cmd("GET").arg("first").query(&mut connection).expect("reads go on");
    assert_eq!(read.len(), value.len());

    std::fs::remove_file(cluster.path("ballast")).expect("removed");
    let mut set = |key: &str| redis::cmd("SET").arg(key).arg(&value).query::<()>(&mut connection);
    until("writes again", || set("after").ok());
    let told = std::fs::read_to_string(cluster.path("c/node-1/server.log")).expect("a log");
    assert!(told.contains("writes are refused until there is room"), "{told}");
    assert_eq!(told.matches(" serving ").count(), 1, "it never ended: {told}");
}
