//! `restore`: tables of a backup are written into tables of this cluster.
//!
//! What the backup holds, and what stands where it shall go, was looked up by whoever plans: laws touch no backups. Here
//! is decided what of it may be done. A table that is made for the restore serves nobody before all of it is there, so
//! that one which breaks off is gone on with, or dropped; a table that exists is written to as any client would.

use api::admin::{OperationRequest, PlannedPart};
use api::catalog::{EngineKind, HashBy, NewTable, TableRecord};
use api::operation::OperationKind;
use api::restoring::{Begun, RestoreRequest, RestoreSource, RestoreTable, RestoreWish};
use catalog::Role;
use types::{ErrorCode, Fault, NodeId};

use crate::plan::Draft;
use crate::room::mib;
use crate::sight::{Sight, count};

/// What a key costs besides its contents: record headers, the index of its file, and what compression does not
/// give back.
const KEY_BYTES: u64 = 64;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let bad = |detail: &str| Err(Fault::new(ErrorCode::BadArgument, detail));
    let Some(asked) = &request.restore else { return bad("restore needs a place") };
    let (Some(backup), false) = (&asked.backup, asked.sources.is_empty()) else {
        return bad("nothing is known of the backup");
    };
    let mut wish = RestoreWish {
        url: asked.url.clone(),
        backup: backup.clone(),
        at_ms: asked.at_ms.unwrap_or(0),
        tables: asked.sources.iter().map(as_saved).collect(),
        kinds: asked.kinds.clone(),
        on_conflict: asked.on_conflict.clone().unwrap_or_else(|| "fail".into()),
        bytes_per_second: asked.bytes_per_second.unwrap_or(0),
        keys_per_second: asked.keys_per_second.unwrap_or(0),
        restarts: asked.restart,
    };
    if let Some(known) = sight.catalog.doing_restore(&wish)? {
        agrees(asked, known.kind.as_ref(), known.id)?;
        return Ok(Draft { parent: known.kind.clone(), joins: Some(known.id), ..Draft::default() });
    }
    let tables = asked.sources.iter().map(|source| place(sight, asked, backup, source));
    wish.tables = tables.collect::<Result<_, _>>()?;
    let notes = fits(sight, asked, &wish.tables)?;
    let notes = asked.sources.iter().filter_map(|source| conflict(asked, source)).chain(notes).collect();
    let shown = wish.tables.iter().zip(&asked.sources).map(|(table, source)| shown(table, source)).collect();
    Ok(Draft { parent: Some(OperationKind::Restore(wish)), shown, notes, ..Draft::default() })
}

/// A table in the shape that it had.
fn as_saved(source: &RestoreSource) -> RestoreTable {
    RestoreTable {
        from: source.from.clone(),
        to: source.to.clone(),
        made: false,
        partitions: source.partitions,
        replicas: source.replicas,
        bytes: source.bytes,
    }
}

/// What goes on already is joined, unless something else was asked for in so many words.
fn agrees(asked: &RestoreRequest, known: Option<&OperationKind>, id: u64) -> Result<(), Fault> {
    let Some(OperationKind::Restore(known)) = known else { return Ok(()) };
    let differs = |asked: Option<u32>, of: fn(&RestoreTable) -> u32| {
        asked.is_some_and(|asked| known.made().any(|table| of(table) != asked))
    };
    let in_shape = differs(asked.partitions, |table| table.partitions)
        || differs(asked.replicas, |table| table.replicas);
    let in_conflicts = asked.on_conflict.as_ref().is_some_and(|asked| *asked != known.on_conflict);
    if !in_shape && !in_conflicts {
        return Ok(());
    }
    let detail = format!("operation {id} restores the same with other arguments and has not ended");
    Err(Fault::new(ErrorCode::TableRestoring, detail))
}

/// What is done about a table: it is made, gone on with, or written to as it is.
fn place(
    sight: &Sight<'_>,
    asked: &RestoreRequest,
    backup: &str,
    source: &RestoreSource,
) -> Result<RestoreTable, Fault> {
    let found = sight.catalog.find(&source.to);
    match found {
        Some(table) if table.restoring.is_empty() => existing(asked, source, table),
        Some(table) if !asked.restart => gone_on_with(sight, asked, (backup, source), table),
        Some(_) => to_be_made(sight, asked, source),
        None => {
            let made = to_be_made(sight, asked, source)?;
            sight.catalog.may_create(&new_table(&made))?;
            Ok(made)
        }
    }
}

/// Refuses a table that was there before if it holds keys about which nothing was said.
fn existing(
    asked: &RestoreRequest,
    source: &RestoreSource,
    table: &TableRecord,
) -> Result<RestoreTable, Fault> {
    if table.engine() != EngineKind::Kv || table.scratch_of != 0 {
        return Err(Fault::new(ErrorCode::UnknownTable, source.to.clone()));
    }
    let goes_on = source.begun == Begun::Same && !asked.restart;
    if asked.on_conflict.is_none() && source.held_keys > 0 && !goes_on {
        let detail = format!("{}: {}", source.to, count(source.held_keys as usize, "key"));
        return Err(Fault::new(ErrorCode::TableNotEmpty, detail));
    }
    let (partitions, replicas) = (table.groups.len() as u32, table.replicas);
    Ok(RestoreTable { partitions, replicas, ..as_saved(source) })
}

/// A table that an earlier restore has made and not completed: only the same restore goes on with it.
fn gone_on_with(
    sight: &Sight<'_>,
    asked: &RestoreRequest,
    (backup, source): (&str, &RestoreSource),
    table: &TableRecord,
) -> Result<RestoreTable, Fault> {
    let partitions = table.groups.len() as u32;
    // Its partitions may have some of their replicas already.
    let known = Some(table.replicas).filter(|replicas| *replicas > 1);
    let replicas = replicas(sight, asked.replicas.or(known), source)?;
    let other = if table.restoring != backup {
        format!("a restore of {} into it was begun", table.restoring)
    } else if source.begun == Begun::Otherwise || asked.partitions.is_some_and(|asked| asked != partitions) {
        "a restore into it was begun with other arguments".into()
    } else {
        return Ok(RestoreTable { made: true, partitions, replicas, ..as_saved(source) });
    };
    let detail = format!("{}: {other} and has not ended; --restart gives it up", source.to);
    Err(Fault::new(ErrorCode::TableRestoring, detail))
}

fn to_be_made(
    sight: &Sight<'_>,
    asked: &RestoreRequest,
    source: &RestoreSource,
) -> Result<RestoreTable, Fault> {
    let replicas = replicas(sight, asked.replicas, source)?;
    let partitions = asked.partitions.unwrap_or(source.partitions);
    Ok(RestoreTable { made: true, partitions, replicas, ..as_saved(source) })
}

/// The replicas of a table that is made: as many as were asked for, else as it had, as far as there are nodes.
fn replicas(sight: &Sight<'_>, wished: Option<u32>, source: &RestoreSource) -> Result<u32, Fault> {
    let nodes = data_nodes(sight).len() as u32;
    let replicas = wished.unwrap_or(source.replicas.clamp(1, nodes.max(1)));
    if replicas <= nodes {
        return Ok(replicas);
    }
    let detail = format!("{replicas} replicas were asked for, and there are {nodes} data nodes");
    Err(Fault::new(ErrorCode::NotEnoughNodes, detail))
}

fn new_table(table: &RestoreTable) -> NewTable {
    let (namespace, name) = table.to.split_once(':').unwrap_or((catalog::DEFAULT_NAMESPACE, &table.to));
    NewTable {
        namespace: namespace.into(),
        name: name.into(),
        engine: EngineKind::Kv.into(),
        hash: HashBy::ByNamespace.into(),
        partitions: table.partitions,
        replicas: table.replicas,
        ..NewTable::default()
    }
}

/// Nodes that may get replicas.
fn data_nodes(sight: &Sight<'_>) -> Vec<u64> {
    let fits = |id: u64| {
        let flags = sight.catalog.flags(NodeId(id));
        !flags.leaving && !flags.offline
    };
    let nodes = sight.catalog.nodes().filter(|node| Role::Data.of(node) && fits(node.id));
    nodes.map(|node| node.id).collect()
}

/// Refuses a restore that some node has no room for, before anything is written; else says how much room there is.
/// Nodes that do not say are taken to have enough.
fn fits(sight: &Sight<'_>, asked: &RestoreRequest, tables: &[RestoreTable]) -> Result<Vec<String>, Fault> {
    let nodes = data_nodes(sight);
    let stored = |(table, source): (&RestoreTable, &RestoreSource)| {
        let one = source.bytes.saturating_add(source.keys.saturating_mul(KEY_BYTES));
        one.saturating_mul(u64::from(table.replicas))
    };
    let stored = tables.iter().zip(&asked.sources).map(stored).fold(0, u64::saturating_add);
    let share = stored.div_ceil(nodes.len().max(1) as u64);
    // Half as much again: the log holds what was written last, and files are rewritten before old ones go.
    let needed = share.saturating_add(share / 2);
    let mut notes = Vec::new();
    for node in &nodes {
        let free = sight.observed.nodes.get(&NodeId(*node)).and_then(|seen| seen.free_bytes);
        let Some(free) = free else { continue };
        if free < needed {
            return Err(no_room(asked, tables, (*node, free), (nodes.len(), needed)));
        }
        notes.push(format!("node {node} needs about {} MiB, and has {} MiB free", mib(needed), mib(free)));
    }
    Ok(notes)
}

fn no_room(
    asked: &RestoreRequest,
    tables: &[RestoreTable],
    (node, free): (u64, u64),
    (nodes, needed): (usize, u64),
) -> Fault {
    let bytes = asked.sources.iter().map(|source| source.bytes).fold(0, u64::saturating_add);
    let replicas = tables.iter().map(|table| table.replicas).max().unwrap_or(0);
    let detail = format!(
        "{} MiB of contents in {} on {} need about {} MiB on each, and node {node} has {} MiB free",
        mib(bytes),
        count(replicas as usize, "replica"),
        count(nodes, "node"),
        mib(needed),
        mib(free)
    );
    Fault::new(ErrorCode::NoRoom, detail)
}

/// What becomes of the keys of a table that is there.
fn conflict(asked: &RestoreRequest, source: &RestoreSource) -> Option<String> {
    if source.held_keys == 0 {
        return None;
    }
    let how = match asked.on_conflict.as_deref() {
        Some("skip") => "those that the backup has as well stay as they are",
        Some("overwrite") => "those that the backup has as well are replaced",
        _ => "if the backup has one of them as well the restore ends there",
    };
    Some(format!("{} holds {}: {how}", source.to, count(source.held_keys as usize, "key")))
}

fn shown(table: &RestoreTable, source: &RestoreSource) -> PlannedPart {
    let RestoreTable { from, to, partitions, replicas, .. } = table;
    let shape =
        format!("{} of {}", count(*partitions as usize, "partition"), count(*replicas as usize, "replica"));
    let what = match (table.made, source.begun) {
        (true, Begun::Not) => format!("{from} into {to}, which is made with {shape}"),
        (true, _) => format!("{from} into {to}, of {shape}, where an earlier restore broke off"),
        (false, _) => format!("{from} into {to}, which has {shape}"),
    };
    PlannedPart {
        kind: "restore".into(),
        what,
        table: to.clone(),
        partition: 0,
        steps: Vec::new(),
        bytes: source.bytes,
    }
}
