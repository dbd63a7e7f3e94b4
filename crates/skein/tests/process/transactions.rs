//! Transactions through the whole cluster: watched keys, changes of leader, clients that race.

use api::admin::Verdict;

use super::support::{Cluster, Shape, beside_others, until};
use super::{SKEIN, get, three};

/// Clients that count together.
const CLIENTS: u64 = 6;
/// What each adds.
const ADDED: u64 = 50;
/// Transactions that write the same to several keys.
const ROUNDS: u64 = 200;

/// Adds 1 by reading and writing what was read; `false` if somebody else was faster.
fn add_one(connection: &mut redis::Connection, key: &str) -> redis::RedisResult<bool> {
    redis::cmd("WATCH").arg(key).query::<()>(connection)?;
    let value: Option<u64> = redis::cmd("GET").arg(key).query(connection)?;
    let done: Option<(String, u64)> = redis::pipe()
        .atomic()
        .cmd("SET")
        .arg(key)
        .arg(value.unwrap_or(0) + 1)
        .cmd("STRLEN")
        .arg(key)
        .query(connection)?;
    Ok(done.is_some())
}

#[test]
fn counting_with_watched_keys_loses_nothing_while_a_leader_dies() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 1, ..Shape::default() });
    cluster.becomes(Verdict::Healthy);
    let unsure: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let cluster = &cluster;
                scope.spawn(move || count(cluster, 1 + client % 3))
            })
            .collect();
        until("some counting", || (get(&cluster, 1, "n")?.parse::<u64>().ok()? > 20).then_some(()));
        let status = cluster.status();
        let partition = status.partitions.iter().find(|partition| partition.table == "default");
        cluster.kill(partition.and_then(|partition| partition.leader).expect("a leader"));
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    let counted: u64 = get(&cluster, 2, "n").expect("a count").parse().expect("a number");
    let acknowledged = CLIENTS * ADDED;
    // Of an EXEC whose answer was lost nobody can tell whether it happened.
    assert!(
        (acknowledged..=acknowledged + unsure).contains(&counted),
        "{counted} of {acknowledged}, {unsure} unsure"
    );
}

/// Adds 1 so often. Returns for how many more it is not known whether they were added.
fn count(cluster: &Cluster, node: u64) -> u64 {
    let mut connection = cluster.redis(node);
    let (mut added, mut unsure) = (0, 0);
    until("all of a client's counting", || {
        match add_one(&mut connection, "n") {
            Ok(done) => added += u64::from(done),
            Err(_) => {
                unsure += 1;
                connection = cluster.redis(node);
            }
        }
        (added == ADDED).then_some(())
    });
    unsure
}

#[test]
fn a_transaction_is_seen_whole_on_every_node() {
    let _beside = beside_others();
    let cluster = three();
    let keys = ["{t}a", "{t}b", "{t}c"];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = cluster.redis(1);
            for round in 0..ROUNDS {
                let mut pipe = redis::pipe();
                pipe.atomic();
                for key in keys {
                    pipe.cmd("SET").arg(key).arg(round).ignore();
                }
                pipe.query::<()>(&mut connection).expect("a transaction");
            }
        });
        for node in [2, 3] {
            let cluster = &cluster;
            scope.spawn(move || {
                let mut connection = cluster.redis(node);
                until("the last round", || {
                    let values: Vec<Option<u64>> =
                        redis::cmd("MGET").arg(&keys).query(&mut connection).expect("values");
                    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
                    (values[0] == Some(ROUNDS - 1)).then_some(())
                });
            });
        }
    });
}

#[test]
fn keys_of_several_partitions_are_refused_before_anything_happens() {
    let _beside = beside_others();
    let cluster = three();
    let mut connection = cluster.redis(1);
    let error = redis::pipe()
        .atomic()
        .cmd("SET")
        .arg("a")
        .arg(1)
        .cmd("SET")
        .arg("b")
        .arg(1)
        .query::<()>(&mut connection)
        .expect_err("two partitions");
    assert!(error.to_string().contains("CrossSlot"), "{error}");
    assert_eq!(get(&cluster, 2, "a"), None);
    // The connection goes on.
    redis::cmd("SET").arg("a").arg(2).query::<()>(&mut connection).expect("a SET");
    assert_eq!(get(&cluster, 3, "a"), Some("2".into()));
}
