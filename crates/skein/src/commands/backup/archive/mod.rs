//! `backup archive`: begin it, end it, and say which times can be restored.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::archive::{ArchiveReport, ArchiveWish, ArchivedPartition};
use backup::Target;
use backup::archive::Covered;
use client::Client;
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::create;
use crate::backups::crew::Crew;
use crate::backups::{now_ms, time, title};
use crate::cli::{ArchiveCommand, ArchiveStart, ArchiveStatus, ArchiveStop, BackupCreate, Which};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// How long partitions may take until all of them are told.
const BEGIN_MAX: Duration = Duration::from_secs(60);
const BEGIN_LOOK: Duration = Duration::from_millis(200);
/// A partition that is later than this many intervals is late.
const LATE_INTERVALS: u64 = 3;

/// The archive, for programs.
#[derive(Debug, Serialize)]
struct Status {
    id: String,
    url: String,
    ended: bool,
    begun_ms: u64,
    every_ms: u64,
    /// Partitions that shall be in it.
    expected: u64,
    /// Every write below this millisecond is told, of all partitions; absent if some partition has not begun.
    complete_ms: Option<u64>,
    /// How late that is.
    lag_ms: Option<u64>,
    partitions: Vec<Served>,
    /// Times that can be restored, each stretch over one backup.
    restorable: Vec<Stretch>,
    /// Why it is not known which times can be restored; empty if it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    target_problem: String,
}

#[derive(Debug, Serialize)]
struct Served {
    node: u64,
    #[serde(flatten)]
    partition: ArchivedPartition,
}

/// Times that can be restored over a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The backup.
    pub backup: String,
    /// The first millisecond.
    pub from_ms: u64,
    /// The last one.
    pub to_ms: u64,
}

/// Carries out a command about the archive.
pub fn run(command: &ArchiveCommand) -> Result<Exit, Fault> {
    match command {
        ArchiveCommand::Start(arguments) => start(arguments),
        ArchiveCommand::Stop(arguments) => stop(arguments),
        ArchiveCommand::Status(arguments) => status(arguments),
    }
}

fn start(arguments: &ArchiveStart) -> Result<Exit, Fault> {
    let form = arguments.output.form();
    let client = arguments.find.lookup().client()?;
    let crew = Crew::of(&client)?;
    let wish = ArchiveWish {
        url: arguments.to.clone(),
        tables: arguments.table.clone(),
        every_ms: arguments.every,
        hold_bytes_max: arguments.hold,
    };
    let begun = client.begin_archive(&wish)?;
    say::note(format_args!("archive {} to {}", begun.id, begun.url));
    wait_for_all(&crew, &begun.id)?;
    if arguments.no_backup {
        say::note("nothing can be restored until there is a backup: skein backup create --to URL");
        return status_of(&client, &crew, form);
    }
    create::run(&BackupCreate {
        to: arguments.to.clone(),
        which: Which { table: arguments.table.clone(), ..Which::default() },
        speed: arguments.speed,
        incremental_from: None,
        resume: None,
        plan: false,
        wait: true,
        find: arguments.find.clone(),
        output: arguments.output,
    })
}

/// Waits until every partition keeps its changes: a backup before that could not be gone on from.
fn wait_for_all(crew: &Crew, id: &str) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        let reports = reports(crew);
        let of_it = || reports.values().filter(|report| report.id == id);
        let expected = of_it().map(|report| report.expected).max().unwrap_or(0);
        let partitions = || of_it().flat_map(|report| &report.partitions);
        let told = partitions().filter(|partition| partition.complete_ms > 0).count() as u64;
        if expected > 0 && told >= expected {
            return Ok(());
        }
        if begun.elapsed() > BEGIN_MAX {
            let problem = partitions().find(|partition| !partition.problem.is_empty());
            let problem = problem.map_or(String::new(), |partition| format!(": {}", partition.problem));
            let detail = format!("{told} of {expected} partitions are in the archive{problem}");
            return Err(Fault::new(ErrorCode::BackupTarget, detail));
        }
        std::thread::sleep(BEGIN_LOOK);
    }
}

fn stop(arguments: &ArchiveStop) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    client.end_archive()?;
    match arguments.output.form() {
        Form::Json => say::json(&serde_json::json!({ "ended": true })),
        Form::Text => say::note("the archive has ended; what it has told stays, and can be restored"),
    }
    Ok(exit::OK)
}

fn status(arguments: &ArchiveStatus) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let crew = Crew::of(&client)?;
    status_of(&client, &crew, arguments.output.form())
}

fn status_of(client: &Client, crew: &Crew, form: Form) -> Result<Exit, Fault> {
    let known = client.archive()?;
    if known.id.is_empty() {
        let detail = "there never was an archive; 'skein backup archive start --to URL' begins one";
        return Err(Fault::new(ErrorCode::UnknownBackup, detail));
    }
    let status = gather(known, reports(crew))?;
    match form {
        Form::Json => say::json(&status),
        Form::Text => say::data(words(&status)),
    }
    Ok(exit::OK)
}

/// What the nodes that answer say.
fn reports(crew: &Crew) -> BTreeMap<u64, ArchiveReport> {
    crew.each().filter_map(|(node, client)| Some((node, client.archive().ok()?))).collect()
}

fn gather(known: ArchiveReport, reports: BTreeMap<u64, ArchiveReport>) -> Result<Status, Fault> {
    // Two nodes may believe to lead a partition; the one that is farther does.
    let mut partitions: BTreeMap<u64, Served> = BTreeMap::new();
    for (node, report) in reports.into_iter().filter(|(_, report)| report.id == known.id) {
        for partition in report.partitions {
            let is_behind = partitions
                .get(&partition.group)
                .is_some_and(|served| served.partition.complete_ms >= partition.complete_ms);
            if !is_behind {
                partitions.insert(partition.group, Served { node, partition });
            }
        }
    }
    let mut partitions: Vec<Served> = partitions.into_values().collect();
    let key = |served: &Served| {
        let partition = &served.partition;
        (partition.namespace.clone(), partition.table.clone(), partition.partition)
    };
    partitions.sort_by_key(key);
    let complete = partitions.iter().map(|served| served.partition.complete_ms).min();
    let complete_ms = complete.filter(|ms| *ms > 0 && partitions.len() as u64 >= known.expected);
    // A target that does not answer is no reason not to tell the rest.
    let target = backup::open(&known.url).map_err(|error| error.to_fault());
    let (restorable, target_problem) = match target.and_then(|target| restorable(&*target)) {
        Ok(restorable) => (restorable, String::new()),
        Err(fault) => (Vec::new(), fault.to_string()),
    };
    Ok(Status {
        id: known.id,
        url: known.url,
        ended: known.ended,
        begun_ms: known.begun_ms,
        every_ms: known.every_ms,
        expected: known.expected,
        complete_ms,
        lag_ms: complete_ms.map(|ms| now_ms().saturating_sub(ms)),
        partitions,
        restorable,
        target_problem,
    })
}

/// The times that can be restored, of all tables of each backup.
fn restorable(target: &dyn Target) -> Result<Vec<Stretch>, Fault> {
    let mut stretches = Vec::new();
    for listed in backup::list(target).map_err(|error| error.to_fault())? {
        let Some(manifest) = listed.manifest else { continue };
        let covered = backup::archive::covered(target, &manifest, &|_| true);
        if let Some(Covered { from_ms, to_ms, .. }) = covered.map_err(|error| error.to_fault())? {
            stretches.push(Stretch { backup: listed.id, from_ms, to_ms });
        }
    }
    Ok(stretches)
}

fn words(status: &Status) -> String {
    let mut text = match (status.ended, status.complete_ms) {
        (true, _) => format!("{}: ended", status.id),
        (false, Some(ms)) => {
            let lag = say::duration_ms(status.lag_ms.unwrap_or(0));
            format!("{}: everything before {} is told, {lag} ago", status.id, time(ms))
        }
        (false, None) => {
            format!("{}: {} of {} partitions are told", status.id, status.partitions.len(), status.expected)
        }
    };
    text.push_str(&format!("\n{}, every {}\n", status.url, say::duration_ms(status.every_ms)));
    let now = now_ms();
    let rows = status.partitions.iter().map(|Served { node, partition }| {
        let lag = now.saturating_sub(partition.complete_ms);
        let is_late = lag > LATE_INTERVALS * status.every_ms;
        let state = match (partition.problem.as_str(), partition.gap.as_str(), is_late) {
            ("", "", false) => "goes on".to_owned(),
            ("", "", true) => "late".to_owned(),
            ("", gap, _) => format!("goes on after a gap: {gap}"),
            (problem, _, _) => problem.to_owned(),
        };
        vec![
            title(&partition.namespace, &partition.table),
            partition.partition.to_string(),
            node.to_string(),
            if partition.complete_ms == 0 { "-".into() } else { time(partition.complete_ms) },
            say::duration_ms(lag),
            partition.files.to_string(),
            say::bytes(partition.kept_bytes),
            state,
        ]
    });
    if !status.partitions.is_empty() {
        let heads = ["TABLE", "PARTITION", "NODE", "COMPLETE BEFORE", "LAG", "FILES", "WAITING", "STATE"];
        text.push_str(&format!("\n{}\n", say::table(&heads, rows)));
    }
    text.push_str(&match status.restorable.is_empty() {
        true if !status.target_problem.is_empty() => format!("\n{}", status.target_problem),
        true => "\nno time can be restored yet: that takes a backup (skein backup create --to URL) and an interval after it"
            .to_owned(),
        false => format!("\ncan be restored:\n{}", stretches(&status.restorable)),
    });
    text
}

/// Stretches of time, a line for each.
pub fn stretches(stretches: &[Stretch]) -> String {
    let line = |stretch: &Stretch| {
        let (from, to) = (time(stretch.from_ms), time(stretch.to_ms));
        format!("  {from} ({}) to {to} ({}), over {}", stretch.from_ms, stretch.to_ms, stretch.backup)
    };
    stretches.iter().map(line).collect::<Vec<_>>().join("\n")
}
