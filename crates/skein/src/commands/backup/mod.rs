//! `backup` and `restore`.

mod archive;
mod create;
mod restore;
mod schedule;

use backup::archive::Known;
use backup::write::{Limits, Progress};
use backup::{Chain, Listed, ParentRecord, verify};
use serde::Serialize;
use types::{ErrorCode, Fault};

use crate::backups::time;
use crate::cli::{BackupCommand, BackupDelete, BackupList, BackupNamed, BackupVerify};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

pub use restore::run as restore;

/// Carries out a command about backups.
pub fn run(command: &BackupCommand) -> Result<Exit, Fault> {
    match command {
        BackupCommand::Create(arguments) => create::run(arguments),
        BackupCommand::List(arguments) => list(arguments),
        BackupCommand::Show(arguments) => show_one(arguments),
        BackupCommand::Verify(arguments) => verify(arguments),
        BackupCommand::Delete(arguments) => delete(arguments),
        BackupCommand::Schedule(command) => schedule::run(command),
        BackupCommand::Archive(command) => archive::run(command),
    }
}

fn list(arguments: &BackupList) -> Result<Exit, Fault> {
    let target = backup::open(&arguments.at).map_err(|error| error.to_fault())?;
    let backups = backup::list(&*target).map_err(|error| error.to_fault())?;
    let known = Known::read(&*target).map_err(|error| error.to_fault())?;
    let (stretches, _) = archive::each(&backups, &known);
    let until = |listed: &Listed| stretches.iter().find(|one| one.backup == listed.id).map(|one| one.to_ms);
    match arguments.output.form() {
        Form::Json => {
            let rows = backups.iter().map(|listed| Row { restorable_to_ms: until(listed), listed });
            say::json(&rows.collect::<Vec<_>>());
        }
        Form::Text if backups.is_empty() => say::note(format_args!("no backups at {}", target.url())),
        Form::Text => say::data(say::table(
            &[
                "BACKUP",
                "STATE",
                "STANDS ON",
                "TABLES",
                "KEYS",
                "SIZE",
                "LAST PROVEN RESTORE",
                "ANY TIME UNTIL",
            ],
            backups.iter().map(|listed| row(listed, until(listed))),
        )),
    }
    Ok(exit::OK)
}

/// A backup in a list, for programs.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    listed: &'a Listed,
    /// Any time from the backup's moment up to this millisecond can be restored; absent if no archive goes on from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    restorable_to_ms: Option<u64>,
}

fn row(listed: &Listed, until: Option<u64>) -> Vec<String> {
    let dash = || "-".to_owned();
    let tables =
        |begun: &backup::Begun| begun.tables.iter().map(|table| table.title()).collect::<Vec<_>>().join(", ");
    vec![
        listed.id.clone(),
        listed.state.word().into(),
        parent(listed).map_or_else(dash, |parent| parent.id.clone()),
        listed.begun.as_ref().map_or_else(dash, tables),
        listed.manifest.as_ref().map_or_else(dash, |manifest| manifest.sum.keys.to_string()),
        listed.manifest.as_ref().map_or_else(dash, |manifest| say::bytes(manifest.bytes)),
        listed.proof.as_ref().map_or_else(dash, |proof| {
            format!("{}, took {}", time(proof.begun_ms), say::duration_ms(proof.took_ms))
        }),
        until.map_or_else(dash, time),
    ]
}

fn parent(listed: &Listed) -> Option<&ParentRecord> {
    listed.begun.as_ref()?.parent.as_ref()
}

fn show_one(arguments: &BackupNamed) -> Result<Exit, Fault> {
    let target = backup::open(&arguments.at).map_err(|error| error.to_fault())?;
    let listed = backup::show(&*target, &arguments.id).map_err(|error| error.to_fault())?;
    show(&listed, arguments.output.form());
    Ok(exit::OK)
}

/// Tells everything of a backup.
fn show(listed: &Listed, form: Form) {
    if form == Form::Json {
        return say::json(listed);
    }
    let mut text = format!("{}: {}", listed.id, listed.state.word());
    if !listed.problem.is_empty() {
        text.push_str(&format!("\n{}", listed.problem));
    }
    if let Some(begun) = &listed.begun {
        text.push_str(&format!(
            "\nevery write before {} of cluster {}",
            time(begun.at_ms),
            begun.cluster_name
        ));
    }
    if let Some(parent) = parent(listed) {
        let below = say::count(parent.length as u64, "backup");
        text.push_str(&format!("\nwhat has changed since {}: it stands on {below}", parent.id));
    }
    if let Some(manifest) = &listed.manifest {
        let took = manifest.finished_ms.saturating_sub(manifest.begun.begun_ms);
        let (bytes, contents) = (say::bytes(manifest.bytes), say::bytes(manifest.sum.bytes));
        let took = say::duration_ms(took);
        text.push_str(&match parent(listed) {
            None => format!("\n{bytes} for {contents} of contents, taken in {took}\n\n"),
            Some(_) => format!(
                "\n{bytes} for {} that were written and {} that are gone, of {contents} of contents, taken in {took}\n\n",
                say::count(manifest.saved_keys(), "key"),
                manifest.gone(),
            ),
        });
        let rows = manifest.begun.tables.iter().map(|table| {
            let sum = table.sum();
            vec![
                table.title(),
                table.partitions.len().to_string(),
                sum.keys.to_string(),
                sum.elements.to_string(),
                sum.expiring.to_string(),
                sum.digest,
            ]
        });
        text.push_str(&say::table(&["TABLE", "PARTITIONS", "KEYS", "ELEMENTS", "EXPIRING", "DIGEST"], rows));
    }
    if let Some(proof) = &listed.proof {
        let partitions: Vec<String> = proof.partitions.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "\n\nrestored and compared {}, into {} partitions, in {}",
            time(proof.begun_ms),
            partitions.join(" + "),
            say::duration_ms(proof.took_ms)
        ));
    }
    say::data(text);
}

fn verify(arguments: &BackupVerify) -> Result<Exit, Fault> {
    if arguments.drill {
        return create::drill(arguments);
    }
    let target = backup::open(&arguments.at).map_err(|error| error.to_fault())?;
    let chain = Chain::load(&*target, &arguments.id).map_err(|error| error.to_fault())?;
    let limits = Limits {
        bytes_per_second: arguments.speed.rate.unwrap_or(0),
        keys_per_second: arguments.speed.qps.unwrap_or(0),
    };
    let found = verify::all(&*target, &chain, &Progress::within(limits));
    let found = found.map_err(|error| error.to_fault())?;
    if !found.damaged.is_empty() {
        return Err(Fault::new(ErrorCode::BackupDamaged, found.damaged.join("\n")));
    }
    let form = arguments.output.form();
    if form == Form::Text {
        let (files, bytes) = (say::count(found.files, "file"), say::bytes(found.bytes));
        let backups = match found.backups {
            1 => String::new(),
            backups => format!(" in {backups} backups"),
        };
        say::note(format_args!("{files} of {bytes}{backups} are what was written"));
    }
    let listed = backup::show(&*target, &arguments.id).map_err(|error| error.to_fault())?;
    show(&listed, form);
    Ok(exit::OK)
}

fn delete(arguments: &BackupDelete) -> Result<Exit, Fault> {
    let target = backup::open(&arguments.at).map_err(|error| error.to_fault())?;
    let removed = match arguments.with_dependants {
        true => backup::delete_with_dependants(&*target, &arguments.id),
        false => backup::delete(&*target, &arguments.id).map(|files| vec![(arguments.id.clone(), files)]),
    };
    let removed = removed.map_err(|error| error.to_fault())?;
    backup::sweep::among_backups(&*target).map_err(|error| error.to_fault())?;
    match arguments.output.form() {
        Form::Json => {
            let files: u64 = removed.iter().map(|(_, files)| files).sum();
            let removed: Vec<&String> = removed.iter().map(|(id, _)| id).collect();
            say::json(&serde_json::json!({ "id": arguments.id, "files": files, "removed": removed }));
        }
        Form::Text => {
            for (id, files) in removed {
                say::note(format_args!("removed {id}, {}", say::count(files, "file")));
            }
        }
    }
    Ok(exit::OK)
}
