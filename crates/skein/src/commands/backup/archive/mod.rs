//! `backup archive`: begin it, end it, and whatever else is done about it.

mod behind;
mod line;
mod status;
mod thin;
mod verify;
mod windows;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::archive::{ArchiveReport, ArchiveWish};
use backup::write::Progress;
use types::{ErrorCode, Fault};

use super::create;
use crate::backups::crew::Crew;
use crate::cli::{ArchiveCommand, ArchiveStart, ArchiveStop, BackupCreate, Waiting, Which};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

pub use windows::each;

/// How long partitions may take until all of them are told.
const BEGIN_MAX: Duration = Duration::from_secs(60);
const BEGIN_LOOK: Duration = Duration::from_millis(200);
/// How often it is looked whether work is done, and shown how far it is.
const WORK_LOOK: Duration = Duration::from_millis(5);
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Carries out a command about the archive.
pub fn run(command: &ArchiveCommand) -> Result<Exit, Fault> {
    match command {
        ArchiveCommand::Start(arguments) => start(arguments),
        ArchiveCommand::Stop(arguments) => stop(arguments),
        ArchiveCommand::Status(arguments) => status::run(arguments),
        ArchiveCommand::Verify(arguments) => verify::run(arguments),
        ArchiveCommand::Thin(arguments) => thin::run(arguments),
        ArchiveCommand::Remove(arguments) => thin::remove(arguments),
    }
}

fn start(arguments: &ArchiveStart) -> Result<Exit, Fault> {
    let form = arguments.output.form();
    let client = arguments.find.lookup().client()?;
    let crew = Crew::of(&client)?;
    let wish = ArchiveWish {
        url: arguments.to.clone(),
        tables: arguments.table.clone(),
        namespaces: arguments.namespace.clone(),
        every_ms: arguments.every,
        hold_bytes_max: arguments.hold,
        keep_ms: arguments.keep.unwrap_or(0),
    };
    let begun = client.begin_archive(&wish)?;
    say::note(format_args!("archive {} to {}", begun.id, begun.url));
    wait_for_all(&crew, &begun.id)?;
    if arguments.no_backup {
        say::note("nothing can be restored until there is a backup: skein backup create --to URL");
        return status::of(&client, &crew, form);
    }
    create::run(&BackupCreate {
        to: arguments.to.clone(),
        which: Which {
            table: arguments.table.clone(),
            namespace: arguments.namespace.clone(),
            ..Which::default()
        },
        speed: arguments.speed,
        incremental_from: None,
        resume: None,
        plan: false,
        waiting: Waiting { wait: true },
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
        let expected = of_it().map(|report| report.groups.len()).max().unwrap_or(0);
        let partitions = || of_it().flat_map(|report| &report.partitions);
        let told = partitions().filter(|partition| partition.complete_ms > 0).count();
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
    let archive = client.archive()?;
    client.end_archive()?;
    let ended = !archive.id.is_empty() && !archive.ended;
    match arguments.output.form() {
        Form::Json => say::json(&serde_json::json!({ "ended": ended })),
        Form::Text if ended => say::note(format_args!(
            "archive {id} has ended; what it has told stays, and can be restored\n\
             'skein backup archive remove {id} --at {url}' removes it",
            id = archive.id,
            url = archive.url,
        )),
        Form::Text => say::note("no archive runs: nothing was changed"),
    }
    Ok(exit::OK)
}

/// What the nodes that answer say.
fn reports(crew: &Crew) -> BTreeMap<u64, ArchiveReport> {
    crew.each().filter_map(|(node, client)| Some((node, client.archive().ok()?))).collect()
}

/// Does some work on a thread, and shows meanwhile how far it is. Whoever ends the command ends the work wherever it
/// is: all of it can be begun again.
fn shown<T: Send>(
    progress: &Progress,
    words: impl Fn(&Progress) -> String,
    work: impl FnOnce() -> Result<T, backup::BackupError> + Send,
) -> Result<T, Fault> {
    let mut shown = line::Line::default();
    std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            std::thread::sleep(WORK_LOOK);
            shown.show(SHOW_EVERY, || words(progress));
        }
        worker.join().map_err(|_| Fault::from(ErrorCode::Internal))?.map_err(|error| error.to_fault())
    })
}
