//! `backup archive thin` and `remove`: what is not needed any more goes.

use std::sync::atomic::Ordering;

use backup::archive::{self, ThinPlan, Thinning};
use backup::write::Progress;
use backup::{BackupError, Target, sweep};
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::shown;
use crate::backups::at_time::stretches;
use crate::backups::{now_ms, time};
use crate::cli::{ArchiveRemove, ArchiveThin};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// An archive that nobody has written to for this long has ended, whoever's it was, in milliseconds. Longer than the
/// longest interval.
const SILENT_MS: u64 = 2 * 3_600_000;

/// What went, for programs.
#[derive(Debug, Default, Serialize)]
struct Thinned {
    plans: Vec<ThinPlan>,
    /// Files of changes that went.
    files: u64,
    /// Runs that went as a whole.
    runs: u64,
    /// Archives of which only a rest was there: somebody had begun to remove them.
    rests: Vec<String>,
    /// Files that writers that died had left.
    unfinished: u64,
}

pub(super) fn run(arguments: &ArchiveThin) -> Result<Exit, Fault> {
    let fault = |error: BackupError| error.to_fault();
    let target = backup::open(&arguments.at).map_err(fault)?;
    let now = now_ms();
    let before_ms = match (arguments.before, arguments.keep) {
        (Some(before), _) => before,
        (None, Some(keep)) => now.saturating_sub(keep),
        (None, None) => return Err(Fault::new(ErrorCode::BadArgument, "--before TIME or --keep DURATION")),
    };
    let ids = match &arguments.id {
        Some(id) => vec![id.clone()],
        None => archive::list(&*target).map_err(fault)?,
    };
    let mut thinned = Thinned::default();
    for id in ids {
        let progress = Progress::default();
        match archive::plan(&*target, &id, before_ms, now, &progress) {
            Ok(plan) => thinned.plans.push(plan),
            Err(BackupError::NoBackup(_)) if arguments.id.is_none() => thinned.rests.push(id),
            Err(error) => return Err(error.to_fault()),
        }
    }
    if !arguments.plan {
        carry_out(&*target, &mut thinned)?;
    }
    match arguments.output.form() {
        Form::Json => say::json(&thinned),
        Form::Text => say::data(words(&thinned, arguments.plan)),
    }
    Ok(exit::OK)
}

fn carry_out(target: &dyn Target, thinned: &mut Thinned) -> Result<(), Fault> {
    let removed = |progress: &Progress| {
        format!("removed {}", say::count(progress.keys.load(Ordering::Relaxed), "file"))
    };
    for plan in &thinned.plans {
        let progress = Progress::default();
        let Thinning { files, runs } =
            shown(&progress, removed, || archive::carry_out(target, plan, &progress))?;
        thinned.files += files;
        thinned.runs += runs;
    }
    for id in &thinned.rests {
        let progress = Progress::default();
        match shown(&progress, removed, || archive::remove(target, id, &progress)) {
            // Not even a file was left of it: its directory is swept.
            Err(fault) if fault.code == ErrorCode::UnknownBackup => {}
            removed => drop(removed?),
        }
    }
    let swept = sweep::among_backups(target).and_then(|backups| Ok(backups + sweep::among_archives(target)?));
    thinned.unfinished = swept.map_err(|error| error.to_fault())?;
    Ok(())
}

fn words(thinned: &Thinned, is_plan: bool) -> String {
    let mut text = String::new();
    for plan in &thinned.plans {
        text.push_str(&format!(
            "{}: {} from before {} {}\n",
            plan.archive,
            say::count(plan.files, "file"),
            time(plan.before_ms),
            if is_plan { "would go" } else { "went" },
        ));
        if plan.needed > 0 {
            text.push_str(&format!(
                "  {} as old stay: backup {} needs them (skein backup delete {} --at URL)\n",
                say::count(plan.needed, "file"),
                plan.kept_for,
                plan.kept_for
            ));
        }
        let whole = plan.runs.iter().filter(|run| run.whole).count() as u64;
        if whole > 0 {
            let runs = say::count(whole, "run");
            text.push_str(&format!("  {runs} that gaps have ended and no backup lies in, as a whole\n"));
        }
    }
    for rest in &thinned.rests {
        text.push_str(&format!(
            "{rest}: what was left of it {}\n",
            if is_plan { "would go" } else { "went" }
        ));
    }
    if thinned.unfinished > 0 {
        let files = say::count(thinned.unfinished, "file");
        text.push_str(&format!("{files} that writers which died had left unfinished went as well\n"));
    }
    if thinned.plans.is_empty() && thinned.rests.is_empty() {
        text.push_str("there is no archive\n");
    }
    text.trim_end().to_owned()
}

/// Removes an archive that has ended.
pub(super) fn remove(arguments: &ArchiveRemove) -> Result<Exit, Fault> {
    let target = backup::open(&arguments.at).map_err(|error| error.to_fault())?;
    let id = &arguments.id;
    refuse_if_it_runs(&*target, arguments)?;
    let (lost, _) = super::windows::of_target(&*target)?;
    let lost: Vec<_> = match archive::begun(&*target, id) {
        // Without it some other archive may go on from the same backups.
        Ok(_) => {
            let mut known = archive::Known::read(&*target).map_err(|error| error.to_fault())?;
            known.runs.retain(|known| known.run.archive != *id);
            let backups = backup::list(&*target).map_err(|error| error.to_fault())?;
            let (left, _) = super::each(&backups, &known);
            lost.into_iter().filter(|stretch| !left.contains(stretch)).collect()
        }
        Err(_) => Vec::new(),
    };
    let mut files = 0;
    if !arguments.plan {
        let progress = Progress::default();
        let line = |progress: &Progress| {
            format!("removed {}", say::count(progress.keys.load(Ordering::Relaxed), "file"))
        };
        files = shown(&progress, line, || archive::remove(&*target, id, &progress))?;
    }
    if arguments.output.form() == Form::Json {
        say::json(&serde_json::json!({ "id": id, "files": files, "lost": lost }));
        return Ok(exit::OK);
    }
    let (would, went) = match arguments.plan {
        true => ("can be restored no more if it goes", format!("{id} would go")),
        false => ("can be restored no more", format!("removed {id}, {}", say::count(files, "file"))),
    };
    say::note(went);
    if !lost.is_empty() {
        say::note(format_args!("{would}, but for the moments of the backups:\n{}", stretches(&lost)));
    }
    Ok(exit::OK)
}

/// An archive that somebody writes must be ended first. Its own cluster knows; where that is not to be reached, or it
/// is another one's, its files tell.
fn refuse_if_it_runs(target: &dyn Target, arguments: &ArchiveRemove) -> Result<(), Fault> {
    let id = &arguments.id;
    let cluster = arguments.find.lookup().client().and_then(|client| client.archive());
    if let Ok(report) = cluster.as_ref()
        && report.id == *id
    {
        return match report.ended {
            true => Ok(()),
            false => Err(Fault::new(ErrorCode::ArchiveRuns, format!("{id} to {}", report.url))),
        };
    }
    let last = archive::last_told_ms(target, id).map_err(|error| error.to_fault())?;
    let silent_ms = last.map(|last| now_ms().saturating_sub(last));
    match silent_ms.filter(|silent| *silent < SILENT_MS) {
        None => Ok(()),
        Some(silent) => {
            let detail = format!(
                "{id} was written {} ago, and it is not that of a cluster which is reached here; name its cluster \
                 with --dir or --addr, or wait until it is silent for {}",
                say::duration_ms(silent),
                say::duration_ms(SILENT_MS)
            );
            Err(Fault::new(ErrorCode::ArchiveRuns, detail))
        }
    }
}
