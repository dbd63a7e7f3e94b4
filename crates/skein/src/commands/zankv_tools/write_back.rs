//! `restore`: a file into a table. Keys that exist stay, and are counted; `-overwrite` is ours.
//!
//! ZanKV keeps each type in a space of its own, so one name may be a string, a hash and a list there; here a key has
//! one type. A name that another file has brought already is told, and `-on-conflict` says what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use api::kv::{ContentKind, Import, Imported, OnConflict, Piece};
use backup::BackupError;
use backup::write::{Limits, Pacer, Progress};
use backup::zankv::ZankvReader;
use bytes::Bytes;
use prost::Message;
use types::{ErrorCode, Fault, hash};

use super::survey::Survey;
use super::{Flags, OtherType, Place, asks_for_help, missing};
use crate::cli::ZANKV_RESTORE_USAGE as USAGE;
use crate::exit::{self, Exit};
use crate::import::Contents;
use crate::say;

/// Contents of one request.
const BATCH_BYTES: usize = 512 * 1024;
/// Most keys of one request: a low rate is kept evenly.
const BATCH_KEYS: usize = 100;
const DOT_EVERY: u64 = 1_000;
const LINE_EVERY: u64 = 10_000;
/// Names of another type that are told one by one; the others are counted.
const NAMES_TOLD_MAX: u64 = 10;

/// Restores a file.
pub fn run(words: &[String]) -> Result<Exit, Fault> {
    if asks_for_help(words) {
        say::data(USAGE);
        return Ok(exit::OK);
    }
    let flags = Flags::parse(words, USAGE)?;
    if flags.lookup.is_empty() && flags.dir.is_none() {
        return Err(missing("lookup list", USAGE));
    }
    let path = flags.data.clone().ok_or_else(|| missing("data file", USAGE))?;
    let said = match &flags.kinds[..] {
        [] => None,
        [name] => Some(kind_named(name)?),
        _ => return Err(Fault::new(ErrorCode::BadArgument, format!("a file has one type\n{USAGE}"))),
    };
    let reader = open(&path, said)?;
    let head = reader.head().clone();
    let client = flags.client()?;
    let or = |given: &str, stored: String| if given.is_empty() { stored } else { given.to_owned() };
    let (namespace, table) = (or(&flags.namespace, head.namespace), or(&flags.table, head.table));
    let place = Place::find(&client, &namespace, &table)?;
    let survey = match reader.kind() {
        // A string is one record, whatever comes behind it.
        ContentKind::String => Survey::default(),
        _ => Survey::of(open(&path, said)?)?,
    };
    let progress = Progress::within(Limits { bytes_per_second: 0, keys_per_second: flags.keys_per_second() });
    let mut restoring = Restoring {
        contents: Contents::new(&client)?,
        place,
        survey,
        kind: reader.kind(),
        on_conflict: if flags.overwrite { OnConflict::Overwrite } else { OnConflict::Skip },
        other_type: flags.other_type,
        batch: Vec::new(),
        batch_bytes: 0,
        batch_keys: 0,
        made: BTreeMap::new(),
        left: BTreeSet::new(),
        renamed: BTreeSet::new(),
        counts: Counts::default(),
        shown: 0,
        pacer: Pacer::new(&progress),
    };
    let outcome = restoring.all(reader);
    restoring.tell();
    outcome.map_err(|mut fault| {
        fault.detail = format!("{}\nrestored before it: {} keys", fault.detail, restoring.counts.total);
        if let Some(key) = restoring.survey.cut_off() {
            fault.detail += &format!("; nothing of '{}', which is cut off", shown(key));
        }
        fault
    })?;
    say::data("restore finished.");
    Ok(exit::OK)
}

/// A file, opened behind its head.
fn open(path: &Path, said: Option<ContentKind>) -> Result<ZankvReader<BufReader<File>>, Fault> {
    if path.is_dir() {
        return Err(bad_file(path, &std::io::ErrorKind::IsADirectory.into()));
    }
    let file = File::open(path).map_err(|error| bad_file(path, &error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ZankvReader::new(BufReader::new(file), &name, said).map_err(|error| damaged(&error))
}

/// What a restore has done so far.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Keys of the file.
    total: u64,
    /// Those that existed.
    existed: u64,
    /// Of these, those that may have been written by a request that was sent again.
    doubtful: u64,
    /// Those whose name exists as another type.
    other_types: u64,
}

/// A file on its way.
struct Restoring<'a> {
    contents: Contents,
    place: Place,
    survey: Survey,
    /// What the file holds.
    kind: ContentKind,
    on_conflict: OnConflict,
    other_type: OtherType,
    batch: Vec<Piece>,
    batch_bytes: usize,
    batch_keys: usize,
    /// Collections that this run has begun and not finished, by the fingerprint of their key, with how many elements so far.
    made: BTreeMap<u128, u64>,
    /// Collections that stay as they are.
    left: BTreeSet<u128>,
    /// Keys that are stored under another name.
    renamed: BTreeSet<u128>,
    counts: Counts,
    /// Keys that progress was told of.
    shown: u64,
    pacer: Pacer<'a>,
}

impl Restoring<'_> {
    fn all(&mut self, mut reader: ZankvReader<BufReader<File>>) -> Result<(), Fault> {
        loop {
            match reader.next_piece() {
                Ok(Some(piece)) => self.take(piece)?,
                Ok(None) => return self.send(),
                // What was read before it is good.
                Err(error) => {
                    self.send()?;
                    return Err(damaged(&error));
                }
            }
        }
    }

    fn take(&mut self, mut piece: Piece) -> Result<(), Fault> {
        if self.survey.cut_off() == Some(&piece.key) {
            return Ok(());
        }
        if !piece.more {
            piece.more = self.survey.ends_record(&piece.key);
        }
        piece.key = Bytes::from([self.place.prefix.as_bytes(), &piece.key].concat());
        if self.renamed.contains(&hash::fingerprint(&piece.key)) {
            piece.key = self.other_name(&piece.key);
        }
        let key = hash::fingerprint(&piece.key);
        if self.left.contains(&key) {
            return Ok(());
        }
        let begun = self.made.remove(&key);
        if piece.more {
            self.made.insert(key, begun.unwrap_or(0) + piece.elements.len() as u64);
        }
        if let Some(count) = begun {
            // A field or member that came before is one with what comes now.
            piece.first = if self.kind == ContentKind::List { count } else { 1 };
        }
        self.batch_bytes += piece.encoded_len();
        self.batch_keys += usize::from(begun.is_none());
        self.counts.total += u64::from(begun.is_none());
        self.batch.push(piece);
        if self.batch_bytes >= BATCH_BYTES || self.batch_keys >= BATCH_KEYS {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Fault> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let pieces = std::mem::take(&mut self.batch);
        let keys = self.batch_keys as u64;
        (self.batch_bytes, self.batch_keys) = (0, 0);
        let on_conflict = self.on_conflict as i32;
        let request = |pieces| Import { pieces, on_conflict, keep_other_kinds: true, ..Default::default() };
        let first = request(pieces);
        let done = self.import(&first)?;
        let others: BTreeSet<Bytes> = done.other_kinds.into_iter().collect();
        if !others.is_empty() {
            others.iter().try_for_each(|key| self.meet_other_type(key))?;
            if self.other_type == OtherType::Rename {
                let mut pieces = first.pieces;
                pieces.retain(|piece| others.contains(&piece.key));
                pieces.iter_mut().for_each(|piece| piece.key = self.other_name(&piece.key));
                let done = self.import(&request(pieces))?;
                // Somebody has made a key of that name, of yet another type.
                done.other_kinds.iter().for_each(|key| self.leave(key));
            }
        }
        self.show();
        self.pacer.spend(keys, 0).map_err(|error| error.to_fault())
    }

    /// A key of the file has a name that exists as another type.
    fn meet_other_type(&mut self, key: &Bytes) -> Result<(), Fault> {
        self.counts.other_types += 1;
        let kind = self.kind.name();
        let name = shown(key);
        let becomes = match self.other_type {
            OtherType::Fail => {
                let detail = format!(
                    "'{name}' exists, and is no {kind}: -on-conflict skip leaves it, rename stores '{name}.{kind}'"
                );
                return Err(Fault::new(ErrorCode::KeyExists, detail));
            }
            OtherType::Skip => {
                self.leave(key);
                "it stays".to_owned()
            }
            OtherType::Rename => {
                let (old, new) = (hash::fingerprint(key), hash::fingerprint(&self.other_name(key)));
                self.renamed.insert(old);
                if let Some(count) = self.made.remove(&old) {
                    self.made.insert(new, count);
                }
                format!("the {kind} is stored as '{name}.{kind}'")
            }
        };
        if self.counts.other_types <= NAMES_TOLD_MAX {
            say::note(format_args!("'{name}' exists, and is no {kind}: {becomes}"));
        }
        Ok(())
    }

    /// The name for a key whose own exists as another type: `u:1.hash`.
    fn other_name(&self, key: &Bytes) -> Bytes {
        [key, &b"."[..], self.kind.name().as_bytes()].concat().into()
    }

    /// Nothing more of a key is sent.
    fn leave(&mut self, key: &Bytes) {
        let key = hash::fingerprint(key);
        self.made.remove(&key);
        self.left.insert(key);
    }

    /// Sends a request, again if it is not known to have got through. Keys that it had written then exist: they are the
    /// same, and stay. A collection that it had begun is begun anew.
    fn import(&mut self, import: &Import) -> Result<Imported, Fault> {
        let (done, is_again) = self.contents.write(&self.place.namespace, &self.place.name, import)?;
        if let Some(key) = &done.refused {
            let detail = format!("'{}' was changed by somebody else", shown(key));
            return Err(Fault::new(ErrorCode::KeyExists, detail));
        }
        self.counts.existed += done.existed;
        self.counts.doubtful += if is_again { done.existed } else { 0 };
        done.leave_out.iter().for_each(|key| self.leave(key));
        Ok(done)
    }

    fn show(&mut self) {
        while self.shown + DOT_EVERY <= self.counts.total {
            self.shown += DOT_EVERY;
            match self.shown.is_multiple_of(LINE_EVERY) {
                true => say::data(format_args!("{}({})", self.shown, self.counts.existed)),
                false => {
                    let _ = write!(say::Out, ".");
                    let _ = say::Out.flush();
                }
            }
        }
    }

    /// Says what was done, as far as it went.
    fn tell(&self) {
        let Counts { total, existed, doubtful, other_types } = self.counts;
        say::data(format_args!("\nrestore finished. [total={total}, existed={existed}]"));
        if doubtful > 0 {
            say::note(format_args!(
                "requests were sent again: up to {doubtful} of those that existed may be of this restore itself"
            ));
        }
        if other_types > 0 && self.other_type != OtherType::Fail {
            let became = match self.other_type {
                OtherType::Rename => format!("stored as NAME.{}", self.kind.name()),
                _ => "not restored; -on-conflict rename stores them under another name".to_owned(),
            };
            let names = say::count(other_types, "name");
            say::note(format_args!("{names} of the file exist as another type, and were {became}"));
        }
    }
}

fn kind_named(name: &str) -> Result<ContentKind, Fault> {
    let detail = || format!("Error:unknown type '{name}'\n{USAGE}");
    ContentKind::named(name).ok_or_else(|| Fault::new(ErrorCode::BadArgument, detail()))
}

/// A key as people read it.
fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn bad_file(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::BadFile, format!("{}: {error}", path.display()))
}

fn damaged(error: &BackupError) -> Fault {
    Fault { code: ErrorCode::BadFile, ..error.to_fault() }
}
