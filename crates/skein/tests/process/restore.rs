//! Restores of real clusters: closed until they are whole, interrupted, with nodes dying, where there is no room.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::SKEIN;
use super::backup::{Place, fill, json, only, refused, succeed};
use super::support::{Cluster, Shape, alone, until, within, words};

/// A cluster with keys of all types, and a backup of it.
fn saved(partitions: u32) -> (Cluster, Place) {
    let cluster = Cluster::start(SKEIN, Shape { partitions, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    succeed(&cluster, &["backup", "create", "--to", &place.url()]);
    (cluster, place)
}

/// A restore into a table of its own, slow enough to be met on its way.
fn begin(cluster: &Cluster, place: &Place) -> Child {
    let url = place.url();
    let arguments = ["restore", "--from", &url, "--to-table", "copy", "--partitions", "3", "--qps", "60"];
    let mut command = cluster.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program")
}

/// Waits until a restore has written some keys.
fn is_under_way(cluster: &Cluster) {
    let client = cluster.client();
    until("keys of a restore", || client.count_keys("default", "copy").ok().filter(|count| count.keys > 0));
}

/// What a command about a key of the table says.
fn ask(cluster: &Cluster, command: &str, key: &str) -> Result<Option<String>, String> {
    let client = redis::Client::open(format!("redis://{}", cluster.addresses(1).zankv)).expect("an address");
    let mut connection = client.get_connection().expect("a connection");
    let asked = redis::cmd(command).arg(format!("default:copy:{key}")).query(&mut connection);
    asked.map_err(|error| error.to_string())
}

/// Every partition has three replicas that are equal, and the table holds what was saved.
fn is_whole(cluster: &Cluster, place: &Place) {
    let table = json(cluster, &["table", "show", "copy"]);
    assert_eq!((&table["replicas"], &table["restoring"]), (&3.into(), &serde_json::Value::Null), "{table}");
    let status = cluster.status();
    let copies = status.partitions.iter().filter(|partition| partition.table == "copy");
    assert!(copies.clone().count() == 3 && copies.clone().all(|copy| copy.replicas.len() == 3), "{status:?}");
    succeed(cluster, &["digest", "copy"]);
    let saved = &only(cluster, place)["manifest"]["sum"];
    let other = Place::new();
    succeed(cluster, &["backup", "create", "--to", &other.url(), "--table", "copy"]);
    assert_eq!(&only(cluster, &other)["manifest"]["sum"], saved);
    assert_eq!(ask(cluster, "GET", "string1"), Ok(Some(format!("{:0>200}", 1))));
}

#[test]
fn a_restore_that_is_killed_serves_nobody_until_it_is_given_again() {
    let _alone = alone();
    let (cluster, place) = saved(4);
    let url = place.url();
    let mut restoring = begin(&cluster, &place);
    is_under_way(&cluster);
    restoring.kill().expect("killed");
    restoring.wait().expect("its end");

    // A part of it is there, and nobody takes it for the whole.
    for (command, key) in [("GET", "string1"), ("EXISTS", "set1"), ("GET", "nothing")] {
        let said = ask(&cluster, command, key).expect_err("closed");
        assert!(said.contains("BusyLoading") && said.contains("table-restoring"), "{said}");
    }
    let other = Place::new();
    refused(&cluster, &["backup", "create", "--to", &other.url(), "--table", "copy"], "table-restoring");
    succeed(&cluster, &["backup", "create", "--to", &other.url()]);
    let tables = only(&cluster, &other)["manifest"]["begun"]["tables"].clone();
    assert_eq!(tables.as_array().map(Vec::len), Some(1), "{tables}");
    let id = only(&cluster, &place)["id"].clone();
    assert_eq!(json(&cluster, &["table", "show", "copy"])["restoring"], id);
    // Another backup does not go on with it.
    let from_other = ["restore", "--from", &other.url(), "--to-table", "copy"];
    refused(&cluster, &from_other, "table-restoring");
    // Nor does another choice of its keys.
    refused(&cluster, &["restore", "--from", &url, "--to-table", "copy", "--type", "set"], "table-restoring");

    let said = succeed(&cluster, &["restore", "--from", &url, "--to-table", "copy"]);
    assert!(said.contains("every partition has 3 replicas, and they are equal"), "{said}");
    is_whole(&cluster, &place);
    // Given again it meets the keys, as in any table.
    refused(&cluster, &["restore", "--from", &url, "--to-table", "copy"], "table-not-empty");
}

#[test]
fn nodes_that_die_during_a_restore_cost_nothing() {
    let _alone = alone();
    let (cluster, place) = saved(4);
    let mut restoring = begin(&cluster, &place);
    is_under_way(&cluster);
    for node in [2, 3] {
        cluster.kill(node);
        cluster.node_is_ready(node);
    }
    let ended = within(Duration::from_secs(180), "the end of a restore", || restoring.try_wait().ok()?);
    let output = restoring.wait_with_output().expect("its words");
    assert!(ended.success(), "{}", words(&output));
    is_whole(&cluster, &place);
}

#[test]
fn a_restore_that_does_not_fit_is_refused_before_it_begins() {
    let _alone = alone();
    let (cluster, place) = saved(2);
    let url = place.url();
    let target = backup::open(&url).expect("a target");
    let id = only(&cluster, &place)["id"].as_str().expect("an id").to_owned();
    let mut manifest = backup::load(&*target, &id).expect("a backup");
    // The same backup, if it said that it holds a pebibyte.
    for partition in &mut manifest.begun.tables[0].partitions {
        partition.sum.bytes = 1 << 50;
    }
    let manifest = backup::Manifest::new(manifest.begun, manifest.finished_ms);
    std::fs::write(&place.files("manifest.json")[0], backup::seal(&manifest)).expect("written");
    let said = refused(&cluster, &["restore", "--from", &url, "--to-table", "copy"], "no-room");
    assert!(said.contains("in 3 replicas on 3 nodes need about") && said.contains(" free"), "{said}");
    refused(&cluster, &["table", "show", "copy"], "unknown-table");
    let said = refused(
        &cluster,
        &["restore", "--from", &url, "--to-table", "copy", "--replicas", "5"],
        "not-enough-nodes",
    );
    assert!(said.contains("3 data nodes"), "{said}");
}

#[test]
fn a_restore_that_is_given_up_leaves_nothing_that_looks_whole() {
    let _alone = alone();
    let (cluster, place) = saved(2);
    let url = place.url();
    let mut restoring = begin(&cluster, &place);
    is_under_way(&cluster);
    restoring.kill().expect("killed");
    restoring.wait().expect("its end");
    let tid = json(&cluster, &["table", "show", "copy"])["tid"].clone();
    let anew = ["restore", "--from", &url, "--to-table", "copy", "--partitions", "3", "--restart"];
    succeed(&cluster, &anew);
    assert_ne!(json(&cluster, &["table", "show", "copy"])["tid"], tid);
    is_whole(&cluster, &place);
}

/// Crashes of the test below.
const CRASHES: u64 = 20;
/// What a backup there consists of: two descriptions, and two files for each partition.
const FILES: u64 = 2 + 2 * 3;

#[test]
fn twenty_crashes_at_random_points_leave_no_backup_that_does_not_restore() {
    let _alone = alone();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 3, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let url = place.url();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..CRASHES {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let files = place.files("").len() as u64 + random % (FILES + 1);
        let mut saving = cluster.command(["backup", "create", "--to", &url, "--qps", "1000"]);
        let mut saving = saving.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
        until("some files, or the end", || {
            let has_ended = saving.try_wait().expect("a child").is_some();
            (has_ended || place.files("").len() as u64 >= files).then_some(())
        });
        // Between two files as well.
        std::thread::sleep(Duration::from_millis(random >> 32 & 63));
        cluster.kill(1);
        let _ = saving.kill();
        saving.wait().expect("its end");
        cluster.node_is_ready(1);
    }
    // The operations go on, or end because the moment is lost.
    let client = cluster.client();
    within(Duration::from_secs(240), "the end of all operations", || {
        let operations = client.operations().ok()?;
        operations.iter().all(|operation| operation.ended_ms > 0).then_some(())
    });
    let listed = json(&cluster, &["backup", "list", "--at", &url]);
    let listed = listed.as_array().expect("a list");
    let mut proven = 0;
    for backup in listed {
        let id = backup["id"].as_str().expect("an id");
        match backup["state"].as_str() {
            Some("begun") => {
                refused(&cluster, &["restore", "--from", &url, "--id", id], "unknown-backup");
            }
            Some("complete") => {
                succeed(&cluster, &["backup", "verify", id, "--at", &url, "--drill"]);
                proven += 1;
            }
            other => panic!("{id} is {other:?}"),
        }
    }
    succeed(&cluster, &["backup", "create", "--to", &url]);
    let last = json(&cluster, &["backup", "list", "--at", &url]);
    let last = last.as_array().and_then(|listed| listed.last()).expect("a backup").clone();
    let id = last["id"].as_str().expect("an id");
    succeed(&cluster, &["backup", "verify", id, "--at", &url, "--drill"]);
    eprintln!("{} backups were begun, {proven} were completed, and all of those restore", listed.len());
}
