//! Operations and permits in a script's words.

use api::catalog::{ArchiveChange, ArchiveRecord, GroupReplica};
use api::operation::{
    CatalogEdit, Edit, ExpectedPartition, MoveReplica, NodeFlags, OnNode, OnPartition, OperationChange,
    OperationKind, OperationRecord, OperationState, PermitChange, PermitRecord, ReplaceRank, ReplicasWish,
    SetOffline, StepRecord, TakeOver,
};
use catalog::Catalog;

use crate::words::{Words, parse};
use crate::world::group_replica;

/// `operate expect=1:2 start=parent,1,2 update=3:5:running add=1@4 remove=1/2>4 offline=1/2 online=1/2 lead=1/2
/// flags=2:drained+leaving leave=2 replicas=1:5 takeover=1/2 epoch=3 term=7 forget=7
/// joins=3`; each list may have several.
pub fn change(words: &Words<'_>, catalog: &Catalog) -> OperationChange {
    let mut edits: Vec<Edit> = Vec::new();
    edits.extend(words.list("add").into_iter().map(|text| Edit::AddReplica(on_partition(text))));
    edits.extend(words.list("remove").into_iter().map(|text| Edit::RemoveReplica(replace_rank(text))));
    edits.extend(words.list("offline").into_iter().map(|text| set_offline(text, true)));
    edits.extend(words.list("online").into_iter().map(|text| set_offline(text, false)));
    edits.extend(words.list("lead").into_iter().map(|text| Edit::SetLeader(group_replica(text))));
    edits.extend(words.list("flags").into_iter().map(|text| Edit::SetNode(flags(text))));
    edits.extend(words.list("leave").into_iter().map(|text| Edit::RemoveNode(OnNode { node: parse(text) })));
    edits.extend(words.list("replicas").into_iter().map(|text| {
        let (table, replicas) = pair(text, ':');
        Edit::SetReplicas(ReplicasWish { table, replicas: replicas as u32 })
    }));
    edits.extend(words.list("takeover").into_iter().map(|text| {
        let GroupReplica { group, replica } = group_replica(text);
        let value = |name| words.value(name).unwrap_or(0);
        let (route_epoch, term) = (value("epoch"), value("term"));
        Edit::TakeOver(TakeOver { group, survivor: replica, route_epoch, term, epoch: 0 })
    }));
    let expected = |text: &str| {
        let (group, route_epoch) = pair(text, ':');
        ExpectedPartition { group, route_epoch }
    };
    let mut edits: Vec<CatalogEdit> =
        edits.into_iter().map(|edit| CatalogEdit { edit: Some(edit) }).collect();
    if words.text("unknown-edit").is_some() {
        edits.push(CatalogEdit { edit: None });
    }
    OperationChange {
        expect: words.list("expect").into_iter().map(expected).collect(),
        start: words.list("start").into_iter().map(new_operation).collect(),
        update: words.list("update").into_iter().map(|text| updated(text, catalog)).collect(),
        edits,
        forget: words.list("forget").into_iter().map(parse).collect(),
        joins: words.value("joins").unwrap_or(0),
    }
}

/// `permit 2 seen=1,3 until=5000 by=agent release=4 holder=agent ends=4000`; `unseen=1` for groups that the answer did not know of.
pub fn permit(words: &Words<'_>, catalog: &Catalog) -> PermitChange {
    let unseen: Vec<u64> = words.list("unseen").into_iter().map(parse).collect();
    let seen = catalog.partitions().filter(|partition| !unseen.contains(&partition.group));
    let expect = seen
        .map(|partition| ExpectedPartition { group: partition.group, route_epoch: partition.route_epoch });
    let grant = words.arguments().first().map(|node| PermitRecord {
        node: parse(node),
        holder: words.text("by").unwrap_or("agent").into(),
        granted_ms: 0,
        until_ms: words.value("until").unwrap_or(1000),
    });
    let held = || {
        let node = grant.as_ref().map_or(0, |grant| grant.node);
        catalog.permit(types::NodeId(node)).map(|permit| permit.holder.clone()).unwrap_or_default()
    };
    PermitChange {
        holder: words.text("holder").map_or_else(held, str::to_owned),
        grant,
        seen: words.list("seen").into_iter().map(parse).collect(),
        release: words.value("release").unwrap_or(0),
        expect: expect.collect(),
        until_ms: words.value("ends").unwrap_or(0),
    }
}

/// `archive 7 every=1000 tables=default:kv`; without a number it ends.
pub fn archive(words: &Words<'_>) -> ArchiveChange {
    let begin = words.arguments().first().map(|number| ArchiveRecord {
        archive: parse(number),
        id: format!("a{number}"),
        url: "file:///archive".into(),
        tables: words.list("tables").into_iter().map(str::to_owned).collect(),
        every_ms: words.value("every").unwrap_or(1000),
        hold_bytes_max: 1 << 30,
        ..Default::default()
    });
    ArchiveChange { begin }
}

/// `parent`, or the group of an operation on a partition, and `@` another node than 4 that it moves a replica to; or the
/// group and `+` the node whose replica it recovers, which runs at once.
fn new_operation(text: &str) -> OperationRecord {
    if let Some((group, node)) = text.split_once('+').map(|(group, node)| (parse(group), parse(node))) {
        let kind = Some(OperationKind::RecoverReplica(OnPartition { group, node }));
        let state = OperationState::Running.into();
        return OperationRecord { kind, group: Some(group), state, ..Default::default() };
    }
    let (text, to) = text.split_once('@').map_or((text, 4), |(group, to)| (group, parse(to)));
    let group = (text != "parent").then(|| parse(text));
    let kind = match group {
        Some(group) => OperationKind::Migrate(MoveReplica { group, from: 1, to }),
        None => OperationKind::Drain(OnNode { node: 1 }),
    };
    let step = StepRecord { name: "add".into(), ..Default::default() };
    OperationRecord { kind: Some(kind), group, steps: vec![step], ..Default::default() }
}

/// `id:revision:state`.
fn updated(text: &str, catalog: &Catalog) -> OperationRecord {
    let parts: Vec<&str> = text.split(':').collect();
    let id: u64 = parse(parts[0]);
    let mut record = catalog.operation(id.into()).cloned().unwrap_or_default();
    (record.id, record.revision) = (id, parse(parts[1]));
    record.set_state(match parts[2] {
        "queued" => OperationState::Queued,
        "running" => OperationState::Running,
        "done" => OperationState::Done,
        "failed" => OperationState::Failed,
        other => panic!("no state '{other}'"),
    });
    record
}

fn pair(text: &str, between: char) -> (u64, u64) {
    let (first, second) = text.split_once(between).expect("two numbers");
    (parse(first), parse(second))
}

fn on_partition(text: &str) -> OnPartition {
    let (group, node) = pair(text, '@');
    OnPartition { group, node }
}

fn replace_rank(text: &str) -> ReplaceRank {
    let (leaving, successor) = text.split_once('>').unwrap_or((text, "0"));
    let GroupReplica { group, replica } = group_replica(leaving);
    ReplaceRank { group, replica, successor: parse(successor) }
}

fn set_offline(text: &str, offline: bool) -> Edit {
    let GroupReplica { group, replica } = group_replica(text);
    Edit::SetOffline(SetOffline { group, replica, offline, ..Default::default() })
}

/// `node:flag+flag`, or `node:` for none.
fn flags(text: &str) -> NodeFlags {
    let (node, names) = text.split_once(':').expect("node:flags");
    let has = |name: &str| names.split('+').any(|one| one == name);
    let (drained, leaving, offline) = (has("drained"), has("leaving"), has("offline"));
    NodeFlags { node: parse(node), drained, leaving, offline }
}
