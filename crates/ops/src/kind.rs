//! The kinds of operations: names, steps, and what each is about, in one table.

use api::operation::{OperationKind, OperationRecord, OperationState};
pub(crate) use catalog::alike::{about_node, target_node};

use crate::sight::Sight;

/// Tables that are called by name where an operation says what it does.
const TITLES_SHOWN_MAX: usize = 4;

/// A step. Its name is what is stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Another replica is made the leader of record, and takes over.
    HandOver,
    /// The catalog knows that it leads.
    Settled,
    /// A replica enters the wish; the group takes it in.
    Add,
    /// It gets a snapshot, catches up, and gets its vote.
    CatchUp,
    /// The hashes of the replicas are compared.
    Evidence,
    /// A replica leaves the wish: the point of no return.
    Remove,
    /// The group has let it go, or has taken its vote.
    Settle,
    /// A replica shall have no vote.
    Offline,
    /// A replica shall have its vote again.
    Recover,
    /// Logs are cut.
    Cut,
    /// A survivor goes on alone: the point of no return.
    TakeOver,
    /// Space is given back.
    Compact,
    /// Waits for the parts.
    Parts,
    /// A node leaves the cluster.
    Leave,
    /// A point in time is chosen, and the backup begun.
    Barrier,
    /// Every partition is written.
    Save,
    /// What was done is told at the place of the backup: its manifest makes it exist, a restore is over.
    Finish,
    /// A backup is written into tables.
    Restore,
    /// Tables that a restore made get their replicas.
    Replicate,
    /// What they hold is compared with the source.
    Compare,
    /// Tables that a restore made serve clients: the point of no return.
    Open,
    /// The scratch tables go.
    Drop,
    /// The proof is written beside the backup.
    Prove,
    /// The schedule hears of it, and older backups go.
    Keep,
}

impl Step {
    const ALL: [(Step, &'static str); 24] = [
        (Step::HandOver, "hand-over"),
        (Step::Settled, "settled"),
        (Step::Add, "add"),
        (Step::CatchUp, "catch-up"),
        (Step::Evidence, "evidence"),
        (Step::Remove, "remove"),
        (Step::Settle, "settle"),
        (Step::Offline, "offline"),
        (Step::Recover, "recover"),
        (Step::Cut, "cut"),
        (Step::TakeOver, "take-over"),
        (Step::Compact, "compact"),
        (Step::Parts, "parts"),
        (Step::Leave, "leave"),
        (Step::Barrier, "barrier"),
        (Step::Save, "save"),
        (Step::Finish, "finish"),
        (Step::Restore, "restore"),
        (Step::Replicate, "replicate"),
        (Step::Compare, "compare"),
        (Step::Open, "open"),
        (Step::Drop, "drop"),
        (Step::Prove, "prove"),
        (Step::Keep, "keep"),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(step, _)| *step == self).map_or("", |(_, name)| name)
    }

    /// The step that an operation is at; nothing after the last, or when a newer release named it.
    pub(crate) fn of(operation: &OperationRecord) -> Option<Step> {
        let name = &operation.steps.get(operation.step as usize)?.name;
        Self::ALL.iter().find(|(_, known)| known == name).map(|(step, _)| *step)
    }
}

/// The name of a kind.
pub fn name(kind: &OperationKind) -> &'static str {
    match kind {
        OperationKind::ChangeLeader(_) => "change-leader",
        OperationKind::AddReplica(_) => "add-replica",
        OperationKind::RemoveReplica(_) => "remove-replica",
        OperationKind::Migrate(_) => "migrate",
        OperationKind::OfflineReplica(_) => "offline-replica",
        OperationKind::RecoverReplica(_) => "recover-replica",
        OperationKind::Snapshot(_) => "snapshot",
        OperationKind::OfflineNode(_) => "offline-node",
        OperationKind::RecoverNode(_) => "recover-node",
        OperationKind::RecoverCluster(_) => "recover-cluster",
        OperationKind::Balance(_) => "balance",
        OperationKind::Drain(_) => "drain",
        OperationKind::Undrain(_) => "undrain",
        OperationKind::Decommission(_) => "decommission",
        OperationKind::SetReplicas(_) => "set-replicas",
        OperationKind::RecoverQuorum(_) => "recover-quorum",
        OperationKind::Optimize(_) => "optimize",
        OperationKind::Compact(_) => "compact",
        OperationKind::Backup(_) => "backup",
        OperationKind::Drill(_) => "drill",
        OperationKind::Restore(_) => "restore",
    }
}

/// The steps of an operation on one partition. One that is a part of taking a node offline takes the vote of
/// the replica that led as well.
pub(crate) fn partition_steps(kind: &OperationKind, of_offline_node: bool) -> &'static [Step] {
    use Step::{
        Add, CatchUp, Cut, Evidence, HandOver, Offline, Parts, Recover, Remove, Settle, Settled, TakeOver,
    };
    match kind {
        OperationKind::ChangeLeader(_) if of_offline_node => &[HandOver, Offline, Settle],
        OperationKind::ChangeLeader(_) => &[HandOver, Settled],
        OperationKind::AddReplica(_) => &[Add, CatchUp, Evidence],
        OperationKind::RemoveReplica(_) => &[HandOver, Remove, Settle],
        OperationKind::Migrate(_) => &[Add, CatchUp, Evidence, HandOver, Remove, Settle],
        OperationKind::OfflineReplica(_) => &[HandOver, Offline, Settle],
        OperationKind::RecoverReplica(_) => &[Recover, CatchUp, Evidence],
        OperationKind::Snapshot(_) => &[Cut],
        OperationKind::RecoverQuorum(_) => &[TakeOver],
        OperationKind::Compact(_) => &[Step::Compact],
        _ => &[Parts],
    }
}

/// The steps of an operation that is about no single partition.
pub(crate) fn parent_steps(kind: &OperationKind) -> &'static [Step] {
    use Step::{Barrier, Compare, Drop, Finish, Keep, Open, Prove, Replicate, Restore, Save};
    match kind {
        OperationKind::Backup(wish) if wish.schedule.is_empty() => &[Barrier, Save, Finish],
        OperationKind::Backup(_) => &[Barrier, Save, Finish, Keep],
        OperationKind::Drill(wish) if wish.schedule.is_empty() => &[Restore, Compare, Drop, Prove],
        OperationKind::Drill(_) => &[Restore, Compare, Drop, Prove, Keep],
        OperationKind::Restore(_) => &[Restore, Replicate, Compare, Open, Finish],
        OperationKind::Decommission(_) => &[Step::Parts, Step::Leave],
        _ => &[Step::Parts],
    }
}

/// Whether an operation is about no single partition and begins without parts: the node that leads the catalog does it.
pub(crate) fn has_tasks(kind: &OperationKind) -> bool {
    matches!(kind, OperationKind::Backup(_) | OperationKind::Drill(_) | OperationKind::Restore(_))
}

/// Whether an operation can no longer be undone.
pub(crate) fn is_past_return(operation: &OperationRecord) -> bool {
    let mut begun = operation.steps.iter().take(operation.step as usize + 1);
    operation.state() == OperationState::Running
        && begun.any(|step| {
            [Step::Remove, Step::Leave, Step::TakeOver, Step::Keep, Step::Open]
                .iter()
                .any(|last| step.name == last.as_str())
        })
}

/// Every kind of operations with the steps that it can go through, in order: those of an operation on one partition
/// before those of one with parts.
pub fn courses() -> Vec<(&'static str, Vec<&'static str>)> {
    let course = |kind: OperationKind| {
        let mut steps = partition_steps(&kind, false).to_vec();
        let more = partition_steps(&kind, true).iter().chain(parent_steps(&kind));
        more.for_each(|step| steps.extend((!steps.contains(step)).then_some(*step)));
        (name(&kind), steps.into_iter().map(Step::as_str).collect())
    };
    every_kind().into_iter().map(course).collect()
}

fn every_kind() -> Vec<OperationKind> {
    vec![
        OperationKind::ChangeLeader(Default::default()),
        OperationKind::AddReplica(Default::default()),
        OperationKind::RemoveReplica(Default::default()),
        OperationKind::Migrate(Default::default()),
        OperationKind::OfflineReplica(Default::default()),
        OperationKind::RecoverReplica(Default::default()),
        OperationKind::Snapshot(Default::default()),
        OperationKind::OfflineNode(Default::default()),
        OperationKind::RecoverNode(Default::default()),
        OperationKind::RecoverCluster(Default::default()),
        OperationKind::Balance(Default::default()),
        OperationKind::Drain(Default::default()),
        OperationKind::Undrain(Default::default()),
        OperationKind::Decommission(Default::default()),
        OperationKind::SetReplicas(Default::default()),
        OperationKind::RecoverQuorum(Default::default()),
        OperationKind::Optimize(Default::default()),
        OperationKind::Compact(Default::default()),
        OperationKind::Backup(Default::default()),
        OperationKind::Drill(Default::default()),
        OperationKind::Restore(Default::default()),
    ]
}

/// The node whose replica loses its vote or leaves.
pub(crate) fn source_node(kind: &OperationKind, parent: Option<&OperationKind>) -> Option<u64> {
    match (kind, parent) {
        (OperationKind::RemoveReplica(at) | OperationKind::OfflineReplica(at), _) => Some(at.node),
        (OperationKind::Migrate(moved), _) => Some(moved.from),
        (OperationKind::ChangeLeader(_), Some(OperationKind::OfflineNode(on))) => Some(on.node),
        _ => None,
    }
}

/// Whether it copies a replica.
pub(crate) fn copies(kind: &OperationKind) -> bool {
    matches!(kind, OperationKind::AddReplica(_) | OperationKind::Migrate(_))
}

/// The partition that a kind names.
pub(crate) fn group(kind: &OperationKind) -> Option<u64> {
    match kind {
        OperationKind::ChangeLeader(at)
        | OperationKind::AddReplica(at)
        | OperationKind::RemoveReplica(at)
        | OperationKind::OfflineReplica(at)
        | OperationKind::RecoverReplica(at)
        | OperationKind::Snapshot(at)
        | OperationKind::RecoverQuorum(at)
        | OperationKind::Compact(at) => Some(at.group),
        OperationKind::Migrate(moved) => Some(moved.group),
        _ => None,
    }
}

/// What an operation does, in a sentence without an end. `single`: on one partition; the others name one of
/// those that their parts are about.
pub(crate) fn what(sight: &Sight<'_>, kind: &OperationKind, single: bool) -> String {
    let subject = |group: u64| match (single, sight.partition(group)) {
        (false, Some(partition)) => format!("partitions of {}", sight.table_name(partition)),
        (false, None) => "partitions of a dropped table".into(),
        (true, _) => sight.group_name(group),
    };
    let verb = |one: &'static str, many: &'static str| if single { one } else { many };
    let to = |word: &str, node: u64| if node == 0 { String::new() } else { format!(" {word} node {node}") };
    match kind {
        OperationKind::ChangeLeader(at) if at.node == 0 => {
            format!("{} {} another leader", subject(at.group), verb("gets", "get"))
        }
        OperationKind::ChangeLeader(at) => format!("node {} leads {}", at.node, subject(at.group)),
        OperationKind::AddReplica(at) => {
            format!("{} {} a replica{}", subject(at.group), verb("gets", "get"), to("on", at.node))
        }
        OperationKind::RemoveReplica(at) => {
            let node = if at.node == 0 { "a node".into() } else { format!("node {}", at.node) };
            format!("{} {} {node}", subject(at.group), verb("leaves", "leave"))
        }
        OperationKind::Migrate(moved) => {
            let (from, to) = (to("from", moved.from), to("to", moved.to));
            format!("{} {}{from}{to}", subject(moved.group), verb("moves", "move"))
        }
        OperationKind::OfflineReplica(at) => {
            format!("{} {} offline{}", subject(at.group), verb("goes", "go"), to("on", at.node))
        }
        OperationKind::RecoverReplica(at) => {
            format!("{} {} recovered{}", subject(at.group), verb("is", "are"), to("on", at.node))
        }
        OperationKind::Snapshot(at) => format!("the logs of {} are cut", subject(at.group)),
        OperationKind::OfflineNode(on) => format!("node {} is taken offline", on.node),
        OperationKind::RecoverNode(on) => format!("node {} is recovered", on.node),
        OperationKind::RecoverCluster(_) => "whatever is wrong with any replica is mended".into(),
        OperationKind::Balance(_) => "replicas and leaders are evened out".into(),
        OperationKind::Drain(on) => format!("node {} leads nothing that another node can lead", on.node),
        OperationKind::Undrain(on) => format!("node {} may lead again", on.node),
        OperationKind::Decommission(on) => {
            format!("everything on node {} moves away, then it leaves", on.node)
        }
        OperationKind::RecoverQuorum(at) if single => {
            format!("{} goes on with the replica on node {} alone", subject(at.group), at.node)
        }
        OperationKind::RecoverQuorum(_) => {
            "partitions without a majority go on with one survivor each".into()
        }
        OperationKind::Compact(at) => format!("the replicas of {} are compacted", subject(at.group)),
        OperationKind::Optimize(wish) => {
            let table = sight.catalog.table(wish.table.into()).map(catalog::display_name);
            let what = match (table.filter(|_| wish.table != 0), wish.namespace.as_str()) {
                (Some(table), _) => format!("table {table}"),
                (None, "") => "all tables".into(),
                (None, namespace) => format!("namespace {namespace}"),
            };
            format!("the replicas of {what} are compacted, one after another")
        }
        OperationKind::Backup(wish) => {
            let what = match wish.tables.as_slice() {
                [] if wish.resumes => format!("backup {} is gone on with", wish.backup),
                [] => "all tables are saved".into(),
                [table] => format!("{table} is saved"),
                tables if tables.len() <= TITLES_SHOWN_MAX => format!("{} are saved", tables.join(", ")),
                tables => format!("{} tables are saved", tables.len()),
            };
            match wish.parent.as_str() {
                "" => format!("{what} at {}", wish.url),
                parent => format!("{what} at {}, what has changed since {parent}", wish.url),
            }
        }
        OperationKind::Drill(wish) => {
            format!("backup {} at {} is restored into scratch tables and compared", wish.backup, wish.url)
        }
        OperationKind::Restore(wish) => {
            let into = match wish.tables.as_slice() {
                tables if tables.len() <= TITLES_SHOWN_MAX => {
                    tables.iter().map(|table| table.to.as_str()).collect::<Vec<_>>().join(", ")
                }
                tables => format!("{} tables", tables.len()),
            };
            let at = match wish.at_ms {
                0 => String::new(),
                at_ms => format!(", as of {},", types::utc::text(at_ms)),
            };
            format!("backup {} at {}{at} is restored into {into}", wish.backup, wish.url)
        }
        OperationKind::SetReplicas(wish) => {
            let table = sight.catalog.table(wish.table.into()).map(catalog::display_name);
            format!("{} gets {} replicas", table.unwrap_or_default(), wish.replicas)
        }
    }
}

/// Whether an operation stands back for every other one on its partition while it waits for its turn. There may be
/// one for each partition of the cluster, and they go one by one.
pub(crate) fn stands_back(operation: &OperationRecord) -> bool {
    matches!(operation.kind, Some(OperationKind::Compact(_))) && operation.state() == OperationState::Queued
}
