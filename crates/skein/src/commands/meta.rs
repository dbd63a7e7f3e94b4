//! `meta`: the catalog into a file, and tables and settings out of it again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use api::admin::{CreateNamespace, CreateTable, SetSetting};
use api::catalog::{EngineKind, TableRecord};
use catalog::{Catalog, DEFAULT_NAMESPACE, DEFAULT_TABLE, saved};
use client::Client;
use serde::Serialize;
use types::{ErrorCode, Fault};

use crate::cli::{MetaCommand, MetaRestore, MetaSnapshot};
use crate::exit::{self, Exit};
use crate::files::{Readers, create_directory, write_bytes_atomically};
use crate::say::{self, Form};

/// What files of catalogs end with.
const EXTENSION: &str = "skeincat";

/// A saved catalog, for programs.
#[derive(Debug, Serialize)]
struct Snapshot {
    file: String,
    version: u64,
    nodes: usize,
    tables: usize,
    settings: usize,
    operations: usize,
    bytes: usize,
}

/// What a restore did or would do, for programs.
#[derive(Debug, Default, Serialize)]
struct Restored {
    file: String,
    version: u64,
    made: Vec<String>,
    kept: Vec<String>,
    settings: Vec<String>,
}

/// Carries out a command about the catalog.
pub fn run(command: &MetaCommand) -> Result<Exit, Fault> {
    match command {
        MetaCommand::Snapshot(arguments) => snapshot(arguments),
        MetaCommand::Restore(arguments) => restore(arguments),
    }
}

fn snapshot(arguments: &MetaSnapshot) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let bytes = client.catalog()?;
    // What was received is read as a restore will read it, before anything is written.
    let catalog = read(&bytes, Path::new("what the cluster answered"))?;
    create_directory(&arguments.out)?;
    let cluster = catalog.cluster().map_or(0, |cluster| cluster.get());
    // Names sort by version.
    let name = format!("{cluster:016x}-{:020}.{EXTENSION}", catalog.version().get());
    let path = arguments.out.join(name);
    write_bytes_atomically(&path, &bytes, Readers::Owner)?;
    let snapshot = Snapshot {
        file: path.display().to_string(),
        version: catalog.version().get(),
        nodes: catalog.nodes().count(),
        tables: tables(&catalog).count(),
        settings: settings(&catalog).len(),
        operations: catalog.operations().count(),
        bytes: bytes.len(),
    };
    match arguments.output.form() {
        Form::Json => say::json(&snapshot),
        Form::Text => say::data(format!(
            "{}: catalog version {} with {}, {}, {}, {}",
            snapshot.file,
            snapshot.version,
            say::count(snapshot.tables as u64, "table"),
            say::count(snapshot.settings as u64, "setting"),
            say::count(snapshot.nodes as u64, "node"),
            say::count(snapshot.operations as u64, "operation"),
        )),
    }
    Ok(exit::OK)
}

fn restore(arguments: &MetaRestore) -> Result<Exit, Fault> {
    let path = file_of(&arguments.from)?;
    let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
    let saved = read(&bytes, &path)?;
    let client = arguments.find.lookup().client()?;
    let plan = plan(&client, &saved, arguments.merge)?;
    let mut restored = Restored {
        file: path.display().to_string(),
        version: saved.version().get(),
        kept: plan.kept,
        ..Restored::default()
    };
    for emptied in &plan.emptied {
        client.drop_table(&emptied.namespace, &emptied.name)?;
    }
    let nodes = client.nodes()?.len() as u32;
    for table in plan.made {
        make(&client, table, nodes)?;
        restored.made.push(title(table));
    }
    for (name, value) in settings(&saved) {
        client.set_setting(&name, &SetSetting { value: value.clone(), by: Some("meta restore".into()) })?;
        restored.settings.push(format!("{name}={value}"));
    }
    match arguments.output.form() {
        Form::Json => say::json(&restored),
        Form::Text => say::data(words(&restored, &saved)),
    }
    Ok(exit::OK)
}

/// Makes a table or namespace as it was, on however many nodes there are.
fn make(client: &Client, table: &TableRecord, nodes: u32) -> Result<(), Fault> {
    let partitions = Some(table.groups.len() as u32);
    let replicas = Some(table.replicas.clamp(1, nodes.max(1)));
    if table.name != catalog::NAMESPACE_TABLE {
        let (namespace, name) = (Some(table.namespace.clone()), table.name.clone());
        let wish = CreateTable { namespace, name, engine: Some("kv".into()), partitions, replicas };
        return client.create_table(&wish).map(|_| ());
    }
    let option = |name: &str| {
        table.options.iter().find(|option| option.name == name).map(|option| option.value.clone())
    };
    let wish = CreateNamespace {
        name: table.namespace.clone(),
        partitions,
        replicas,
        data_version: option("data_version"),
        expiration_policy: option("expiration_policy"),
    };
    client.create_namespace(&wish).map(|_| ())
}

/// What is to be done with the tables of a saved catalog.
struct Plan<'a> {
    made: Vec<&'a TableRecord>,
    /// Tables without a key that are made anew as they were saved.
    emptied: Vec<api::admin::Table>,
    /// Tables that stay as they are, in words.
    kept: Vec<String>,
}

/// Nothing that holds a key is touched; without consent it is a reason to do nothing at all.
fn plan<'a>(client: &Client, saved: &'a Catalog, merge: bool) -> Result<Plan<'a>, Fault> {
    let mut plan = Plan { made: Vec::new(), emptied: Vec::new(), kept: Vec::new() };
    let (mut held, mut stays) = (Vec::new(), Vec::new());
    let there = client.tables()?;
    for table in &there {
        let keys = client.count_keys(&table.namespace, &table.name)?.keys;
        if keys > 0 {
            held.push(format!("{}:{} with {}", table.namespace, table.name, say::count(keys, "key")));
        }
        let of_saved = tables(saved).find(|saved| is_same(saved, table));
        let Some(of_saved) = of_saved else { continue };
        let (had, has) = (of_saved.groups.len(), table.partitions as usize);
        // The Redis port serves it: it is there for ever, with the partitions that the cluster was made with.
        let is_default =
            (table.namespace.as_str(), table.name.as_str()) == (DEFAULT_NAMESPACE, DEFAULT_TABLE);
        if keys > 0 || had == has || is_default {
            stays.push(title(of_saved));
            let other = format!("{} with {has} partitions, where it had {had}", title(of_saved));
            plan.kept.push(if had == has { title(of_saved) } else { other });
        } else {
            plan.emptied.push(table.clone());
        }
    }
    if !held.is_empty() && !merge {
        return Err(Fault::new(ErrorCode::ClusterNotEmpty, held.join(", ")));
    }
    plan.made = tables(saved).filter(|table| !stays.contains(&title(table))).collect();
    Ok(plan)
}

fn is_same(saved: &TableRecord, table: &api::admin::Table) -> bool {
    (&saved.namespace, &saved.name) == (&table.namespace, &table.name)
}

/// The tables of clients.
fn tables(catalog: &Catalog) -> impl Iterator<Item = &TableRecord> {
    catalog.tables().filter(|table| table.engine() == EngineKind::Kv)
}

/// The settings that were set, with their values.
fn settings(catalog: &Catalog) -> Vec<(String, String)> {
    let all = types::settings::ALL.iter();
    all.filter_map(|setting| catalog.stored_setting(setting.name))
        .map(|stored| (stored.name.clone(), stored.value.clone()))
        .collect()
}

fn title(table: &TableRecord) -> String {
    format!("{}:{}", table.namespace, table.name)
}

fn words(restored: &Restored, saved: &Catalog) -> String {
    let mut text = format!("from {}, catalog version {}", restored.file, restored.version);
    let mut line = |what: &str, of: &[String]| {
        if !of.is_empty() {
            let _ = write!(text, "\n{what}: {}", of.join(", "));
        }
    };
    line("made", &restored.made);
    line("there already", &restored.kept);
    line("set", &restored.settings);
    if let Some(archive) = saved.archive().filter(|archive| !archive.ended) {
        let _ = write!(
            text,
            "\nits archive was at {}: 'skein restore --from {} --at TIME' restores up to its end, and \
             'skein backup archive start --to {}' begins another one",
            archive.url, archive.url, archive.url
        );
    }
    if !restored.made.is_empty() {
        text.push_str("\ntables that were made are empty: 'skein restore --from URL --on-conflict fail' brings their keys");
    }
    text
}

/// A file, or the latest one of a directory.
fn file_of(from: &Path) -> Result<PathBuf, Fault> {
    if !from.is_dir() {
        return Ok(from.to_owned());
    }
    let entries = std::fs::read_dir(from).map_err(|error| unreadable(from, &error.to_string()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let saved: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION)).collect();
    let cluster = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.split('-').next().unwrap_or_default().to_owned()
    };
    if saved.iter().any(|path| cluster(path) != cluster(&saved[0])) {
        let detail = format!("{} has catalogs of several clusters: name the file", from.display());
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    }
    let latest = saved.into_iter().max();
    latest.ok_or_else(|| Fault::new(ErrorCode::UnknownBackup, format!("{} has no catalog", from.display())))
}

fn read(bytes: &[u8], path: &Path) -> Result<Catalog, Fault> {
    saved::from_file(bytes)
        .map_err(|error| Fault::new(ErrorCode::BackupDamaged, format!("{}: {error}", path.display())))
}

fn unreadable(path: &Path, why: &str) -> Fault {
    Fault::new(ErrorCode::BadFile, format!("{}: {why}", path.display()))
}
