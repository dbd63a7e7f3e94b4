//! `backup` and `drill`: tables saved as of one point in time, and restored to prove it.
//!
//! Neither has parts: the pieces are jobs of nodes, and nothing about partitions changes. What touches the place of the
//! backup is a task of the node that leads the catalog, see `steps::task`; here no more is known than its URL.

use std::collections::BTreeMap;

use api::admin::{OperationRequest, PlannedPart};
use api::catalog::{EngineKind, TableRecord};
use api::kv::ContentKind;
use api::operation::{OperationKind, OperationRecord};
use api::saving::{BackupRequest, BackupWish, DrillWish, ScheduleRecord};
use catalog::{NAMESPACE_TABLE, display_name};
use types::limits::{BACKUP_ID_BYTES_MAX, BACKUP_URL_BYTES_MAX};
use types::{ErrorCode, Fault};

use crate::plan::Draft;
use crate::sight::Sight;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let wish = checked(request)?;
    let asked = wish.backup.clone().unwrap_or_default();
    if let Some(known) = under_way(sight, &wish.url, &asked) {
        return Ok(Draft { parent: known.kind.clone(), joins: Some(known.id), ..Draft::default() });
    }
    let tables = match asked.is_empty() {
        true => chosen(sight, wish)?,
        // What it saves was decided when it was begun.
        false => Vec::new(),
    };
    let mut backup = BackupWish {
        url: wish.url.clone(),
        backup: asked.clone(),
        tables: tables.iter().map(|table| display_name(table)).collect(),
        kinds: wish.kinds.clone(),
        bytes_per_second: wish.bytes_per_second.unwrap_or(0),
        keys_per_second: wish.keys_per_second.unwrap_or(0),
        resumes: !asked.is_empty(),
        parent: wish.parent.clone().unwrap_or_default(),
        ..BackupWish::default()
    };
    if asked.is_empty() {
        backup.backup = name(sight, &backup);
    }
    Ok(draft(sight, backup, &tables))
}

pub(super) fn plan_drill(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let wish = checked(request)?;
    let Some(backup) = wish.backup.clone() else {
        return Err(Fault::new(ErrorCode::BadArgument, "a drill needs the name of a backup"));
    };
    let drill = OperationKind::Drill(DrillWish {
        url: wish.url.clone(),
        backup: backup.clone(),
        partitions: wish.partitions.unwrap_or(0),
        bytes_per_second: wish.bytes_per_second.unwrap_or(0),
        keys_per_second: wish.keys_per_second.unwrap_or(0),
        ..DrillWish::default()
    });
    if let Some(known) = sight.catalog.doing_in_parts(&drill, &[]) {
        return Ok(Draft { parent: Some(drill), joins: Some(known.id), ..Draft::default() });
    }
    let note = "it takes room for one copy without replicas for a while, in tables that are dropped again";
    Ok(Draft { parent: Some(drill), notes: vec![note.into()], ..Draft::default() })
}

/// A backup that a schedule wants now. Whether its tables are there is seen when it begins: a schedule that names one
/// that was dropped shall fail where everybody looks.
pub(crate) fn scheduled(sight: &Sight<'_>, schedule: &ScheduleRecord) -> Draft {
    let mut wish = BackupWish {
        url: schedule.url.clone(),
        tables: scheduled_tables(sight, schedule),
        kinds: schedule.kinds.clone(),
        bytes_per_second: schedule.bytes_per_second,
        keys_per_second: schedule.keys_per_second,
        schedule: schedule.name.clone(),
        // With a drill the older ones stay until it is proven.
        keep: if schedule.drill { 0 } else { schedule.keep },
        parent: scheduled_parent(schedule),
        // A table that was made since, or a parent that is gone, is no reason to have no backup.
        or_full: true,
        ..BackupWish::default()
    };
    wish.backup = name(sight, &wish);
    Draft { parent: Some(OperationKind::Backup(wish)), ..Draft::default() }
}

/// The tables of a schedule now: those that it names, and all of its namespaces; none means all.
fn scheduled_tables(sight: &Sight<'_>, schedule: &ScheduleRecord) -> Vec<String> {
    let is_chosen =
        |table: &&TableRecord| is_whole_kv(table) && schedule.namespaces.contains(&table.namespace);
    let of_namespaces = sight.catalog.tables().filter(is_chosen).map(display_name);
    let mut tables = schedule.tables.clone();
    tables.extend(of_namespaces.filter(|title| !schedule.tables.contains(title)));
    if let Some(namespace) = schedule.namespaces.first().filter(|_| tables.is_empty()) {
        // No table can be called so: it shall not become a backup of everything.
        tables.push(format!("{namespace}:*"));
    }
    tables
}

/// Whether a table can be in a backup: it stays, and all of it is there. What is half restored must not become a whole
/// backup.
fn is_whole_kv(table: &TableRecord) -> bool {
    table.engine() == EngineKind::Kv && table.scratch_of == 0 && table.restoring.is_empty()
}

/// What the next backup of a schedule stands on; nothing if it is to be full.
fn scheduled_parent(schedule: &ScheduleRecord) -> String {
    let so_far = schedule.so_far();
    // If nothing came of the last turn, what it stood on may be why.
    let failed = so_far.complete_ms < so_far.due_ms;
    match so_far.chain >= schedule.full_every || failed {
        true => String::new(),
        false => so_far.complete,
    }
}

/// A drill of the last backup of a schedule.
pub(crate) fn scheduled_drill(schedule: &ScheduleRecord) -> Draft {
    let wish = DrillWish {
        url: schedule.url.clone(),
        backup: schedule.so_far().complete,
        bytes_per_second: schedule.bytes_per_second,
        keys_per_second: schedule.keys_per_second,
        schedule: schedule.name.clone(),
        keep: schedule.keep,
        ..DrillWish::default()
    };
    Draft { parent: Some(OperationKind::Drill(wish)), ..Draft::default() }
}

fn checked(request: &OperationRequest) -> Result<&BackupRequest, Fault> {
    let bad = |detail: String| Err(Fault::new(ErrorCode::BadArgument, detail));
    let Some(wish) = &request.backup else { return bad(format!("{} needs a place", request.kind)) };
    let is_known = wish.url.starts_with("file:///") || wish.url.starts_with("s3://");
    if !is_known || wish.url.len() > BACKUP_URL_BYTES_MAX {
        return bad("the place is neither file:///absolute/path nor s3://bucket/prefix".into());
    }
    if wish.parent.as_ref().is_some_and(|parent| parent.is_empty() || parent.len() > BACKUP_ID_BYTES_MAX) {
        return bad("the backup to stand on has no name that a backup can have".into());
    }
    if wish.parent.is_some() && wish.backup.is_some() {
        return bad("what a backup stands on was decided when it was begun".into());
    }
    if let Some(kind) = wish.kinds.iter().find(|kind| ContentKind::named(kind).is_none()) {
        return bad(format!("there is no kind '{kind}'"));
    }
    Ok(wish)
}

/// The operation that takes this backup.
fn under_way<'a>(sight: &Sight<'a>, url: &str, backup: &str) -> Option<&'a OperationRecord> {
    let takes = |known: &&OperationRecord| match &known.kind {
        Some(OperationKind::Backup(wish)) => wish.backup == backup && wish.url == url,
        _ => false,
    };
    sight.catalog.operations().filter(|known| catalog::alike::goes_on(known)).find(takes)
}

/// The tables that were chosen.
fn chosen<'a>(sight: &Sight<'a>, wish: &BackupRequest) -> Result<Vec<&'a TableRecord>, Fault> {
    let unknown = |name: &str| Fault::new(ErrorCode::UnknownTable, no_table(sight, name));
    let is_kv = |table: &&TableRecord| table.engine() == EngineKind::Kv && table.scratch_of == 0;
    let named =
        wish.tables.iter().map(|name| sight.catalog.find(name).filter(is_kv).ok_or_else(|| unknown(name)));
    let named: Vec<&TableRecord> = named.collect::<Result<_, _>>()?;
    if let Some(table) = named.iter().find(|table| !is_whole_kv(table)) {
        return Err(Fault::new(ErrorCode::TableRestoring, catalog::display_name(table)));
    }
    let everything = wish.tables.is_empty() && wish.namespaces.is_empty();
    let is_chosen = |table: &&TableRecord| {
        everything
            || wish.namespaces.contains(&table.namespace)
            || named.iter().any(|named| named.id == table.id)
    };
    let tables = sight.catalog.tables().filter(|table| is_whole_kv(table)).filter(is_chosen);
    let tables: Vec<&TableRecord> = tables.collect();
    if tables.is_empty() {
        return Err(unknown("nothing is chosen"));
    }
    Ok(tables)
}

/// What is said of a name that is no table's.
fn no_table(sight: &Sight<'_>, name: &str) -> String {
    let within = name
        .split_once(':')
        .filter(|(namespace, _)| sight.catalog.table_named(namespace, NAMESPACE_TABLE).is_some());
    match within {
        // There a table is no more than the beginning of keys.
        Some((namespace, table)) => format!(
            "'{name}' is a part of the namespace {namespace}, which is saved as a whole: --namespace {namespace}; 'skein \
             zankv-backup -ns {namespace} -table {table}' saves it alone"
        ),
        None => name.to_owned(),
    }
}

/// What nobody else calls a backup: the moment, and something that follows from what is wished and what was before.
fn name(sight: &Sight<'_>, wish: &BackupWish) -> String {
    let now = sight.observed.wall_ms;
    let BackupWish { schedule, url, tables, kinds, parent, .. } = wish;
    let mut seed = format!("{schedule} {url} {tables:?} {kinds:?}{parent}").into_bytes();
    let cluster = sight.catalog.cluster().map_or(0, |cluster| cluster.get());
    [cluster, sight.catalog.version().get(), now].iter().for_each(|word| seed.extend(word.to_be_bytes()));
    let chance = types::hash::position(&seed) & 0xff_ffff;
    let date = types::utc::date(now);
    let seconds = now / 1000 % 86_400;
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z-{chance:06x}",
        date.year,
        date.month,
        date.day,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn draft(sight: &Sight<'_>, wish: BackupWish, tables: &[&TableRecord]) -> Draft {
    let mut shown = Vec::new();
    // As the work is given out if all nodes are equally fast, see `backup::plan`.
    let mut load: BTreeMap<u64, usize> = BTreeMap::new();
    for (table, group) in tables.iter().flat_map(|table| table.groups.iter().map(move |group| (table, group)))
    {
        let Some(partition) = sight.partition(*group) else { continue };
        let leader = sight.leader_node(*group).map(|node| node.get());
        let able = partition.replicas.iter().filter(|one| sight.is_up(one.node) && !one.offline);
        let at_work = |node: &u64| load.get(node).copied().unwrap_or(0);
        let saver = able.map(|one| one.node).min_by_key(|node| (at_work(node), Some(*node) == leader));
        saver.into_iter().for_each(|node| *load.entry(node).or_default() += 1);
        let what = match saver {
            Some(node) if Some(node) == leader => {
                format!("node {node}, which leads it, saves {}", sight.name(partition))
            }
            Some(node) => format!("node {node}, a follower, saves {}", sight.name(partition)),
            None => format!("nobody is there to save {}", sight.name(partition)),
        };
        shown.push(PlannedPart {
            kind: "save".into(),
            what,
            table: display_name(table),
            partition: partition.index,
            steps: Vec::new(),
            bytes: sight.bytes(*group),
        });
    }
    let groups = tables.iter().flat_map(|table| &table.groups);
    let without = groups.filter_map(|group| sight.partition(*group)).filter_map(|partition| {
        let fault = crate::plan::has_leader(sight, partition).err()?;
        Some(format!("{}; the backup waits a little for one", fault.detail))
    });
    let mut notes: Vec<String> = without.collect();
    if !shown.is_empty() {
        notes.push("bytes are those of the states; the files are compressed and mostly smaller".into());
    }
    if !wish.parent.is_empty() {
        notes.push(format!("all of it is read, and what has changed since {} is written", wish.parent));
    }
    if wish.resumes {
        notes.push("partitions that are complete stay as they are".into());
    }
    Draft { parent: Some(OperationKind::Backup(wish)), shown, notes, ..Draft::default() }
}
