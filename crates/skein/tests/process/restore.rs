//! Restores of real clusters: closed until they are whole, interrupted, with nodes dying, where there is no room.

use std::process::{Child, Stdio};
use std::time::Duration;

use api::admin::Operation;

use super::SKEIN;
use super::backup::{Place, fill, json, only, refused, succeed};
use super::damage::OnSmallDisk;
use super::support::{Cluster, Shape, alone, beside_others, until, within, words};

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

/// The last operation that restores.
fn last(cluster: &Cluster) -> Option<Operation> {
    let operations = cluster.client().operations().ok()?;
    operations.into_iter().rev().find(|operation| operation.kind == "restore")
}

/// Waits until the last restore is in a state.
fn until_last(cluster: &Cluster, state: &str) -> Operation {
    within(Duration::from_secs(120), &format!("a restore that is {state}"), || {
        last(cluster).filter(|operation| operation.state == state)
    })
}

#[test]
fn a_restore_goes_on_without_its_command_and_serves_nobody_until_it_is_whole() {
    let _beside = beside_others();
    let (cluster, place) = saved(4);
    let url = place.url();
    let plan = succeed(&cluster, &["restore", "--from", &url, "--to-table", "copy", "--plan"]);
    assert!(plan.contains("default into copy, which is made with 4 partitions of 3 replicas"), "{plan}");
    assert!(plan.contains("node 2 needs about") && plan.contains("MiB free"), "{plan}");
    refused(&cluster, &["table", "show", "copy"], "unknown-table");
    let mut restoring = begin(&cluster, &place);
    is_under_way(&cluster);
    restoring.kill().expect("killed");
    restoring.wait().expect("its end");
    let running = last(&cluster).expect("an operation");
    let explained = succeed(&cluster, &["op", "explain", &running.id.to_string()]);
    assert!(explained.contains("files are restored"), "{explained}");

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
    // Nothing else goes into it meanwhile: neither another backup nor another choice of its keys, nor another shape.
    let copy = ["restore", "--from", &url, "--to-table", "copy"];
    refused(&cluster, &["restore", "--from", &other.url(), "--to-table", "copy"], "table-restoring");
    refused(&cluster, &[&copy[..], &["--type", "set"]].concat(), "table-restoring");
    refused(&cluster, &[&copy[..], &["--partitions", "5"]].concat(), "table-restoring");
    refused(&cluster, &[&copy[..], &["--restart"]].concat(), "table-restoring");

    // The same joins what goes on, and is told how it ends.
    let said = succeed(&cluster, &copy);
    assert!(said.contains("every partition has 3 replicas, and they are equal"), "{said}");
    let digest = &only(&cluster, &place)["manifest"]["sum"]["digest"];
    assert!(said.contains(&format!("digest {} as it was saved", digest.as_str().expect("text"))), "{said}");
    let done = last(&cluster).expect("an operation");
    assert_eq!((done.id, done.state.as_str(), done.parts), (running.id, "done", 6), "{done:?}");
    is_whole(&cluster, &place);
    assert!(!place.files("").iter().any(|path| path.to_string_lossy().contains("/restores/")));
    // Given again it meets the keys, as in any table.
    refused(&cluster, &copy, "table-not-empty");
}

/// Rounds of the test below; the random moments lie in this time after the beginning.
const ROUNDS: u64 = 4;
const WINDOW_MS: u64 = 6_000;

#[test]
fn every_leader_of_the_catalog_may_die_at_any_moment_of_a_restore() {
    let _beside = beside_others();
    let (cluster, place) = saved(4);
    let url = place.url();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..ROUNDS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = Duration::from_millis(random % WINDOW_MS);
        let begin = ["--to-table", "copy", "--partitions", "3", "--qps", "200", "--wait=false"];
        until("a restore that is started", || {
            let begun = cluster.run([&["restore", "--from", &url][..], &begin].concat());
            begun.status.success().then_some(())
        });
        std::thread::sleep(moment);
        let leader = until("a leader of the catalog", || cluster.client().status().ok()?.leader);
        let step = last(&cluster).map(|operation| operation.step);
        eprintln!("round {round}: node {leader} dies after {} ms, at {step:?}", moment.as_millis());
        cluster.kill(leader);
        let done = until_last(&cluster, "done");
        assert!(done.saved.is_some_and(|saved| saved.restored[0].equal), "the digests are equal");
        cluster.node_is_ready(leader);
        is_whole(&cluster, &place);
        succeed(&cluster, &["table", "drop", "copy"]);
    }
}

#[test]
fn nodes_that_die_during_a_restore_cost_nothing() {
    let _beside = beside_others();
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
    let _beside = beside_others();
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
fn a_restore_that_is_cancelled_drops_what_it_made_and_tells_what_it_leaves() {
    let _beside = beside_others();
    let (cluster, place) = saved(2);
    let url = place.url();
    let mut restoring = begin(&cluster, &place);
    is_under_way(&cluster);
    let operation = last(&cluster).expect("an operation").id.to_string();
    succeed(&cluster, &["op", "cancel", &operation, "--wait"]);
    assert_eq!(restoring.wait().expect("its end").code(), Some(6), "cancelled");
    refused(&cluster, &["table", "show", "copy"], "unknown-table");
    assert!(!place.files("").iter().any(|path| path.to_string_lossy().contains("/restores/")));

    // A table that was there before keeps what was written to it.
    succeed(&cluster, &["table", "create", "copy", "--partitions", "3"]);
    let arguments = ["restore", "--from", &url, "--to-table", "copy", "--qps", "60", "--wait=false"];
    succeed(&cluster, &arguments);
    is_under_way(&cluster);
    let operation = last(&cluster).expect("an operation").id.to_string();
    succeed(&cluster, &["op", "cancel", &operation, "--wait"]);
    let cancelled = until_last(&cluster, "cancelled");
    let told = |text: &str| cancelled.events.iter().any(|event| event.text.contains(text));
    assert!(told("copy was there before: what was written to it stays") && !told("undone"), "{cancelled:?}");
    assert!(cluster.client().count_keys("default", "copy").expect("a number").keys > 0);
    let again = ["restore", "--from", &url, "--to-table", "copy"];
    refused(&cluster, &again, "table-not-empty");
    let said = succeed(&cluster, &[&again[..], &["--on-conflict", "overwrite"]].concat());
    assert!(said.contains("every partition has 3 replicas, and they are equal"), "{said}");
    is_whole(&cluster, &place);
}

#[test]
fn a_restore_that_fails_is_gone_on_with_or_given_up() {
    let _beside = beside_others();
    let (cluster, place) = saved(2);
    let url = place.url();
    // Without its manifest it is no backup, whoever looks at it next.
    let manifest = place.files("manifest.json").remove(0);
    let away = manifest.with_extension("away");
    let fails = || {
        let mut restoring = begin(&cluster, &place);
        is_under_way(&cluster);
        std::fs::rename(&manifest, &away).expect("moved away");
        let failed = until_last(&cluster, "failed");
        assert!(!restoring.wait().expect("its end").success());
        std::fs::rename(&away, &manifest).expect("moved back");
        failed
    };
    let failed = fails();
    assert!(failed.events.iter().any(|event| event.text.contains("the same command goes on")), "{failed:?}");
    let tid = json(&cluster, &["table", "show", "copy"])["tid"].clone();
    ask(&cluster, "GET", "string1").expect_err("closed");
    succeed(&cluster, &["restore", "--from", &url, "--to-table", "copy"]);
    assert_eq!(json(&cluster, &["table", "show", "copy"])["tid"], tid);
    is_whole(&cluster, &place);

    succeed(&cluster, &["table", "drop", "copy"]);
    fails();
    let tid = json(&cluster, &["table", "show", "copy"])["tid"].clone();
    let anew = ["restore", "--from", &url, "--to-table", "copy", "--partitions", "3", "--restart"];
    succeed(&cluster, &anew);
    assert_ne!(json(&cluster, &["table", "show", "copy"])["tid"], tid);
    is_whole(&cluster, &place);
}

/// Keys of the test below, of 60 kB each.
const LARGE: u64 = 150;

#[test]
fn a_restore_waits_for_room_on_a_full_disk_and_loses_nothing() {
    let _beside = beside_others();
    let Some(cluster) = OnSmallDisk::start() else {
        eprintln!("not tested: this user may not mount a disk");
        return;
    };
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(SKEIN);
        let directory = cluster.path("c");
        let output = command.args(arguments).arg("--dir").arg(directory).output().expect("the binary");
        assert!(output.status.success(), "{arguments:?}\n{}", words(&output));
        words(&output)
    };
    let mut connection = cluster.connection();
    for key in 0..LARGE {
        // Nothing that can be compressed.
        let mut random = key + 1;
        let value: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        })
        .take(60_000)
        .collect();
        until("a write", || redis::cmd("SET").arg(key).arg(&value).query::<()>(&mut connection).ok());
    }
    let place = Place::new();
    let url = place.url();
    run(&["backup", "create", "--to", &url]);
    let arguments = ["restore", "--from", &url, "--to-table", "copy", "--rate", "2MiB/s", "--wait=false"];
    run(&arguments);
    let table = |wanted: &str| run(&["table", "show", "copy", "--json"]).contains(wanted);
    until("a table that is made", || run(&["table", "list"]).contains("copy").then_some(()));
    let free = || {
        let room = rustix::fs::statvfs(cluster.path("c")).expect("a file system");
        room.f_bavail * room.f_frsize
    };
    // Less than the reserve is left, which is an eighth of the disk.
    let ballast = free().saturating_sub(20 << 20);
    std::fs::write(cluster.path("ballast"), vec![0; ballast as usize]).expect("room");
    let told = until("a restore that says what it waits for", || {
        let listed = run(&["op", "list", "--json"]);
        listed.contains("disk-full").then_some(listed)
    });
    assert!(told.contains("node 1: the disk is full"), "{told}");
    assert!(table("restoring"), "nobody takes it for whole");

    std::fs::remove_file(cluster.path("ballast")).expect("removed");
    let listed = within(Duration::from_secs(120), "the end of the restore", || {
        let listed = run(&["op", "list", "--json"]);
        (!listed.contains("\"running\"")).then_some(listed)
    });
    assert!(listed.contains("\"equal\": true") || listed.contains("\"equal\":true"), "{listed}");
    assert!(!table("restoring"));
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
