//! Data from elsewhere: a file of Redis and a stream of commands, into a running cluster.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::support::{Cluster, Shape, beside_others, within, words};
use super::{SKEIN, get, three};

/// A file as Redis writes it, without a checksum: a string that expires late, a list, a hash in one string, and a
/// stream, which is not stored here; in the second database another string.
const FILE: &[&[u8]] = &[
    b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfe\x00\xfb\x04\x01",
    b"\xfc\x00\x00\x00\x00\x00\x40\x00\x00\x00\x04text\x05hello",
    b"\x01\x04list\x03\x01a\x01b\x01c",
    b"\x10\x04hash\x15\x15\x00\x00\x00\x02\x00\x85field\x06\x85value\x06\xff",
    b"\x0f\x06stream\x00\x00\x00\x00\x00",
    b"\xfe\x01\x00\x05other\x01x",
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x00",
];

/// A cluster of one node.
fn one() -> Cluster {
    Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() })
}

/// Writes a file beside the cluster's directory.
fn file(cluster: &Cluster, name: &str, bytes: &[u8]) -> PathBuf {
    let path = cluster.directory().path().join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn a_file_of_redis_comes_in_whole_or_not_at_all() {
    let _beside = beside_others();
    let cluster = one();
    let whole = FILE.concat();
    let import = |path: &PathBuf, more: &[&str]| {
        let mut arguments = vec!["import", "redis-rdb", path.to_str().expect("a path")];
        arguments.extend_from_slice(more);
        cluster.run(arguments)
    };
    let cut = file(&cluster, "cut.rdb", &whole[..whole.len() - 12]);
    let refused = import(&cut, &[]);
    assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
    assert_eq!(get(&cluster, 1, "text"), None, "nothing was written");

    let path = file(&cluster, "dump.rdb", &whole);
    let done = import(&path, &[]);
    assert!(done.status.success(), "{}", words(&done));
    let said = words(&done);
    assert!(
        said.contains("3 keys imported; 1 hold what is not stored here; 1 are in other databases"),
        "{said}"
    );
    let mut connection = cluster.redis(1);
    let list: Vec<String> =
        redis::cmd("LRANGE").arg("list").arg(0).arg(-1).query(&mut connection).expect("a list");
    assert_eq!(list, ["a", "b", "c"]);
    let value: String = redis::cmd("HGET").arg("hash").arg("field").query(&mut connection).expect("a value");
    assert_eq!(value, "value");
    let expiry: i64 = redis::cmd("PEXPIRETIME").arg("text").query(&mut connection).expect("a time");
    assert_eq!(expiry, 1 << 46);

    super::set(&cluster, 1, "text", "mine");
    assert_eq!(import(&path, &[]).status.code(), Some(2), "a key exists");
    let skipped = import(&path, &["--on-conflict", "skip"]);
    assert!(words(&skipped).contains("0 keys imported; 3 existed and stayed"), "{}", words(&skipped));
    assert_eq!(get(&cluster, 1, "text").as_deref(), Some("mine"));
    let replaced = import(&path, &["--on-conflict", "overwrite", "--prefix", ""]);
    assert!(replaced.status.success(), "{}", words(&replaced));
    assert_eq!(get(&cluster, 1, "text").as_deref(), Some("hello"));
    assert!(import(&path, &["--prefix", "p:", "--database", "1"]).status.success());
    assert_eq!(get(&cluster, 1, "p:other").as_deref(), Some("x"));
}

#[test]
fn a_stream_of_commands_is_carried_out() {
    let _beside = beside_others();
    let cluster = one();
    let commands = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\nAPPEND a c\r\nLPUSH a 1\r\nNOSUCH\r\n";
    let path = file(&cluster, "commands", commands);
    let done = cluster.run(["import", "resp", path.to_str().expect("a path")]);
    let said = words(&done);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(
        said.contains("2 commands carried out; 2 were refused") && said.contains("LPUSH: WRONGTYPE"),
        "{said}"
    );
    assert_eq!(get(&cluster, 1, "a").as_deref(), Some("bc"));

    // Another database's keys do not fall into this one; a transaction's errors count; nothing waits for replies that
    // do not come.
    let recorded =
        b"#TS:1628217470\r\nSELECT 1\r\nSET other 1\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nCLIENT REPLY OFF\r\n\
                     MULTI\r\nSET {t}a 1\r\nLPUSH {t}a 1\r\nEXEC\r\nSET last 1\r\n";
    let path = file(&cluster, "recorded.aof", recorded);
    let import = |more: &[&str]| {
        let arguments = [&["import", "resp", path.to_str().expect("a path")], more].concat();
        words(&cluster.run(arguments))
    };
    let said = import(&[]);
    assert!(said.contains("4 commands carried out; 1 are of other databases; 2 were refused"), "{said}");
    assert!(said.contains("EXEC: WRONGTYPE") && said.contains("CLIENT: not sent"), "{said}");
    let there = ["other", "{t}a", "last"].map(|key| get(&cluster, 1, key));
    assert_eq!(there, [None, Some("1".into()), Some("1".into())]);
    let said = import(&["--database", "1"]);
    assert!(said.contains("1 command carried out; 6 are of other databases"), "{said}");
    assert_eq!(get(&cluster, 1, "other").as_deref(), Some("1"));
    let values = file(&cluster, "values.aof", &FILE.concat());
    let refused = cluster.run(["import", "resp", values.to_str().expect("a path")]);
    assert_eq!(refused.status.code(), Some(3), "{}", words(&refused));
    assert!(words(&refused).contains("skein import redis-rdb"), "{}", words(&refused));

    let path = file(&cluster, "cut", b"SET x 1\r\n*2\r\n$3\r\nGET\r\n");
    let cut = cluster.run(["import", "resp", path.to_str().expect("a path")]);
    assert!(words(&cut).contains("in the middle of a command"), "{}", words(&cut));
}

/// Strings of a file that takes a while.
const STRINGS: u32 = 30_000;
/// Elements of a list in it that is too large for one command.
const ELEMENTS: u32 = 12_000;

/// A file of Redis with many strings, and a large list among them.
fn large_file() -> Vec<u8> {
    fn put(bytes: &mut Vec<u8>, text: &str) {
        bytes.push(0x80);
        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let mut bytes = b"REDIS0010\xfe\x00".to_vec();
    for number in 0..STRINGS {
        if number == STRINGS / 2 {
            bytes.push(1);
            put(&mut bytes, "large");
            bytes.push(0x80);
            bytes.extend_from_slice(&ELEMENTS.to_be_bytes());
            (0..ELEMENTS).for_each(|element| put(&mut bytes, &format!("{element:0>1000}")));
        }
        bytes.push(0);
        put(&mut bytes, &format!("k{number}"));
        put(&mut bytes, &format!("{number:0>300}"));
    }
    bytes.push(0xff);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

#[test]
fn an_import_goes_on_when_its_node_dies() {
    let _beside = beside_others();
    let cluster = three();
    let path = file(&cluster, "large.rdb", &large_file());
    let mut importing = cluster
        .command(["import", "redis-rdb", path.to_str().expect("a path")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    // It goes to the first node.
    within(Duration::from_secs(60), "some keys", || get(&cluster, 2, "k500"));
    assert!(importing.try_wait().expect("a process").is_none(), "it is still at it");
    cluster.kill(1);
    let output = importing.wait_with_output().expect("ended");
    let said = words(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("{} keys imported", STRINGS + 1)), "{said}");
    assert!(!said.contains("existed"), "what it had written itself is no key that existed: {said}");
    let mut connection = cluster.redis(2);
    let (keys, elements) = within(Duration::from_secs(20), "replies", || {
        let keys = redis::cmd("DBSIZE").query::<u32>(&mut connection).ok()?;
        Some((keys, redis::cmd("LLEN").arg("large").query::<u32>(&mut connection).ok()?))
    });
    assert_eq!((keys, elements), (STRINGS + 1, ELEMENTS));
}
