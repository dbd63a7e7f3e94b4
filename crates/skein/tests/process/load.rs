//! A mixed load from real clients while nodes are killed, paused and restarted: is it linearizable?
//!
//! Every operation of every client is recorded. One whose connection broke, or whose answer did not come in
//! time, has an unknown outcome; one that was refused with the word that it had no effect is checked to have
//! had none. Nothing is sent twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::ConnectionLike;
use rustix::process::Signal;
use sim::history::{Call, Operation, Outcome, Reply};
use sim::linearizability;

use super::support::{Cluster, alone, until};
use super::three;

/// Operations with an answer that the load must reach.
const OPERATIONS: u64 = 100_000;
/// Few keys, so that clients meet.
const KEYS: u64 = 50;
/// Clients, spread over the nodes.
const CLIENTS: u64 = 24;
/// Faults that must have happened, a third of each kind.
const FAULTS: u64 = 15;
/// Operations that must succeed between two faults, so that faults do not just pile up.
const OPERATIONS_BETWEEN: u64 = 2_000;
/// How long a client waits for an answer; then the outcome is unknown.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What the clients share.
struct Load {
    began: Instant,
    answered: AtomicU64,
    over: AtomicBool,
    history: Mutex<Vec<Operation>>,
}

#[test]
fn a_mixed_load_is_linearizable_while_nodes_die_sleep_and_return() {
    let _alone = alone();
    let cluster = three();
    let load = Load {
        began: Instant::now(),
        answered: AtomicU64::new(0),
        over: AtomicBool::new(false),
        history: Mutex::new(Vec::new()),
    };
    let faults = std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (cluster, load) = (&cluster, &load);
            scope.spawn(move || run_client(cluster, load, client));
        }
        let faults = disturb(&cluster, &load);
        until("enough operations", || (load.answered() >= OPERATIONS).then_some(()));
        load.over.store(true, Ordering::Relaxed);
        faults
    });
    let history = load.history.into_inner().expect("no client panicked");
    let unknown = history.iter().filter(|operation| operation.outcome == Outcome::Unknown).count();
    let refused = history.iter().filter(|operation| operation.outcome == Outcome::Refused).count();
    let seconds = load.began.elapsed().as_secs();
    eprintln!(
        "{} operations, {unknown} unknown, {refused} refused, {faults} faults, {seconds} s",
        history.len()
    );
    assert!(history.len() as u64 >= OPERATIONS && faults >= FAULTS);
    if let Err(violation) = linearizability::check(&history) {
        panic!("{violation}");
    }
    assert!(linearizability::check(&planted(history)).is_err(), "a planted bad history passes");
}

/// The history with one read that tells a value that nobody wrote. An old value would not do: numbers come
/// back after a key was deleted. What is too old is tested where the checker lives.
fn planted(mut history: Vec<Operation>) -> Vec<Operation> {
    let is_read = |operation: &Operation| {
        operation.call == Call::Get
            && matches!(operation.outcome, Outcome::Returned(_, Reply::Value(Some(_))))
    };
    let last = history.iter().rposition(is_read).expect("a read");
    let Outcome::Returned(at, _) = history[last].outcome else {
        unreachable!("only answered reads are found")
    };
    history[last].outcome = Outcome::Returned(at, Reply::Value(Some(b"nobody wrote this".to_vec())));
    history
}

impl Load {
    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

/// Faults of three kinds in turn, each on another node than the last.
fn disturb(cluster: &Cluster, load: &Load) -> u64 {
    for fault in 0..FAULTS {
        let node = 1 + fault % 3;
        let from = load.answered();
        let progress = |operations: u64| (load.answered() >= from + operations).then_some(());
        until("operations before a fault", || progress(OPERATIONS_BETWEEN));
        match fault / 3 % 3 {
            // The agent starts it again by itself.
            0 => cluster.kill(node),
            1 => {
                cluster.signal(node, Signal::STOP);
                until("operations while a node sleeps", || progress(2 * OPERATIONS_BETWEEN));
                cluster.signal(node, Signal::CONT);
            }
            _ => {
                cluster.signal(node, Signal::TERM);
                until("a stopped node", || (!cluster.is_running(node)).then_some(()));
                until("operations while a node is stopped", || progress(2 * OPERATIONS_BETWEEN));
                cluster.up();
            }
        }
        // Two faults at once would cost the quorum, and show nothing but waiting.
        cluster.node_is_ready(node);
        cluster.becomes(api::admin::Verdict::Healthy);
    }
    FAULTS
}

fn run_client(cluster: &Cluster, load: &Load, client: u64) {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(client + 1) | 1;
    let mut connection = None;
    let mut node = client;
    let mut recorded = Vec::new();
    for number in 0_u64.. {
        if load.over.load(Ordering::Relaxed) {
            break;
        }
        let Some(open) = &mut connection else {
            node += 1;
            connection = connect(cluster, 1 + node % 3);
            continue;
        };
        let dice = next(&mut random);
        let key = format!("key:{}", dice % KEYS).into_bytes();
        // Numbers, so that sums meet sets; unique, so that every read names its write.
        let value = (client * 1_000_000_000 + number * 1_000).to_string().into_bytes();
        let call = match (dice >> 32) % 10 {
            0..=2 => Call::Get,
            3..=5 => Call::Set(value),
            6..=7 => Call::Add(1),
            8 => Call::SetIfAbsent(value),
            _ => Call::Remove,
        };
        let invoked = load.now();
        let answer = open.req_command(&command(&call, &key));
        let returned = load.now();
        let outcome = outcome(&call, answer, returned);
        match outcome {
            Outcome::Returned(..) => {
                load.answered.fetch_add(1, Ordering::Relaxed);
            }
            // A late answer on this connection would be taken for that of the next call.
            Outcome::Unknown => connection = None,
            Outcome::Refused => {}
        }
        recorded.push(Operation { client, key, call, invoked, outcome });
    }
    load.history.lock().expect("no client panicked").extend(recorded);
}

fn connect(cluster: &Cluster, node: u64) -> Option<redis::Connection> {
    let client =
        redis::Client::open(format!("redis://{}", cluster.addresses(node).redis)).expect("an address");
    let connection = client.get_connection_with_timeout(Duration::from_millis(500)).ok()?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a timeout");
    connection.set_write_timeout(Some(ANSWER_TIMEOUT)).expect("a timeout");
    Some(connection)
}

fn command(call: &Call, key: &[u8]) -> redis::Cmd {
    let mut command = match call {
        Call::Get => redis::cmd("GET"),
        Call::Set(_) | Call::SetIfAbsent(_) => redis::cmd("SET"),
        Call::Add(_) => redis::cmd("INCRBY"),
        Call::Append(_) => redis::cmd("APPEND"),
        Call::Remove => redis::cmd("DEL"),
        other => panic!("{other} is for the clients of the simulator"),
    };
    command.arg(key);
    match call {
        Call::Set(value) | Call::Append(value) => command.arg(value.as_slice()),
        Call::SetIfAbsent(value) => command.arg(value.as_slice()).arg("NX"),
        Call::Add(delta) => command.arg(*delta),
        _ => &mut command,
    };
    command
}

/// What an answer says of the operation.
fn outcome(call: &Call, answer: redis::RedisResult<redis::Value>, returned: u64) -> Outcome {
    use redis::Value;
    let reply = match (call, answer) {
        (Call::Get, Ok(Value::Nil)) => Reply::Value(None),
        (Call::Get, Ok(Value::BulkString(value))) => Reply::Value(Some(value)),
        (Call::Set(_) | Call::SetIfAbsent(_), Ok(Value::Okay)) => Reply::Stored,
        (Call::SetIfAbsent(_), Ok(Value::Nil)) => Reply::NotStored,
        (Call::Add(_) | Call::Append(_) | Call::Remove, Ok(Value::Int(number))) => Reply::Number(number),
        (Call::Add(_), Err(error)) if error.to_string().contains("not an integer") => Reply::NotANumber,
        // These words promise that the command had no effect.
        (_, Err(error)) if matches!(error.code(), Some("CLUSTERDOWN" | "TRYAGAIN" | "LOADING")) => {
            return Outcome::Refused;
        }
        (_, Err(_)) => return Outcome::Unknown,
        (call, Ok(other)) => panic!("{call} was answered by {other:?}"),
    };
    Outcome::Returned(returned, reply)
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
