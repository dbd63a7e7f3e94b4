//! Every operation, disturbed at every look: a crash of the executor, lost and repeated words, a node that
//! dies, a cancel.

use std::collections::BTreeSet;

use api::catalog::CatalogOp;
use api::operation::{OperationKind, OperationState};
use types::{GroupId, NodeId, OperationId};

use crate::groups::Group;
use crate::model::Cluster;
use crate::scenarios::{self, Scenario};

/// Looks that the longest operation takes when nothing goes wrong, at most.
const LOOKS_MAX: usize = 60;

/// Starts the operation, and runs it; `disturb` is called before each look with its number.
fn run(scenario: &Scenario, mut disturb: impl FnMut(&mut Cluster, usize)) -> Cluster {
    let mut cluster = (scenario.cluster)();
    started(scenario, &mut cluster);
    for at in 0..LOOKS_MAX {
        let down = cluster.down.clone();
        disturb(&mut cluster, at);
        let before = served(&cluster);
        cluster.go();
        check(scenario, &cluster);
        // A death may take service away, and a group notices late; an operation never does.
        if cluster.down == down {
            let after = served(&cluster);
            let lost: Vec<&GroupId> = before.difference(&after).collect();
            assert!(lost.is_empty(), "{} at {at}: {lost:?} not served\n{}", scenario.name, dump(&cluster));
        }
    }
    assert!(cluster.finish(), "{}: an operation does not end\n{}", scenario.name, dump(&cluster));
    cluster
}

/// The groups of tables that stay and serve.
fn lasting(cluster: &Cluster) -> impl Iterator<Item = (&GroupId, &Group)> {
    let stays = |group: &GroupId| {
        let table = cluster
            .catalog
            .partition(*group)
            .and_then(|partition| cluster.catalog.table(types::TableId(partition.table)));
        table.is_some_and(|table| table.scratch_of == 0 && table.restoring.is_empty())
    };
    cluster.groups.iter().filter(move |(group, _)| stays(group))
}

fn served(cluster: &Cluster) -> BTreeSet<GroupId> {
    let groups = lasting(cluster).filter(|(_, state)| state.is_served(cluster));
    groups.map(|(group, _)| *group).collect()
}

fn started(scenario: &Scenario, cluster: &mut Cluster) -> Vec<u64> {
    cluster.start(&scenario.request).unwrap_or_else(|why| panic!("{}: {why}", scenario.name))
}

/// The first operation of a scenario: what was done before it was done by others.
fn first_id(scenario: &Scenario) -> u64 {
    let mut cluster = (scenario.cluster)();
    started(scenario, &mut cluster)[0]
}

/// What holds at any moment.
fn check(scenario: &Scenario, cluster: &Cluster) {
    for (group, state) in lasting(cluster) {
        let holders = state.membership.members.iter().filter(|member| {
            !member.learner && state.replicas.get(&member.replica).is_some_and(|replica| replica.has_data)
        });
        assert!(holders.count() > 0, "{}: group {group} has lost its data", scenario.name);
        if cluster.down.is_empty() && cluster.catalog.setting(&types::settings::AUTO_FAILOVER) == 1 {
            assert!(state.is_served(cluster), "{}: group {group} is not served", scenario.name);
        }
    }
}

/// What holds when everything is over: groups are as wished, and all of their data is there.
fn check_end(scenario: &Scenario, cluster: &mut Cluster) {
    cluster.set("auto_failover", "true");
    cluster.down.clear();
    (0..60).for_each(|_| cluster.go());
    assert!(cluster.finish(), "{}", scenario.name);
    // Whatever was broken before, or was taken offline, is mended.
    let mend = api::admin::OperationRequest { kind: "recover-cluster".into(), ..Default::default() };
    let id = cluster.start(&mend).unwrap()[0];
    assert!(cluster.finish(), "{}", scenario.name);
    assert_eq!(state(cluster, id), OperationState::Done, "{}\n{}", scenario.name, dump(cluster));
    for partition in cluster.catalog.partitions() {
        let state = &cluster.groups[&GroupId(partition.group)];
        let wished: BTreeSet<(u64, bool)> =
            partition.replicas.iter().map(|replica| (replica.id, replica.offline)).collect();
        let members: BTreeSet<(u64, bool)> =
            state.membership.members.iter().map(|member| (member.replica, member.learner)).collect();
        assert_eq!(wished, members, "{}: group {}\n{}", scenario.name, partition.group, dump(cluster));
        assert!(state.is_served(cluster), "{}: group {}", scenario.name, partition.group);
        for replica in &partition.replicas {
            assert!(state.replicas[&replica.id].has_data, "{}: group {}", scenario.name, partition.group);
        }
    }
}

/// A compaction that is done has compacted every replica whose node is up, for itself or for a later one.
fn check_compacted(scenario: &Scenario, cluster: &Cluster) {
    for operation in cluster.catalog.operations() {
        let (Some(OperationKind::Compact(at)), OperationState::Done) = (&operation.kind, operation.state())
        else {
            continue;
        };
        let Some(group) = cluster.groups.get(&GroupId(at.group)) else { continue };
        let up = group.replicas.iter().filter(|(_, replica)| cluster.is_up(NodeId(replica.node)));
        for (id, replica) in up {
            let is_compacted = replica.compacted >= operation.id;
            assert!(is_compacted, "{}: replica {id} of group {}", scenario.name, at.group);
        }
    }
}

fn dump(cluster: &Cluster) -> String {
    cluster.catalog.records().map(|record| format!("{record}\n")).collect()
}

/// The nodes that a cluster wishes replicas on, by group, and who shall vote.
fn wish(cluster: &Cluster) -> Vec<(u64, BTreeSet<(u64, bool)>)> {
    let nodes = |partition: &api::catalog::PartitionRecord| {
        partition.replicas.iter().map(|replica| (replica.node, replica.offline)).collect()
    };
    cluster.catalog.partitions().map(|partition| (partition.group, nodes(partition))).collect()
}

fn state(cluster: &Cluster, id: u64) -> OperationState {
    cluster.operation(id).state()
}

#[test]
fn undisturbed_each_is_done_and_a_second_time_changes_nothing() {
    for scenario in scenarios::all() {
        let id = first_id(&scenario);
        let mut cluster = run(&scenario, |_, _| {});
        assert_eq!(state(&cluster, id), OperationState::Done, "{}\n{}", scenario.name, dump(&cluster));
        check_compacted(&scenario, &cluster);
        let before = wish(&cluster);
        // A relative wish does more when it is said twice; an absolute one finds nothing to do, or is refused.
        if !["add-replica", "change-leader", "migrate all"].iter().any(|name| scenario.name.starts_with(name))
        {
            if cluster.start(&scenario.request).is_ok() {
                assert!(cluster.finish());
            }
            assert_eq!(wish(&cluster), before, "{}: a second time", scenario.name);
        }
        if !scenario.name.contains("dead") {
            check_end(&scenario, &mut cluster);
        }
    }
}

#[test]
fn a_new_executor_goes_on_from_the_record_at_every_look() {
    for scenario in scenarios::all() {
        let id = first_id(&scenario);
        for at in 0..LOOKS_MAX / 2 {
            let cluster = run(&scenario, |cluster, look| {
                if look == at {
                    cluster.crash();
                }
            });
            assert_eq!(state(&cluster, id), OperationState::Done, "{} at {at}", scenario.name);
            check_compacted(&scenario, &cluster);
        }
        // A digest is asked for and told within two looks; no more is needed between two crashes.
        let cluster = run(&scenario, |cluster, look| {
            if look % 3 == 0 {
                cluster.crash();
            }
        });
        assert_eq!(state(&cluster, id), OperationState::Done, "{}", scenario.name);
    }
}

#[test]
fn repeated_commands_change_nothing() {
    for scenario in scenarios::all() {
        let id = first_id(&scenario);
        let cluster = run(&scenario, |cluster, _| cluster.repeats = true);
        assert_eq!(state(&cluster, id), OperationState::Done, "{}", scenario.name);
        check_compacted(&scenario, &cluster);
    }
}

#[test]
fn two_executors_that_both_believe_to_lead_do_it_once() {
    for scenario in scenarios::all() {
        let id = first_id(&scenario);
        let mut cluster = (scenario.cluster)();
        started(&scenario, &mut cluster);
        let mut other = ops::Executor::default();
        for _ in 0..LOOKS_MAX {
            // Both look at the same catalog; the second one's words come later.
            let observed = cluster.observed();
            let work = other.step(&cluster.catalog, &observed);
            cluster.go();
            for op in work.commands.into_iter().filter(|op| matches!(op, CatalogOp::Operate(_))) {
                let _ = cluster.apply(op);
            }
            check(&scenario, &cluster);
        }
        assert!(cluster.finish(), "{}", scenario.name);
        assert_eq!(state(&cluster, id), OperationState::Done, "{}", scenario.name);
    }
}

#[test]
fn lost_words_are_said_again() {
    for scenario in scenarios::all() {
        let id = first_id(&scenario);
        for at in 0..LOOKS_MAX / 2 {
            let cluster = run(&scenario, |cluster, look| {
                if look == at {
                    let _ = cluster.look();
                }
            });
            assert_eq!(state(&cluster, id), OperationState::Done, "{} at {at}", scenario.name);
            check_compacted(&scenario, &cluster);
        }
    }
}

#[test]
fn whichever_node_dies_whenever_every_operation_ends_and_all_data_is_there() {
    for scenario in scenarios::all() {
        // One node more would take a majority with it.
        if scenario.name.contains("dead") {
            continue;
        }
        for at in 0..12 {
            for node in 1..=5 {
                let mut cluster = run(&scenario, |cluster, look| {
                    let known = cluster.catalog.node(NodeId(node)).is_some();
                    if look == at && known {
                        cluster.kill(NodeId(node));
                    }
                });
                check_end(&scenario, &mut cluster);
            }
        }
    }
}

#[test]
fn a_node_that_comes_back_soon_only_delays() {
    for scenario in scenarios::all() {
        if scenario.name.contains("dead") {
            continue;
        }
        let id = first_id(&scenario);
        for at in 0..12 {
            for node in 1..=5 {
                let mut cluster = run(&scenario, |cluster, look| {
                    let known = cluster.catalog.node(NodeId(node)).is_some();
                    if look == at && known {
                        cluster.kill(NodeId(node));
                    } else if look == at + 10 {
                        cluster.revive(NodeId(node));
                    }
                });
                let outcome = state(&cluster, id);
                // The leader that was asked for may have been overtaken by an election.
                let overtaken = cluster.operation(id).fault_code == "plan-outdated";
                assert!(
                    outcome == OperationState::Done || overtaken,
                    "{} at {at}, node {node}\n{}",
                    scenario.name,
                    dump(&cluster)
                );
                check_end(&scenario, &mut cluster);
            }
        }
    }
}

#[test]
fn cancelled_at_every_look_each_is_undone_or_ends_as_planned() {
    for scenario in scenarios::all() {
        let id = first_id(&scenario);
        let before = wish(&(scenario.cluster)());
        for at in 0..LOOKS_MAX / 2 {
            let mut cluster = run(&scenario, |cluster, look| {
                if look == at
                    && let Ok(change) = ops::cancel(&cluster.catalog, OperationId(id), cluster.wall_ms)
                {
                    let _ = cluster.apply(CatalogOp::Operate(change));
                }
            });
            let outcome = state(&cluster, id);
            assert_ne!(outcome, OperationState::Failed, "{} at {at}\n{}", scenario.name, dump(&cluster));
            let single = cluster.operation(id).group.is_some();
            let recovers = scenario.name.starts_with("recover");
            if outcome == OperationState::Cancelled && single && !recovers {
                assert_eq!(wish(&cluster), before, "{} at {at}", scenario.name);
            }
            for operation in cluster.catalog.operations() {
                let Some(partition) =
                    operation.group.and_then(|group| cluster.catalog.partition(group.into()))
                else {
                    continue;
                };
                let cancelled = operation.state() == OperationState::Cancelled;
                let offline = partition.replicas.iter().any(|replica| replica.offline);
                let before = recovers || !offline;
                assert!(!cancelled || before, "{} at {at}: a vote is gone", scenario.name);
            }
            for node in cluster.catalog.nodes() {
                let flags = cluster.catalog.flags(NodeId(node.id));
                let undone = !flags.leaving && !flags.drained;
                assert!(undone || outcome == OperationState::Done, "{} at {at}", scenario.name);
            }
            if !scenario.name.contains("dead") {
                check_end(&scenario, &mut cluster);
            }
        }
    }
}
