//! Archives of real clusters over time: what is behind says why, and old changes go, but none that a backup needs.

use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::SKEIN;
use super::archive::{now_ms, status, told};
use super::backup::{Place, only, refused, succeed};
use super::support::{Cluster, Shape, beside_others, until, within, words};

/// Runs a command that asks no cluster.
fn at(arguments: &[&str]) -> (bool, String, Value) {
    let output = Command::new(SKEIN).args(arguments).arg("--json").output().expect("the binary");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.success(), words(&output), json)
}

fn set(cluster: &Cluster, keys: std::ops::Range<u32>) {
    let mut connection = cluster.redis(1);
    for key in keys {
        until("an acknowledged write", || {
            redis::cmd("SET").arg(format!("key{key}")).arg(key).query::<()>(&mut connection).ok()
        });
    }
}

#[test]
fn what_is_behind_says_why_and_a_drill_is_in_no_archive() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 2, ..Shape::default() });
    let place = Place::new();
    let url = place.url();
    succeed(&cluster, &["table", "create", "one", "--partitions", "3", "--replicas", "1"]);
    succeed(&cluster, &["backup", "archive", "start", "--to", &url, "--every", "200ms"]);
    let id = only(&cluster, &place)["id"].as_str().expect("an id").to_owned();
    succeed(&cluster, &["backup", "verify", &id, "--at", &url, "--drill"]);
    set(&cluster, 0..20);
    told(&cluster, now_ms());
    let shown = status(&cluster);
    assert_eq!((&shown["expected"], shown["partitions"].as_array().map(Vec::len)), (&5.into(), Some(5)));
    assert!(shown["partitions"][0]["why"].is_null(), "{shown}");
    let drills = place.files("").into_iter().find(|path| {
        path.to_string_lossy().contains("/archive/") && path.to_string_lossy().contains("drill")
    });
    assert_eq!(drills, None, "scratch tables are archived");

    // A partition whose only replica is away, with nobody who would start its node again.
    cluster.kill_agent();
    cluster.kill(3);
    let why = until("a partition that nobody leads", || {
        let shown = status(&cluster);
        let partitions = shown["partitions"].as_array().cloned().unwrap_or_default();
        let unled = partitions.into_iter().find(|partition| partition["why"]["kind"] == "leader");
        unled.filter(|partition| partition["why"]["text"].to_string().contains("node 3 is unreachable"))
    });
    assert_eq!((&why["table"], &why["node"]), (&"one".into(), &Value::Null), "{why}");
    assert!(why["complete_ms"].as_u64().is_some_and(|complete| complete > 0), "the target tells: {why}");
    let said = succeed(&cluster, &["backup", "archive", "status"]);
    assert!(said.contains("no leader") && said.contains("next: skein explain partition one"), "{said}");
}

#[test]
fn an_archive_of_a_namespace_takes_in_the_tables_that_are_made_later() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 2, ..Shape::default() });
    let place = Place::new();
    let url = place.url();
    let begin = ["backup", "archive", "start", "--to", &url, "--every", "200ms", "--namespace"];
    let refused = cluster.run([&begin[..], &["shop"]].concat());
    assert!(!refused.status.success() && words(&refused).contains("shop:*"), "{}", words(&refused));
    let table = ["table", "create", "one", "--namespace", "shop", "--partitions", "1"];
    succeed(&cluster, &table);
    succeed(&cluster, &[&begin[..], &["shop"]].concat());
    assert_eq!(status(&cluster)["expected"], 1, "the tables of other namespaces are not in it");
    let saved = &only(&cluster, &place)["begun"]["tables"];
    let names: Vec<_> = saved.as_array().into_iter().flatten().map(|table| &table["name"]).collect();
    assert_eq!(names, ["one"], "{saved}");
    succeed(&cluster, &["table", "create", "two", "--namespace", "shop", "--partitions", "3"]);
    until("the partitions of the new table", || {
        let shown = status(&cluster);
        (shown["expected"] == 4 && shown["partitions"].as_array().map(Vec::len) == Some(4)).then_some(())
    });
}

#[test]
fn an_archive_is_verified_thinned_out_and_removed() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 1, ..Shape::default() });
    let place = Place::new();
    let url = place.url();
    let start = ["backup", "archive", "start", "--to", &url, "--every", "100ms", "--keep", "1m"];
    succeed(&cluster, &start);
    let first = only(&cluster, &place)["id"].as_str().expect("an id").to_owned();
    for round in 0.. {
        set(&cluster, round..round + 1);
        told(&cluster, now_ms());
        if place.files(".skc").len() >= 4 {
            break;
        }
    }
    let (before, begun) = (place.files(".skc"), SystemTime::now());
    succeed(&cluster, &["backup", "create", "--to", &url]);
    set(&cluster, 1000..1001);
    let moment = now_ms();
    told(&cluster, moment);

    // All of it can be restored, as it says; with damage, what is before it and what a later backup reaches.
    let (whole, _, found) = at(&["backup", "archive", "verify", "--at", &url]);
    assert!(whole && found["whole"] == true, "{found}");
    let windows = found["windows"].as_array().cloned().unwrap_or_default();
    assert_eq!(windows.len(), 1, "{found}");
    assert!(windows[0]["to_ms"].as_u64().is_some_and(|to| to >= moment), "{found}");
    assert_eq!(status(&cluster)["windows"][0]["from_ms"], windows[0]["from_ms"]);
    let damaged = before[2].clone();
    let bytes = std::fs::read(&damaged).expect("a file");
    std::fs::write(&damaged, &bytes[..bytes.len() - 3]).expect("written");
    let (whole, said, found) = at(&["backup", "archive", "verify", "--at", &url]);
    let name = damaged.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(!whole && said.contains(&name) && said.contains("backup-damaged"), "{said}");
    assert_eq!(found["windows"].as_array().map(Vec::len), Some(2), "{found}");
    std::fs::write(&damaged, &bytes).expect("written");

    // What a dead writer has left goes, what somebody may be writing does not.
    let left = |name: &str| before[0].with_file_name(name);
    let (old, fresh) = (left("00009999.skc.1-1.unfinished"), left("00009999.skc.1-2.unfinished"));
    let file = std::fs::File::create(&old).expect("a file");
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("an old file");
    drop(file);
    std::fs::write(&fresh, b"half").expect("written");
    let (done, said, thinned) = at(&["backup", "archive", "thin", "--at", &url, "--keep", "1m"]);
    assert!(done && thinned["unfinished"] == 1, "{said} {thinned}");
    assert!(!old.exists() && fresh.exists());
    assert!(before.iter().all(|path| path.exists()), "the first backup needs them");

    // Without the first backup, the cluster removes what is before the second one once it is a minute old.
    succeed(&cluster, &["backup", "delete", &first, "--at", &url]);
    within(Duration::from_secs(120), "files that are not needed go", || (!before[0].exists()).then_some(()));
    assert!(begun.elapsed().is_ok_and(|took| took > Duration::from_secs(55)));
    let (whole, said, _) = at(&["backup", "archive", "verify", "--at", &url]);
    assert!(whole, "{said}");
    let restore = ["restore", "--from", &url, "--at", &moment.to_string(), "--to-table", "back"];
    succeed(&cluster, &restore);

    let id = status(&cluster)["id"].as_str().expect("an id").to_owned();
    let remove = ["backup", "archive", "remove", &id, "--at", &url];
    refused(&cluster, &remove, "archive-runs");
    succeed(&cluster, &["backup", "archive", "stop"]);
    let said = succeed(&cluster, &[&remove[..], &["--plan"]].concat());
    assert!(said.contains("can be restored no more if it goes"), "{said}");
    succeed(&cluster, &remove);
    assert!(place.files(".skc").is_empty() && !place.files("manifest.json").is_empty());
    refused(&cluster, &remove, "unknown-backup");
}
