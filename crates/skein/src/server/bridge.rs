//! A gap of the archive is bridged by a backup, which the node that leads the catalog begins by itself.
//!
//! What it goes by is the target alone: a partition that has more than one run has had a gap, and unless some backup was
//! taken in its latest run, no time of that run can be restored. A first backup is for people to take.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use api::admin::{OperationRequest, StartOperation};
use api::catalog::{ArchiveRecord, CatalogOp};
use api::saving::BackupRequest;
use backup::archive::{head, runs};
use backup::{BackupError, Target};
use catalog::DEFAULT_NAMESPACE;
use node::Node;
use types::{ErrorCode, Fault, GroupId};

/// How often it is looked for gaps.
const LOOK: Duration = Duration::from_secs(10);
/// A backup that was begun and has not come to be is begun again after so long.
const AGAIN: Duration = Duration::from_secs(600);
/// How long the catalog may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is remembered between two looks; another node that leads the catalog begins without.
#[derive(Default)]
pub(super) struct Bridge {
    looked: Option<Instant>,
    begun: Option<Instant>,
}

impl Bridge {
    /// Begins a backup if one is needed and this node is the one to do it.
    pub(super) fn look(&mut self, node: &Node, archive: &ArchiveRecord) {
        let is_due = |last: Option<Instant>, every: Duration| last.is_none_or(|last| last.elapsed() >= every);
        let leads = node.leader_of(GroupId::CATALOG) == Some(node.id());
        if !leads || !is_due(self.looked, LOOK) || !is_due(self.begun, AGAIN) {
            return;
        }
        self.looked = Some(Instant::now());
        let needed = backup::open(&archive.url).and_then(|target| {
            let exists = |group: u64| node.catalog().partition(GroupId(group)).is_some();
            is_needed(&*target, archive, &exists)
        });
        let begun = match needed {
            Ok(false) => return,
            Ok(true) => begin(node, archive),
            Err(error) => Err(error.to_fault()),
        };
        match begun {
            Ok(()) => {
                tracing::info!(archive = archive.id, "a gap of the archive is bridged by a backup");
                self.begun = Some(Instant::now());
            }
            Err(fault) => {
                tracing::warn!(archive = archive.id, %fault, "a gap of the archive is not bridged yet")
            }
        }
    }
}

/// Whether some partition that exists has had a gap after which there is no backup.
fn is_needed(
    target: &dyn Target,
    archive: &ArchiveRecord,
    exists: &dyn Fn(u64) -> bool,
) -> Result<bool, BackupError> {
    // The latest run of each group, and how many there are.
    let mut latest = BTreeMap::new();
    for run in runs(target, &archive.id)? {
        let (known, count) = latest.entry(run.group).or_insert_with(|| (run.clone(), 0));
        *count += 1;
        if run.since > known.since {
            *known = run;
        }
    }
    latest.retain(|group, (_, count)| *count > 1 && exists(*group));
    let mut open = Vec::new();
    for (run, _) in latest.into_values() {
        // One that is not told yet is not helped by a backup.
        if head(target, &run)?.is_some_and(|head| head.complete_ms > 0) {
            open.push(run);
        }
    }
    if open.is_empty() {
        return Ok(false);
    }
    for listed in backup::list(target)?.into_iter().rev() {
        let Some(manifest) = listed.manifest else { continue };
        let partitions: Vec<(u64, u64)> = manifest
            .begun
            .tables
            .iter()
            .flat_map(|table| &table.partitions)
            .map(|partition| (partition.group, partition.index))
            .collect();
        open.retain(|run| {
            !partitions.iter().any(|(group, index)| *group == run.group && *index >= run.since)
        });
    }
    Ok(!open.is_empty())
}

/// Begins a backup of what is in the archive, as anybody could.
fn begin(node: &Node, archive: &ArchiveRecord) -> Result<(), Fault> {
    let bare = format!("{DEFAULT_NAMESPACE}:");
    let title = |table: &String| table.strip_prefix(&bare).unwrap_or(table).to_owned();
    let backup = BackupRequest {
        url: archive.url.clone(),
        tables: archive.tables.iter().map(title).collect(),
        namespaces: archive.namespaces.clone(),
        ..BackupRequest::default()
    };
    let request = OperationRequest { kind: "backup".into(), backup: Some(backup), ..Default::default() };
    let change =
        node.start_command(&StartOperation { request, planned: None, by: Some("archive".into()) })?;
    let (sender, receiver) = channel();
    node.change_catalog(CatalogOp::Operate(change), move |answer| drop(sender.send(answer)));
    let answer = receiver.recv_timeout(PATIENCE).map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?;
    answer.map(|_| ())
}
