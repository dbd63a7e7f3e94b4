//! Backups of real clusters: under load, with nodes dying, into other topologies, damaged, interrupted.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;

use super::SKEIN;
use super::support::{Cluster, Shape, beside_others, until, within, words};
use super::zankv::http;

/// A place for backups.
pub struct Place(pub TempDir);

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }

    /// Files below a backup's directory whose names end so.
    pub fn files(&self, end: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut waiting = vec![self.0.path().to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => waiting.push(path),
                    false if path.to_string_lossy().ends_with(end) => files.push(path),
                    false => {}
                }
            }
        }
        files.sort();
        files
    }
}

/// Runs a command; some ask no cluster, and take none.
fn run(cluster: &Cluster, arguments: &[&str]) -> Output {
    match arguments {
        ["backup", "list" | "show" | "delete", ..] => {
            std::process::Command::new(SKEIN).args(arguments).output().expect("the binary")
        }
        _ => cluster.run(arguments),
    }
}

/// Runs a command that must succeed.
pub fn succeed(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = run(cluster, arguments);
    assert!(output.status.success(), "{arguments:?}\n{}", words(&output));
    words(&output)
}

/// Runs a command that must be refused with a code.
pub fn refused(cluster: &Cluster, arguments: &[&str], code: &str) -> String {
    let output = run(cluster, arguments);
    let said = words(&output);
    assert!(!output.status.success() && said.contains(&format!("[{code}]")), "{arguments:?}\n{said}");
    said
}

pub fn json(cluster: &Cluster, arguments: &[&str]) -> serde_json::Value {
    let output = run(cluster, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}\n{}", words(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The only backup at a place.
pub fn only(cluster: &Cluster, place: &Place) -> serde_json::Value {
    let listed = json(cluster, &["backup", "list", "--at", &place.url()]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    listed[0].clone()
}

/// Keys of every type, some that expire, and one of each that is large.
pub fn fill(cluster: &Cluster) {
    let mut connection = cluster.redis(1);
    let mut say = |words: &[String]| {
        until("an acknowledged write", || {
            redis::cmd(&words[0]).arg(&words[1..]).query::<()>(&mut connection).ok()
        });
    };
    for number in 0..60 {
        let size = if number == 0 { 3000 } else { 5 };
        let elements: Vec<String> = (0..size).map(|element| format!("element{element}")).collect();
        let command = |name: &str, key: &str, arguments: Vec<String>| {
            [vec![name.to_owned(), format!("{key}{number}")], arguments].concat()
        };
        say(&command("SET", "string", vec![format!("{number:0>200}")]));
        say(&command("SADD", "set", elements.clone()));
        say(&command("RPUSH", "list", elements.clone()));
        say(&command(
            "HSET",
            "hash",
            elements.iter().flat_map(|name| [name.clone(), format!("{number}")]).collect(),
        ));
        let scored = elements.iter().zip(0..).flat_map(|(name, score)| [format!("{score}.5"), name.clone()]);
        say(&command("ZADD", "sorted", scored.collect()));
        if number % 3 == 0 {
            for key in ["string", "set", "list", "hash", "sorted"] {
                say(&command("PEXPIRE", key, vec!["3600000".into()]));
            }
        }
    }
}

/// Writes `a0`, `b0`, `a1`, `b1`, … one after the other until it is told to stop.
pub fn write_in_order(cluster: &Cluster, stop: &AtomicBool, written: &AtomicU64) {
    let mut connection = cluster.redis(2);
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for letter in ["a", "b"] {
            let key = format!("order:{letter}{number}");
            until("an acknowledged write", || {
                redis::cmd("SET").arg(&key).arg(number).query::<()>(&mut connection).ok().or_else(|| {
                    connection = cluster.redis(1);
                    None
                })
            });
        }
        written.store(number, Ordering::Relaxed);
        number += 1;
    }
}

/// A key of a table that only ZanKV's port shows.
pub fn exists(cluster: &Cluster, table: &str, key: &str) -> bool {
    let address = cluster.addresses(1).zankv;
    let client = redis::Client::open(format!("redis://{address}")).expect("an address");
    let mut connection = client.get_connection().expect("a connection");
    let key = format!("default:{table}:{key}");
    until("an answer", || redis::cmd("EXISTS").arg(&key).query::<u64>(&mut connection).ok()) == 1
}

#[test]
fn a_backup_under_load_with_a_node_killed_restores_into_other_partitions() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 4, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| write_in_order(&cluster, &stop, &written));
        until("some writes", || (written.load(Ordering::Relaxed) > 50).then_some(()));
        let url = place.url();
        let mut saving = cluster.command(["backup", "create", "--to", &url, "--rate", "300KiB/s"]);
        let saving = saving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        until("a backup that was begun", || (!place.files("begun.json").is_empty()).then_some(()));
        cluster.kill(3);
        let output = saving.wait_with_output().expect("its end");
        assert!(output.status.success(), "{}", words(&output));
        stop.store(true, Ordering::Relaxed);
    });
    let listed = only(&cluster, &place);
    assert_eq!(listed["state"], "complete");
    let id = listed["id"].as_str().expect("an id").to_owned();

    // One point in time: whatever was written after something that is missing is missing as well.
    let url = place.url();
    let said = succeed(&cluster, &["restore", "--from", &url, "--to-table", "copy", "--partitions", "7"]);
    assert!(said.contains("copy: "), "{said}");
    let last = written.load(Ordering::Relaxed);
    let count = |letter: &str| {
        (0..=last).filter(|number| exists(&cluster, "copy", &format!("order:{letter}{number}"))).count()
    };
    let (a, b) = (count("a"), count("b"));
    assert!(a == b || a == b + 1, "{a} of one, {b} of those written after them");
    assert!(a > 0 && exists(&cluster, "copy", &format!("order:a{}", a - 1)), "no hole");

    // The drill compares contents, and is what makes the backup a proven one.
    let said = succeed(&cluster, &["backup", "verify", &id, "--at", &url, "--drill", "--partitions", "5"]);
    assert!(said.contains("all digests are equal"), "{said}");
    let listed = only(&cluster, &place);
    assert_eq!(listed["state"], "proven");
    assert_eq!(listed["proof"]["sum"], listed["manifest"]["sum"]);
    assert_eq!(listed["proof"]["partitions"][0], 5);
    let tables = succeed(&cluster, &["table", "list"]);
    assert!(!tables.contains("drill"), "{tables}");
}

#[test]
fn a_restore_says_what_stands_in_its_way() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 2, ..Shape::default() });
    fill(&cluster);
    let (place, mut connection) = (Place::new(), cluster.redis(1));
    let url = place.url();
    refused(&cluster, &["restore", "--from", &url], "unknown-backup");
    refused(&cluster, &["backup", "create", "--to", "file:///proc/nowhere"], "backup-target");
    refused(&cluster, &["backup", "create", "--to", &url, "--table", "nothing"], "unknown-table");
    refused(&cluster, &["backup", "create", "--to", &url, "--type", "all,kv"], "bad-argument");
    // What is not there is found before an operation is made.
    let made = operations(&cluster, "backup").len();
    refused(&cluster, &["backup", "create", "--to", &url, "--resume", "nothing"], "unknown-backup");
    refused(&cluster, &["backup", "verify", "nothing", "--at", &url, "--drill"], "unknown-backup");
    assert_eq!((operations(&cluster, "backup").len(), operations(&cluster, "drill").len()), (made, 0));
    let said = succeed(&cluster, &["backup", "archive", "stop"]);
    assert!(said.contains("no archive runs"), "{said}");
    succeed(&cluster, &["backup", "create", "--to", &url]);
    let id = only(&cluster, &place)["id"].as_str().expect("an id").to_owned();
    // A namespace of ZanKV's may have any name, and a drill goes on beside it.
    succeed(&cluster, &["namespace", "create", "default", "--partitions", "1"]);
    succeed(&cluster, &["backup", "verify", &id, "--at", &url, "--drill"]);
    succeed(&cluster, &["namespace", "delete", "default"]);

    // Keys are there: nothing is touched without a word about them.
    let set = |connection: &mut redis::Connection, key: &str, value: &str| {
        redis::cmd("SET").arg(key).arg(value).query::<()>(connection).expect("written");
    };
    let get = |connection: &mut redis::Connection, key: &str| {
        redis::cmd("GET").arg(key).query::<Option<String>>(connection).expect("an answer")
    };
    set(&mut connection, "string1", "changed");
    redis::cmd("DEL").arg("list0").query::<()>(&mut connection).expect("removed");
    refused(&cluster, &["restore", "--from", &url], "table-not-empty");
    refused(&cluster, &["restore", "--from", &url, "--table", "default:default"], "table-not-empty");
    let said = refused(&cluster, &["restore", "--from", &url, "--on-conflict", "fail"], "key-exists");
    assert!(said.contains("the same command goes on"), "{said}");
    succeed(&cluster, &["restore", "--from", &url, "--on-conflict", "skip", "--restart"]);
    assert_eq!(get(&mut connection, "string1").as_deref(), Some("changed"));
    let length = redis::cmd("LLEN").arg("list0").query::<u64>(&mut connection).expect("an answer");
    assert_eq!(length, 3000);
    succeed(&cluster, &["restore", "--from", &url, "--on-conflict", "overwrite", "--restart"]);
    assert_eq!(get(&mut connection, "string1"), Some(format!("{:0>200}", 1)));
    let only_sets = succeed(&cluster, &["restore", "--from", &url, "--to-table", "sets", "--type", "set"]);
    assert!(only_sets.contains("60 keys"), "{only_sets}");

    // Damage is named with file and offset, and leaves no table that looks whole.
    let file = place.files(".skb").remove(0);
    damage(&file);
    let said = refused(&cluster, &["backup", "verify", &id, "--at", &url], "backup-damaged");
    assert!(said.contains(".skb, byte "), "{said}");
    let said = refused(&cluster, &["restore", "--from", &url, "--to-table", "broken"], "backup-damaged");
    assert!(said.contains(".skb, byte ") && said.contains("removed again"), "{said}");
    refused(&cluster, &["table", "show", "broken"], "unknown-table");

    succeed(&cluster, &["backup", "delete", &id, "--at", &url]);
    assert!(place.files("").is_empty());
}

/// Changes a byte in the middle of a file.
pub fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).expect("written");
}

/// The operations of a kind, oldest first.
fn operations(cluster: &Cluster, kind: &str) -> Vec<serde_json::Value> {
    let listed = json(cluster, &["op", "list"]);
    let all = listed.as_array().expect("a list").iter();
    all.filter(|operation| operation["kind"] == kind).cloned().collect()
}

/// Waits until the last operation of a kind is in a state.
fn until_last(cluster: &Cluster, kind: &str, state: &str) -> serde_json::Value {
    until(&format!("a {kind} that is {state}"), || {
        let output = cluster.run(["op", "list", "--json"]);
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let of_kind = listed.as_array()?.iter().rev().find(|operation| operation["kind"] == kind)?.clone();
        (of_kind["state"] == state).then_some(of_kind)
    })
}

/// Every line that the nodes have logged.
fn logs(cluster: &Cluster) -> Vec<String> {
    let log = |node: u64| cluster.directory().node_directory(node).join("server.log");
    let text = |node: u64| std::fs::read_to_string(log(node)).expect("a log");
    cluster
        .nodes()
        .into_iter()
        .flat_map(|node| text(node).lines().map(String::from).collect::<Vec<_>>())
        .collect()
}

/// The node that leads the catalog.
fn meta_leader(cluster: &Cluster) -> u64 {
    until("a leader of the catalog", || {
        let output = cluster.run(["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let partitions = status["partitions"].as_array()?;
        partitions.iter().find(|partition| partition["group"] == 0)?["leader"].as_u64()
    })
}

#[test]
fn a_backup_and_its_drill_survive_the_command_and_every_meta_leader() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 4, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let url = place.url();
    let plan = succeed(&cluster, &["backup", "create", "--to", &url, "--plan"]);
    assert!(plan.contains("default/3") && plan.contains("writes about"), "{plan}");
    assert!(place.files("").is_empty(), "a plan writes nothing");

    // The command dies, then the node that leads the catalog, and comes back.
    let mut saving = cluster.command(["backup", "create", "--to", &url, "--rate", "100KiB/s"]);
    let mut saving = saving.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
    until("a backup that was begun", || (!place.files("begun.json").is_empty()).then_some(()));
    saving.kill().expect("killed");
    saving.wait().expect("its end");
    let id = only(&cluster, &place)["id"].as_str().expect("an id").to_owned();
    refused(&cluster, &["restore", "--from", &url, "--id", &id], "unknown-backup");
    refused(&cluster, &["backup", "verify", &id, "--at", &url], "unknown-backup");
    until_last(&cluster, "backup", "running");
    let first = meta_leader(&cluster);
    cluster.kill(first);
    // What is written meanwhile is not part of it.
    let other = cluster.nodes().into_iter().find(|node| *node != first).expect("another node");
    let mut connection = cluster.redis(other);
    until("a write", || redis::cmd("SET").arg("later").arg("x").query::<()>(&mut connection).ok());
    let done = until_last(&cluster, "backup", "done");
    assert_eq!(done["saved"]["backup"], id.as_str());
    assert_eq!((&done["saved"]["keys"], &done["step"]), (&300.into(), &"".into()));
    assert_eq!(operations(&cluster, "backup").len(), 1);
    let listed = only(&cluster, &place);
    assert_eq!((&listed["state"], &listed["manifest"]["sum"]["keys"]), (&"complete".into(), &300.into()));
    cluster.start_node(first);

    // The same of the drill.
    let wish = ["backup", "verify", &id, "--at", &url, "--drill", "--rate", "100KiB/s", "--wait=false"];
    succeed(&cluster, &wish);
    until("a scratch table", || succeed(&cluster, &["table", "list"]).contains("drill_").then_some(()));
    let second = meta_leader(&cluster);
    cluster.kill(second);
    let done = until_last(&cluster, "drill", "done");
    assert_eq!((&done["saved"]["proven"], &done["saved"]["keys"]), (&true.into(), &300.into()));
    let listed = only(&cluster, &place);
    assert_eq!(listed["state"], "proven");
    assert_eq!(listed["proof"]["sum"], listed["manifest"]["sum"]);
    assert!(!succeed(&cluster, &["table", "list"]).contains("drill"));
    let restores = |path: &PathBuf| path.to_string_lossy().contains("/restores/");
    assert!(!place.files("").iter().any(restores), "{:?}", place.files(""));
}

#[test]
fn a_backup_that_is_cancelled_leaves_nothing_and_one_that_fails_is_resumed() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 4, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let url = place.url();
    succeed(&cluster, &["backup", "create", "--to", &url, "--rate", "50KiB/s", "--wait=false"]);
    until("some file", || {
        (!place.files(".skb").is_empty() || !place.files(".unfinished").is_empty()).then_some(())
    });
    let running = until_last(&cluster, "backup", "running");
    let operation = running["id"].to_string();
    until("an explanation", || {
        let explained = succeed(&cluster, &["op", "explain", &operation]);
        explained.contains("partitions are saved").then_some(())
    });
    succeed(&cluster, &["op", "cancel", &operation, "--wait"]);
    assert_eq!(until_last(&cluster, "backup", "cancelled")["id"], running["id"]);
    assert!(place.files("").is_empty(), "{:?}", place.files(""));
    assert_eq!(json(&cluster, &["backup", "list", "--at", &url]).as_array().map(Vec::len), Some(0));

    // A place that refuses ends the operation; what is complete stays, and is gone on with.
    succeed(&cluster, &["backup", "create", "--to", &url, "--rate", "50KiB/s", "--wait=false"]);
    until("a complete partition", || {
        let complete = place.files("/0000.json").into_iter().chain(place.files("/0001.json")).next();
        complete.or_else(|| place.files("/0002.json").pop()).or_else(|| place.files("/0003.json").pop())
    });
    let id = only(&cluster, &place)["id"].as_str().expect("an id").to_owned();
    let begun = place.files("begun.json").remove(0);
    let aside = place.0.path().join("aside");
    std::fs::rename(begun.parent().expect("a directory"), &aside).expect("moved away");
    let failed = until_last(&cluster, "backup", "failed");
    assert!(failed["events"].to_string().contains("--resume"), "{failed}");
    // Whoever looks for the reason in the logs finds the words of the explanation.
    let operation = failed["id"].to_string();
    let explained = succeed(&cluster, &["op", "explain", &operation]);
    let cause = explained.split_once(" is failed: ").and_then(|(_, after)| after.lines().next());
    let cause = cause.unwrap_or_else(|| panic!("no cause: {explained}"));
    let line = until("a line about the failure", || {
        let begin = format!("operation {operation} (");
        logs(&cluster).into_iter().find(|line| line.contains(&begin) && line.contains(") failed: "))
    });
    assert!(line.contains(" WARN ") && line.contains(cause), "{line}\n{explained}");
    let back = place.0.path().join(&id);
    let _ = std::fs::remove_dir_all(&back);
    std::fs::rename(&aside, &back).expect("moved back");
    succeed(&cluster, &["backup", "create", "--to", &url, "--resume", &id]);
    assert_eq!(only(&cluster, &place)["manifest"]["sum"]["keys"], 300);
    succeed(&cluster, &["backup", "verify", &id, "--at", &url, "--drill"]);
    assert_eq!(only(&cluster, &place)["state"], "proven");
}

#[test]
fn a_schedule_takes_backups_proves_them_and_keeps_the_newest() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 2, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let url = place.url();
    let set = |cron: &str| {
        let words = [
            "backup",
            "schedule",
            "set",
            "each_minute",
            "--cron",
            cron,
            "--to",
            &url,
            "--keep",
            "1",
            "--drill",
            "--full-every",
            "3",
        ];
        words.map(String::from).to_vec()
    };
    let refusal = words(&cluster.run(set("61 * * * *")));
    assert!(refusal.contains("[bad-argument]") && refusal.contains("minute: '61'"), "{refusal}");
    assert!(cluster.run(set("* * * * *")).status.success());
    let proven = |than: &str| {
        let limit = std::time::Duration::from_secs(150);
        within(limit, "another proven backup", || {
            let output = cluster.run(["backup", "schedule", "list", "--json"]);
            let listed: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
            let proven = listed[0]["proven"].as_str()?.to_owned();
            (!proven.is_empty() && proven != than).then_some(proven)
        })
    };
    let first = proven("");
    let second = proven(&first);
    // The second stands on the first, which stays although one is kept.
    let listed = json(&cluster, &["backup", "list", "--at", &url]);
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&first.as_str().into(), &second.as_str().into()));
    assert_eq!(listed[1]["begun"]["parent"]["id"], first.as_str());
    // With another table there it cannot go on so. Both go once the third is proven, which is full.
    succeed(&cluster, &["table", "create", "another", "--partitions", "1"]);
    let third = proven(&second);
    let taken = operations(&cluster, "backup");
    let note = taken.iter().any(|one| one["events"].to_string().contains("it is a full backup"));
    assert!(note, "{taken:?}");
    until("only the third", || {
        let listed = json(&cluster, &["backup", "list", "--at", &url]);
        (listed[0]["id"] == third.as_str() && listed[0]["begun"]["parent"].is_null()).then_some(())
    });
    assert_eq!(until_last(&cluster, "drill", "done")["by"], "automation: schedule each_minute");
    let metrics = http(&cluster, 1, "GET", "/metrics", false).1;
    assert!(
        metrics.contains("skein_backup_last_proven_timestamp_seconds{schedule=\"each_minute\"} "),
        "{metrics}"
    );
    assert!(metrics.contains("skein_backup_chain_length{schedule=\"each_minute\"} "), "{metrics}");
    succeed(&cluster, &["backup", "schedule", "remove", "each_minute"]);
    refused(&cluster, &["backup", "schedule", "remove", "each_minute"], "bad-argument");
}
