//! Clients that wait for elements: on every node, for each other's pushes, through changes of leaders.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use api::admin::{OperationRequest, StartOperation, Verdict};
use bytes::BytesMut;
use proto_redis::{Protocol, Reply, ReplyDecoder};

use super::SKEIN;
use super::support::{Cluster, PATIENCE, Shape, beside_others, until};

/// Clients that wait at once in the test of many.
const MANY: usize = 1000;
/// Clients that wait while a leader is killed.
const WAITING: usize = 30;

/// One connection, whose commands and replies come apart.
struct Connection {
    stream: TcpStream,
    decoder: ReplyDecoder,
    received: BytesMut,
}

impl Connection {
    fn open(cluster: &Cluster, node: u64) -> Self {
        let address = cluster.addresses(node).redis;
        let stream = until("a connection", || TcpStream::connect(address.to_string()).ok());
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, decoder: ReplyDecoder::new(), received: BytesMut::new() }
    }

    fn send(&mut self, command: &str) {
        let words = command.split(' ').map(|word| Reply::bulk(word.to_owned())).collect();
        let mut bytes = BytesMut::new();
        Reply::Array(words).encode(Protocol::Resp2, &mut bytes);
        self.stream.write_all(&bytes).expect("a command that leaves");
    }

    /// The next reply; an error if the connection ended first.
    fn reply(&mut self) -> std::io::Result<Reply> {
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.received).expect("a reply") {
                return Ok(reply);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => self.received.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn ask(&mut self, command: &str) -> Reply {
        self.send(command);
        self.reply().expect("a reply")
    }
}

/// A cluster of three nodes with one partition, so that all keys lie together.
fn three_with_one_partition() -> Cluster {
    Cluster::start(SKEIN, Shape { partitions: 1, ..Shape::default() })
}

/// Clients of a node that wait for an element.
fn waiting_at(cluster: &Cluster, node: u64) -> usize {
    info(cluster, node, "blocked_clients:")
}

/// Clients of all nodes that wait at a node's leaders.
fn in_line_at(cluster: &Cluster, node: u64) -> usize {
    info(cluster, node, "skein_clients_in_line:")
}

fn info(cluster: &Cluster, node: u64, field: &str) -> usize {
    let mut connection = cluster.redis(node);
    let info: String = redis::cmd("INFO").arg("clients").query(&mut connection).expect("INFO");
    let line = info.lines().find_map(|line| line.strip_prefix(field)).expect("a number");
    line.trim().parse().expect("a number")
}

/// Sends a command that waits, and returns once it does.
fn wait(cluster: &Cluster, node: u64, command: &str) -> Connection {
    let before = waiting_at(cluster, node);
    let mut connection = Connection::open(cluster, node);
    connection.send(command);
    until("a client that waits", || (waiting_at(cluster, node) > before).then_some(()));
    connection
}

fn bulks(items: &[&str]) -> Reply {
    Reply::Array(items.iter().map(|item| Reply::bulk((*item).to_owned())).collect())
}

fn leader(cluster: &Cluster) -> u64 {
    until("a leader", || {
        let status = cluster.client().status().ok()?;
        status.partitions.iter().find(|partition| partition.table == "default")?.leader
    })
}

/// Pushes until a push is acknowledged; returns how often it was tried.
fn push(cluster: &Cluster, node: u64, key: &str, element: &str) -> usize {
    let mut connection = cluster.redis(node);
    let mut attempts = 0;
    until("an acknowledged push", || {
        attempts += 1;
        redis::cmd("RPUSH").arg(key).arg(element).query::<u64>(&mut connection).ok()
    });
    attempts
}

#[test]
fn who_has_waited_longest_is_first_whatever_the_node() {
    let _beside = beside_others();
    let cluster = three_with_one_partition();
    cluster.becomes(Verdict::Healthy);
    let leads = leader(&cluster);
    let mut line = Vec::new();
    for place in 0..9 {
        line.push(wait(&cluster, 1 + place % 3, "BLPOP queue 0"));
        // Whoever begins in the same millisecond comes in the order of arrival there.
        until("a place in the line", || (in_line_at(&cluster, leads) == line.len()).then_some(()));
    }
    for (place, connection) in line.iter_mut().enumerate() {
        let element = place.to_string();
        push(&cluster, 1 + (place as u64 + 1) % 3, "queue", &element);
        assert_eq!(connection.reply().expect("an element"), bulks(&["queue", &element]));
    }
    // Several at once: one for each of those who wait.
    let mut line: Vec<Connection> =
        (0..6).map(|place| wait(&cluster, 1 + place % 3, "BLPOP other queue 0")).collect();
    let mut pusher = Connection::open(&cluster, 2);
    assert_eq!(pusher.ask("RPUSH queue a b c d e f g"), Reply::Integer(7));
    let replies: BTreeSet<String> =
        line.iter_mut().map(|connection| format!("{:?}", connection.reply().expect("an element"))).collect();
    assert_eq!(replies.len(), 6, "{replies:?}");
    assert_eq!(pusher.ask("LLEN queue"), Reply::Integer(1), "what nobody waited for stays");
    assert!((1..=3).all(|node| waiting_at(&cluster, node) == 0));
}

#[test]
fn every_command_that_waits_is_woken_by_whatever_brings_an_element() {
    let _beside = beside_others();
    let cluster = three_with_one_partition();
    let mut other = Connection::open(&cluster, 1);
    let one = |member: &str| Reply::Array(vec![bulks(&[member, "1"])]);
    let cases = [
        ("BLPOP a b 0", "LPUSH b x", bulks(&["b", "x"])),
        ("BRPOP a 100", "RPUSH a x", bulks(&["a", "x"])),
        ("BLMOVE a c LEFT RIGHT 0", "RPUSH a x", Reply::text("x")),
        ("BRPOPLPUSH a c 0", "RPUSH a y", Reply::text("y")),
        ("BLMPOP 0 2 a b LEFT COUNT 5", "RPUSH b x", Reply::Array(vec![Reply::text("b"), bulks(&["x"])])),
        ("BZPOPMIN a z 0", "ZADD z 1 m", bulks(&["z", "m", "1"])),
        ("BZPOPMAX z 0", "ZINCRBY z 1 m", bulks(&["z", "m", "1"])),
        ("BZMPOP 0 1 z MIN", "ZADD z 1 m", Reply::Array(vec![Reply::text("z"), one("m")])),
        // By a command that moves, renames, copies or computes, and by another one that waited.
        ("BLPOP a 0", "LMOVE c a LEFT LEFT", bulks(&["a", "y"])),
        ("BLPOP a 0", "RENAME c a", bulks(&["a", "x"])),
        ("BZPOPMIN z 0", "ZUNIONSTORE z 1 source", bulks(&["z", "s", "1"])),
        ("BZPOPMIN z 0", "COPY source z", bulks(&["z", "s", "1"])),
    ];
    other.ask("ZADD source 1 s");
    for (node, (waits, brings, reply)) in cases.into_iter().enumerate() {
        let mut connection = wait(&cluster, 1 + node as u64 % 3, waits);
        let brought = other.ask(brings);
        assert!(!brought.is_error(), "{brings}: {brought:?}");
        assert_eq!(connection.reply().expect("a reply"), reply, "{waits}, then {brings}");
    }
    // One after the other, as a chain.
    let mut last = wait(&cluster, 3, "BLPOP chain2 0");
    let mut first = wait(&cluster, 2, "BLMOVE chain1 chain2 LEFT RIGHT 0");
    other.ask("MULTI");
    other.ask("RPUSH chain1 link");
    assert_eq!(other.ask("EXEC"), Reply::Array(vec![Reply::Integer(1)]));
    assert_eq!(first.reply().expect("a link"), Reply::text("link"));
    assert_eq!(last.reply().expect("a link"), bulks(&["chain2", "link"]));
    // What is not waited for does not wake: a string, a set, another key. An error does.
    let mut waiting = wait(&cluster, 2, "BLMOVE src dst LEFT LEFT 0");
    for command in ["SET src text", "DEL src", "SADD src member", "DEL src", "RPUSH other x", "SET dst text"]
    {
        other.ask(command);
    }
    other.ask("RPUSH src element");
    let error = waiting.reply().expect("a reply");
    assert!(matches!(&error, Reply::Error(text) if text.to_string().starts_with("WRONGTYPE")), "{error:?}");
    assert_eq!(other.ask("LLEN src"), Reply::Integer(1), "nothing was taken");
}

#[test]
fn a_wait_ends_with_its_time_its_client_or_a_word() {
    let _beside = beside_others();
    let cluster = three_with_one_partition();
    let mut other = Connection::open(&cluster, 1);
    let began = std::time::Instant::now();
    assert_eq!(Connection::open(&cluster, 2).ask("BLPOP queue 0.3"), Reply::NullArray);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());

    // Whoever goes takes nothing along, and what was sent behind a wait comes after it.
    let gone = wait(&cluster, 3, "BLPOP queue 0");
    let mut stays = wait(&cluster, 2, "BLPOP queue 0");
    stays.send("PING");
    drop(gone);
    until("the end of a client", || (waiting_at(&cluster, 3) == 0).then_some(()));
    other.ask("RPUSH queue x");
    assert_eq!(stays.reply().expect("an element"), bulks(&["queue", "x"]));
    assert_eq!(stays.reply().expect("a pong"), Reply::simple("PONG"));

    let mut unblocked = Connection::open(&cluster, 1);
    let Reply::Integer(id) = unblocked.ask("CLIENT ID") else { panic!("no id") };
    for (how, wanted) in [("", "NullArray"), (" TIMEOUT", "NullArray"), (" ERROR", "UNBLOCKED")] {
        unblocked.send("BLPOP queue 0");
        until("a client that is unblocked", || {
            (other.ask(&format!("CLIENT UNBLOCK {id}{how}")) == Reply::Integer(1)).then_some(())
        });
        let reply = format!("{:?}", unblocked.reply().expect("a reply"));
        assert!(reply.contains(wanted), "{how}: {reply}");
        assert_eq!(other.ask(&format!("CLIENT UNBLOCK {id}")), Reply::Integer(0), "it does not wait");
    }
    unblocked.send("BLPOP queue 0");
    until("a client in the list", || {
        let list = format!("{:?}", other.ask(&format!("CLIENT LIST ID {id}")));
        list.contains("flags=b").then_some(())
    });
    assert_eq!(other.ask(&format!("CLIENT KILL ID {id}")), Reply::Integer(1));
    assert!(unblocked.reply().is_err(), "the connection is closed");
    push(&cluster, 1, "queue", "y");
    assert_eq!(other.ask("LPOP queue"), Reply::text("y"), "nobody is in line any more");
}

#[test]
fn clients_wait_through_changes_of_leader() {
    let _beside = beside_others();
    let cluster = three_with_one_partition();
    cluster.becomes(Verdict::Healthy);
    let mut line: Vec<Connection> =
        (0..12).map(|place| wait(&cluster, 1 + place % 3, "BLPOP queue 0")).collect();
    for round in 0..3 {
        let from = leader(&cluster);
        let to = from % 3 + 1;
        let wish = OperationRequest {
            kind: "change-leader".into(),
            table: Some("default".into()),
            partitions: vec![0],
            to: Some(to),
            ..Default::default()
        };
        let wish = StartOperation { request: wish, planned: None, by: None };
        let client = cluster.client();
        until("an operation that is started", || client.start_operation(&wish).ok());
        until("everybody in line at the new leader", || {
            (in_line_at(&cluster, to) == line.len()).then_some(())
        });
        for place in 0..4 {
            let element = format!("{round}:{place}");
            push(&cluster, 1 + place % 3, "queue", &element);
            let first = line.remove(0).reply().expect("an element");
            assert_eq!(first, bulks(&["queue", &element]), "the order outlives leaders");
        }
    }
}

#[test]
fn a_killed_leader_loses_no_element_and_gives_none_twice() {
    let _beside = beside_others();
    let cluster = three_with_one_partition();
    cluster.becomes(Verdict::Healthy);
    let killed = leader(&cluster);
    let nodes: Vec<u64> = (1..=3).filter(|node| *node != killed).collect();
    let mut line: Vec<Connection> =
        (0..WAITING).map(|place| wait(&cluster, nodes[place % 2], "BLPOP queue 0")).collect();
    // Every push is tried until it is acknowledged; one whose answer was lost may have happened as well.
    let mut pushed: BTreeMap<String, usize> = BTreeMap::new();
    for element in 0..2 * WAITING {
        if element == WAITING / 2 {
            cluster.kill(killed);
        }
        let element = element.to_string();
        let attempts = push(&cluster, nodes[element.len() % 2], "queue", &element);
        pushed.insert(element, attempts);
    }
    let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |element: &Reply| match element {
        Reply::Bulk(bytes) => {
            *delivered.entry(String::from_utf8(bytes.to_vec()).expect("a number")).or_default() += 1;
        }
        other => panic!("{other:?}"),
    };
    for connection in &mut line {
        match connection.reply().expect("an element") {
            Reply::Array(items) if items.len() == 2 => count(&items[1]),
            other => panic!("{other:?}"),
        }
    }
    let mut connection = Connection::open(&cluster, nodes[1]);
    loop {
        match connection.ask("LPOP queue") {
            Reply::Null => break,
            element => count(&element),
        }
    }
    for (element, attempts) in &pushed {
        let times = delivered.remove(element).unwrap_or(0);
        assert!((1..=*attempts).contains(&times), "{element} came {times} times, {attempts} pushes");
    }
    assert_eq!(delivered, BTreeMap::new(), "nobody pushed these");
}

#[test]
fn a_thousand_clients_wait_at_once() {
    let _beside = beside_others();
    let cluster = three_with_one_partition();
    let mut line: Vec<Connection> = (0..MANY)
        .map(|place| {
            let mut connection = Connection::open(&cluster, 1 + place as u64 % 3);
            connection.send("BLPOP queue 0");
            connection
        })
        .collect();
    let waiting = || (1..=3).map(|node| waiting_at(&cluster, node)).sum::<usize>();
    until("a thousand clients that wait", || (waiting() == MANY).then_some(()));
    let began = std::time::Instant::now();
    let mut pusher = Connection::open(&cluster, 1);
    for hundred in 0..MANY / 100 {
        let elements: Vec<String> = (0..100).map(|element| (hundred * 100 + element).to_string()).collect();
        pusher.ask(&format!("RPUSH queue {}", elements.join(" ")));
    }
    let elements: BTreeSet<String> =
        line.iter_mut().map(|connection| format!("{:?}", connection.reply().expect("an element"))).collect();
    eprintln!("{MANY} clients were served in {} ms", began.elapsed().as_millis());
    assert_eq!(elements.len(), MANY, "each element goes to one client");
    assert_eq!(pusher.ask("EXISTS queue"), Reply::Integer(0));
}
