//! What the archives of a target tell, and which times they restore over which backup.
//!
//! ```text
//!   entries     100 ───────────────── 180 ─── damage ─── 200 ─────────── 240
//!   run since 100  └── a reach ────────┘                   └─ a reach ────┘
//!                       ▲                                     ▲
//!                       a backup here: times up to the        one here: up to the end
//!                       damage can be restored
//! ```
//!
//! By its head alone a run is one reach, from where it was thinned to its end. Whoever has read its files knows better:
//! see `verify`.

use crate::error::BackupError;
use crate::manifest::Manifest;
use crate::target::Target;

use super::thinned::Thinned;
use super::{Run, begun, head, list, runs};

/// All runs of a target that tell anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// In order of archive, table, partition and beginning.
    pub runs: Vec<KnownRun>,
}

/// A run, and what it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRun {
    /// Which.
    pub run: Run,
    /// The id of the cluster whose it is, as hexadecimal text.
    pub cluster: String,
    /// What it tells without a hole, in order.
    pub reaches: Vec<Reach>,
}

/// Changes of a run without a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The first log entry that is told, and the first piece of it.
    pub from: (u64, u32),
    /// Every write from there on with a stamp below this millisecond is told.
    pub complete_ms: u64,
}

/// What a backup and an archive together can restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The archive.
    pub archive: String,
    /// The first millisecond: that of the backup.
    pub from_ms: u64,
    /// The last millisecond.
    pub to_ms: u64,
    /// The run of each partition, by the place of its table in the backup and its own.
    pub runs: Vec<Vec<Run>>,
}

impl Known {
    /// Reads the head of every run, and none of their files.
    ///
    /// # Errors
    /// What the target says. What is damaged is not known.
    pub fn read(target: &dyn Target) -> Result<Self, BackupError> {
        let mut known = Self::default();
        for id in list(target)? {
            match begun(target, &id) {
                Ok(begun) => known.add_archive(target, &id, &begun.cluster)?,
                Err(BackupError::Damaged { .. } | BackupError::NoBackup(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }

    fn add_archive(&mut self, target: &dyn Target, id: &str, cluster: &str) -> Result<(), BackupError> {
        for run in runs(target, id)? {
            let read = head(target, &run).and_then(|head| Ok((head, Thinned::read(target, &run)?)));
            let reaches = match read {
                Ok((Some(head), thinned)) => {
                    vec![Reach { from: thinned.from(), complete_ms: head.complete_ms }]
                }
                // It is there, so that an earlier one is not taken to go on to here.
                Ok((None, _)) | Err(BackupError::Damaged { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            self.runs.push(KnownRun { run, cluster: cluster.to_owned(), reaches });
        }
        Ok(())
    }

    /// Which times can be restored over a backup, of some of its tables, by the archive that reaches farthest.
    ///
    /// # Errors
    /// Why none can, in words.
    pub fn covered(&self, manifest: &Manifest, is_wanted: &dyn Fn(usize) -> bool) -> Result<Covered, String> {
        let mut ids: Vec<&str> = Vec::new();
        for known in self.runs.iter().filter(|known| known.cluster == manifest.begun.cluster) {
            if ids.last() != Some(&known.run.archive.as_str()) {
                ids.push(&known.run.archive);
            }
        }
        let mut best: Result<Covered, String> = Err("no archive tells anything of its cluster".to_owned());
        for id in ids {
            let found = self.by_archive(manifest, id, is_wanted);
            let is_better = match (&best, &found) {
                (Ok(best), Ok(found)) => best.to_ms < found.to_ms,
                (Ok(_), Err(_)) => false,
                (Err(_), _) => true,
            };
            if is_better {
                best = found;
            }
        }
        best
    }

    fn by_archive(
        &self,
        manifest: &Manifest,
        id: &str,
        is_wanted: &dyn Fn(usize) -> bool,
    ) -> Result<Covered, String> {
        let (mut to_ms, mut found) = (u64::MAX, Vec::new());
        for (place, table) in manifest.begun.tables.iter().enumerate() {
            let mut of_table = Vec::new();
            for partition in table.partitions.iter().filter(|_| is_wanted(place)) {
                let which = || format!("partition {} of {}", partition.partition, table.title());
                let is_of = |known: &&KnownRun| {
                    let run = &known.run;
                    run.archive == id && run.group == partition.group && run.since <= partition.index
                };
                // The latest that began before the backup's moment: an earlier one has ended with a gap.
                let run = self.runs.iter().filter(is_of).max_by_key(|known| known.run.since);
                let run = run.ok_or_else(|| format!("archive {id} begins later with {}", which()))?;
                let reach = run.reach_from(partition.index);
                let reach = reach.ok_or_else(|| format!("archive {id} tells no more of {}", which()))?;
                to_ms = to_ms.min(reach.complete_ms.saturating_sub(1));
                of_table.push(run.run.clone());
            }
            found.push(of_table);
        }
        let from_ms = manifest.begun.at_ms;
        match to_ms != u64::MAX && to_ms >= from_ms {
            true => Ok(Covered { archive: id.to_owned(), from_ms, to_ms, runs: found }),
            false => Err(format!("archive {id} has not told all partitions up to its moment")),
        }
    }

    /// Up to when the latest run of a group in an archive tells everything, in milliseconds.
    pub fn complete_ms(&self, archive: &str, group: u64) -> Option<u64> {
        let is_of = |known: &&KnownRun| known.run.archive == archive && known.run.group == group;
        let latest = self.runs.iter().filter(is_of).max_by_key(|known| known.run.since)?;
        latest.reaches.last().map(|reach| reach.complete_ms)
    }
}

impl KnownRun {
    /// The reach that tells everything after a log entry.
    fn reach_from(&self, after: u64) -> Option<&Reach> {
        self.reaches.iter().rev().find(|reach| reach.from <= (after + 1, 0))
    }
}
