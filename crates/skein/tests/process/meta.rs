//! A cluster that is lost comes back: its catalog out of one file, its keys out of a backup.

use std::path::PathBuf;

use tempfile::TempDir;

use super::SKEIN;
use super::support::{Cluster, Shape, beside_others, until, words};

fn succeed(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = cluster.run(arguments);
    assert!(output.status.success(), "{arguments:?}\n{}", words(&output));
    words(&output)
}

fn refused(cluster: &Cluster, arguments: &[&str], code: &str) -> String {
    let output = cluster.run(arguments);
    let said = words(&output);
    assert!(!output.status.success() && said.contains(&format!("[{code}]")), "{arguments:?}\n{said}");
    said
}

fn set(cluster: &Cluster, key: &str) {
    let mut connection = cluster.redis(1);
    until("a write", || redis::cmd("SET").arg(key).arg("value").query::<()>(&mut connection).ok());
}

#[test]
fn a_lost_cluster_comes_back_from_its_catalog_and_a_backup() {
    let _beside = beside_others();
    let place = TempDir::new().expect("a directory");
    let (url, out) = (format!("file://{}/backups", place.path().display()), place.path().join("catalogs"));
    let out_text = out.display().to_string();
    {
        let lost = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 3, ..Shape::default() });
        succeed(&lost, &["table", "create", "other", "--partitions", "5"]);
        succeed(&lost, &["namespace", "create", "ads", "--partitions", "2"]);
        succeed(&lost, &["config", "set", "suspect_after_ms", "3000"]);
        set(&lost, "k");
        succeed(&lost, &["backup", "create", "--to", &url]);
        let said = succeed(&lost, &["meta", "snapshot", "--out", &out_text]);
        assert!(said.contains("3 tables") && said.contains("1 setting"), "{said}");
        // The later of two is the one that counts.
        succeed(&lost, &["config", "set", "suspect_after_ms", "4000"]);
        succeed(&lost, &["meta", "snapshot", "--out", &out_text]);
    }
    let fresh = Cluster::start(SKEIN, Shape { partitions: 4, ..Shape::default() });
    // One that is empty is made as it was.
    succeed(&fresh, &["table", "create", "other", "--partitions", "2"]);
    let said = succeed(&fresh, &["meta", "restore", &out_text]);
    assert!(said.contains("suspect_after_ms=4000") && said.contains("default:other"), "{said}");
    assert!(said.contains("default:default with 4 partitions, where it had 3"), "{said}");
    let tables = succeed(&fresh, &["table", "list"]);
    assert!(tables.contains("other") && tables.contains("ads"), "{tables}");
    let shown = succeed(&fresh, &["table", "show", "other", "--json"]);
    assert!(shown.contains("\"partitions\": 5") || shown.contains("\"partitions\":5"), "{shown}");
    succeed(&fresh, &["restore", "--from", &url, "--on-conflict", "fail"]);
    let mut connection = fresh.redis(1);
    let value = redis::cmd("GET").arg("k").query::<String>(&mut connection).expect("an answer");
    assert_eq!(value, "value");

    // Keys are there now: nothing is touched without a word about them.
    let said = refused(&fresh, &["meta", "restore", &out_text], "cluster-not-empty");
    assert!(said.contains("1 key"), "{said}");
    succeed(&fresh, &["table", "drop", "other"]);
    let said = succeed(&fresh, &["meta", "restore", &out_text, "--merge"]);
    assert!(said.contains("made: default:other"), "{said}");
    assert_eq!(redis::cmd("GET").arg("k").query::<String>(&mut connection).expect("an answer"), "value");

    let file =
        std::fs::read_dir(&out).expect("a directory").next().expect("a file").expect("an entry").path();
    damage(&file);
    refused(&fresh, &["meta", "restore", &file.display().to_string(), "--merge"], "backup-damaged");
}

/// Changes a byte in the middle of a file.
fn damage(path: &PathBuf) {
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).expect("written");
}
