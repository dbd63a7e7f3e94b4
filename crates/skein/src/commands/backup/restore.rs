//! `restore`: tables out of a backup into this cluster, file by file, by all nodes.

use api::admin::{CreateTable, NodeStatus, Table};
use backup::restores::{RestoreRecord, under_way};
use backup::{Manifest, TableRecord, Target};
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::at_time;
use super::line::Line;
use super::{raise, room};
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
        let restored = restored.and_then(|totals| {
            if record.made {
                raise::open(self.client, (&table.namespace, &table.name), self.to, record.replicas)?;
            }
            Ok(totals)
        });
        match &restored {
            Ok(_) => record.remove(self.target).map_err(|error| error.to_fault())?,
            Err(fault) if record.made && fault.code == ErrorCode::BackupDamaged => {
                // Nobody can use it, and nothing will complete it.
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

    /// The table that is written to; whether it was made for that, by this run or by one that broke off.
    fn find_or_make(&self, arguments: &Restore) -> Result<(Table, bool), Fault> {
        let (namespace, name) = split_title(self.to);
        let id = &self.manifest.begun.id;
        match self.client.table(&namespace, &name) {
            Ok(table) if table.restoring.is_empty() => Ok((table, false)),
            // It serves nobody: nothing is lost with it.
            Ok(_) if arguments.restart => {
                self.client.drop_table(&namespace, &name)?;
                Ok((self.make(arguments)?, true))
            }
            Ok(table) if table.restoring == *id => Ok((table, true)),
            Ok(table) => {
                let detail = format!(
                    "{}: a restore of {} into it was begun and has not ended; --restart gives it up",
                    self.to, table.restoring
                );
                Err(Fault::new(ErrorCode::TableRestoring, detail))
            }
            Err(fault) if fault.code == ErrorCode::UnknownTable => Ok((self.make(arguments)?, true)),
            Err(fault) => Err(fault),
        }
    }

    /// Makes a table that serves nobody yet. Each partition has one replica for now: what is written once is copied
    /// faster than it is written three times.
    fn make(&self, arguments: &Restore) -> Result<Table, Fault> {
        let (namespace, name) = split_title(self.to);
        self.check_target(self.wished_replicas(arguments))?;
        let wish = CreateTable {
            namespace: Some(namespace),
            name,
            engine: Some(self.table.engine.clone()),
            partitions: Some(arguments.partitions.unwrap_or(self.table.partitions.len() as u32)),
            replicas: Some(1),
            restoring: Some(self.manifest.begun.id.clone()),
        };
        self.client.create_table(&wish)
    }

    /// How many replicas a table that is made for the restore gets.
    fn wished_replicas(&self, arguments: &Restore) -> u32 {
        let nodes = self.crew.ids().len() as u32;
        arguments.replicas.unwrap_or(self.table.replicas.clamp(1, nodes.max(1)))
    }

    /// Refuses what could not be completed, before anything is written.
    fn check_target(&self, replicas: u32) -> Result<(), Fault> {
        let status = self.client.status()?;
        let nodes: Vec<&NodeStatus> =
            status.nodes.iter().filter(|node| node.roles.iter().any(|role| role == "data")).collect();
        if replicas as usize > nodes.len() {
            let detail =
                format!("{replicas} replicas were asked for, and there are {} data nodes", nodes.len());
            return Err(Fault::new(ErrorCode::NotEnoughNodes, detail));
        }
        room::check(&nodes, self.table.sum().bytes, self.table.sum().keys, replicas)
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
            record.from == self.table.directory()
                && record.kinds == kinds
                && record.at_ms == self.at.map_or(0, |at| at.to_ms)
                && conflict.is_none_or(|conflict| conflict == record.on_conflict)
        };
        match known.filter(|record| record.tid == table.tid) {
            Some(record) if is_same(&record) && !arguments.restart => {
                say::note(format_args!("{}: going on after {} files", self.to, record.done.len()));
                return Ok((record, true));
            }
            // Two of them in one table would be neither.
            Some(_) if made => {
                let detail = format!(
                    "{}: a restore into it was begun with other arguments and has not ended; --restart gives it up",
                    self.to
                );
                return Err(Fault::new(ErrorCode::TableRestoring, detail));
            }
            _ if made => {}
            _ => self.check_existing(table, conflict.is_some())?,
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
            replicas: self.wished_replicas(arguments),
            kinds: kinds.to_vec(),
            at_ms: self.at.map_or(0, |at| at.to_ms),
            done: Vec::new(),
        };
        record.store(self.target).map_err(|error| error.to_fault())?;
        Ok((record, false))
    }

    /// Refuses a table that was there before, if it holds keys about which nothing was said, or has no room.
    fn check_existing(&self, table: &Table, is_said: bool) -> Result<(), Fault> {
        self.check_target(table.replicas)?;
        if is_said {
            return Ok(());
        }
        match self.client.count_keys(&table.namespace, &table.name)?.keys {
            0 => Ok(()),
            keys => {
                let detail = format!("{}: {}", self.to, say::count(keys, "key"));
                Err(Fault::new(ErrorCode::TableNotEmpty, detail))
            }
        }
    }
}
