//! `restore`: tables out of a backup into this cluster, file by file, by all nodes.

use api::admin::{CreateTable, Table};
use backup::restores::{RestoreRecord, under_way};
use backup::{Manifest, TableRecord, Target};
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::at_time;
use super::line::Line;
use crate::backups::crew::{Crew, Totals};
use crate::backups::restoring::{Manner, One};
use crate::backups::split_title;
use crate::cli::{Restore, Which};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// What a restore has done, for programs.
#[derive(Debug, Serialize)]
struct Restored {
    backup: String,
    table: String,
    keys: u64,
    existed: u64,
    expired: u64,
    bytes: u64,
    took_ms: u128,
}

/// Restores what was asked for.
pub fn run(arguments: &Restore) -> Result<Exit, Fault> {
    let form = arguments.output.form();
    let client = arguments.find.lookup().client()?;
    let target = backup::open(&arguments.from).map_err(|error| error.to_fault())?;
    let (manifest, at) = match arguments.at {
        Some(at_ms) => {
            let (manifest, at) = at_time::find(&*target, &arguments.which, at_ms)?;
            (manifest, Some(at))
        }
        None => {
            let id = arguments.id.clone().map_or_else(|| latest(&*target), Ok)?;
            (backup::load(&*target, &id).map_err(|error| error.to_fault())?, None)
        }
    };
    let id = manifest.begun.id.clone();
    let kinds = arguments.which.kinds()?;
    let tables = chosen(&manifest, &arguments.which)?;
    if arguments.to_table.is_some() && tables.len() != 1 {
        let detail = format!("--to-table is for one table, and {} are chosen", tables.len());
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    }
    let crew = Crew::of(&client)?;
    let mut all = Vec::new();
    for table in tables {
        let begun = std::time::Instant::now();
        let to = arguments.to_table.clone().unwrap_or_else(|| table.title());
        let one = One {
            target: &*target,
            client: &client,
            crew: &crew,
            manifest: &manifest,
            table,
            to: &to,
            at: at.as_ref(),
        };
        let totals = one.restore(arguments, &kinds)?;
        let restored = Restored {
            backup: id.clone(),
            table: to,
            keys: totals.keys,
            existed: totals.existed,
            expired: totals.expired,
            bytes: totals.bytes,
            took_ms: begun.elapsed().as_millis(),
        };
        if form == Form::Text {
            say::data(words(&restored));
        }
        all.push(restored);
    }
    if form == Form::Json {
        say::json(&all);
    }
    Ok(exit::OK)
}

fn words(restored: &Restored) -> String {
    let Restored { backup, table, keys, existed, expired, bytes, took_ms } = restored;
    let mut text = format!(
        "{table}: {} of {backup}, {}, in {}",
        say::count(*keys, "key"),
        say::bytes(*bytes),
        say::duration_ms(*took_ms as u64)
    );
    if *existed > 0 {
        text.push_str(&format!("; {existed} existed and stayed"));
    }
    if *expired > 0 {
        text.push_str(&format!("; {expired} had expired since"));
    }
    text
}

fn latest(target: &dyn Target) -> Result<String, Fault> {
    let backups = backup::list(target).map_err(|error| error.to_fault())?;
    let last = backups.iter().rev().find(|listed| listed.manifest.is_some());
    let none = || Fault::new(ErrorCode::UnknownBackup, format!("no complete backup at {}", target.url()));
    last.map(|listed| listed.id.clone()).ok_or_else(none)
}

/// The tables of a backup that were chosen.
pub(super) fn chosen<'a>(manifest: &'a Manifest, which: &Which) -> Result<Vec<&'a TableRecord>, Fault> {
    let is_chosen = |table: &&TableRecord| {
        let everything = which.table.is_empty() && which.namespace.is_empty();
        everything || which.table.contains(&table.title()) || which.namespace.contains(&table.namespace)
    };
    let tables: Vec<&TableRecord> = manifest.begun.tables.iter().filter(is_chosen).collect();
    let unknown = which.table.iter().find(|name| !tables.iter().any(|table| table.title() == **name));
    match (unknown, tables.is_empty()) {
        (Some(name), _) => Err(Fault::new(ErrorCode::UnknownTable, format!("{name} is not in the backup"))),
        (None, true) => Err(Fault::new(ErrorCode::UnknownTable, "nothing is chosen")),
        (None, false) => Ok(tables),
    }
}

impl One<'_> {
    fn restore(&self, arguments: &Restore, kinds: &[String]) -> Result<Totals, Fault> {
        let (table, made) = self.find_or_make(arguments)?;
        let (mut record, again) = self.record(&table, made, arguments, kinds)?;
        let manner = Manner { speed: arguments.speed, expiry_shift_ms: 0, again };
        let mut line = Line::new("restored", self.table.sum().bytes);
        let restored = self.write(&mut record, manner, &mut |seen| line.show(seen));
        drop(line);
        match &restored {
            Ok(_) => record.remove(self.target).map_err(|error| error.to_fault())?,
            Err(fault) if record.made && fault.code == ErrorCode::BackupDamaged => {
                // What looks like a table with everything in it must not stay.
                self.client.drop_table(&table.namespace, &table.name)?;
                record.remove(self.target).map_err(|error| error.to_fault())?;
                say::note(format_args!("{}: removed again, because the backup is damaged", self.to));
            }
            Err(_) => say::note(format_args!(
                "{}: {} of {} files are restored; the same command goes on from there",
                self.to,
                record.done.len(),
                self.pieces().len()
            )),
        }
        restored
    }

    /// The table that is written to; whether it was made for that.
    fn find_or_make(&self, arguments: &Restore) -> Result<(Table, bool), Fault> {
        let (namespace, name) = split_title(self.to);
        match self.client.table(&namespace, &name) {
            Ok(table) => Ok((table, false)),
            Err(fault) if fault.code == ErrorCode::UnknownTable => {
                let nodes = self.crew.ids().len() as u32;
                let replicas = arguments.replicas.unwrap_or(self.table.replicas.clamp(1, nodes.max(1)));
                let partitions = arguments.partitions.unwrap_or(self.table.partitions.len() as u32);
                let wish = CreateTable {
                    namespace: Some(namespace),
                    name,
                    engine: Some(self.table.engine.clone()),
                    partitions: Some(partitions),
                    replicas: Some(replicas),
                };
                Ok((self.client.create_table(&wish)?, true))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Where an earlier restore of the same broke off, or the beginning; and which of them.
    fn record(
        &self,
        table: &Table,
        made: bool,
        arguments: &Restore,
        kinds: &[String],
    ) -> Result<(RestoreRecord, bool), Fault> {
        let cluster = self.client.identity()?.cluster;
        let id = &self.manifest.begun.id;
        let to = format!("{}.{}", table.namespace, table.name);
        let conflict = arguments.on_conflict.map(|conflict| conflict.word());
        let known = under_way(self.target, id, &cluster, &to).map_err(|error| error.to_fault())?;
        let is_same = |record: &RestoreRecord| {
            record.tid == table.tid
                && record.from == self.table.directory()
                && record.kinds == kinds
                && record.at_ms == self.at.map_or(0, |at| at.to_ms)
                && conflict.is_none_or(|conflict| conflict == record.on_conflict)
        };
        if let Some(record) = known.filter(|record| is_same(record) && !arguments.restart) {
            say::note(format_args!("{}: going on after {} files", self.to, record.done.len()));
            return Ok((record, true));
        }
        if conflict.is_none() && !made {
            let keys = self.client.count_keys(&table.namespace, &table.name)?.keys;
            if keys > 0 {
                return Err(Fault::new(
                    ErrorCode::TableNotEmpty,
                    format!("{}: {}", self.to, say::count(keys, "key")),
                ));
            }
        }
        let record = RestoreRecord {
            id: id.clone(),
            cluster,
            from: self.table.directory(),
            to,
            tid: table.tid,
            since: self.stamp()?,
            on_conflict: conflict.unwrap_or("fail").to_owned(),
            made,
            kinds: kinds.to_vec(),
            at_ms: self.at.map_or(0, |at| at.to_ms),
            done: Vec::new(),
        };
        record.store(self.target).map_err(|error| error.to_fault())?;
        Ok((record, false))
    }
}
