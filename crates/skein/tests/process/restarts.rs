//! The whole cluster at once: `kill -9` of everything, and a start in any order.

use std::collections::BTreeMap;

use api::admin::Verdict;

use super::support::{Cluster, alone, until};
use super::{get, three};

/// Writes until one is not acknowledged; returns what was.
fn write_until_it_ends(cluster: &Cluster, node: u64) -> BTreeMap<String, u64> {
    let mut acknowledged = BTreeMap::new();
    let mut connection = cluster.redis(node);
    for i in 0_u64.. {
        let key = format!("w{node}:{}", i % 97);
        match redis::cmd("SET").arg(&key).arg(i).query::<()>(&mut connection) {
            Ok(()) => acknowledged.insert(key, i),
            Err(_) => break,
        };
    }
    acknowledged
}

#[test]
fn a_cluster_that_was_killed_whole_serves_again_in_any_order() {
    let _alone = alone();
    let cluster = three();
    for order in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
        let acknowledged: BTreeMap<String, u64> = std::thread::scope(|scope| {
            let writers: Vec<_> = [1, 2, 3]
                .into_iter()
                .map(|node| {
                    let cluster = &cluster;
                    scope.spawn(move || write_until_it_ends(cluster, node))
                })
                .collect();
            // Killed in the middle: once every writer has written for a while.
            until("some writes", || {
                (1..=3).all(|node| get(&cluster, node, &format!("w{node}:96")).is_some()).then_some(())
            });
            cluster.kill_all();
            writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect()
        });
        assert!(acknowledged.len() > 200, "only {} keys were written", acknowledged.len());

        for node in order {
            cluster.start_node(node);
        }
        cluster.becomes(Verdict::Healthy);
        for (key, value) in acknowledged {
            let read: u64 = get(&cluster, order[0], &key).expect("a lost key").parse().expect("a number");
            // The last write of a key may have been carried out without its acknowledgement.
            assert!(read == value || read == value + 97, "{key} is {read}, acknowledged {value}");
        }
    }
}
