//! Increments of real clusters: taken under load, restored and proved with all that they stand on, refused where they
//! cannot stand.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::SKEIN;
use super::backup::{Place, damage, exists, fill, json, refused, succeed, write_in_order};
use super::support::{Cluster, Shape, beside_others, until};

/// Takes a backup; what its operation has saved.
fn create(cluster: &Cluster, place: &Place, on: Option<&str>, more: &[&str]) -> serde_json::Value {
    let url = place.url();
    let on = on.map(|on| vec!["--incremental-from", on]).unwrap_or_default();
    json(cluster, &[&["backup", "create", "--to", &url], &on[..], more].concat())["saved"].clone()
}

fn id(saved: &serde_json::Value) -> String {
    saved["backup"].as_str().expect("an id").to_owned()
}

/// Says something until it is answered; a refusal is an answer.
fn say(cluster: &Cluster, line: &str) {
    let mut connection = cluster.redis(1);
    until("an answer", || {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| {
            command.arg(word);
        });
        let answer = command.query::<redis::Value>(&mut connection);
        if answer.as_ref().is_err_and(redis::RedisError::is_io_error) {
            connection = cluster.redis(1);
        }
        answer.ok()
    });
}

/// Changes of every type: some keys of [`fill`], new ones, and some that go.
fn change(cluster: &Cluster, round: u64) {
    for key in round * 4..round * 4 + 4 {
        say(cluster, &format!("SET string{key} changed{round}"));
        say(cluster, &format!("SREM set{key} element0 element1"));
        say(cluster, &format!("LSET list{key} 1 changed{round}"));
        say(cluster, &format!("HSET hash{key} element0 changed{round} new {round}"));
        say(cluster, &format!("ZINCRBY sorted{key} 2.5 element2"));
        say(cluster, &format!("DEL string{}", key + 30));
        say(cluster, &format!("UNLINK list{}", key + 30));
        say(cluster, &format!("PERSIST set{}", key + 30));
        say(cluster, &format!("PEXPIRE hash{} 7200000", key + 30));
        say(cluster, &format!("SET new{round}:{key} x"));
    }
    // They are gone when the backup is taken: nobody removed them.
    say(cluster, &format!("SET short{round} x PX 1"));
    say(cluster, &format!("PEXPIRE sorted{} 1", round * 4 + 30));
}

/// The digest of a table that nobody writes to.
fn digest(cluster: &Cluster, table: &str) -> serde_json::Value {
    create(cluster, &Place::new(), None, &["--table", table])["digest"].clone()
}

/// A backup in the list of a place.
fn listed(cluster: &Cluster, place: &Place, id: &str) -> serde_json::Value {
    let all = json(cluster, &["backup", "list", "--at", &place.url()]);
    all.as_array().expect("a list").iter().find(|one| one["id"] == id).expect("the backup").clone()
}

#[test]
fn increments_under_load_with_a_node_killed_are_the_source() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 4, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let url = place.url();
    let full = create(&cluster, &place, None, &[]);
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let second = std::thread::scope(|scope| {
        scope.spawn(|| write_in_order(&cluster, &stop, &written));
        change(&cluster, 1);
        let first = create(&cluster, &place, Some(&id(&full)), &[]);
        change(&cluster, 2);
        cluster.kill(3);
        let second = create(&cluster, &place, Some(&id(&first)), &[]);
        stop.store(true, Ordering::Relaxed);
        second
    });
    assert!(second["file_bytes"].as_u64() < full["file_bytes"].as_u64().map(|full| full / 2), "{second}");
    let shown = succeed(&cluster, &["backup", "show", &id(&second), "--at", &url]);
    assert!(shown.contains("it stands on 2 backups"), "{shown}");
    let said = succeed(&cluster, &["backup", "verify", &id(&second), "--at", &url]);
    assert!(said.contains("in 3 backups are what was written"), "{said}");
    succeed(&cluster, &["backup", "verify", &id(&second), "--at", &url, "--drill"]);
    assert_eq!(listed(&cluster, &place, &id(&second))["state"], "proven");

    // One point in time: whatever was written after something that is missing is missing as well.
    let restore = |id: &str, table: &str| {
        let wish = ["restore", "--from", &url, "--id", id, "--to-table", table, "--partitions", "7"];
        succeed(&cluster, &wish);
    };
    restore(&id(&second), "copy");
    let last = written.load(Ordering::Relaxed);
    let count = |letter: &str| {
        (0..=last).filter(|number| exists(&cluster, "copy", &format!("order:{letter}{number}"))).count()
    };
    let (a, b) = (count("a"), count("b"));
    assert!(a > 0 && (a == b || a == b + 1), "{a} of one, {b} of those written after them");

    // What the last one holds with all below it is what the source holds, and what comes of it.
    succeed(&cluster, &["table", "drop", "copy"]);
    change(&cluster, 3);
    say(&cluster, "SET {o}one x");
    say(&cluster, "RENAME {o}one {o}other");
    let third = create(&cluster, &place, Some(&id(&second)), &[]);
    assert_eq!(third["digest"], digest(&cluster, "default"));
    restore(&id(&third), "again");
    assert_eq!(third["digest"], digest(&cluster, "again"));

    let said = refused(&cluster, &["backup", "delete", &id(&full), "--at", &url], "backup-needed");
    assert!(said.contains(&id(&second)) && said.contains(&id(&third)), "{said}");
    let removed = ["backup", "delete", &id(&second), "--at", &url, "--with-dependants"];
    assert_eq!(json(&cluster, &removed)["removed"], serde_json::json!([id(&third), id(&second)]));
    assert_eq!(json(&cluster, &["backup", "list", "--at", &url]).as_array().map(Vec::len), Some(2));
}

#[test]
fn an_increment_stands_only_on_what_it_fits() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 2, ..Shape::default() });
    say(&cluster, "SET a 1");
    succeed(&cluster, &["table", "create", "other", "--partitions", "1"]);
    let place = Place::new();
    let url = place.url();
    let full = id(&create(&cluster, &place, None, &[]));
    let refuse = |on: &str, more: &[&str], code: &str| {
        let wish = ["backup", "create", "--to", &url, "--incremental-from", on];
        refused(&cluster, &[&wish[..], more].concat(), code)
    };
    let of_files = || place.files("").len();
    let before = of_files();
    refuse("20200101T000000Z-000000", &[], "unknown-backup");
    let said = refuse(&full, &["--table", "default"], "backup-parent");
    assert!(said.contains("has the table other, and this one has not"), "{said}");
    let said = refuse(&full, &["--type", "kv"], "backup-parent");
    assert!(said.contains("all kinds of keys"), "{said}");
    succeed(&cluster, &["table", "drop", "other"]);
    succeed(&cluster, &["table", "create", "other", "--partitions", "1"]);
    let said = refuse(&full, &[], "backup-parent");
    assert!(said.contains("dropped and made anew") && said.contains("take a full backup"), "{said}");
    succeed(&cluster, &["table", "drop", "other"]);
    succeed(&cluster, &["table", "create", "other", "--partitions", "2"]);
    assert!(refuse(&full, &[], "backup-parent").contains("had 1 partitions, and has 2"));
    assert_eq!(of_files(), before, "nothing of those that were refused is left");

    // What it stands on is damaged, gone, or another.
    let full = id(&create(&cluster, &place, None, &[]));
    say(&cluster, "SET b 2");
    let first = id(&create(&cluster, &place, Some(&full), &[]));
    let in_full = |end: &str| {
        place.files(end).into_iter().find(|path| path.to_string_lossy().contains(&full)).expect("a file")
    };
    let broken = |path: &Path, code: &str| {
        let said = refused(&cluster, &["backup", "verify", &first, "--at", &url], code);
        let wish = ["restore", "--from", &url, "--id", &first, "--to-table", "broken", "--table", "default"];
        refused(&cluster, &wish, code);
        refused(&cluster, &["table", "show", "broken"], "unknown-table");
        (path.to_owned(), said)
    };
    let keep = |path: &Path| std::fs::read(path).expect("a file");
    let restore = |path: &Path, good: &[u8]| std::fs::write(path, good).expect("written");
    for end in ["default.default/0000-keys.skb", "default.default/0001-keys.skb", "-000.skb"] {
        let path = in_full(end);
        let good = keep(&path);
        damage(&path);
        let (path, said) = broken(&path, "backup-damaged");
        assert!(said.contains(path.file_name().expect("a name").to_str().expect("text")), "{said}");
        restore(&path, &good);
    }
    let manifest = in_full("manifest.json");
    let good = keep(&manifest);
    std::fs::remove_file(&manifest).expect("removed");
    broken(&manifest, "backup-parent");
    let one = listed(&cluster, &place, &first);
    assert_eq!(
        (&one["state"], one["problem"].to_string().contains(&full)),
        (&"damaged".into(), true),
        "{one}"
    );
    restore(&manifest, &good);
    succeed(&cluster, &["backup", "verify", &first, "--at", &url]);
}

#[test]
fn a_time_is_restored_over_an_increment() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 2, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let url = place.url();
    succeed(&cluster, &["backup", "archive", "start", "--to", &url, "--every", "200ms"]);
    let all = json(&cluster, &["backup", "list", "--at", &url]);
    let full = all[0]["id"].as_str().expect("an id").to_owned();
    change(&cluster, 1);
    let first = id(&create(&cluster, &place, Some(&full), &[]));
    change(&cluster, 2);
    let held = create(&cluster, &Place::new(), None, &["--table", "default"]);
    let at = held["at_ms"].as_u64().expect("a time") - 1;
    change(&cluster, 3);
    until("an archive that tells the time", || {
        json(&cluster, &["backup", "archive", "status"])["complete_ms"].as_u64().filter(|told| *told > at)
    });
    let at = at.to_string();
    let wish = ["restore", "--from", &url, "--at", &at, "--table", "default", "--to-table", "then"];
    let said = succeed(&cluster, &wish);
    assert!(said.contains(&first), "over the increment: {said}");
    assert_eq!(held["digest"], digest(&cluster, "then"));
}
