//! How a node is, and what would break if it stopped.

use api::admin::{Blocker, Explanation};
use types::NodeId;
use types::limits::{FLAPPING_RETURNS, FLAPPING_WINDOW};

use super::{next_commands, unblock_node};
use crate::kind;
use crate::permits::harms;
use crate::room::mib;
use crate::safety::Harm;
use crate::sight::{Sight, count, replica_on};

pub(super) fn explain(sight: &Sight<'_>, node: NodeId) -> Explanation {
    let Some(record) = sight.catalog.node(node) else {
        let summary = format!("there is no node {node}");
        return Explanation { summary, facts: Vec::new(), blockers: Vec::new(), next: Vec::new() };
    };
    let harms = harms(sight, node);
    let may_stop = if !sight.is_up(node.get()) {
        sight.how_is(node.get())
    } else if harms.is_empty() {
        format!("node {node} may be stopped")
    } else {
        format!("node {node} must not be stopped: {} cannot do without it", count(harms.len(), "partition"))
    };
    let mut blockers: Vec<Blocker> = harms.iter().map(|harm| blocker(sight, node, harm)).collect();
    if !sight.is_up(node.get()) {
        let (why, unblock) = (sight.how_is(node.get()), unblock_node(sight, node.get()));
        blockers.insert(0, Blocker { table: None, partition: None, node: Some(node.get()), why, unblock });
    }
    let flags = catalog::status::flag_names(&sight.catalog.flags(node));
    let mut rest = Vec::new();
    for flag in &flags {
        match flag.as_str() {
            "drained" => rest.push(format!("skein node undrain {node}")),
            "offline" => rest.push(format!("skein node recover {node}")),
            _ => {}
        }
    }
    let flagged = if flags.is_empty() { String::new() } else { format!(", {}", flags.join(", ")) };
    Explanation {
        summary: format!("node {node} at {}{flagged}: {may_stop}", record.endpoint),
        facts: facts(sight, node),
        next: next_commands(&blockers, rest),
        blockers,
    }
}

/// A partition that cannot do without the node: another one has to come back first, or it has to move.
fn blocker(sight: &Sight<'_>, node: NodeId, harm: &Harm<'_>) -> Blocker {
    let (table, index) = (sight.table_name(harm.partition), harm.partition.index);
    let unblock = match harm.node {
        Some(other) => unblock_node(sight, other),
        None => format!("skein partition migrate {table} {index} --from {node}"),
    };
    Blocker {
        table: Some(table),
        partition: Some(index),
        node: Some(harm.node.unwrap_or(node.get())),
        why: harm.why.clone(),
        unblock,
    }
}

fn facts(sight: &Sight<'_>, node: NodeId) -> Vec<String> {
    let mut facts = Vec::new();
    let hosted = sight.catalog.partitions().filter(|partition| replica_on(partition, node.get()).is_some());
    let (mut replicas, mut leads, mut unwell) = (0, 0, 0_usize);
    for partition in hosted {
        replicas += 1;
        leads += u64::from(sight.leader_node(partition.group) == Some(node));
        let replica = replica_on(partition, node.get());
        let well = replica.is_some_and(|replica| {
            !replica.offline
                && sight.in_sync(partition.group, replica.id)
                && sight.votes(partition, replica.id)
        });
        unwell += usize::from(!well);
    }
    let well = if unwell == 0 { "all are in sync".into() } else { format!("{unwell} not in sync") };
    facts.push(format!("it hosts {} and leads {leads} of them; {well}", count(replicas, "replica")));
    if let Some(seen) = sight.observed.nodes.get(&node) {
        facts.push(format!("it was heard of {} ms ago", seen.age.as_millis()));
        let free = seen.free_bytes.map(|free| format!(", {} MiB are free", mib(free)));
        facts.push(format!("its replicas have {} MiB{}", mib(seen.used_bytes), free.unwrap_or_default()));
    }
    if sight.flaps(node.get()) {
        let (times, minutes) = (FLAPPING_RETURNS, FLAPPING_WINDOW.as_secs() / 60);
        facts.push(format!(
            "it is flapping: its process has begun anew {times} times within {minutes} minutes; until it has been up for \
             {minutes} minutes it gets no leaders and no replicas by itself"
        ));
    }
    if let Some(permit) = sight.catalog.permit(node) {
        let left = permit.until_ms.saturating_sub(sight.observed.wall_ms) / 1000;
        let how_long = if left > 0 { format!("for {left} s more") } else { "and its time has passed".into() };
        facts.push(format!("{} has a permit to stop it, {how_long}", permit.holder));
    }
    for operation in sight.catalog.operations().filter(|known| !known.state().has_ended()) {
        let Some(kind) = &operation.kind else { continue };
        let about = [kind::about_node(kind), kind::target_node(kind), kind::source_node(kind, None)];
        if about.contains(&Some(node.get())) {
            let what = kind::what(sight, kind, operation.group.is_some());
            facts.push(format!("operation {}: {what}", operation.id));
        }
    }
    facts
}
