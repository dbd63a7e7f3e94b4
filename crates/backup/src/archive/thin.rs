//! Thinning: old changes go that no backup can be gone on from any more.
//!
//! ```text
//!   files of a run    00 01 02 03 04 05 06 07 08 09 …
//!                     └── older ──┘     │
//!                     than TIME         └ the oldest backup of the partition that is kept lies here
//!                     00 … 04 go: they are older, and no backup needs them
//! ```
//!
//! **What stays.** A backup needs every change after its own moment, up to now: so a file goes only if it ends before
//! the oldest backup that there is, complete or begun, and is older than the time. Whoever wants to keep less deletes
//! backups first. A run that a gap has ended, and that no backup lies in, goes as a whole.
//!
//! **Order.** First a mark (see [`Thinned`]) says that the files do not belong to the run any more; then they are
//! removed, the oldest first. So if the last of them is gone all are, and one look finds what a crash has left.
//!
//! **Backups that begin meanwhile.** A backup chooses its moment a little before it says so in the target. What is
//! younger than [`ARCHIVE_THIN_AGE_MIN`] therefore never goes, and a backup whose moment is older than half of that
//! when it could say so chooses another one.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Serialize;
use types::limits::ARCHIVE_THIN_AGE_MIN;

use super::read::{exists, next_readable, open_file};
use super::thinned::{Thinned, has_mark};
use super::{HEAD, Run, RunHead, head, runs};
use crate::backups;
use crate::error::BackupError;
use crate::target::Target;
use crate::write::Progress;

/// What is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThinPlan {
    /// The archive.
    pub archive: String,
    /// What was told before this millisecond is old.
    pub before_ms: u64,
    /// Files that go.
    pub files: u64,
    /// Old files that stay, because a backup needs them.
    pub needed: u64,
    /// The oldest backup that something stays for; empty if nothing does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kept_for: String,
    /// Runs of which something goes.
    pub runs: Vec<RunThin>,
}

/// What of a run is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunThin {
    /// Its directory.
    pub directory: String,
    /// Its first file now.
    pub first: u32,
    /// Its first file then.
    pub keep_from: u32,
    /// All of it goes: it has ended with a gap.
    pub whole: bool,
    /// Files are still there that went before: somebody died on the way.
    pub leftovers: bool,
    #[serde(skip)]
    run: Run,
    #[serde(skip)]
    mark: Thinned,
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Thinning {
    /// Files.
    pub files: u64,
    /// Runs that went as a whole.
    pub runs: u64,
}

/// The places of backups in the logs of groups: index, moment and name, in order.
type Places = BTreeMap<u64, Vec<(u64, String)>>;

/// Says what of an archive can go, of what was told before a time. Nothing is changed.
///
/// # Errors
/// What the target says; `Cancelled`. A run whose files do not let themselves be read stays as it is.
pub fn plan(
    target: &dyn Target,
    id: &str,
    before_ms: u64,
    now_ms: u64,
    progress: &Progress,
) -> Result<ThinPlan, BackupError> {
    super::begun(target, id)?;
    let before_ms = before_ms.min(now_ms.saturating_sub(ARCHIVE_THIN_AGE_MIN.as_millis() as u64));
    let places = places(target)?;
    let known = runs(target, id)?;
    let mut plan = ThinPlan {
        archive: id.to_owned(),
        before_ms,
        files: 0,
        needed: 0,
        kept_for: String::new(),
        runs: Vec::new(),
    };
    for run in &known {
        progress.check()?;
        // The run after a gap that ended this one.
        let later = known.iter().filter(|other| other.group == run.group && other.since > run.since);
        let ended_at = later.map(|other| other.since).min();
        match of_run(target, run, ended_at, &places, &mut plan) {
            Ok(Some(thin)) => {
                plan.files += u64::from(thin.keep_from - thin.first);
                plan.runs.push(thin);
            }
            Ok(None) | Err(BackupError::Damaged { .. } | BackupError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(plan)
}

/// Carries a plan out; one that was interrupted is planned and carried out again.
///
/// # Errors
/// What the target says; `Cancelled`.
pub fn carry_out(target: &dyn Target, plan: &ThinPlan, progress: &Progress) -> Result<Thinning, BackupError> {
    let mut done = Thinning::default();
    for thin in &plan.runs {
        let run = &thin.run;
        thin.mark.put(target, run)?;
        // Files from before this run's first one may be left as well: they are found by halving.
        for number in first_left(target, run, thin.first)?..thin.keep_from {
            progress.check()?;
            target.remove(&run.file(number))?;
            done.files += 1;
            progress.keys.fetch_add(1, Ordering::Relaxed);
        }
        thin.mark.remove_older(target, run)?;
        if thin.whole {
            // Without a head it tells nothing, and by its mark it is known as one that goes.
            target.remove(&format!("{}/{HEAD}", run.directory()))?;
            target.remove(&thin.mark.path(run))?;
            target.remove_directory(&run.directory())?;
            done.runs += 1;
        }
    }
    Ok(done)
}

/// Where every backup that is there lies in the log of each of its groups; also one that may still become complete,
/// and one that is damaged, as far as it can be told.
fn places(target: &dyn Target) -> Result<Places, BackupError> {
    let mut places = Places::new();
    for listed in backups::list(target)? {
        let begun = listed.begun.or_else(|| backups::begun(target, &listed.id).ok());
        for partition in begun.iter().flat_map(|begun| &begun.tables).flat_map(|table| &table.partitions) {
            places.entry(partition.group).or_default().push((partition.index, listed.id.clone()));
        }
    }
    places.values_mut().for_each(|places| places.sort_unstable());
    Ok(places)
}

fn of_run(
    target: &dyn Target,
    run: &Run,
    ended_at: Option<u64>,
    places: &Places,
    plan: &mut ThinPlan,
) -> Result<Option<RunThin>, BackupError> {
    let thinned = Thinned::read(target, run)?;
    let Some(head) = head(target, run)? else {
        // After its head its mark goes, and then its directory: so it is told from one that has only begun.
        let is_left = ended_at.is_some() && (has_mark(target, run)? || is_empty(target, run)?);
        return Ok(is_left.then(|| thin(run, &thinned, thinned.clone(), true, true)));
    };
    let of_group = places.get(&run.group);
    let oldest = of_group.into_iter().flatten().find(|(index, _)| *index >= run.since);
    let needed_from = oldest.map_or(u64::MAX, |(index, _)| *index);
    let before_ms = plan.before_ms;
    let is_old = |complete_ms: u64| complete_ms <= before_ms;
    let lies_in_it = ended_at.is_none_or(|end| needed_from < end);
    if !lies_in_it && is_old(head.complete_ms) {
        return Ok(Some(thin(run, &thinned, Thinned::nothing(&head), true, true)));
    }
    let old = first_that(target, run, (thinned.first, head.files), &|_, complete| is_old(complete))?;
    let goes = |next: (u64, u32), _: u64| needed_from == u64::MAX || next <= (needed_from + 1, 0);
    let keep_from = first_that(target, run, (thinned.first, old), &goes)?;
    if old > keep_from {
        plan.needed += u64::from(old - keep_from);
        if let Some((_, id)) = oldest.filter(|(_, id)| plan.kept_for.is_empty() || *id < plan.kept_for) {
            plan.kept_for.clone_from(id);
        }
    }
    let mark = mark_at(target, run, &thinned, &head, keep_from)?;
    let leftovers = thinned.first > 0 && exists(target, &run.file(thinned.first - 1))?;
    let is_needed = keep_from > thinned.first || leftovers;
    Ok(is_needed.then(|| thin(run, &thinned, mark, false, leftovers)))
}

/// Whether there is no file of a run.
fn is_empty(target: &dyn Target, run: &Run) -> Result<bool, BackupError> {
    Ok(target.list(&run.directory())?.iter().all(|name| name.ends_with('/')))
}

fn thin(run: &Run, thinned: &Thinned, mark: Thinned, whole: bool, leftovers: bool) -> RunThin {
    RunThin {
        directory: run.directory(),
        first: thinned.first,
        keep_from: mark.first,
        whole,
        leftovers,
        run: run.clone(),
        mark,
    }
}

/// The mark of a run that begins with this file; none is made anew where it begins already.
fn mark_at(
    target: &dyn Target,
    run: &Run,
    thinned: &Thinned,
    head: &RunHead,
    keep_from: u32,
) -> Result<Thinned, BackupError> {
    if keep_from == thinned.first {
        return Ok(thinned.clone());
    }
    if keep_from == head.files {
        return Ok(Thinned::nothing(head));
    }
    Ok(Thinned::after(&open_file(target, run, keep_from - 1)?))
}

/// The first file of some of which this is not so, by where it ends and up to when it tells all. Both rise from file
/// to file, so it is found by halving. A file that cannot be read goes with the next one that can.
fn first_that(
    target: &dyn Target,
    run: &Run,
    (mut low, mut high): (u32, u32),
    goes: &dyn Fn((u64, u32), u64) -> bool,
) -> Result<u32, BackupError> {
    while low < high {
        let middle = low + (high - low) / 2;
        match next_readable(target, run, middle, high)? {
            Some(file) if goes((file.head.next_index, file.head.next_piece), file.head.complete_ms) => {
                low = file.head.number + 1;
            }
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The first file below `first` that is there, or `first`: those before it were removed in order.
fn first_left(target: &dyn Target, run: &Run, first: u32) -> Result<u32, BackupError> {
    if first == 0 || !exists(target, &run.file(first - 1))? {
        return Ok(first);
    }
    let (mut low, mut high) = (0, first - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match exists(target, &run.file(middle))? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(low)
}
