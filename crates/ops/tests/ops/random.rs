//! Random histories: operators, faults and crashes in any order. Every operation ends, and nothing is lost.

use api::admin::OperationRequest;
use api::catalog::CatalogOp;
use proptest::prelude::*;
use types::{GroupId, NodeId, OperationId};

use crate::model::Cluster;

#[derive(Clone, Debug)]
enum Act {
    Start(Box<OperationRequest>),
    Cancel(u64),
    Kill(u64),
    ReviveAll,
    Stall(u64),
    Crash,
    LoseWords,
    Permit(u64),
    Manual(bool),
    Load(u64, Option<u64>),
    AutoBalance,
    Replace,
    Go(u8),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => requests().prop_map(|request| Act::Start(Box::new(request))),
        1 => (1..20u64).prop_map(Act::Cancel),
        2 => (1..6u64).prop_map(Act::Kill),
        2 => Just(Act::ReviveAll),
        1 => (1..6u64).prop_map(Act::Stall),
        1 => Just(Act::Crash),
        1 => Just(Act::LoseWords),
        1 => (1..6u64).prop_map(Act::Permit),
        1 => any::<bool>().prop_map(Act::Manual),
        1 => Just(Act::Replace),
        2 => (1..4u64, prop::option::of(0..200u64)).prop_map(|(group, load)| Act::Load(group, load)),
        1 => Just(Act::AutoBalance),
        6 => (1..20u8).prop_map(Act::Go),
    ]
}

fn requests() -> impl Strategy<Value = OperationRequest> {
    const KINDS: [&str; 16] = [
        "change-leader",
        "add-replica",
        "remove-replica",
        "migrate",
        "snapshot",
        "offline-node",
        "recover-node",
        "recover-partition",
        "recover-cluster",
        "drain",
        "undrain",
        "decommission",
        "balance",
        "set-replicas",
        "recover-quorum",
        "optimize",
    ];
    let node = || 1..6u64;
    (
        0..KINDS.len(),
        0..4u64,
        node(),
        prop::option::of(node()),
        1..5u32,
        prop::sample::select(vec!["flow", "one", "catalog"]),
    )
        .prop_map(|(kind, partition, node, to, count, table)| {
            let of_table = partition < 3;
            OperationRequest {
                kind: KINDS[kind].into(),
                table: Some(table.into()),
                partitions: if of_table && table == "flow" { vec![partition % 2] } else { Vec::new() },
                node: Some(node),
                from: Some(node),
                to,
                count: Some(count),
                ..Default::default()
            }
        })
}

fn act(cluster: &mut Cluster, act: &Act) {
    match act {
        Act::Start(request) => {
            let _ = cluster.start(request);
        }
        Act::Cancel(id) => {
            if let Ok(change) = ops::cancel(&cluster.catalog, OperationId(*id), cluster.wall_ms) {
                let _ = cluster.apply(CatalogOp::Operate(change));
            }
        }
        Act::Kill(node) => cluster.kill(NodeId(*node)),
        Act::ReviveAll => cluster.down.clear(),
        Act::Stall(node) => {
            cluster.stalled = [NodeId(*node)].into();
        }
        Act::Crash => cluster.crash(),
        Act::LoseWords => {
            let _ = cluster.look();
        }
        Act::Permit(node) => {
            let observed = cluster.observed();
            let wish = Default::default();
            if let Ok((change, _)) = ops::may_stop(&cluster.catalog, &observed, NodeId(*node), &wish) {
                let _ = cluster.apply(CatalogOp::Permit(change));
            }
        }
        Act::Manual(manual) => cluster.set("auto_failover", if *manual { "false" } else { "true" }),
        Act::Load(group, load) => {
            if let Some(group) = cluster.groups.get_mut(&GroupId(*group)) {
                group.load = *load;
            }
        }
        Act::AutoBalance => cluster.set("auto_balance", "true"),
        Act::Replace => cluster.set("replace_after_s", "10"),
        Act::Go(times) => (0..*times).for_each(|_| go(cluster)),
    }
}

fn go(cluster: &mut Cluster) {
    cluster.go();
    for (group, state) in &cluster.groups {
        let holders = state.membership.members.iter().filter(|member| {
            !member.learner && state.replicas.get(&member.replica).is_some_and(|replica| replica.has_data)
        });
        assert!(holders.count() > 0, "group {group} has lost its data");
    }
    show_everything(cluster);
}

/// Whatever state it is in, it can be shown and explained.
fn show_everything(cluster: &Cluster) {
    let observed = cluster.observed();
    for operation in cluster.executor.show_all(&cluster.catalog, &observed) {
        let explained = cluster.executor.explain_operation(&cluster.catalog, &observed, operation.id.into());
        assert!(!explained.unwrap().summary.is_empty());
    }
    for node in cluster.catalog.nodes() {
        ops::explain_node(&cluster.catalog, &observed, NodeId(node.id));
    }
    for partition in cluster.catalog.partitions() {
        ops::explain_partition(&cluster.catalog, &observed, GroupId(partition.group));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_operation_ends_and_nothing_is_lost(history in prop::collection::vec(acts(), 1..40), repeats: bool) {
        let mut cluster =
            Cluster::new(&["1:a:r1", "2:a:r2", "3:b:r1", "4:b:r2", "5:c:r1"], &[1, 2, 3], &["flow:2:3", "one:1:1"]);
        cluster.repeats = repeats;
        for one in &history {
            act(&mut cluster, one);
        }
        cluster.down.clear();
        cluster.stalled.clear();
        cluster.set("auto_failover", "true");
        (0..20).for_each(|_| cluster.go());
        prop_assert!(cluster.finish(), "an operation does not end");
        (0..60).for_each(|_| cluster.go());
        prop_assert!(cluster.finish());
        for partition in cluster.catalog.partitions() {
            let state = &cluster.groups[&GroupId(partition.group)];
            prop_assert!(state.is_served(&cluster), "group {} is not served", partition.group);
            let as_wished = partition.replicas.iter().all(|replica| {
                state.membership.members.iter().any(|m| m.replica == replica.id && m.learner == replica.offline)
            });
            prop_assert!(as_wished && state.membership.members.len() == partition.replicas.len());
        }
    }
}
