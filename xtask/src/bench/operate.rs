//! Operations as figures see them: asked for once, followed to their end, and proved.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api::admin::{
    NodeStatus, Operation, OperationRequest, PartitionStatus, SetSetting, StartOperation, Status,
    Verdict as Health,
};
use client::Client;

use super::failover::data_partitions;
use super::support::{Cluster, words};

/// The pause between two looks at an operation; so much later than it ended it is seen to have ended.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// No figure waits longer for an operation.
const PATIENCE: Duration = Duration::from_secs(1800);

/// An operation that is done.
pub struct Done {
    /// How it ended, evidence included.
    pub operation: Operation,
    /// From the request to the answer that says that it is done.
    pub took: Duration,
    /// Looks that nobody answered.
    pub unseen: u64,
}

/// Asks for an operation, once, and follows it.
///
/// # Errors
/// It is refused, does not end well, or does not end.
pub fn carry_out(client: &Client, request: OperationRequest) -> Result<Done> {
    let kind = request.kind.clone();
    let wish = StartOperation { request, planned: None, by: None };
    let began = Instant::now();
    let started = client.start_operation(&wish).map_err(anyhow::Error::new).with_context(|| kind.clone())?;
    let mut unseen = 0;
    let operation = loop {
        match client.operation(started.id) {
            Ok(operation) if operation.ended_ms > 0 => break operation,
            Ok(_) => {}
            Err(fault) => {
                unseen += 1;
                eprintln!("  {kind}: not answered: {fault}");
            }
        }
        ensure!(began.elapsed() < PATIENCE, "{kind}: not done after {} s", PATIENCE.as_secs());
        std::thread::sleep(LOOK_PAUSE);
    };
    let took = began.elapsed();
    ensure!(operation.state == "done", "{kind}: {operation:#?}");
    Ok(Done { operation, took, unseen })
}

/// Moves a partition's replica from one node to another; all replicas must prove to be equal.
pub fn migrate(client: &Client, partition: &PartitionStatus, from: u64, to: u64) -> Result<Done> {
    let request = OperationRequest {
        kind: "migrate".into(),
        table: Some(partition.table.clone()),
        partitions: vec![partition.partition],
        from: Some(from),
        to: Some(to),
        ..OperationRequest::default()
    };
    let done = carry_out(client, request)?;
    ensure!(is_proved(&done.operation), "no evidence: {:#?}", done.operation);
    Ok(done)
}

/// Whether replicas were compared, and were equal.
pub fn is_proved(operation: &Operation) -> bool {
    !operation.evidence.is_empty() && operation.evidence.iter().all(|digests| digests.equal)
}

/// Adds a node; the cluster is healthy then. Returns its id.
pub fn add_node(cluster: &Cluster) -> Result<u64> {
    let added = cluster.run(["node", "add", "--json"]);
    ensure!(added.status.success(), "node add: {}", words(&added));
    let added: NodeStatus = serde_json::from_slice(&added.stdout).context("the node that was added")?;
    cluster.becomes(Health::Healthy);
    Ok(added.id)
}

/// Changes a setting.
pub fn set(client: &Client, name: &str, value: &str) -> Result<()> {
    let wish = SetSetting { value: value.into(), by: None };
    client.set_setting(name, &wish).map(|_| ()).map_err(anyhow::Error::new).with_context(|| name.to_owned())
}

/// A partition of the default table.
pub fn partition(status: &Status, at: usize) -> Result<&PartitionStatus> {
    data_partitions(status).nth(at).with_context(|| format!("there is no partition {at}"))
}

/// A node that leads a partition, one that follows, and one without a replica, where there are such.
pub fn places(status: &Status, partition: &PartitionStatus) -> Result<[u64; 3]> {
    let has = |node: u64| partition.replicas.iter().any(|replica| replica.node == node);
    let leader = partition.leader.context("a healthy partition has a leader")?;
    let mut nodes = status.nodes.iter().map(|node| node.id);
    let follower = nodes.clone().find(|&node| has(node) && node != leader).context("a follower")?;
    let other = nodes.find(|&node| !has(node)).context("a node without a replica")?;
    Ok([leader, follower, other])
}

/// The steps of an operation and what each took: `add 0.1 s, catch-up 3.2 s, ...`.
pub fn steps(operation: &Operation) -> String {
    let took = |begun: u64, ended: u64| ended.saturating_sub(begun) as f64 / 1000.0;
    let steps = operation.steps.iter();
    steps
        .map(|step| format!("{} {:.2} s", step.name, took(step.begun_ms, step.ended_ms)))
        .collect::<Vec<_>>()
        .join(", ")
}
