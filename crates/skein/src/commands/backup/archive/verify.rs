//! `backup archive verify`: reads whole archives, and says which times can really be restored.

use std::sync::atomic::Ordering;

use backup::archive::{self, Known, Verified};
use backup::write::{Limits, Progress};
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::shown;
use super::windows::{self, Alone, Window};
use crate::backups::at_time::{Stretch, stretches};
use crate::backups::time;
use crate::cli::ArchiveVerify;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Found {
    url: String,
    archives: Vec<Verified>,
    /// Times that can be restored, whichever backup they take.
    windows: Vec<Window>,
    /// The same, each stretch over one backup.
    restorable: Vec<Stretch>,
    /// Backups from which no archive goes on.
    alone: Vec<Alone>,
    /// Nothing is missing or damaged.
    whole: bool,
}

pub(super) fn run(arguments: &ArchiveVerify) -> Result<Exit, Fault> {
    let fault = |error: backup::BackupError| error.to_fault();
    let target = backup::open(&arguments.at).map_err(fault)?;
    let ids = match &arguments.id {
        Some(id) => vec![id.clone()],
        None => archive::list(&*target).map_err(fault)?,
    };
    if ids.is_empty() {
        return Err(Fault::new(ErrorCode::NoArchive, format!("in {}", target.url())));
    }
    let limits = Limits { bytes_per_second: arguments.rate.unwrap_or(0), keys_per_second: 0 };
    let (mut archives, mut known) = (Vec::new(), Known::default());
    for id in ids {
        let progress = Progress::within(limits);
        let line = |progress: &Progress| {
            let files = say::count(progress.keys.load(Ordering::Relaxed), "file");
            format!("{id}: read {files}, {}", say::bytes(progress.file_bytes.load(Ordering::Relaxed)))
        };
        let mut verified = shown(&progress, line, || archive::verify(&*target, &id, &progress))?;
        known.runs.append(&mut verified.known.runs);
        archives.push(verified);
    }
    let (restorable, alone) = windows::each(&backup::list(&*target).map_err(fault)?, &known);
    let found = Found {
        url: target.url().to_owned(),
        whole: archives.iter().all(|verified| verified.damaged.is_empty()),
        archives,
        windows: windows::windows(&restorable),
        restorable,
        alone,
    };
    match arguments.output.form() {
        Form::Json => say::json(&found),
        Form::Text => say::data(words(&found)),
    }
    if found.whole {
        return Ok(exit::OK);
    }
    let damaged: Vec<&str> = found.archives.iter().flat_map(|one| &one.damaged).map(String::as_str).collect();
    Err(Fault::new(ErrorCode::BackupDamaged, damaged.join("\n")))
}

fn words(found: &Found) -> String {
    let mut text = String::new();
    for verified in &found.archives {
        let (files, entries) = (say::count(verified.files, "file"), say::count(verified.entries, "entry"));
        let entries = entries.replace("entrys", "entries");
        text.push_str(&format!(
            "{}: {files}, {}, {entries}, {}\n",
            verified.archive,
            say::bytes(verified.bytes),
            match verified.damaged.len() {
                0 => "as they were written".to_owned(),
                places => format!("damaged or missing in {}", say::count(places as u64, "place")),
            }
        ));
        let rows = verified.runs.iter().map(|run| {
            vec![
                crate::backups::title(&run.namespace, &run.table),
                run.partition.to_string(),
                run.since.to_string(),
                run.files.to_string(),
                if run.complete_ms == 0 { "-".into() } else { time(run.complete_ms) },
                if run.damaged == 0 { "whole".into() } else { format!("{} damaged", run.damaged) },
            ]
        });
        let heads = ["TABLE", "PARTITION", "SINCE ENTRY", "FILES", "COMPLETE BEFORE", "STATE"];
        text.push_str(&format!("\n{}\n\n", say::table(&heads, rows)));
    }
    text.push_str(&match found.windows.is_empty() {
        true => "no time can be restored but those of backups".to_owned(),
        false => format!(
            "can be restored:\n{}\nof which over each backup:\n{}",
            windows::window_lines(&found.windows),
            stretches(&found.restorable)
        ),
    });
    for alone in &found.alone {
        text.push_str(&format!("\nno archive goes on from backup {}: {}", alone.backup, alone.why));
    }
    text
}
