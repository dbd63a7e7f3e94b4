//! ZanKV's backup tool and restore tool: files of all types, namespaces, damage, kills, and names of two types.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use api::kv::{ContentKind, Element, Piece};
use backup::zankv::ZankvWriter;
use bytes::Bytes;

use super::SKEIN;
use super::backup::{Place, fill, json, succeed};
use super::support::{Cluster, Shape, beside_others, until, within, words};
use super::zankv::zankv;

/// One of ZanKV's tools, ready to run.
fn tool_command(cluster: &Cluster, name: &str, arguments: &[&str]) -> Command {
    let lookup: Vec<String> = cluster.nodes().iter().map(|node| cluster.addresses(*node).http).collect();
    let mut command = Command::new(SKEIN);
    command.arg(name).args(["-lookup", &lookup.join(","), "-dir"]).arg(cluster.directory().path());
    command.args(arguments);
    command
}

/// Runs one of ZanKV's tools.
fn tool(cluster: &Cluster, name: &str, arguments: &[&str]) -> Output {
    tool_command(cluster, name, arguments).output().expect("the binary")
}

/// Restores a file at full speed.
fn restore(cluster: &Cluster, file: &Path, more: &[&str]) -> Output {
    let file = file.display().to_string();
    tool(cluster, "zankv-restore", &[&["-data", &file, "-qps", "100000"], more].concat())
}

/// A cluster of one node.
fn one() -> Cluster {
    Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() })
}

/// A file of ZanKV's with these keys, the elements of each numbered.
fn file(place: &Place, name: &str, kind: ContentKind, keys: &[(&str, usize)]) -> PathBuf {
    let path = place.0.path().join(name);
    let out = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    let mut writer = ZankvWriter::new(out, "default", "default", kind).expect("written");
    for (key, count) in keys {
        let element = |number: usize| {
            let name = Bytes::from(format!("{number:0>200}"));
            match kind {
                ContentKind::Hash => Element { name: name.clone(), value: name, score: 0.0 },
                ContentKind::List => Element { value: name, ..Default::default() },
                _ => Element { name, ..Default::default() },
            }
        };
        let (value, elements) = match kind {
            ContentKind::String => (Bytes::from(format!("{count}")), Vec::new()),
            _ => (Bytes::new(), (0..*count).map(element).collect()),
        };
        let piece = Piece { kind: kind as i32, value, elements, ..Default::default() };
        writer.write(key.as_bytes(), &piece).expect("written");
    }
    std::io::Write::flush(&mut writer.finish()).expect("written");
    path
}

#[test]
fn tools_of_zankv_write_and_read_its_files() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 3, ..Shape::default() });
    fill(&cluster);
    let place = Place::new();
    let data = place.0.path().display().to_string();
    let table = ["-ns", "default", "-table", "default"];
    let save =
        |more: &[&str]| tool(&cluster, "zankv-backup", &[&table[..], &["-data_dir", &data], more].concat());

    let output = save(&["-type", "all,kv"]);
    assert!(!output.status.success() && words(&output).contains("all"), "{}", words(&output));
    let output = save(&["-qps", "100000"]);
    assert!(output.status.success(), "{}", words(&output));
    let said = words(&output);
    assert!(said.contains("backup finished.") && said.contains("total backuped 60"), "{said}");
    assert!(said.contains("100 keys had a TTL"), "{said}");
    let names: Vec<String> = place
        .files(".db")
        .iter()
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let kinds: Vec<&str> = names.iter().filter_map(|name| name.split(':').next()).collect();
    assert_eq!(kinds, ["hash", "kv", "list", "set", "zset"]);
    let set = place.files(".db").remove(3);
    let head = std::fs::read(&set).expect("a file");
    assert!(head.starts_with(b"ZANKV0001\0\0\0\x07default\0\0\0\x07default\x02"));
    let again = save(&["-qps", "100000"]);
    assert!(words(&again).contains("file is already exist"), "{}", words(&again));
    assert_eq!(again.status.code(), Some(3), "nothing at all was saved");

    // The rate is that of all types together: 120 keys.
    let slow = Place::new();
    let began = Instant::now();
    let directory = slow.0.path().display().to_string();
    let arguments = [&table[..], &["-data_dir", &directory, "-type", "kv,hash", "-qps", "50"]].concat();
    assert!(tool(&cluster, "zankv-backup", &arguments).status.success());
    let took = began.elapsed().as_secs_f64();
    assert!(took > 120.0 / 50.0 - 0.5, "120 keys in {took} s are more than 50 a second");

    // Into another table: every type is there; a second time everything exists.
    succeed(&cluster, &["table", "create", "copy"]);
    let restore = |file: &Path, more: &[&str]| {
        restore(&cluster, file, &[&["-ns", "default", "-table", "copy"], more].concat())
    };
    for file in place.files(".db") {
        for existed in [0, 60] {
            let said = words(&restore(&file, &[]));
            assert!(said.contains(&format!("restore finished. [total=60, existed={existed}]")), "{said}");
        }
    }
    let other = Place::new();
    let check = |table: &str| {
        let taken = json(&cluster, &["backup", "create", "--to", &other.url(), "--table", table]);
        taken["saved"]["digest"].as_str().expect("a digest").to_owned()
    };
    let mut connection = cluster.redis(1);
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).expect("keys");
    for key in keys {
        redis::cmd("PERSIST").arg(key).query::<()>(&mut connection).expect("persisted");
    }
    assert_eq!(check("copy"), check("default"), "all but what the format cannot carry");

    // Without a prefix in its name a file does not tell whether it holds a set or a list.
    let renamed = place.0.path().join("copy.db");
    std::fs::copy(&set, &renamed).expect("copied");
    let output = restore(&renamed, &[]);
    assert!(!output.status.success() && words(&output).contains("say it with -type"), "{}", words(&output));
    assert!(restore(&renamed, &["-type", "set"]).status.success());
    let cut = place.0.path().join("set:cut.db");
    std::fs::write(&cut, &head[..head.len() - 3]).expect("written");
    let output = restore(&cut, &["-overwrite"]);
    let said = words(&output);
    assert!(
        !output.status.success() && said.contains("set:cut.db, byte ") && said.contains("restored before it"),
        "{said}"
    );
}

#[test]
fn tools_of_zankv_know_namespaces() {
    let _beside = beside_others();
    let cluster = one();
    // A table of its own, made before every name worked.
    succeed(&cluster, &["table", "create", "flow"]);
    for name in ["default", "shop"] {
        succeed(&cluster, &["namespace", "create", name, "--partitions", "4", "--replicas", "1"]);
    }
    let mut connection = zankv(&cluster, 1);
    let keys = ["default:orders:1", "default:carts:1", "default:flow:1", "shop:orders:1", "shop:carts:1"];
    for key in keys {
        until("a key", || redis::cmd("SET").arg(key).arg(key).query::<()>(&mut connection).ok());
    }
    let place = Place::new();
    let data = place.0.path().display().to_string();
    for (namespace, table) in [("default", "orders"), ("default", "flow"), ("shop", "orders")] {
        let arguments = ["-ns", namespace, "-table", table, "-data_dir", &data, "-type", "kv"];
        let said = words(&tool(&cluster, "zankv-backup", &arguments));
        assert!(said.contains("[kv] total backuped 1,"), "{namespace}:{table}: {said}");
        let lost = format!("{namespace}:{table}:1");
        redis::cmd("DEL").arg(&lost).query::<()>(&mut connection).expect("removed");
        let end = format!(":{namespace}:{table}.db");
        let path = place.files(&end).pop().expect("a file");
        let held = std::fs::read(&path).expect("a file");
        assert!(held.ends_with(format!("\0\0\0\x011\0\0\0{}{lost}", lost.len() as u8 as char).as_bytes()));
        // The file says where it belongs.
        let output = restore(&cluster, &path, &[]);
        assert!(output.status.success(), "{}", words(&output));
        let value: Option<String> = redis::cmd("GET").arg(&lost).query(&mut connection).expect("a reply");
        assert_eq!(value.as_deref(), Some(&lost[..]));
        // Unless somebody says it.
        let output = restore(&cluster, &path, &["-ns", "shop", "-table", "other", "-overwrite"]);
        assert!(output.status.success(), "{}", words(&output));
        let value: Option<String> =
            redis::cmd("GET").arg("shop:other:1").query(&mut connection).expect("a reply");
        assert_eq!(value.as_deref(), Some(&lost[..]));
    }
    let output = restore(&cluster, &place.files("shop:orders.db")[0], &["-ns", "nowhere"]);
    assert!(!output.status.success() && words(&output).contains("unknown-"), "{}", words(&output));
}

/// Members of a set that takes some seconds to restore.
const MEMBERS: usize = 120_000;

#[test]
fn a_restore_that_breaks_off_leaves_nothing_that_looks_whole() {
    let _beside = beside_others();
    let cluster = one();
    let place = Place::new();
    let mut connection = cluster.redis(1);
    let mut ask = |command: &str, key: &str| {
        let mut asked = redis::cmd(command);
        if !key.is_empty() {
            asked.arg(key);
        }
        within(Duration::from_secs(20), "a reply", || asked.query::<i64>(&mut connection).ok())
    };

    // Cut off: what came before is there, of the last key nothing.
    let whole = file(&place, "set:whole.db", ContentKind::Set, &[("small", 3), ("large", 5000)]);
    let bytes = std::fs::read(&whole).expect("a file");
    let cut = place.0.path().join("set:cut.db");
    std::fs::write(&cut, &bytes[..bytes.len() - 7]).expect("written");
    let output = restore(&cluster, &cut, &[]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("byte {}", bytes.len() - 7)), "{said}");
    assert!(said.contains("restored before it: 1 keys; nothing of 'large'"), "{said}");
    assert_eq!((ask("EXISTS", "small"), ask("EXISTS", "large")), (1, 0));
    let output = restore(&cluster, &whole, &[]);
    assert!(words(&output).contains("[total=2, existed=1]"), "{}", words(&output));
    assert_eq!(ask("SCARD", "large"), 5000);

    // Killed: the part that is stored is no key, and the repeat does not take it for one.
    let huge = file(&place, "set:huge.db", ContentKind::Set, &[("huge", MEMBERS)]);
    let data = huge.display().to_string();
    let mut running = tool_command(&cluster, "zankv-restore", &["-data", &data])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    // What is not finished is counted, as what has expired is.
    within(Duration::from_secs(20), "a part of the set", || (ask("DBSIZE", "") > 2).then_some(()));
    running.kill().expect("killed");
    running.wait().expect("ended");
    assert_eq!((ask("DBSIZE", ""), ask("EXISTS", "huge"), ask("SCARD", "huge")), (3, 0, 0));
    let output = restore(&cluster, &huge, &[]);
    assert!(words(&output).contains("[total=1, existed=0]"), "{}", words(&output));
    assert_eq!((ask("SCARD", "huge"), ask("TTL", "huge")), (MEMBERS as i64, -1));
}

#[test]
fn a_key_in_several_records_is_put_together() {
    let _beside = beside_others();
    let cluster = one();
    let place = Place::new();
    let mut connection = cluster.redis(1);
    let parts = [("k", 3), ("other", 1), ("k", 5)];
    for (kind, count) in
        [(ContentKind::Set, "SCARD"), (ContentKind::Hash, "HLEN"), (ContentKind::List, "LLEN")]
    {
        let name = format!("{}:parts.db", kind.name());
        let output = restore(&cluster, &file(&place, &name, kind, &parts), &[]);
        assert!(words(&output).contains("[total=2, existed=0]"), "{}", words(&output));
        let held: i64 = redis::cmd(count).arg("k").query(&mut connection).expect("a number");
        // Members that came before are the same; elements of a list are not.
        assert_eq!(held, if kind == ContentKind::List { 8 } else { 5 });
        redis::cmd("FLUSHALL").query::<()>(&mut connection).expect("removed");
    }
}

#[test]
fn names_of_two_types_are_told() {
    let _beside = beside_others();
    let cluster = one();
    let place = Place::new();
    let mut connection = cluster.redis(1);
    let names: Vec<String> = (0..12).map(|number| format!("u:{number}")).collect();
    let keys: Vec<(&str, usize)> = names.iter().map(|name| (&name[..], 2)).collect();
    let strings = file(&place, "kv:2026-01-02:default:default.db", ContentKind::String, &keys[..11]);
    let hashes = file(&place, "hash:2026-01-02:default:default.db", ContentKind::Hash, &keys);
    assert!(restore(&cluster, &strings, &[]).status.success());

    let output = restore(&cluster, &hashes, &["-on-conflict", "fail"]);
    assert!(!output.status.success() && words(&output).contains("key-exists"), "{}", words(&output));
    let output = restore(&cluster, &hashes, &[]);
    let said = words(&output);
    assert!(said.contains("[total=12, existed="), "{said}");
    assert_eq!(said.matches("exists, and is no hash: it stays").count(), 10, "{said}");
    assert!(said.contains("11 names of the file exist as another type, and were not restored"), "{said}");
    let kind: String = redis::cmd("TYPE").arg("u:3").query(&mut connection).expect("a type");
    assert_eq!(kind, "string");
    for existed in [1, 12] {
        // Also with -overwrite: what is another type is not the file's.
        let output = restore(&cluster, &hashes, &["-on-conflict", "rename"]);
        let said = words(&output);
        assert!(said.contains(&format!("[total=12, existed={existed}]")), "{said}");
        assert!(said.contains("stored as NAME.hash"), "{said}");
    }
    let output = restore(&cluster, &hashes, &["-on-conflict", "rename", "-overwrite"]);
    assert!(words(&output).contains("[total=12, existed=0]"), "{}", words(&output));
    for name in &names[..11] {
        let value: String = redis::cmd("GET").arg(name).query(&mut connection).expect("the string");
        assert_eq!(value, "2");
        let fields: i64 =
            redis::cmd("HLEN").arg(format!("{name}.hash")).query(&mut connection).expect("the hash");
        assert_eq!(fields, 2);
    }
    assert_eq!(redis::cmd("HLEN").arg("u:11").query::<i64>(&mut connection).ok(), Some(2));
}
