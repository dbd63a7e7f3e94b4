//! What a restore is planned from: the backup at its place, and the tables that there are. And whether a backup that is
//! to be gone on with, or proven, is there at all.
//!
//! ```text
//!   request ──► which backup, which tables of it ──► keys of tables that exist ──► request with sources ──► `ops`
//!               (the place is asked, on a thread)     (their partitions are asked)
//! ```
//!
//! Nothing is changed here. What cannot be restored at all is refused here; what may be done with the rest is decided by
//! `ops`, which touches no backups.

use std::sync::Arc;

use api::admin::OperationRequest;
use api::restoring::{Begun, RestoreRequest, RestoreSource};
use api::saving::BackupRequest;
use backup::restores::under_way;
use backup::{Manifest, TableRecord, Target};
use catalog::Catalog;
use node::Node;
use tokio::sync::oneshot;
use types::{ErrorCode, Fault, GroupId};

use super::tasks::record_name;
use crate::backups::{at_time, split_title, title};

/// A request with all that is to be known before it is planned. Others than those for a restore stay as they are, and
/// so do those that another node has to plan.
///
/// # Errors
/// `UnknownBackup`, `BackupDamaged`, `NotCovered`, `UnknownTable`, `BadArgument`; what the place of the backup or a
/// partition says.
pub(super) async fn looked_up(
    node: &Arc<Node>,
    cluster: &str,
    request: OperationRequest,
) -> Result<OperationRequest, Fault> {
    if node.leader_of(GroupId::CATALOG) != Some(node.id()) {
        return Ok(request);
    }
    let asked = match (&*request.kind, request.restore.clone(), &request.backup) {
        ("restore", Some(asked), _) => asked,
        ("backup" | "drill", _, Some(BackupRequest { url, backup: Some(id), .. })) => {
            is_there(url.clone(), id.clone()).await?;
            return Ok(request);
        }
        _ => return Ok(request),
    };
    let (catalog, cluster) = (node.catalog(), cluster.to_owned());
    let looked = tokio::task::spawn_blocking(move || look(asked, &catalog, &cluster)).await;
    let mut found = looked.map_err(|_| Fault::from(ErrorCode::Internal))??;
    for source in &mut found.sources {
        source.held_keys = held_keys(node, &source.to).await?;
    }
    Ok(OperationRequest { restore: Some(found), ..request })
}

/// # Errors
/// `UnknownBackup` if nobody has begun it; what its place says.
async fn is_there(url: String, id: String) -> Result<(), Fault> {
    let look = move || backup::open(&url).and_then(|target| backup::begun(&*target, &id)).map(|_| ());
    let looked = tokio::task::spawn_blocking(look).await.map_err(|_| Fault::from(ErrorCode::Internal))?;
    looked.map_err(|error| error.to_fault())
}

/// Looks at the place of the backup.
fn look(mut asked: RestoreRequest, catalog: &Catalog, cluster: &str) -> Result<RestoreRequest, Fault> {
    for table in &mut asked.tables {
        let (namespace, name) = split_title(table);
        *table = title(&namespace, &name);
    }
    let target = backup::open(&asked.url).map_err(|error| error.to_fault())?;
    let titles = |manifest: &Manifest| {
        let tables = chosen(manifest, &asked)?;
        Ok(tables.into_iter().map(TableRecord::title).collect())
    };
    let load = |id: &str| backup::load(&*target, id).map_err(|error| error.to_fault());
    let manifest = match (&asked.backup, asked.at_ms) {
        (Some(id), _) => load(id)?,
        (None, Some(at_ms)) => load(&at_time::find(&*target, &titles, at_ms)?.begun.id)?,
        (None, None) => load(&latest(&*target)?)?,
    };
    let tables = chosen(&manifest, &asked)?;
    if asked.to_table.is_some() && tables.len() != 1 {
        let detail = format!("another name is for one table, and {} are chosen", tables.len());
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    }
    let source = |table: &&TableRecord| source(&*target, &manifest, (table, &asked), catalog, cluster);
    let sources = tables.iter().map(source).collect::<Result<_, _>>()?;
    Ok(RestoreRequest { backup: Some(manifest.begun.id.clone()), sources, ..asked.clone() })
}

fn latest(target: &dyn Target) -> Result<String, Fault> {
    let backups = backup::list(target).map_err(|error| error.to_fault())?;
    let last = backups.iter().rev().find(|listed| listed.manifest.is_some());
    let none = || Fault::new(ErrorCode::UnknownBackup, format!("no complete backup at {}", target.url()));
    last.map(|listed| listed.id.clone()).ok_or_else(none)
}

/// The tables of a backup that were chosen.
fn chosen<'a>(manifest: &'a Manifest, asked: &RestoreRequest) -> Result<Vec<&'a TableRecord>, Fault> {
    let unknown = |detail: String| Err(Fault::new(ErrorCode::UnknownTable, detail));
    let tables = &manifest.begun.tables;
    let is_chosen = |table: &&TableRecord| {
        let everything = asked.tables.is_empty() && asked.namespaces.is_empty();
        everything || asked.tables.contains(&table.title()) || asked.namespaces.contains(&table.namespace)
    };
    if let Some(name) = asked.tables.iter().find(|name| !tables.iter().any(|table| table.title() == **name)) {
        return unknown(format!("{name} is not in the backup"));
    }
    let no_table = |name: &&String| !tables.iter().any(|table| table.namespace == **name);
    if let Some(name) = asked.namespaces.iter().find(no_table) {
        return unknown(format!("no table of namespace {name} is in the backup"));
    }
    let chosen: Vec<&TableRecord> = tables.iter().filter(is_chosen).collect();
    match chosen.is_empty() {
        true => unknown("the backup has no table".into()),
        false => Ok(chosen),
    }
}

/// What the backup has of a table, and what an earlier restore of it has left.
fn source(
    target: &dyn Target,
    manifest: &Manifest,
    (table, asked): (&TableRecord, &RestoreRequest),
    catalog: &Catalog,
    cluster: &str,
) -> Result<RestoreSource, Fault> {
    let to = asked.to_table.clone().unwrap_or_else(|| table.title());
    let (namespace, name) = split_title(&to);
    let known = under_way(target, &manifest.begun.id, cluster, &record_name(&namespace, &name));
    let tid = catalog.table_named(&namespace, &name).map(|table| table.id);
    let record = known.map_err(|error| error.to_fault())?.filter(|record| Some(record.tid) == tid);
    let begun = match record {
        None => Begun::Not,
        Some(record) => {
            let is_same = record.from == table.directory()
                && record.kinds == asked.kinds
                && record.at_ms == asked.at_ms.unwrap_or(0)
                && asked.on_conflict.as_ref().is_none_or(|word| record.made || *word == record.on_conflict);
            if is_same { Begun::Same } else { Begun::Otherwise }
        }
    };
    let sum = table.sum();
    Ok(RestoreSource {
        from: table.title(),
        to,
        partitions: table.partitions.len() as u32,
        replicas: table.replicas,
        bytes: sum.bytes,
        keys: sum.keys,
        held_keys: 0,
        begun,
    })
}

/// Keys of a table that is there and serves clients.
async fn held_keys(node: &Node, title: &str) -> Result<u64, Fault> {
    let catalog = node.catalog();
    let Some(table) = catalog.find(title).filter(|table| table.restoring.is_empty()) else { return Ok(0) };
    let groups: Vec<GroupId> = table.groups.iter().map(|group| GroupId(*group)).collect();
    let (sender, receiver) = oneshot::channel();
    node.count_keys(&groups, move |keys| drop(sender.send(keys)));
    receiver.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?
}
