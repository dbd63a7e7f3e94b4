//! What is counted of writes and scans, and the slow log, on a clock that the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use env::{Clock, Moment};
use types::GroupId;
use types::buckets::BUCKETS;

use super::{PATIENCE, Raw, Server, encoded, run};

/// Stands still until it is told to go on.
#[derive(Default)]
struct Hands(AtomicU64);

impl Hands {
    fn go_on(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }

    fn wall_millis(&self) -> u64 {
        1_700_000_000_000
    }
}

fn start() -> (Server, Arc<Hands>) {
    let hands = Arc::new(Hands::default());
    let clock = hands.clone();
    (Server::with(move |config| config.clock = clock), hands)
}

/// Sends a command that the backend holds back until so much time has passed on the clock.
fn take(server: &Server, hands: &Hands, client: &mut Raw, command: &[&str], time: Duration, reply: &str) {
    let gate = server.memory.gate.lock().unwrap();
    let before = server.memory.submitted.load(Ordering::Relaxed);
    client.send(encoded(command));
    let begun = Instant::now();
    while server.memory.submitted.load(Ordering::Relaxed) == before {
        assert!(begun.elapsed() < PATIENCE, "never submitted");
        std::thread::yield_now();
    }
    // It is on its way: whatever the clock shows from now on is after its beginning.
    hands.go_on(time);
    drop(gate);
    client.expect(reply);
}

#[test]
fn a_write_of_3_ms_is_in_the_third_bucket() {
    let (server, hands) = start();
    let mut client = server.raw();
    take(&server, &hands, &mut client, &["SET", "a", "1"], Duration::from_millis(3), "+OK\r\n");
    let value = "x".repeat(2000);
    take(&server, &hands, &mut client, &["SET", "a", &value], Duration::from_micros(1_023), "+OK\r\n");
    // Neither a read nor a write to several partitions.
    client.send(encoded(&["GET", "a"]));
    client.expect("$2000\r\n");
    client.expect(&format!("{value}\r\n"));
    client.send(encoded(&["DEL", "a", "b", "c", "d", "e"]));
    client.expect(":1\r\n");
    let counts = server.face.written();
    assert_eq!(counts.len(), 1, "{counts:?}");
    let (group, counted) = counts.into_iter().next().unwrap();
    assert!((100..108).contains(&group.get()), "a partition of the default table: {group}");
    assert_eq!((counted.micros, counted.bytes), (4_023, 5 + 2_004));
    let counted = counted.counts;
    let mut expected = [0; BUCKETS];
    (expected[0], expected[2]) = (1, 1);
    assert_eq!((counted.latencies, counted.sizes), (expected, expected), "SET a x…: 2,004 bytes");
    // With one key it is a write like any other.
    take(&server, &hands, &mut client, &["DEL", "a"], Duration::from_millis(3), ":0\r\n");
    let counted = server.face.written()[&group].counts;
    assert_eq!((counted.latencies[2], counted.sizes[0]), (2, 2));
}

#[test]
fn writes_of_the_other_port_and_scans_are_counted() {
    let (server, hands) = start();
    let mut client = Raw::connect(server.zankv);
    take(&server, &hands, &mut client, &["SET", "cp:orders:1", "v"], Duration::from_millis(20), "+OK\r\n");
    let counts = server.face.written();
    assert!(counts.keys().all(|group| (200..204).contains(&group.get())), "{counts:?}");
    assert_eq!(counts.values().map(|written| written.counts.latencies[5]).sum::<u64>(), 1, "16 to 32 ms");
    let mut client = server.client();
    let _: (String, Vec<String>) = run(&mut client, "SCAN 0").unwrap();
    let (scans, latencies) = server.face.scan_counts();
    assert_eq!((scans, latencies[0]), (1, 1));
    assert!(!server.face.written().contains_key(&GroupId(999)));
}

#[test]
fn slow_commands_are_noted_as_in_redis() {
    let (server, hands) = start();
    let mut client = server.raw();
    let slow = Duration::from_millis(10);
    take(&server, &hands, &mut client, &["SET", "a", "1"], slow, "+OK\r\n");
    take(&server, &hands, &mut client, &["SET", "a", "2"], slow - Duration::from_micros(1), "+OK\r\n");
    client.send(encoded(&["CLIENT", "SETNAME", "me"]));
    client.expect("+OK\r\n");
    take(&server, &hands, &mut client, &["SET", "key", "3"], slow + slow, "+OK\r\n");
    client.send(encoded(&["SLOWLOG", "LEN"]));
    client.expect(":2\r\n");
    let address = client.0.local_addr().unwrap().to_string();
    let entry = |id: u64, micros: u64, args: &[&str], name: &str| {
        let args = String::from_utf8(encoded(args)).unwrap();
        format!(
            "*6\r\n:{id}\r\n:1700000000\r\n:{micros}\r\n{args}${}\r\n{address}\r\n${}\r\n{name}\r\n",
            address.len(),
            name.len()
        )
    };
    client.send(encoded(&["SLOWLOG", "GET"]));
    let newest = entry(1, 20_000, &["SET", "key", "3"], "me");
    client.expect(&format!("*2\r\n{newest}{}", entry(0, 10_000, &["SET", "a", "1"], "")));
    client.send(encoded(&["SLOWLOG", "GET", "1"]));
    client.expect(&format!("*1\r\n{newest}"));
    client.send(encoded(&["SLOWLOG", "RESET"]));
    client.expect("+OK\r\n");
    client.send(encoded(&["SLOWLOG", "GET", "-1"]));
    client.expect("*0\r\n");
    assert_eq!(server.face.counters().slow_commands, 2);
}

#[test]
fn the_slow_log_is_set_while_it_runs() {
    let (server, hands) = start();
    let mut client = server.client();
    let get: Vec<String> = run(&mut client, "CONFIG GET slowlog*").unwrap();
    assert_eq!(get, ["slowlog-log-slower-than", "10000", "slowlog-max-len", "128"]);
    // With 0 everything is slow; what sets it is noted already.
    let _: () = run(&mut client, "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 2").unwrap();
    let _: () = run(&mut client, "PING").unwrap();
    assert!(run::<()>(&mut client, "AUTH secret").is_err(), "there is no password");
    assert_eq!(run::<u64>(&mut client, "SLOWLOG LEN").unwrap(), 2, "the ring is full");
    let entries: Vec<(u64, u64, u64, Vec<String>, String, String)> =
        run(&mut client, "SLOWLOG GET 2").unwrap();
    let words: Vec<&[String]> = entries.iter().map(|entry| entry.3.as_slice()).collect();
    assert_eq!(words, [&["SLOWLOG".to_owned(), "LEN".into()][..], &["AUTH".into(), "(redacted)".into()]]);
    let _: () = run(&mut client, "CONFIG SET slowlog-log-slower-than -1").unwrap();
    let _: () = run(&mut client, "SLOWLOG RESET").unwrap();
    let mut raw = server.raw();
    take(&server, &hands, &mut raw, &["SET", "a", "1"], Duration::from_secs(9), "+OK\r\n");
    assert_eq!(run::<u64>(&mut client, "SLOWLOG LEN").unwrap(), 0);
    let error = run::<String>(&mut client, "CONFIG SET slowlog-max-len 10001").unwrap_err().to_string();
    assert!(error.contains("between 0 and 10000"), "{error}");
}

/// The value of a line of `INFO`.
fn line(info: &str, name: &str) -> Option<String> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
}

#[test]
fn commands_errors_and_lookups_are_told_and_reset() {
    let (server, hands) = start();
    let mut raw = server.raw();
    take(&server, &hands, &mut raw, &["SET", "a", "1"], Duration::from_millis(3), "+OK\r\n");
    let mut client = server.client();
    let _: () = run(&mut client, "CONFIG RESETSTAT").unwrap();
    take(&server, &hands, &mut raw, &["SET", "a", "2"], Duration::from_millis(2), "+OK\r\n");
    let _: () = run(&mut client, "GET a").unwrap();
    let _: () = run(&mut client, "GET nothing").unwrap();
    let _: () = run(&mut client, "MGET a nothing a").unwrap();
    for wrong in ["GET", "HELLO 9", "SET a 1 NOSUCH", "NOSUCH"] {
        run::<()>(&mut client, wrong).unwrap_err();
    }
    let info: String = run(&mut client, "INFO everything").unwrap();
    let is =
        |name: &str, value: &str| assert_eq!(line(&info, name).as_deref(), Some(value), "{name}\n{info}");
    let zero = ",usec=0,usec_per_call=0.00";
    is("cmdstat_set", "calls=2,usec=2000,usec_per_call=1000.00,rejected_calls=0,failed_calls=1");
    is("cmdstat_get", &format!("calls=2{zero},rejected_calls=1,failed_calls=0"));
    is("cmdstat_mget", &format!("calls=1{zero},rejected_calls=0,failed_calls=0"));
    is("cmdstat_hello", &format!("calls=1{zero},rejected_calls=0,failed_calls=1"));
    is("cmdstat_config|resetstat", &format!("calls=1{zero},rejected_calls=0,failed_calls=0"));
    is("errorstat_ERR", "count=3");
    is("errorstat_NOPROTO", "count=1");
    is("latency_percentiles_usec_get", "p50=1.024,p99=1.024,p99.9=1.024");
    is("keyspace_hits", "3");
    is("keyspace_misses", "2");
    is("total_error_replies", "4");
    let usual: String = run(&mut client, "INFO").unwrap();
    assert!(line(&usual, "cmdstat_get").is_none() && line(&usual, "errorstat_ERR").is_some());
    let _: () = run(&mut client, "CONFIG RESETSTAT").unwrap();
    let info: String = run(&mut client, "INFO all").unwrap();
    assert_eq!(line(&info, "cmdstat_set"), None);
    assert_eq!(line(&info, "errorstat_ERR"), None);
    assert_eq!(line(&info, "keyspace_hits").as_deref(), Some("0"));
}

#[test]
fn commands_of_a_pipeline_and_of_a_transaction_are_counted_once_each() {
    let (server, _) = start();
    let mut client = server.raw();
    let mut request = Vec::new();
    // The second one waits for the first, and both are answered later.
    for command in [&["SET", "{t}a", "1"][..], &["GET", "{t}a"], &["MULTI"], &["INCR", "{t}a"], &["DISCARD"]]
    {
        request.extend(encoded(command));
    }
    client.send(&request);
    client.expect("+OK\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n+OK\r\n");
    let mut client = server.client();
    let info: String = run(&mut client, "INFO commandstats").unwrap();
    for name in ["set", "get", "multi", "incr", "discard"] {
        let counted = line(&info, &format!("cmdstat_{name}")).unwrap_or_default();
        assert!(counted.starts_with("calls=1,"), "{name}: {counted}\n{info}");
    }
    let info: String = run(&mut client, "INFO stats").unwrap();
    assert_eq!(line(&info, "keyspace_hits").as_deref(), Some("1"), "of the GET");
}
