//! A lost majority: one survivor goes on alone, and what comes back starts anew.

use api::admin::{Status, Verdict};
use rustix::process::Signal;

use super::support::{Cluster, Shape, beside_others, until, words};
use super::{SKEIN, get, set};

const KEYS: u32 = 60;

/// Stops a node, whose agent leaves it so.
fn stop(cluster: &Cluster, node: u64) {
    cluster.signal(node, Signal::TERM);
    until("a node that stopped", || (!cluster.is_running(node)).then_some(()));
}

/// What would be done, once the nodes count as down.
fn plan(cluster: &Cluster) -> String {
    until("a plan", || {
        let plan = words(&cluster.run(["recover-quorum", "--plan"]));
        (!plan.contains("nothing to do")).then_some(plan)
    })
}

/// Partitions of tables of which two of three replicas are on these nodes.
fn lost(status: &Status, nodes: [u64; 2]) -> Vec<u64> {
    let is_lost = |replicas: &[api::admin::ReplicaStatus]| {
        replicas.iter().filter(|replica| nodes.contains(&replica.node)).count() == 2
    };
    let of_table = status.partitions.iter().filter(|partition| partition.table == "default");
    of_table.filter(|partition| is_lost(&partition.replicas)).map(|partition| partition.partition).collect()
}

#[test]
fn partitions_go_on_with_a_survivor_and_what_was_lost_comes_back_as_something_new() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 5, partitions: 10, ..Shape::default() });
    for key in 0..KEYS {
        set(&cluster, 1, &format!("k{key}"), "before");
    }
    let well = cluster.becomes(Verdict::Healthy);
    let lost = lost(&well, [4, 5]);
    assert!(!lost.is_empty(), "no partition has two replicas on nodes 4 and 5: {well:#?}");

    let nothing = cluster.run(["recover-quorum", "--plan"]);
    assert!(words(&nothing).contains("nothing to do"), "{}", words(&nothing));
    stop(&cluster, 4);
    stop(&cluster, 5);
    let plan = plan(&cluster);
    for partition in &lost {
        assert!(plan.contains(&format!("default/{partition}: node ")), "{plan}");
    }
    assert!(plan.contains("has everything up to entry"), "{plan}");
    assert!(plan.contains("lost is at most what was acknowledged after 2"), "{plan}");
    let wrong = cluster.run(["recover-quorum", "--name", "another"]);
    assert_eq!(wrong.status.code(), Some(3), "{}", words(&wrong));
    let unnamed = cluster.run(["recover-quorum"]);
    assert!(words(&unnamed).contains("needs-consent"), "{}", words(&unnamed));

    let name = cluster.client().identity().expect("an identity").name;
    let done = cluster.run(["recover-quorum", "--name", &name, "--wait"]);
    assert!(done.status.success(), "{}", words(&done));
    for key in 0..KEYS {
        assert_eq!(get(&cluster, 2, &format!("k{key}")).as_deref(), Some("before"));
        set(&cluster, 3, &format!("k{key}"), "after");
    }
    let log = cluster.client().operations().expect("the operations");
    let told = |text: &str| log.iter().any(|one| one.events.iter().any(|event| event.text.contains(text)));
    assert!(told("lost is at most what was acknowledged after"), "{log:#?}");

    // Both come back with what they had, and are a majority of what was.
    cluster.start_node(4);
    cluster.start_node(5);
    cluster.becomes(Verdict::Healthy);
    for key in 0..KEYS {
        assert_eq!(get(&cluster, 5, &format!("k{key}")).as_deref(), Some("after"));
    }
    let digest = cluster.run(["digest", "default"]);
    assert!(digest.status.success(), "{}", words(&digest));
}

#[test]
fn what_never_comes_back_is_made_anew_elsewhere() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 5, partitions: 10, ..Shape::default() });
    for key in 0..KEYS {
        set(&cluster, 1, &format!("k{key}"), "1");
    }
    cluster.becomes(Verdict::Healthy);
    for node in [4, 5] {
        stop(&cluster, node);
        std::fs::remove_dir_all(cluster.directory().node_directory(node).join("data")).expect("removed");
    }
    plan(&cluster);
    let name = cluster.client().identity().expect("an identity").name;
    let done = cluster.run(["recover-quorum", "--name", &name, "--wait"]);
    assert!(done.status.success(), "{}", words(&done));
    cluster.becomes(Verdict::Degraded);
    // A survivor that restarts is the one voter that it was made.
    for node in [1, 2, 3] {
        cluster.kill(node);
        cluster.node_is_ready(node);
    }
    let added = cluster.run(["node", "add"]);
    assert!(added.status.success(), "{}", words(&added));
    for node in ["4", "5"] {
        let left = cluster.run(["node", "decommission", node, "--yes", "--wait"]);
        assert!(left.status.success(), "{}", words(&left));
    }
    cluster.becomes(Verdict::Healthy);
    for key in 0..KEYS {
        assert_eq!(get(&cluster, 6, &format!("k{key}")).as_deref(), Some("1"));
    }
}

/// Of three nodes one is left: the catalog has lost its majority as well as every partition.
fn one_of_three_is_left(returns: bool) {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape::default());
    for key in 0..KEYS {
        set(&cluster, 1, &format!("k{key}"), "before");
    }
    cluster.becomes(Verdict::Healthy);
    let nothing = cluster.run(["recover-quorum", "--plan"]);
    assert!(words(&nothing).contains("nothing to do"), "{}", words(&nothing));
    for node in [2, 3] {
        stop(&cluster, node);
        if !returns {
            std::fs::remove_dir_all(cluster.directory().node_directory(node).join("data")).expect("removed");
        }
    }
    let plan = until("a plan", || {
        let plan = words(&cluster.run(["recover-quorum", "--plan"]));
        plan.contains("the catalog has lost its majority").then_some(plan)
    });
    assert!(plan.contains("of nodes 1, 2, 3, which keep it, 2, 3 are not there"), "{plan}");
    let wrong = cluster.run(["recover-quorum", "--name", "another"]);
    assert_eq!(wrong.status.code(), Some(3), "{}", words(&wrong));

    let name = cluster.client().identity().expect("an identity").name;
    let done = cluster.run(["recover-quorum", "--name", &name, "--wait"]);
    assert!(done.status.success(), "{}", words(&done));
    for key in 0..KEYS {
        assert_eq!(get(&cluster, 1, &format!("k{key}")).as_deref(), Some("before"));
        set(&cluster, 1, &format!("k{key}"), "after");
    }
    // The survivor is what it was made, of the catalog as well, whatever happens to its process.
    cluster.kill(1);
    cluster.node_is_ready(1);
    let changed = cluster.run(["config", "set", "auto_balance", "true"]);
    assert!(changed.status.success(), "{}", words(&changed));

    // Those that come back, with what they had or without, start anew.
    cluster.start_node(2);
    cluster.start_node(3);
    cluster.becomes(Verdict::Healthy);
    for key in 0..KEYS {
        assert_eq!(get(&cluster, 3, &format!("k{key}")).as_deref(), Some("after"));
    }
    let digest = cluster.run(["digest", "default"]);
    assert!(digest.status.success(), "{}", words(&digest));
    assert!(words(&cluster.run(["config", "get", "auto_balance"])).contains("true"));
    // And the catalog has a majority of its own again.
    cluster.kill(1);
    set(&cluster, 2, "k1", "at last");
}

#[test]
fn a_cluster_of_which_one_node_is_left_goes_on_and_those_that_return_start_anew() {
    one_of_three_is_left(true);
}

#[test]
fn a_cluster_of_which_one_disk_is_left_goes_on() {
    one_of_three_is_left(false);
}
