//! `backup`: a point in time, every partition by some node, the manifest.

use api::job::{BarrierReport, BarrierTable, HeldPartition, Job, SavePartition};
use api::saving::{BackupWish, SavedRecord};
use backup::{BackupError, Begun, Chain, Manifest, PartitionRecord, TableRecord, Target, sweep};
use catalog::display_name;
use node::TaskResult;
use types::limits::ARCHIVE_THIN_AGE_MIN;
use types::{ErrorCode, Fault};

use super::AtWork;
use crate::backups::crew::Work;
use crate::backups::{barrier, hold_of, now_ms};
use crate::cli::Speed;

/// Points in time that are chosen at most, if each has grown old before all partitions have ordered it.
const POINTS_MAX: u32 = 3;

/// A partition's table and place in what was begun.
type Place = (usize, usize);

/// Chooses a point in time and begins the backup, unless it was begun before.
pub(super) fn begin(at_work: &AtWork<'_>, wish: &BackupWish) -> Result<TaskResult, Fault> {
    let target = open(&wish.url)?;
    at_work.check("the place of the backup is asked")?;
    match backup::begun(&*target, &wish.backup) {
        Ok(begun) if begun.cluster == at_work.names.id => return Ok(TaskResult::default()),
        Ok(begun) => {
            let detail = format!("{} is of cluster {}", wish.backup, begun.cluster);
            return Err(Fault::new(ErrorCode::WrongCluster, detail));
        }
        Err(error) if wish.resumes => return Err(error.to_fault()),
        Err(BackupError::NoBackup(_)) => {}
        Err(error) => return Err(error.to_fault()),
    }
    // One that does not answer is found before nodes do anything for it.
    if let Err(error) = sweep::among_backups(&*target) {
        tracing::warn!(url = wish.url, %error, "what writers that died have left is not swept");
    }
    target.list("").map_err(|error| error.to_fault())?;
    let (parent, mut notes) = find_parent(&*target, wish)?;
    let begun_ms = now_ms();
    let report = point_in_time(at_work, wish)?;
    let mut begun = Begun {
        format: backup::FORMAT,
        id: wish.backup.clone(),
        cluster: at_work.names.id.clone(),
        cluster_name: at_work.names.name.clone(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        begun_ms,
        at_ms: report.at_ms,
        kinds: wish.kinds.clone(),
        schedule: wish.schedule.clone(),
        parent: None,
        tables: report.tables.iter().map(table_record).collect(),
    };
    if let Some(parent) = &parent {
        match parent.link(&begun) {
            Ok(link) => begun.parent = Some(link),
            Err(error) if wish.or_full && is_refusal(&error) => notes.push(becomes_full(&error)),
            Err(error) => {
                at_work.crew().release(&hold_of(&wish.backup));
                return Err(error.to_fault());
            }
        }
    }
    match backup::begin(&*target, &begun) {
        // Another node that leads, or led, was faster; its point in time is as good.
        Ok(()) | Err(BackupError::Exists(_)) => Ok(TaskResult { saved: None, notes }),
        Err(error) => Err(error.to_fault()),
    }
}

/// The backup that a new one shall stand on, with all that it stands on itself; and what is to be noted if there is none.
fn find_parent(target: &dyn Target, wish: &BackupWish) -> Result<(Option<Chain>, Vec<String>), Fault> {
    if wish.parent.is_empty() {
        return Ok((None, Vec::new()));
    }
    match Chain::load(target, &wish.parent) {
        Ok(chain) => Ok((Some(chain), Vec::new())),
        Err(error) if wish.or_full && is_refusal(&error) => Ok((None, vec![becomes_full(&error)])),
        Err(error) => Err(error.to_fault()),
    }
}

/// Whether it is said of a parent that nothing can stand on it, and not of its place that it is away.
fn is_refusal(error: &BackupError) -> bool {
    matches!(
        error,
        BackupError::Parent(_)
            | BackupError::NoBackup(_)
            | BackupError::Damaged { .. }
            | BackupError::Missing(_)
    )
}

fn becomes_full(error: &BackupError) -> String {
    format!("it is a full backup: {error}")
}

/// A point in time that every partition has ordered, a moment ago: nobody who thins out an archive knows of the backup
/// yet, and what the archive has told until a while ago may go.
fn point_in_time(at_work: &AtWork<'_>, wish: &BackupWish) -> Result<BarrierReport, Fault> {
    for _ in 0..POINTS_MAX {
        at_work.check("every partition orders the same point in time")?;
        let report = barrier(&at_work.client(), tables(at_work, wish)?, &hold_of(&wish.backup))?;
        if now_ms().saturating_sub(report.at_ms) < ARCHIVE_THIN_AGE_MIN.as_millis() as u64 / 2 {
            return Ok(report);
        }
    }
    Err(Fault::new(ErrorCode::Overloaded, "no point in time was ordered by all partitions soon enough"))
}

/// The titles of the tables that are wished for: all but those that are only there for a while.
fn tables(at_work: &AtWork<'_>, wish: &BackupWish) -> Result<Vec<String>, Fault> {
    if !wish.tables.is_empty() {
        return Ok(wish.tables.clone());
    }
    let all = at_work.node.tables_of(&[])?;
    let titles: Vec<String> = all.iter().filter(|table| table.scratch_of == 0).map(display_name).collect();
    match titles.is_empty() {
        true => Err(Fault::new(ErrorCode::UnknownTable, "there is no table")),
        false => Ok(titles),
    }
}

/// Has every partition written that is not complete yet.
pub(super) fn partitions(at_work: &AtWork<'_>, wish: &BackupWish) -> Result<TaskResult, Fault> {
    let target = open(&wish.url)?;
    let begun = backup::begun(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let places = places(&begun);
    let (mut done, mut bytes_before) = (Vec::new(), 0);
    for (piece, place) in places.iter().enumerate() {
        if let Some(record) = complete(&*target, &begun, *place)? {
            done.push(piece);
            bytes_before += record.sum.bytes;
        }
    }
    let (nodes, bytes) = replicas(at_work, &begun, &places);
    let hold = hold_of(&begun.id);
    let job = |piece: usize, _repeated: bool| {
        let (table, partition) = places[piece];
        let (table, place) = (&begun.tables[table], &begun.tables[table].partitions[partition]);
        Job::Save(SavePartition {
            url: target.url().to_owned(),
            backup: begun.id.clone(),
            namespace: table.namespace.clone(),
            table: table.name.clone(),
            partition: place.partition,
            held: HeldPartition {
                group: place.group,
                hold: hold.clone(),
                index: place.index,
                kinds: begun.kinds.clone(),
                expiry_shift_ms: 0,
                prefix: String::new(),
            },
        })
    };
    at_work.crew().run(Work {
        name: save_name(&begun.id),
        pieces: nodes,
        done,
        job: &job,
        ended: &mut |_, _| Ok(()),
        speed: speed(wish.bytes_per_second, wish.keys_per_second),
        hold: Some(hold.clone()),
        takes_over: at_work.takes_over() || wish.resumes,
        watch: &mut |seen| at_work.tell_seen("partitions are saved", seen, (bytes_before, bytes)),
    })?;
    Ok(TaskResult::default())
}

/// Writes the manifest: from now on the backup exists.
pub(super) fn finish(at_work: &AtWork<'_>, wish: &BackupWish) -> Result<TaskResult, Fault> {
    at_work.check("the manifest is written")?;
    let target = open(&wish.url)?;
    let mut begun = backup::begun(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    for place in places(&begun) {
        let missing = || Fault::new(ErrorCode::BackupTarget, "a partition that was saved is not there");
        let record = complete(&*target, &begun, place)?.ok_or_else(missing)?;
        begun.tables[place.0].partitions[place.1] = record;
    }
    let manifest = Manifest::new(begun, now_ms());
    backup::finish(&*target, &manifest).map_err(|error| error.to_fault())?;
    let manifest = backup::load(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let note = format!("backup {} is complete", wish.backup);
    Ok(TaskResult { saved: Some(saved(&manifest, &wish.url)), notes: vec![note] })
}

/// What a backup holds, as its operation tells it.
pub(super) fn saved(manifest: &Manifest, url: &str) -> SavedRecord {
    SavedRecord {
        backup: manifest.begun.id.clone(),
        url: url.to_owned(),
        at_ms: manifest.begun.at_ms,
        keys: manifest.sum.keys,
        elements: manifest.sum.elements,
        bytes: manifest.sum.bytes,
        file_bytes: manifest.bytes,
        digest: manifest.sum.digest.clone(),
        partitions: manifest.begun.tables.iter().map(|table| table.partitions.len() as u32).collect(),
        proven: false,
        parent: manifest.begun.parent.as_ref().map(|parent| parent.id.clone()).unwrap_or_default(),
        restored: Vec::new(),
    }
}

/// What the names of the jobs of a backup begin with.
pub(super) fn save_name(backup: &str) -> String {
    format!("save-{backup}")
}

pub(super) fn open(url: &str) -> Result<std::sync::Arc<dyn Target>, Fault> {
    backup::open(url).map_err(|error| error.to_fault())
}

pub(super) fn speed(bytes_per_second: u64, keys_per_second: u64) -> Speed {
    let limit = |limit: u64| Some(limit).filter(|limit| *limit > 0);
    Speed { rate: limit(bytes_per_second), qps: limit(keys_per_second) }
}

fn places(begun: &Begun) -> Vec<Place> {
    let of =
        |table: usize| (0..begun.tables[table].partitions.len()).map(move |partition| (table, partition));
    (0..begun.tables.len()).flat_map(of).collect()
}

fn complete(target: &dyn Target, begun: &Begun, place: Place) -> Result<Option<PartitionRecord>, Fault> {
    let table = &begun.tables[place.0];
    let found = backup::write::complete(target, begun, table, &table.partitions[place.1]);
    found.map_err(|error| error.to_fault())
}

/// The nodes that have replicas of each partition, those that do not lead first; and about how many bytes all of them
/// are.
fn replicas(at_work: &AtWork<'_>, begun: &Begun, places: &[Place]) -> (Vec<Vec<u64>>, u64) {
    let status = at_work.node.status();
    let mut bytes = 0;
    let mut nodes = Vec::with_capacity(places.len());
    for (table, partition) in places {
        let group = begun.tables[*table].partitions[*partition].group;
        let known = status.partitions.iter().find(|partition| partition.group == group);
        bytes += known.map_or(0, |known| known.bytes);
        let mut able: Vec<u64> = known
            .map(|known| known.replicas.iter().map(|replica| replica.node).collect())
            .unwrap_or_default();
        able.sort_by_key(|node| known.is_some_and(|known| known.leader == Some(*node)));
        nodes.push(able);
    }
    (nodes, bytes)
}

fn table_record(table: &BarrierTable) -> TableRecord {
    let partition = |place: &api::job::BarrierPlace| PartitionRecord {
        partition: place.partition,
        group: place.group,
        index: place.index,
        term: place.term,
        ..Default::default()
    };
    TableRecord {
        namespace: table.namespace.clone(),
        name: table.name.clone(),
        engine: table.engine.clone(),
        hash: table.hash.clone(),
        replicas: table.replicas,
        partitions: table.partitions.iter().map(partition).collect(),
    }
}
