//! Archives of real clusters: any time is restored as it was, with a leader killed meanwhile, and damage is refused.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::SKEIN;
use super::backup::{Place, refused, succeed};
use super::support::{Cluster, Shape, beside_others, until, words};

/// Keys whose contents are compared; some of them share a partition, so that they can be renamed.
const KEYS: [&str; 12] = ["a", "b", "c", "d", "{t}1", "{t}2", "{t}3", "{t}4", "{u}1", "{u}2", "e", "f"];

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

pub fn status(cluster: &Cluster) -> serde_json::Value {
    let output = cluster.run(["backup", "archive", "status", "--json"]);
    assert!(output.status.success(), "{}", words(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Waits until everything before a time is told.
pub fn told(cluster: &Cluster, at_ms: u64) {
    until("an archive that tells the time", || {
        status(cluster)["complete_ms"].as_u64().filter(|complete| *complete > at_ms)
    });
}

/// A client that goes on at another time if its node does not answer.
struct Client<'a> {
    cluster: &'a Cluster,
    connection: redis::Connection,
    chance: u64,
}

impl<'a> Client<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, connection: cluster.redis(1), chance: 7 }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.chance >> 33) % end
    }

    /// Says something, whatever the answer is.
    fn say(&mut self, line: &str) {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| {
            command.arg(word);
        });
        let answer = command.query::<redis::Value>(&mut self.connection);
        if answer.is_err_and(|error| error.is_io_error() || error.is_timeout()) {
            self.connection = self.cluster.redis(1);
        }
    }

    /// Commands of all types by chance.
    fn change(&mut self, commands: usize) {
        for _ in 0..commands {
            let key = KEYS[self.below(KEYS.len() as u64) as usize];
            let (tag, other) = (["{t}", "{u}"][self.below(2) as usize], 1 + self.below(4));
            let (n, m) = (self.below(9), self.below(9));
            let line = match self.below(26) {
                0 => format!("SET {key} value{n}"),
                1 => format!("APPEND {key} more{n}"),
                2 => format!("SETBIT {key} {} 1", n * 30_000),
                3 => format!("INCRBY {key} {n}"),
                4 => format!("DEL {key}"),
                5..=7 => format!("RPUSH {key} x{n} y{m} z"),
                8 => format!("LPUSH {key} front{n}"),
                9 => format!("LREM {key} 1 z"),
                10 => format!("LINSERT {key} BEFORE z new{n}"),
                11 => format!("LTRIM {key} 1 {m}"),
                12 => format!("LPOP {key}"),
                13 | 14 => format!("HSET {key} f{n} {m} f{m} {n}"),
                15 => format!("HDEL {key} f{n}"),
                16 => format!("HINCRBY {key} f{n} {m}"),
                17 | 18 => format!("SADD {key} m{n} m{m}"),
                19 => format!("SPOP {key}"),
                20 | 21 => format!("ZADD {key} {n}.5 m{m} {m} m{n}"),
                22 => format!("ZPOPMIN {key}"),
                23 => format!("RENAME {tag}{other} {tag}{}", 1 + n % 4),
                24 => format!("COPY {tag}{other} {tag}{} REPLACE", 1 + n % 4),
                _ => format!("PEXPIREAT {key} {}", now_ms() + 3_600_000),
            };
            self.say(&line);
        }
    }
}

/// What the keys hold, in words. `before` is what a key's name begins with there.
fn contents(connection: &mut redis::Connection, before: &str) -> BTreeMap<&'static str, String> {
    let mut ask = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(format!("{before}{}", words[1])).arg(&words[2..]);
        until("an answer", || command.query::<redis::Value>(connection).ok())
    };
    let mut found = BTreeMap::new();
    for key in KEYS {
        let redis::Value::SimpleString(kind) = ask(&["TYPE", key]) else { panic!("a type") };
        let held = match kind.as_str() {
            "none" => continue,
            "string" => ask(&["GET", key]),
            "list" => ask(&["LRANGE", key, "0", "-1"]),
            "set" => ask(&["SMEMBERS", key]),
            "hash" => ask(&["HGETALL", key]),
            _ => ask(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
        };
        found.insert(key, format!("{kind} {held:?} until {:?}", ask(&["PEXPIRETIME", key])));
    }
    found
}

/// Sets `order:0`, `order:1`, …, and notes when each was sent and acknowledged.
fn write_in_order(cluster: &Cluster, stop: &AtomicBool, noted: &Mutex<Vec<(u64, u64)>>) {
    let mut connection = cluster.redis(2);
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let sent = now_ms();
        until("an acknowledged write", || {
            let said =
                redis::cmd("SET").arg(format!("order:{number}")).arg(number).query::<()>(&mut connection);
            said.ok().or_else(|| {
                connection = cluster.redis(1);
                None
            })
        });
        noted.lock().expect("a list").push((sent, now_ms()));
        number += 1;
    }
}

/// Restores a time into a table of this name, and returns what it holds.
fn restored(cluster: &Cluster, url: &str, at_ms: u64, table: &str) -> BTreeMap<&'static str, String> {
    let at = at_ms.to_string();
    let to = ["--to-table", table, "--partitions", "3"];
    succeed(cluster, &[&["restore", "--from", url, "--at", &at][..], &to].concat());
    contents(&mut zankv(cluster), &format!("default:{table}:"))
}

/// A connection to the port that shows all tables.
fn zankv(cluster: &Cluster) -> redis::Connection {
    let client = redis::Client::open(format!("redis://{}", cluster.addresses(1).zankv)).expect("an address");
    client.get_connection().expect("a connection")
}

#[test]
fn any_time_is_restored_as_it_was_although_a_leader_died() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 4, ..Shape::default() });
    let place = Place::new();
    let url = place.url();
    let mut client = Client::new(&cluster);
    client.change(60);
    refused(&cluster, &["backup", "archive", "status"], "no-archive");
    succeed(&cluster, &["backup", "archive", "start", "--to", &url, "--every", "300ms"]);
    refused(&cluster, &["backup", "archive", "start", "--to", &url], "archive-runs");
    client.change(40);
    client.say("FLUSHALL");

    let (stop, noted) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let mut moments = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| write_in_order(&cluster, &stop, &noted));
        for round in 0..5 {
            client.change(120);
            // Nobody changes these keys for a moment: they are at the time what they are before and after it.
            std::thread::sleep(Duration::from_millis(20));
            moments.push((now_ms(), contents(&mut client.connection, "")));
            std::thread::sleep(Duration::from_millis(20));
            if round == 1 {
                cluster.kill(3);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    told(&cluster, now_ms());

    let noted = noted.into_inner().expect("a list");
    for (number, (at_ms, expected)) in moments.iter().enumerate() {
        let table = format!("copy{number}");
        assert_eq!(restored(&cluster, &url, *at_ms, &table), *expected, "at {at_ms}, moment {number}");
        let mut connection = zankv(&cluster);
        for (write, (sent, acknowledged)) in noted.iter().enumerate() {
            let key = format!("default:{table}:order:{write}");
            let there =
                until("an answer", || redis::cmd("EXISTS").arg(&key).query::<u64>(&mut connection).ok()) == 1;
            assert!(
                there || acknowledged >= at_ms,
                "write {write} was acknowledged before, and is not there"
            );
            assert!(!there || sent <= at_ms, "write {write} was sent after, and is there");
        }
    }
    assert!(moments.windows(2).any(|two| two[0].1 != two[1].1), "the moments differ");

    let later = (now_ms() + 3_600_000).to_string();
    let said =
        refused(&cluster, &["restore", "--from", &url, "--at", &later, "--to-table", "no"], "not-covered");
    assert!(said.contains("these can:"), "{said}");
    refused(&cluster, &["restore", "--from", &url, "--at", "1000", "--to-table", "no"], "not-covered");
    refused(&cluster, &["table", "show", "no"], "unknown-table");
    succeed(&cluster, &["backup", "archive", "stop"]);
    assert_eq!(status(&cluster)["ended"], true);
}

#[test]
fn a_damaged_missing_or_foreign_file_of_an_archive_is_refused() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 1, ..Shape::default() });
    let place = Place::new();
    let url = place.url();
    succeed(&cluster, &["backup", "archive", "start", "--to", &url, "--every", "100ms"]);
    let mut client = Client::new(&cluster);
    for round in 1.. {
        client.change(30);
        told(&cluster, now_ms());
        if place.files(".skc").len() >= 3 {
            break;
        }
        assert!(round < 50, "files come");
    }
    let (at, expected) = (now_ms(), contents(&mut client.connection, ""));
    told(&cluster, at);
    succeed(&cluster, &["backup", "archive", "stop"]);
    assert_eq!(restored(&cluster, &url, at, "whole"), expected);

    let file = place.files(".skc").remove(1);
    let whole = std::fs::read(&file).expect("a file");
    let other = std::fs::read(&place.files(".skc")[0]).expect("a file");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    let cut = whole[..whole.len() - 1].to_vec();
    let at = at.to_string();
    for (bytes, why) in
        [(Some(flipped), "checksum"), (Some(cut), ""), (Some(other), "another belongs here"), (None, "")]
    {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        let arguments = ["restore", "--from", &url, "--at", &at, "--to-table", "broken"];
        let said = refused(&cluster, &arguments, "backup-damaged");
        assert!(said.contains(".skc") && said.contains(why) && said.contains("removed again"), "{said}");
        refused(&cluster, &["table", "show", "broken"], "unknown-table");
    }
    std::fs::write(&file, whole).expect("written");
    assert_eq!(restored(&cluster, &url, at.parse().expect("a number"), "again"), expected);
}

#[test]
fn a_gap_is_named_and_the_cluster_bridges_it_by_a_backup() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 1, ..Shape::default() });
    let place = Place::new();
    let url = place.url();
    let start = ["backup", "archive", "start", "--to", &url, "--every", "100ms", "--hold", "64KiB"];
    succeed(&cluster, &start);
    let mut client = Client::new(&cluster);
    client.change(60);
    let (before, expected_before) = (now_ms(), contents(&mut client.connection, ""));
    told(&cluster, before);

    // The target is away for so long that the partition cannot keep all changes.
    let (archive, away) = (place.0.path().join("archive"), place.0.path().join("away"));
    std::fs::rename(&archive, &away).expect("moved");
    std::fs::write(&archive, b"not a directory").expect("written");
    until("a problem that is told", || {
        let problem = status(&cluster)["partitions"][0]["problem"].as_str().map(str::to_owned);
        problem.filter(|problem| problem.contains("[backup-target]"))
    });
    let behind = status(&cluster)["partitions"][0].clone();
    assert_eq!(behind["why"]["kind"], "target", "{behind}");
    let metrics = until("metrics", || cluster.client_of(1).metrics().ok());
    assert!(metrics.contains("\nskein_archive_partitions_stuck 1\n"), "{metrics}");
    assert!(metrics.contains("\nskein_archive_lag_seconds "), "{metrics}");
    for number in 0..200 {
        client.say(&format!("SET {{t}}1 {number:0>1000}"));
    }
    std::fs::remove_file(&archive).expect("removed");
    std::fs::rename(&away, &archive).expect("moved back");
    let during = now_ms();
    told(&cluster, during);
    let shown = status(&cluster);
    assert!(shown["partitions"][0]["gap"].as_str().is_some_and(|gap| gap.contains("65536 bytes")), "{shown}");
    let during = during.to_string();
    refused(&cluster, &["restore", "--from", &url, "--at", &during, "--to-table", "no"], "not-covered");

    // The cluster takes a backup by itself, and from there on times can be restored again.
    until("a stretch of time over another backup", || {
        status(&cluster)["restorable"].as_array().filter(|stretches| stretches.len() > 1).map(|_| ())
    });
    client.change(60);
    let (after, expected_after) = (now_ms(), contents(&mut client.connection, ""));
    told(&cluster, after);
    assert_eq!(restored(&cluster, &url, after, "after"), expected_after);
    assert_eq!(restored(&cluster, &url, before, "before"), expected_before);
    refused(&cluster, &["restore", "--from", &url, "--at", &during, "--to-table", "no"], "not-covered");
}
