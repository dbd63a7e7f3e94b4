//! The Redis face over real sockets, with keys in memory behind it.

#![allow(clippy::unwrap_used)] // the whole file is a test

mod memory;
#[path = "redis/statistics.rs"]
mod statistics;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use memory::Memory;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serve::listen;
use serve::redis::{RedisConfig, RedisFace, RedisListeners};
use types::limits::CLIENT_COMMANDS_OPEN_MAX;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    face: RedisFace,
    memory: Arc<Memory>,
    plain: u16,
    zankv: u16,
}

impl Server {
    fn start() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut RedisConfig)) -> Self {
        let mut config = RedisConfig {
            password: None,
            threads: 2,
            directory: "/data".into(),
            connections_max: 100,
            clock: Arc::new(env::OsClock),
        };
        change(&mut config);
        let (plain, zankv) = (listen::bind("127.0.0.1:0").unwrap(), listen::bind("127.0.0.1:0").unwrap());
        let port = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port();
        let (plain_port, zankv_port) = (port(&plain), port(&zankv));
        let memory = Memory::start(8, None);
        let face = RedisFace::start(config, RedisListeners { plain, zankv }, memory.clone()).unwrap();
        Self { face, memory, plain: plain_port, zankv: zankv_port }
    }

    fn client(&self) -> redis::Connection {
        redis::Client::open(format!("redis://127.0.0.1:{}/", self.plain)).unwrap().get_connection().unwrap()
    }

    fn raw(&self) -> Raw {
        Raw::connect(self.plain)
    }
}

/// A client that says exactly what the test says.
struct Raw(TcpStream);

impl Raw {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// The next bytes, as many as the wanted ones.
    #[track_caller]
    fn expect(&mut self, wanted: &str) {
        let mut got = vec![0; wanted.len()];
        let read = self.0.read_exact(&mut got);
        if got != wanted.as_bytes() {
            let (got, wanted) = (String::from_utf8_lossy(&got), &wanted[..wanted.len().min(200)]);
            panic!("{read:?}: {:.200} instead of {wanted}", got);
        }
    }

    /// Everything until the server closes.
    fn rest(&mut self) -> String {
        let mut got = Vec::new();
        match self.0.read_to_end(&mut got) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "not closed"),
        }
        String::from_utf8_lossy(&got).into_owned()
    }
}

/// A command as clients send it.
fn encoded(arguments: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n{argument}\r\n", argument.len()).into_bytes());
    }
    bytes
}

fn run<T: redis::FromRedisValue>(client: &mut redis::Connection, command: &str) -> redis::RedisResult<T> {
    let mut words = command.split(' ');
    let mut request = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        request.arg(word);
    });
    request.query(client)
}

#[test]
fn a_real_client_reads_its_writes() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(run::<Option<String>>(&mut client, "GET a").unwrap(), None);
    assert_eq!(run::<String>(&mut client, "SET a 1").unwrap(), "OK");
    assert_eq!(run::<i64>(&mut client, "INCR a").unwrap(), 2);
    assert_eq!(run::<Option<String>>(&mut client, "GET a").unwrap(), Some("2".into()));
    assert_eq!(run::<String>(&mut client, "MSET {t}b 3 {t}c 4").unwrap(), "OK");
    let values: Vec<Option<String>> = run(&mut client, "MGET a {t}b nothing {t}c").unwrap();
    assert_eq!(values, [Some("2".into()), Some("3".into()), None, Some("4".into())]);
    assert_eq!(run::<i64>(&mut client, "DBSIZE").unwrap(), 3);
    assert_eq!(run::<i64>(&mut client, "DEL a {t}b nothing").unwrap(), 2);
    let error = run::<String>(&mut client, "NOSUCH x").unwrap_err();
    assert!(error.to_string().contains("unknown command"), "{error}");
    assert!(server.face.counters().errors >= 1);
}

#[test]
fn a_pipeline_looks_as_if_it_had_run_one_after_another() {
    let server = Server::start();
    // Seven keys in several partitions; values are numbers that only this connection writes.
    let operation = (0..4u8, 0..7u8, 0..100u32);
    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    for lease in [true, false] {
        server.memory.lease.store(lease, Ordering::Relaxed);
        runner
            .run(&prop::collection::vec(operation.clone(), 1..200), |operations| {
                let mut client = server.raw();
                client.send(encoded(&["FLUSHALL"]));
                client.expect("+OK\r\n");
                let (mut request, mut wanted) = (Vec::new(), String::new());
                let mut model = std::collections::BTreeMap::new();
                for (kind, key, value) in operations {
                    let (key, text) = (format!("k{key}"), value.to_string());
                    match kind {
                        0 => {
                            request.extend(encoded(&["SET", &key, &text]));
                            wanted.push_str("+OK\r\n");
                            model.insert(key, i64::from(value));
                        }
                        1 => {
                            request.extend(encoded(&["INCRBY", &key, &text]));
                            let sum = model.entry(key).or_insert(0);
                            *sum += i64::from(value);
                            wanted.push_str(&format!(":{sum}\r\n"));
                        }
                        2 => {
                            request.extend(encoded(&["GET", &key]));
                            wanted.push_str(&model.get(&key).map_or("$-1\r\n".into(), |value| {
                                format!("${}\r\n{value}\r\n", value.to_string().len())
                            }));
                        }
                        _ => {
                            request.extend(encoded(&["DBSIZE"]));
                            wanted.push_str(&format!(":{}\r\n", model.len()));
                        }
                    }
                }
                client.send(&request);
                client.0.shutdown(Shutdown::Write).unwrap();
                prop_assert_eq!(client.rest(), wanted);
                Ok(())
            })
            .unwrap();
    }
    assert!(server.memory.submitted.load(Ordering::Relaxed) > 1000);
}

#[test]
fn bytes_may_come_in_any_pieces() {
    let server = Server::start();
    let mut client = server.raw();
    let mut request = encoded(&["SET", "key", "value"]);
    request.extend(b"GET key\r\n");
    request.extend(encoded(&["ECHO", "x"]));
    for byte in request {
        client.send([byte]);
    }
    client.expect("+OK\r\n$5\r\nvalue\r\n$1\r\nx\r\n");
    // A value that is larger than any read.
    let large = "v".repeat(3_000_000);
    client.send(encoded(&["SET", "large", &large]));
    client.send(encoded(&["GET", "large"]));
    client.expect(&format!("+OK\r\n$3000000\r\n{large}\r\n"));
}

#[test]
fn more_commands_than_may_be_in_flight_are_all_answered() {
    let server = Server::start();
    let mut client = server.raw();
    let writer = client.0.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let mut writer = writer;
        for _ in 0..20_000 {
            writer.write_all(&encoded(&["INCR", "n"])).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let answers = client.rest();
    sender.join().unwrap();
    assert_eq!(answers, (1..=20_000).map(|n| format!(":{n}\r\n")).collect::<String>());
}

#[test]
fn nothing_runs_after_quit_and_everything_before_is_answered() {
    let server = Server::start();
    let mut client = server.raw();
    client.send("SET a 1\r\nINCR a\r\nQUIT\r\nSET a 9\r\n");
    assert_eq!(client.rest(), "+OK\r\n:2\r\n+OK\r\n");
    assert_eq!(run::<i64>(&mut server.client(), "GET a").unwrap(), 2);
}

#[test]
fn so_many_commands_of_a_client_are_in_flight_and_no_more() {
    let server = Server::with(|config| config.threads = 1);
    let gate = server.memory.gate.clone();
    let closed = gate.lock().unwrap();
    let mut client = server.raw();
    client.send(encoded(&["INCR", "n"]).repeat(5 * CLIENT_COMMANDS_OPEN_MAX));
    let submitted = || server.memory.submitted.load(Ordering::Relaxed);
    let since = Instant::now();
    while submitted() < CLIENT_COMMANDS_OPEN_MAX as u64 {
        assert!(since.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    // The one worker serves others meanwhile, and had time to read more if it wanted.
    for _ in 0..20 {
        assert_eq!(run::<String>(&mut server.client(), "PING").unwrap(), "PONG");
    }
    assert_eq!(submitted(), CLIENT_COMMANDS_OPEN_MAX as u64);
    drop(closed);
    client.expect(&(1..=5 * CLIENT_COMMANDS_OPEN_MAX).map(|n| format!(":{n}\r\n")).collect::<String>());
}

#[test]
fn bytes_that_are_no_commands_get_redis_words_and_the_end() {
    let server = Server::start();
    for (bytes, answer) in [
        ("*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("PING\r\n*99999999\r\n", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"),
        ("*1\r\n+x\r\n", "-ERR Protocol error: expected '$', got '+'\r\n"),
        ("SET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ] {
        let mut client = server.raw();
        client.send(bytes);
        assert_eq!(client.rest(), answer);
    }
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    runner
        .run(&prop::collection::vec(any::<u8>(), 0..400), |bytes| {
            let mut client = server.raw();
            let _ = client.0.write_all(&bytes);
            let _ = client.0.shutdown(Shutdown::Write);
            client.rest();
            Ok(())
        })
        .unwrap();
    assert_eq!(run::<String>(&mut server.client(), "PING").unwrap(), "PONG");
}

#[test]
fn a_password_is_asked_for() {
    let server = Server::with(|config| config.password = Some(Arc::from(&b"secret"[..])));
    let mut client = server.raw();
    client.send("GET a\r\nAUTH wrong\r\nAUTH secret\r\nGET a\r\n");
    client.expect("-NOAUTH Authentication required.\r\n-WRONGPASS ");
    let mut rest = String::new();
    while !rest.ends_with("$-1\r\n") {
        let mut byte = [0];
        client.0.read_exact(&mut byte).unwrap();
        rest.push(char::from(byte[0]));
    }
    assert!(rest.ends_with("+OK\r\n$-1\r\n"), "{rest}");
    // Without it a client costs little memory.
    let mut stranger = server.raw();
    stranger.send("*1000\r\n");
    assert!(stranger.rest().contains("unauthenticated multibulk length"));
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::with(|config| config.connections_max = 2);
    let mut first = server.raw();
    let mut second = server.raw();
    for client in [&mut first, &mut second] {
        client.send("PING\r\n");
        client.expect("+PONG\r\n");
    }
    assert_eq!(server.raw().rest(), "-ERR max number of clients reached\r\n");
    drop(first);
    let since = Instant::now();
    loop {
        let mut next = server.raw();
        if next.0.write_all(b"PING\r\n").is_ok() && {
            let mut answer = [0; 7];
            next.0.read_exact(&mut answer).is_ok() && &answer == b"+PONG\r\n"
        } {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "the place is not free");
    }
    assert!(server.face.counters().connections <= 2);
}

#[test]
fn a_client_that_does_not_read_is_paused_then_cut_off() {
    let server = Server::start();
    let mut client = server.raw();
    let value = "v".repeat(1_000_000);
    client.send(encoded(&["SET", "a", &value]));
    client.expect("+OK\r\n");
    // It asks for far more than it reads; the server stops reading instead of collecting it all, and goes
    // on when the client does.
    client.0.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let get = encoded(&["GET", "a"]);
    let sent = (0..1_000_000).take_while(|_| client.0.write_all(&get).is_ok()).count();
    assert!(sent < 500_000, "the server stops reading");
    let reply = format!("$1000000\r\n{value}\r\n");
    for _ in 0..150 {
        client.expect(&reply);
    }
    drop(client);

    // One reply over the limit is an error, and the connection goes on. What could not come from another
    // node is refused here as well.
    let mut client = server.raw();
    let keys = vec!["a"; 17];
    client.send(encoded(&[&["MGET"], &keys[..16]].concat()));
    client.expect(&format!("*16\r\n{}", reply.repeat(16)));
    client.send(encoded(&[&["MGET"], &keys[..]].concat()));
    client.expect("-ERR a key, a value or a command is larger than its limit: a reply of 17");
    drop(client);
    // Replies that are in flight together are not collected without bound either.
    server.memory.lease.store(false, Ordering::Relaxed);
    let mut other = server.raw();
    other.send("PING\r\n");
    other.expect("+PONG\r\n");
    let mut client = server.raw();
    client.send(get.repeat(200));
    let since = Instant::now();
    while server.face.counters().connections > 1 {
        assert!(since.elapsed() < PATIENCE, "still connected");
        std::thread::yield_now();
    }
    drop(other);
    assert!(client.rest().len() < 150_000_000, "cut off");
    assert_eq!(run::<String>(&mut server.client(), "PING").unwrap(), "PONG");
}

#[test]
fn clients_are_listed_and_killed() {
    let server = Server::start();
    let (mut first, mut second) = (server.client(), server.client());
    run::<String>(&mut first, "CLIENT SETNAME one").unwrap();
    run::<String>(&mut second, "CLIENT SETNAME two").unwrap();
    let list: String = run(&mut first, "CLIENT LIST").unwrap();
    assert!(
        list.contains("name=one") && list.contains("name=two") && list.contains("cmd=client|list"),
        "{list}"
    );
    let id: u64 = run(&mut second, "CLIENT ID").unwrap();
    assert_eq!(run::<i64>(&mut first, &format!("CLIENT KILL ID {id}")).unwrap(), 1);
    assert!(run::<String>(&mut second, "PING").is_err());
    let info: String = run(&mut first, "CLIENT INFO").unwrap();
    assert!(
        info.contains("name=one") && info.contains(&format!("laddr=127.0.0.1:{}", server.plain)),
        "{info}"
    );
}

#[test]
fn questions_about_the_node_are_answered() {
    let server = Server::start();
    let mut client = server.client();
    for n in 0..50 {
        run::<String>(&mut client, &format!("SET key{n} v")).unwrap();
    }
    for lease in [true, false] {
        server.memory.lease.store(lease, Ordering::Relaxed);
        let info: String = run(&mut client, "INFO").unwrap();
        assert!(info.contains("keys=50"), "{info}");
        assert!(info.contains(&format!("tcp_port:{}", server.plain)), "{info}");
    }
    assert_eq!(run::<i64>(&mut client, "WAIT 1 100").unwrap(), 1);
    let (seconds, _): (u64, u64) = run(&mut client, "TIME").unwrap();
    assert!(seconds > 1_600_000_000);
    let (_, directory): (String, String) = run(&mut client, "CONFIG GET dir").unwrap();
    assert_eq!(directory, "/data");
    assert_eq!(run::<String>(&mut client, "CONFIG SET timeout 7").unwrap(), "OK");
    let (_, timeout): (String, String) = run(&mut client, "CONFIG GET timeout").unwrap();
    assert_eq!(timeout, "7");
}

#[test]
fn an_idle_client_is_disconnected_when_a_timeout_is_set() {
    let server = Server::start();
    let mut idle = server.raw();
    run::<String>(&mut server.client(), "CONFIG SET timeout 1").unwrap();
    assert_eq!(idle.rest(), "");
}

#[test]
fn walks_go_through_all_partitions() {
    let server = Server::start();
    let mut client = server.client();
    let wanted: std::collections::BTreeSet<String> = (0..500).map(|n| format!("key{n}")).collect();
    for key in &wanted {
        run::<String>(&mut client, &format!("SET {key} v")).unwrap();
    }
    let (mut cursor, mut seen) = (0u64, std::collections::BTreeSet::new());
    loop {
        let (next, keys): (u64, Vec<String>) = run(&mut client, &format!("SCAN {cursor} COUNT 20")).unwrap();
        seen.extend(keys);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, wanted);
    let keys: std::collections::BTreeSet<String> = run(&mut client, "KEYS *").unwrap();
    assert_eq!(keys, wanted);
    let random: String = run(&mut client, "RANDOMKEY").unwrap();
    assert!(wanted.contains(&random));
    assert_eq!(run::<String>(&mut client, "FLUSHALL").unwrap(), "OK");
    assert_eq!(run::<i64>(&mut client, "DBSIZE").unwrap(), 0);
    assert_eq!(run::<Option<String>>(&mut client, "RANDOMKEY").unwrap(), None);
}

#[test]
fn the_other_port_addresses_as_zankv() {
    let server = Server::start();
    let mut client = Raw::connect(server.zankv);
    client.send(encoded(&["SET", "cp:orders:7", "x"]));
    client.send(encoded(&["GET", "cp:orders:7"]));
    client.send(encoded(&["KEYS", "*"]));
    // A pattern is about the whole name.
    client.send(encoded(&["KEYS", "cp:or*"]));
    client.send(encoded(&["KEYS", "orders:*"]));
    client.send(encoded(&["GET", "cp:nothing:7"]));
    let found = "*1\r\n$11\r\ncp:orders:7\r\n";
    client.expect(&format!("+OK\r\n$1\r\nx\r\n{found}{found}*0\r\n-ERR "));
    let mut plain = server.raw();
    plain.send(encoded(&["GET", "cp:orders:7"]));
    plain.expect("$-1\r\n");
}

#[test]
fn stopping_the_face_ends_its_connections_and_frees_its_ports() {
    let server = Server::start();
    let mut client = server.raw();
    client.send("PING\r\n");
    client.expect("+PONG\r\n");
    let Server { face, plain, .. } = server;
    drop(face);
    assert_eq!(client.rest(), "");
    assert!(listen::bind(&format!("127.0.0.1:{plain}")).is_ok());
}
