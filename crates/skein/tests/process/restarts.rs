//! The whole cluster at once: `kill -9` of everything, and a start in any order.

use std::collections::BTreeMap;

use api::admin::Verdict;

use super::support::{Cluster, alone, until};
use super::{get, three};

/// Keys of one writer; each is written again and again.
const KEYS: u64 = 97;

/// Writes until one is not acknowledged; returns what was.
fn write_until_it_ends(cluster: &Cluster, round: usize, node: u64) -> BTreeMap<String, u64> {
    let mut acknowledged = BTreeMap::new();
    let mut connection = cluster.redis(node);
    for i in 0_u64.. {
        let key = key(round, node, i);
        match redis::cmd("SET").arg(&key).arg(i).query::<()>(&mut connection) {
            Ok(()) => acknowledged.insert(key, i),
            Err(_) => break,
        };
    }
    acknowledged
}

fn key(round: usize, node: u64, number: u64) -> String {
    format!("r{round}:w{node}:{}", number % KEYS)
}

#[test]
fn a_cluster_that_was_killed_whole_serves_again_in_any_order() {
    let _alone = alone();
    let cluster = three();
    for (round, order) in [[1, 2, 3], [3, 1, 2], [2, 3, 1]].into_iter().enumerate() {
        let acknowledged: BTreeMap<String, u64> = std::thread::scope(|scope| {
            let writers: Vec<_> = [1, 2, 3]
                .into_iter()
                .map(|node| {
                    let cluster = &cluster;
                    scope.spawn(move || write_until_it_ends(cluster, round, node))
                })
                .collect();
            // Killed in the middle: once every writer has been through its keys.
            let last_is_there = |node| get(&cluster, node, &key(round, node, KEYS - 1)).is_some();
            until("some writes", || (1..=3).all(last_is_there).then_some(()));
            cluster.kill_all();
            writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect()
        });
        assert_eq!(acknowledged.len() as u64, 3 * KEYS);

        for node in order {
            cluster.start_node(node);
        }
        cluster.becomes(Verdict::Healthy);
        for (key, value) in acknowledged {
            let read = get(&cluster, order[0], &key).unwrap_or_else(|| panic!("{key} is lost"));
            let read: u64 = read.parse().expect("a number");
            // The last write of a key may have been carried out without its acknowledgement.
            assert!(read == value || read == value + KEYS, "{key} is {read}, acknowledged {value}");
        }
    }
}
