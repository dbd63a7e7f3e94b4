//! How a node is, and what would break if it stopped.

use api::admin::{Blocker, Explanation};
use types::NodeId;

use super::{next_commands, unblock_node};
use crate::kind;
use crate::permits::harms;
use crate::plan::target::mib;
use crate::sight::{Sight, replica_on};

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
        format!("node {node} must not be stopped: {} partitions cannot do without it", harms.len())
    };
    let blocker = |why: String| Blocker {
        table: None,
        partition: None,
        node: Some(node.get()),
        why,
        unblock: String::new(),
    };
    let mut blockers: Vec<Blocker> = harms.into_iter().map(blocker).collect();
    if !sight.is_up(node.get()) {
        let mut down = blocker(sight.how_is(node.get()));
        down.unblock = unblock_node(sight, node.get());
        blockers.insert(0, down);
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

fn facts(sight: &Sight<'_>, node: NodeId) -> Vec<String> {
    let mut facts = Vec::new();
    let hosted = sight.catalog.partitions().filter(|partition| replica_on(partition, node.get()).is_some());
    let (mut replicas, mut leads, mut unwell) = (0, 0, 0);
    for partition in hosted {
        replicas += 1;
        leads += u64::from(sight.leader_node(partition.group) == Some(node));
        let replica = replica_on(partition, node.get());
        let well = replica.is_some_and(|replica| {
            !replica.offline
                && sight.in_sync(partition.group, replica.id)
                && sight.votes(partition, replica.id)
        });
        unwell += u64::from(!well);
    }
    facts.push(format!("it hosts {replicas} replicas, leads {leads}, and {unwell} of them are not in sync"));
    if let Some(seen) = sight.observed.nodes.get(&node) {
        facts.push(format!("it was heard of {} ms ago", seen.age.as_millis()));
        let free = seen.free_bytes.map(|free| format!(", {} MiB are free", mib(free)));
        facts.push(format!("its replicas have {} MiB{}", mib(seen.used_bytes), free.unwrap_or_default()));
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
