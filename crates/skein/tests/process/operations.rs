//! Operations on real clusters: asked for over HTTP at any node, done by the one that leads the catalog.

use std::time::Duration;

use api::admin::{
    CreateTable, Operation, OperationRequest, PartitionStatus, SetSetting, StartOperation, Status,
    TablePartition, Verdict,
};
use client::Client;
use rustix::process::Signal;
use types::ErrorCode;

use super::support::{Cluster, Shape, beside_others, until, words};
use super::{SKEIN, get, set, three};

/// Starts an operation.
fn start(client: &Client, request: OperationRequest) -> Operation {
    let wish = StartOperation { request, planned: None, by: None };
    until("an operation that is started", || match client.start_operation(&wish) {
        Ok(started) => Some(started),
        // The catalog has no leader at the moment, or this node does not know it yet.
        Err(fault) if fault.code.is_retryable() => None,
        // A leader that died a moment ago counted as well until now.
        Err(fault) if fault.code == ErrorCode::Unsafe => {
            eprintln!("refused for now: {fault}");
            None
        }
        Err(fault) => panic!("{wish:?}: {fault}"),
    })
}

/// Waits for the end of an operation.
fn ended(client: &Client, id: u64) -> Operation {
    until("an operation that has ended", || {
        let operation = client.operation(id).ok()?;
        matches!(operation.state.as_str(), "done" | "failed" | "cancelled").then_some(operation)
    })
}

/// Starts an operation, which must succeed.
fn run(client: &Client, request: OperationRequest) -> Operation {
    let started = start(client, request);
    let operation = ended(client, started.id);
    assert_eq!(operation.state, "done", "{operation:#?}");
    operation
}

fn request(kind: &str) -> OperationRequest {
    OperationRequest { kind: kind.into(), ..Default::default() }
}

fn on_partition(kind: &str, partition: u64) -> OperationRequest {
    OperationRequest { table: Some("default".into()), partitions: vec![partition], ..request(kind) }
}

fn partition(status: &Status, partition: u64) -> &PartitionStatus {
    let is_it = |found: &&PartitionStatus| found.table == "default" && found.partition == partition;
    status.partitions.iter().find(is_it).expect("a partition of the default table")
}

fn nodes_of(partition: &PartitionStatus) -> Vec<u64> {
    let mut nodes: Vec<u64> = partition.replicas.iter().map(|replica| replica.node).collect();
    nodes.sort_unstable();
    nodes
}

#[test]
fn a_leader_moves_and_a_replica_migrates_with_proof() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 5, partitions: 4, ..Shape::default() });
    for key in 0..20 {
        set(&cluster, key % 5 + 1, &format!("key{key}"), "value");
    }
    let before = cluster.becomes(Verdict::Healthy);
    let from = partition(&before, 0).leader.expect("a leader");
    let to = (1..=5).find(|node| !nodes_of(partition(&before, 0)).contains(node)).expect("a node without");
    // Asked at a node that certainly does not lead the catalog, unless that is the only one named.
    let elsewhere = before.leader.map_or(1, |leader| leader % 5 + 1);
    let client = cluster.client_of(elsewhere);

    let migrate = OperationRequest { from: Some(from), to: Some(to), ..on_partition("migrate", 0) };
    let plan = client.plan(&migrate).expect("a plan");
    assert_eq!(plan.parts.len(), 1, "{plan:?}");
    let agreed = StartOperation { request: migrate.clone(), planned: Some(plan.catalog_version), by: None };
    let started = client.start_operation(&agreed).expect("started as planned");
    let done = ended(&client, started.id);
    assert_eq!(done.state, "done", "{done:#?}");
    eprintln!("an empty partition migrated in {} ms", done.ended_ms - done.created_ms);
    assert!(done.evidence.iter().any(|digests| digests.equal && digests.replicas.len() == 4), "{done:#?}");
    let after = cluster.becomes(Verdict::Healthy);
    let nodes = nodes_of(partition(&after, 0));
    assert!(nodes.contains(&to) && !nodes.contains(&from), "{nodes:?}");
    assert_eq!(client.start_operation(&agreed).expect_err("once").code, ErrorCode::PlanOutdated);
    let fault = client.plan(&migrate).expect_err("it is there already");
    assert!(matches!(fault.code, ErrorCode::NotThere | ErrorCode::AlreadyThere), "{fault}");

    let other = *nodes.iter().find(|node| Some(**node) != partition(&after, 0).leader).expect("a follower");
    run(&client, OperationRequest { to: Some(other), ..on_partition("change-leader", 0) });
    assert_eq!(partition(&cluster.status(), 0).leader, Some(other));
    run(&client, on_partition("snapshot", 0));
    assert!(client.operations().expect("a list").len() >= 3);
    for key in 0..20 {
        assert_eq!(get(&cluster, key % 5 + 1, &format!("key{key}")).as_deref(), Some("value"));
    }
    let which = TablePartition { table: "default".into(), partition: 0 };
    assert!(client.digest(&which).expect("digests").equal);
}

#[test]
fn of_wishes_that_come_at_once_the_first_is_done_and_the_others_join_it() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { partitions: 1, ..Shape::default() });
    let before = cluster.becomes(Verdict::Healthy);
    let node = nodes_of(partition(&before, 0))[0];
    let client = cluster.client();
    for round in 1..=5 {
        // Whoever comes first, at whichever node.
        let wish = OperationRequest { node: Some(node), ..request("offline-node") };
        let ids: Vec<u64> = std::thread::scope(|scope| {
            let ask = |at: u64| {
                let (client, wish) = (cluster.client_of(at), wish.clone());
                scope.spawn(move || start(&client, wish).id)
            };
            let asked: Vec<_> = (0..6).map(|asker| ask(asker % 3 + 1)).collect();
            asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
        });
        ids.iter().for_each(|id| assert_eq!(ended(&client, *id).state, "done", "round {round}"));
        let operations = client.operations().expect("a list");
        let takes_vote = |one: &&Operation| ["change-leader", "offline-replica"].contains(&one.kind.as_str());
        assert_eq!(operations.iter().filter(takes_vote).count(), round, "{ids:?}: {operations:#?}");
        run(&client, OperationRequest { node: Some(node), ..request("recover-node") });
        cluster.becomes(Verdict::Healthy);
    }
}

#[test]
fn a_decommission_that_is_blocked_names_the_partition_and_what_would_help() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 5, partitions: 1, ..Shape::default() });
    let client = cluster.client();
    // The plan is made while the node that was killed still counts as up.
    for (name, value) in [("suspect_after_ms", "5000"), ("down_after_ms", "6000")] {
        client.set_setting(name, &SetSetting { value: value.into(), by: None }).expect("set");
    }
    let status = cluster.becomes(Verdict::Healthy);
    let first = partition(&status, 0);
    let hosts = nodes_of(first);
    let leads = |node: u64| first.leader == Some(node) || status.leader == Some(node);
    let leaving = hosts.iter().copied().find(|node| !leads(*node)).expect("a node that leads nothing");
    let client = cluster.client_of(status.leader.expect("a leader"));
    let decommission = OperationRequest { node: Some(leaving), ..request("decommission") };
    let plan = client.plan(&decommission).expect("a plan");
    let part = plan.parts.iter().find(|part| part.table == "default").expect("a part");
    let (_, without) = part.what.rsplit_once(" to node ").expect("a target");
    let without: u64 = without.parse().expect("a node");
    assert!(!leads(without), "{status:?}");
    cluster.kill_agent();
    cluster.kill(without);
    let id = start(&client, decommission).id.to_string();

    let explained = until("an explanation that names the node that is missing", || {
        let output = cluster.run(["op", "explain", &id]);
        let text = String::from_utf8(output.stdout).expect("text");
        text.contains(&format!("help: start node {without}")).then_some(text)
    });
    let place = format!("in the way: default/0, node {without}: node {without} is ");
    assert!(explained.contains(&place), "{explained}");
    assert!(explained.contains(&format!("next: skein op cancel {id}")), "{explained}");
    let output = cluster.run(["op", "explain", &id, "--json"]);
    let explained: api::admin::Explanation = serde_json::from_slice(&output.stdout).expect("JSON");
    let of_partition = |blocker: &&api::admin::Blocker| blocker.table.as_deref() == Some("default");
    let blocker = explained.blockers.iter().find(of_partition).expect("a blocker");
    assert_eq!((blocker.partition, blocker.node), (Some(0), Some(without)), "{explained:?}");

    // What helps helps.
    cluster.start_node(without);
    assert_eq!(ended(&client, id.parse().expect("a number")).state, "done");
}

#[test]
fn a_node_goes_offline_and_comes_back() {
    let _beside = beside_others();
    let cluster = three();
    set(&cluster, 1, "a", "1");
    cluster.becomes(Verdict::Healthy);
    let client = cluster.client();
    run(&client, OperationRequest { node: Some(3), ..request("offline-node") });
    let status = cluster.status();
    for partition in status.partitions.iter().filter(|partition| partition.table == "default") {
        assert_ne!(partition.leader, Some(3), "{partition:?}");
        let replica = partition.replicas.iter().find(|replica| replica.node == 3).expect("it stays");
        assert_eq!((replica.role.as_str(), replica.state.as_str()), ("learner", "offline"));
    }
    set(&cluster, 3, "a", "2");
    run(&client, OperationRequest { node: Some(3), ..request("recover-node") });
    let status = cluster.becomes(Verdict::Healthy);
    let all_vote = |partition: &PartitionStatus| partition.replicas.iter().all(|one| one.role != "learner");
    assert!(status.partitions.iter().all(all_vote), "{status:#?}");
    assert_eq!(get(&cluster, 3, "a").as_deref(), Some("2"));
}

#[test]
fn without_automatic_failover_another_leads_by_command_only() {
    let _beside = beside_others();
    let cluster = three();
    set(&cluster, 1, "a", "1");
    cluster.becomes(Verdict::Healthy);
    let client = cluster.client();
    for (name, value) in [("auto_failover", "false"), ("suspect_after_ms", "500"), ("down_after_ms", "2500")]
    {
        let wish = SetSetting { value: value.into(), by: None };
        assert_eq!(client.set_setting(name, &wish).expect("set").value, value);
    }
    // Not the one that leads the catalog, whose own group always elects.
    let status = cluster.status();
    let lost = (1..=3).find(|node| Some(*node) != status.leader).expect("another node");
    // Wherever the leaders are: this one shall lead partition 0.
    run(&client, OperationRequest { to: Some(lost), ..on_partition("change-leader", 0) });
    cluster.kill_agent();
    cluster.kill(lost);
    // By then an election would be over twice.
    let status = until("a node that is down", || {
        let status = client.status().ok()?;
        let is_down = status.nodes.iter().any(|node| node.id == lost && node.state == "down");
        is_down.then_some(status)
    });
    assert_eq!(status.verdict, Verdict::Unavailable, "{}", status.summary);
    let leaderless: Vec<u64> = status
        .partitions
        .iter()
        .filter(|partition| partition.table == "default" && partition.leader.is_none())
        .map(|partition| partition.partition)
        .collect();
    assert!(leaderless.contains(&0), "{status:#?}");

    let to = (1..=3).find(|node| *node != lost).expect("a survivor");
    run(&client, OperationRequest { to: Some(to), ..on_partition("change-leader", 0) });
    assert_eq!(partition(&cluster.status(), 0).leader, Some(to));
    // The leaders of record come back by themselves.
    cluster.start_node(lost);
    let status = cluster.becomes(Verdict::Healthy);
    for partition in leaderless.into_iter().filter(|partition| *partition != 0) {
        assert_eq!(self::partition(&status, partition).leader, Some(lost));
    }
    assert_eq!(partition(&status, 0).leader, Some(to), "nobody takes it back");
    assert_eq!(get(&cluster, to, "a").as_deref(), Some("1"));
}

/// The latest moment after an operation has begun, in milliseconds, at which the node that leads the catalog dies.
const DEATH_MAX_MS: u64 = 700;

/// Pseudo-random numbers, by a seed that is printed.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed = std::env::var("SKEIN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
        eprintln!("SKEIN_TEST_SEED={seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Early ones are likelier: a step takes some dozens of milliseconds, an operation on an empty partition less than
    /// half a second.
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let share = self.0 % 1000;
        Duration::from_micros(DEATH_MAX_MS * share * share / 1000)
    }
}

/// Operations of every kind, one after the other, each about something that it can be about.
fn one_of_each(cluster: &Cluster, number: usize) -> Option<OperationRequest> {
    // What was taken offline is missed until it is recovered.
    let is_missed = [7, 8].contains(&number);
    let status = if is_missed { all_up(cluster) } else { cluster.becomes(Verdict::Healthy) };
    let first = partition(&status, 0);
    let hosts = nodes_of(first);
    let leader = first.leader.expect("a leader");
    let without = (1..=5).find(|node| !hosts.contains(node));
    let follower = *hosts.iter().find(|node| **node != leader).expect("a follower");
    let on_node = |kind, node| OperationRequest { node: Some(node), ..request(kind) };
    let replicas = |count| OperationRequest {
        table: Some("default".into()),
        count: Some(count),
        ..request("set-replicas")
    };
    Some(match number {
        0 => OperationRequest { to: Some(follower), ..on_partition("change-leader", 0) },
        1 => OperationRequest { to: without, ..on_partition("add-replica", 0) },
        2 => OperationRequest { from: Some(follower), ..on_partition("remove-replica", 0) },
        3 => OperationRequest { from: Some(leader), to: without, ..on_partition("migrate", 0) },
        4 => OperationRequest { from: Some(follower), to: without, ..on_partition("migrate", 0) },
        5 => on_partition("snapshot", 0),
        6 => on_node("offline-node", leader),
        // One of its replicas first, and then the others.
        7 => OperationRequest { node: Some(offline(&status)?), ..on_partition("recover-partition", 0) },
        8 => on_node("recover-node", offline(&status)?),
        9 => on_node("drain", leader),
        10 => on_node("undrain", (1..=5).find(|node| is_flagged(&status, *node, "drained"))?),
        11 => replicas(4),
        12 => replicas(3),
        13 => request("balance"),
        14 => request("recover-cluster"),
        // Its parts are of the kind that nobody asks for, `compact`.
        15 => request("optimize"),
        16 => on_node("decommission", 5),
        _ => return None,
    })
}

fn all_up(cluster: &Cluster) -> Status {
    until("all nodes", || {
        let status = cluster.client().status().ok()?;
        let led = status.partitions.iter().all(|partition| partition.leader.is_some());
        (led && status.nodes.iter().all(|node| node.state == "up")).then_some(status)
    })
}

fn is_flagged(status: &Status, node: u64, flag: &str) -> bool {
    status.nodes.iter().any(|known| known.id == node && known.flags.iter().any(|known| known == flag))
}

fn offline(status: &Status) -> Option<u64> {
    (1..=5).find(|node| is_flagged(status, *node, "offline"))
}

/// Starts an operation, kills the node that leads the catalog at some moment, and waits for the end, which must be good.
fn is_done_although_a_leader_dies(cluster: &Cluster, request: OperationRequest, moments: &mut Moments) {
    let client = cluster.client();
    let started = start(&client, request.clone());
    let moment = moments.next();
    std::thread::sleep(moment);
    let leader = until("a leader of the catalog", || client.status().ok()?.leader);
    cluster.kill(leader);
    let operation = ended(&client, started.id);
    let step = operation.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(" ");
    eprintln!(
        "{} ({step}): the leader died after {moment:?}; {} in {} ms",
        operation.kind,
        operation.state,
        operation.ended_ms - operation.created_ms
    );
    assert_eq!(operation.state, "done", "{request:?} {operation:#?}");
}

#[test]
fn operations_go_on_when_the_leader_of_the_catalog_dies() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 5, partitions: 3, ..Shape::default() });
    for key in 0..30 {
        set(&cluster, key % 5 + 1, &format!("key{key}"), "value");
    }
    let mut moments = Moments::new();
    let mut number = 0;
    while let Some(request) = one_of_each(&cluster, number) {
        is_done_although_a_leader_dies(&cluster, request, &mut moments);
        number += 1;
    }
    assert_eq!(number, 17);
    let client = cluster.client_of(1);
    assert!(client.operations().expect("a list").iter().all(|operation| operation.ended_ms > 0));
    assert!(cluster.status().nodes.iter().all(|node| node.id != 5), "it has left");
    for key in 0..30 {
        assert_eq!(get(&cluster, key % 4 + 1, &format!("key{key}")).as_deref(), Some("value"));
    }
    for partition in 0..3 {
        let which = TablePartition { table: "default".into(), partition };
        assert!(client.digest(&which).expect("digests").equal);
    }
}

#[test]
fn a_majority_is_given_up_although_the_leader_of_the_catalog_dies() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 5, partitions: 10, ..Shape::default() });
    for key in 0..30 {
        set(&cluster, key % 5 + 1, &format!("key{key}"), "value");
    }
    cluster.becomes(Verdict::Healthy);
    // Stopped from outside, so that the agent leaves them; the other one that dies it starts again.
    for node in [4, 5] {
        cluster.signal(node, Signal::TERM);
        until("a node that stopped", || (!cluster.is_running(node)).then_some(()));
    }
    let client = cluster.client();
    until("partitions without a majority", || {
        let plan = client.plan(&request("recover-quorum")).ok()?;
        (!plan.parts.is_empty()).then_some(())
    });
    is_done_although_a_leader_dies(&cluster, request("recover-quorum"), &mut Moments::new());
    for key in 0..30 {
        assert_eq!(get(&cluster, key % 3 + 1, &format!("key{key}")).as_deref(), Some("value"));
    }
    cluster.up();
    cluster.becomes(Verdict::Healthy);
    let digest = cluster.run(["digest", "default"]);
    assert!(digest.status.success(), "{}", words(&digest));
}

#[test]
fn a_table_made_while_nodes_are_down_is_served() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 5, partitions: 1, ..Shape::default() });
    let client = cluster.client();
    for (name, value) in [("suspect_after_ms", "500"), ("down_after_ms", "1500")] {
        client.set_setting(name, &SetSetting { value: value.into(), by: None }).expect("set");
    }
    let status = cluster.becomes(Verdict::Healthy);
    let lost: Vec<u64> = (1..=5).filter(|node| Some(*node) != status.leader).take(2).collect();
    cluster.kill_agent();
    lost.iter().for_each(|node| cluster.kill(*node));
    // Two founders of some partitions are on the two nodes that are down: placed on all of them alike.
    let wish = CreateTable {
        name: "late".into(),
        partitions: Some(5),
        replicas: Some(3),
        namespace: None,
        engine: None,
    };
    until("a table", || client.create_table(&wish).ok());
    let status = until("leaders of all partitions", || {
        let status = client.status().ok()?;
        let late: Vec<_> = status.partitions.iter().filter(|one| one.table == "late").collect();
        (late.len() == 5 && late.iter().all(|one| one.leader.is_some())).then(|| status.clone())
    });
    let away = |one: &&PartitionStatus| one.replicas.iter().filter(|one| lost.contains(&one.node)).count();
    let late = status.partitions.iter().filter(|one| one.table == "late");
    assert!(late.clone().all(|one| away(&one) < 2), "{status:#?}");
    lost.iter().for_each(|node| cluster.start_node(*node));
    cluster.becomes(Verdict::Healthy);
}
