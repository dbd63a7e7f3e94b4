//! The archiver: writes what the partitions that this node leads have changed to the archive's target.
//!
//! ```text
//!   every interval, for each partition that this node leads:
//!     Record{safe}  ──► an entry with a stamp: everything before it is kept, and what is in safety is forgotten
//!     Changes       ──► what was kept up to that entry
//!     files         ──► and the head says: complete up to the entry's stamp
//! ```
//!
//! What has to be remembered is in the partition (what is kept) and in the target (where its files end). So a node
//! that leads since a moment ago goes on as if it had been there before, and one that wrongly believes to lead can do
//! no harm: a file is written once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::archive::{ArchiveReport, ArchivedPartition};
use api::catalog::{ArchiveRecord, EngineKind, TableRecord};
use api::entry::RequestKind;
use api::kv::{ChangesPage, KvAnswer, KvOp, KvReply, KvRequest, ReadChanges, Record, Recording};
use api::peer::{Access, ReplicaState};
use backup::archive::{Run, Writer};
use backup::{BackupError, Target};
use catalog::Catalog;
use node::{Call, Node};
use prost::Message;
use types::{ErrorCode, Fault, GroupId, Hlc};

use super::bridge::Bridge;
use super::thinner::Thinner;

/// How often it is looked at what is due.
const LOOK: Duration = Duration::from_millis(100);
/// Partitions that are written at once: the target's time, not this node's, is what they wait for.
const AT_ONCE: usize = 4;
/// How long a partition may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of changes that are asked for at once.
const PAGE_BYTES: u64 = 1024 * 1024;

/// The archiver of a node.
pub struct Archiver {
    node: Arc<Node>,
    served: Mutex<BTreeMap<GroupId, Served>>,
}

/// A partition that this node leads.
#[derive(Default)]
struct Served {
    /// For which archive.
    archive: u64,
    /// Since when this node looks after it, milliseconds since 1970.
    since_ms: u64,
    /// Not there while it is written.
    writer: Option<Writer>,
    due: Option<Instant>,
    /// The last log entry that was told.
    told: u64,
    shown: ArchivedPartition,
}

/// A partition that is to be written now.
struct Due {
    group: GroupId,
    namespace: String,
    table: String,
    partition: u32,
    writer: Option<Writer>,
    told: u64,
    shown: ArchivedPartition,
}

impl Archiver {
    /// Begins to look after the archive.
    ///
    /// # Errors
    /// `Internal` if there can be no thread.
    pub fn start(node: Arc<Node>) -> Result<Arc<Self>, Fault> {
        let archiver = Arc::new(Self { node, served: Mutex::default() });
        let weak = Arc::downgrade(&archiver);
        let run = move || {
            env::stand_back();
            let (mut stopped, mut bridge) = (BTreeSet::new(), Bridge::default());
            let mut thinner = Thinner::default();
            while let Some(archiver) = weak.upgrade() {
                archiver.look(&mut stopped, &mut bridge);
                thinner.look(&archiver.node);
                drop(archiver);
                std::thread::sleep(LOOK);
            }
        };
        let spawned = std::thread::Builder::new().name("archiver".into()).spawn(run);
        spawned.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        Ok(archiver)
    }

    /// How far the archive is, as far as this node writes it.
    pub fn report(&self) -> ArchiveReport {
        let catalog = self.node.catalog();
        let Some(archive) = catalog.archive() else { return ArchiveReport::default() };
        let served = self.served();
        // One that has only begun has nothing to show.
        let is_mine = |served: &&Served| served.archive == archive.archive && served.shown.group != 0;
        let mine = served.values().filter(|served| is_mine(served) && !archive.ended);
        ArchiveReport {
            groups: chosen(&catalog, archive).flat_map(|table| table.groups.clone()).collect(),
            partitions: mine.map(|served| self.shown(served)).collect(),
            ..ArchiveReport::of(archive)
        }
    }

    /// A partition as it is at this moment: it falls behind also while nothing is heard of the target.
    fn shown(&self, served: &Served) -> ArchivedPartition {
        let mut shown = served.shown.clone();
        let told_ms = if shown.complete_ms > 0 { shown.complete_ms } else { served.since_ms };
        shown.lag_ms = self.node.wall_millis().saturating_sub(told_ms);
        let replica = self.node.store().and_then(|store| store.shared(GroupId(shown.group)));
        let applied = replica.map_or(0, |replica| replica.report().applied);
        shown.behind_entries = applied.saturating_sub(served.told);
        shown
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<GroupId, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is due.
    fn look(&self, stopped: &mut BTreeSet<(GroupId, u64)>, bridge: &mut Bridge) {
        let catalog = self.node.catalog();
        let Some(archive) = catalog.archive().filter(|_| self.node.is_ready()) else { return };
        if archive.ended {
            self.served().clear();
            self.stop(&catalog, archive, stopped);
            return;
        }
        bridge.look(&self.node, archive);
        let due = self.due(&catalog, archive);
        if due.is_empty() {
            return;
        }
        match backup::open(&archive.url) {
            Ok(target) => self.write_all(archive, &*target, due),
            Err(error) => due.into_iter().for_each(|due| self.put_back(archive, due, Err(error.to_fault()))),
        }
    }

    /// Partitions that this node leads keep nothing for an archive that has ended.
    fn stop(&self, catalog: &Catalog, archive: &ArchiveRecord, stopped: &mut BTreeSet<(GroupId, u64)>) {
        for group in chosen(catalog, archive).flat_map(|table| &table.groups).map(|group| GroupId(*group)) {
            let key = (group, archive.archive);
            if !self.leads(group) {
                // Whoever leads next may not have heard of it.
                stopped.remove(&key);
            } else if !stopped.contains(&key) {
                let record = Record { archive: archive.archive, stop: true, ..Default::default() };
                if self.record(group, record).is_ok() {
                    stopped.insert(key);
                }
            }
        }
    }

    /// The partitions that are to be written now, taken out of those that are served.
    fn due(&self, catalog: &Catalog, archive: &ArchiveRecord) -> Vec<Due> {
        let mut served = self.served();
        let now = Instant::now();
        let mut due = Vec::new();
        let mut known = BTreeSet::new();
        for table in chosen(catalog, archive) {
            for (partition, group) in (0..).zip(&table.groups) {
                let group = GroupId(*group);
                if !self.leads(group) {
                    continue;
                }
                known.insert(group);
                let one = served.entry(group).or_default();
                if one.archive != archive.archive {
                    let since_ms = self.node.wall_millis();
                    *one = Served { archive: archive.archive, since_ms, ..Default::default() };
                }
                let shown = &mut one.shown;
                (shown.namespace, shown.table) = (table.namespace.clone(), table.name.clone());
                (shown.partition, shown.group) = (partition, group.get());
                if one.due.is_none_or(|due| due <= now) {
                    due.push(Due {
                        group,
                        namespace: table.namespace.clone(),
                        table: table.name.clone(),
                        partition,
                        writer: one.writer.take(),
                        told: one.told,
                        shown: one.shown.clone(),
                    });
                }
            }
        }
        // What another node leads now is that node's, and what is known of it here is old.
        served.retain(|group, _| known.contains(group));
        due
    }

    fn write_all(&self, archive: &ArchiveRecord, target: &dyn Target, due: Vec<Due>) {
        let waiting = Mutex::new(due);
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(mut due) = next() {
                        let written = self.write(archive, target, &mut due);
                        self.put_back(archive, due, written);
                    }
                });
            }
        });
    }

    /// Notes what has come of a turn.
    fn put_back(&self, archive: &ArchiveRecord, mut due: Due, written: Result<(), Fault>) {
        if let Some(writer) = &due.writer {
            let (head, shown) = (writer.head(), &mut due.shown);
            (shown.since, shown.complete_ms, shown.files) =
                (writer.run().since, head.complete_ms, head.files);
            due.told = writer.safe();
        }
        due.shown.problem = match written {
            Ok(()) => String::new(),
            Err(fault) => {
                tracing::warn!(group = due.group.get(), %fault, "the archive does not go on");
                fault.to_string()
            }
        };
        let mut served = self.served();
        let served = served.entry(due.group).or_default();
        served.archive = archive.archive;
        served.due = Some(Instant::now() + Duration::from_millis(archive.every_ms));
        (served.writer, served.told, served.shown) = (due.writer, due.told, due.shown);
    }

    /// Writes what a partition has changed since the last time.
    fn write(&self, archive: &ArchiveRecord, target: &dyn Target, due: &mut Due) -> Result<(), Fault> {
        let mark = Record {
            archive: archive.archive,
            safe: due.writer.as_ref().map_or(0, Writer::safe),
            bytes_max: archive.hold_bytes_max,
            stop: false,
        };
        let mut recording = self.record(due.group, mark)?;
        due.shown.kept_bytes = recording.bytes;
        if due.writer.as_ref().is_none_or(|writer| writer.run().since != recording.since) {
            due.writer = None;
            // Until the target says more: what is in safety is told for certain.
            due.told = recording.safe.max(recording.since);
            if ![0, recording.since].contains(&due.shown.since) {
                due.shown.gap =
                    format!("more than {} bytes of changes waited to be written", archive.hold_bytes_max);
            }
            let opened = open(archive, target, due, &recording);
            // A file that does not fit, or files that are gone: what is kept no longer follows them.
            let follows = |writer: &Writer| recording.safe < writer.next().0;
            due.writer = match opened {
                Ok(writer) if follows(&writer) => Some(writer),
                Ok(_) | Err(BackupError::Damaged { .. }) => {
                    due.shown.gap = "files of the archive are missing or damaged".into();
                    self.record(due.group, Record { stop: true, ..mark })?;
                    recording = self.record(due.group, Record { safe: 0, ..mark })?;
                    Some(open(archive, target, due, &recording).map_err(|error| error.to_fault())?)
                }
                Err(error) => return Err(error.to_fault()),
            };
        }
        let Some(mut writer) = due.writer.take() else { return Err(ErrorCode::Internal.into()) };
        match self.tell(archive, target, due.group, &mut writer, &recording) {
            // Another node has led meanwhile: what it wrote is known now.
            Err(Told::Elsewhere) | Ok(()) => {
                due.writer = Some(writer);
                Ok(())
            }
            Err(Told::Failed(fault)) => Err(fault),
        }
    }

    /// Tells everything that was changed up to the entry of a mark.
    fn tell(
        &self,
        archive: &ArchiveRecord,
        target: &dyn Target,
        group: GroupId,
        writer: &mut Writer,
        recording: &Recording,
    ) -> Result<(), Told> {
        let (mut from, mut piece) = writer.next();
        while from <= recording.index {
            let page = self.page(
                group,
                ReadChanges {
                    archive: archive.archive,
                    since: recording.since,
                    from,
                    piece,
                    to: recording.index,
                    bytes_max: PAGE_BYTES,
                },
            )?;
            if page.lost {
                let detail = "the partition keeps these changes no longer";
                return Err(Told::Failed(Fault::new(ErrorCode::BackupLost, detail)));
            }
            if let Some(last) = page.changes.last() {
                (from, piece) = (last.index, last.piece + 1);
            }
            for change in page.changes {
                writer.add(target, change)?;
            }
            if page.end {
                break;
            }
        }
        Ok(writer.complete(target, recording.index, Hlc(recording.hlc).millis())?)
    }

    fn page(&self, group: GroupId, ask: ReadChanges) -> Result<ChangesPage, Fault> {
        match self.ask(group, Access::Read, KvOp::Changes(ask))? {
            KvAnswer::Changes(page) => Ok(page),
            _ => Err(ErrorCode::VersionUnsupported.into()),
        }
    }

    fn record(&self, group: GroupId, record: Record) -> Result<Recording, Fault> {
        match self.ask(group, Access::Write, KvOp::Record(record))? {
            KvAnswer::Recording(recording) => Ok(recording),
            _ => Err(ErrorCode::VersionUnsupported.into()),
        }
    }

    fn ask(&self, group: GroupId, access: Access, op: KvOp) -> Result<KvAnswer, Fault> {
        let body = KvRequest::new(op).encode_to_vec().into();
        let (sender, receiver) = channel();
        let kind = if access == Access::Write { RequestKind::Upkeep } else { RequestKind::Data };
        let call = Call { group, access, kind, body };
        self.node.submit(call, Box::new(move |reply| drop(sender.send(reply))));
        let reply = receiver.recv_timeout(PATIENCE).map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
        let answer = KvReply::decode(reply).ok().and_then(|reply| reply.answer);
        answer.ok_or_else(|| ErrorCode::VersionUnsupported.into())
    }

    fn leads(&self, group: GroupId) -> bool {
        let shared = self.node.store().and_then(|store| store.shared(group));
        shared.is_some_and(|shared| shared.report().state == ReplicaState::Leader as i32)
    }
}

/// Why changes were not told.
enum Told {
    /// Another node was faster.
    Elsewhere,
    /// Something failed.
    Failed(Fault),
}

impl From<BackupError> for Told {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Exists(_) => Told::Elsewhere,
            error => Told::Failed(error.to_fault()),
        }
    }
}

impl From<Fault> for Told {
    fn from(fault: Fault) -> Self {
        Told::Failed(fault)
    }
}

/// Opens the run of a partition that a mark tells of.
fn open(
    archive: &ArchiveRecord,
    target: &dyn Target,
    due: &Due,
    recording: &Recording,
) -> Result<Writer, BackupError> {
    let run = Run {
        archive: archive.id.clone(),
        namespace: due.namespace.clone(),
        table: due.table.clone(),
        partition: due.partition,
        group: due.group.get(),
        since: recording.since,
    };
    // One that was begun by somebody who did not get to write is complete up to nothing yet.
    let since_ms = if recording.since == recording.index { Hlc(recording.hlc).millis() } else { 0 };
    Writer::open(target, run, since_ms)
}

/// The tables that are in an archive.
pub(super) fn chosen<'a>(
    catalog: &'a Catalog,
    archive: &'a ArchiveRecord,
) -> impl Iterator<Item = &'a TableRecord> + 'a {
    let is_chosen = |table: &&TableRecord| {
        let title = format!("{}:{}", table.namespace, table.name);
        // What is only there for a while is in no backup either.
        let stays = table.engine() == EngineKind::Kv && table.scratch_of == 0;
        let everything = archive.tables.is_empty() && archive.namespaces.is_empty();
        let is_named = archive.tables.contains(&title) || archive.namespaces.contains(&table.namespace);
        stays && (everything || is_named)
    };
    catalog.tables().filter(is_chosen)
}
