//! `restore`: a file into a table. Keys that exist stay, and are counted; `-overwrite` is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use api::kv::{ContentKind, Import, Imported, OnConflict, Piece};
use backup::BackupError;
use backup::write::{Limits, Pacer, Progress};
use backup::zankv::ZankvReader;
use bytes::Bytes;
use client::Client;
use prost::Message;
use types::{ErrorCode, Fault, Hlc, hash};

use super::{Flags, Place, asks_for_help, missing};
use crate::backups::{barrier, hold_of, now_ms};
use crate::cli::ZANKV_RESTORE_USAGE as USAGE;
use crate::exit::{self, Exit};
use crate::say;

/// Contents of one request.
const BATCH_BYTES: usize = 512 * 1024;
/// Most keys of one request: a low rate is kept evenly.
const BATCH_KEYS: usize = 100;
/// How long a request is repeated.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
const DOT_EVERY: u64 = 1_000;
const LINE_EVERY: u64 = 10_000;

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
    if path.is_dir() {
        return Err(bad_file(&path, &std::io::ErrorKind::IsADirectory.into()));
    }
    let file = File::open(&path).map_err(|error| bad_file(&path, &error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reader = ZankvReader::new(BufReader::new(file), &name, said).map_err(|error| damaged(&error))?;
    let head = reader.head().clone();
    let client = flags.client()?;
    let or = |given: &str, stored: String| if given.is_empty() { stored } else { given.to_owned() };
    let (namespace, table) = (or(&flags.namespace, head.namespace), or(&flags.table, head.table));
    let place = Place::find(&client, &namespace, &table)?;
    let progress = Progress::within(Limits { bytes_per_second: 0, keys_per_second: flags.keys_per_second() });
    let hold = hold_of(&format!("zankv-{}-{}", std::process::id(), now_ms()));
    let since = Hlc::from_millis(barrier(&client, vec![place.title.clone()], &hold)?.at_ms).0;
    let mut restoring = Restoring {
        client,
        place,
        since,
        on_conflict: if flags.overwrite { OnConflict::Overwrite } else { OnConflict::Skip },
        batch: Vec::new(),
        batch_bytes: 0,
        batch_keys: 0,
        made: BTreeMap::new(),
        left: BTreeSet::new(),
        total: 0,
        existed: 0,
        shown: 0,
        pacer: Pacer::new(&progress),
    };
    let outcome = restoring.all(reader);
    say::data(format_args!("\nrestore finished. [total={}, existed={}]", restoring.total, restoring.existed));
    outcome.map_err(|mut fault| {
        fault.detail = format!("{}\nrestored before it: {} keys", fault.detail, restoring.total);
        fault
    })?;
    say::data("restore finished.");
    Ok(exit::OK)
}

/// A file on its way.
struct Restoring<'a> {
    client: Client,
    place: Place,
    on_conflict: OnConflict,
    /// Every write of this run has this stamp or a later one.
    since: u64,
    batch: Vec<Piece>,
    batch_bytes: usize,
    batch_keys: usize,
    /// Collections that this run has made, by the hash of their key, with how many elements so far: a later record of
    /// the same key belongs to it.
    made: BTreeMap<u64, u64>,
    /// Collections that existed, and stay as they are.
    left: BTreeSet<u64>,
    total: u64,
    existed: u64,
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
        piece.key = Bytes::from([self.place.prefix.as_bytes(), &piece.key].concat());
        let is_collection = piece.kind() != ContentKind::String;
        let hash = hash::position(&piece.key);
        if is_collection && self.left.contains(&hash) {
            return Ok(());
        }
        let is_new = piece.first == 0 && !self.made.contains_key(&hash);
        if let Some(count) = self.made.get(&hash).copied().filter(|_| is_collection) {
            piece.first = count;
        }
        self.batch_bytes += piece.encoded_len();
        self.batch_keys += usize::from(is_new);
        self.total += u64::from(is_new);
        if is_collection {
            // Another record of the key may follow. Whether it is wanted is told by the answer to the first one.
            piece.more = true;
            self.made.insert(hash, piece.first + piece.elements.len() as u64);
        }
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
        let import = Import {
            pieces: std::mem::take(&mut self.batch),
            on_conflict: self.on_conflict as i32,
            ..Default::default()
        };
        let done = self.import(import)?;
        self.existed += done.existed;
        for key in &done.leave_out {
            let hash = hash::position(key);
            self.made.remove(&hash);
            self.left.insert(hash);
        }
        let keys = self.batch_keys as u64;
        (self.batch_bytes, self.batch_keys) = (0, 0);
        self.show();
        self.pacer.spend(keys, 0).map_err(|error| error.to_fault())
    }

    /// Sends a request, again if it is not known to have got through: then what this run has written counts as absent.
    fn import(&self, mut import: Import) -> Result<Imported, Fault> {
        let begun = Instant::now();
        loop {
            let sent = self.client.import(&self.place.namespace, &self.place.name, import.encode_to_vec());
            let fault = match sent {
                Ok(bytes) => {
                    let done =
                        Imported::decode(&bytes[..]).map_err(|_| Fault::from(ErrorCode::WireCorrupt))?;
                    return match done.refused {
                        Some(key) => {
                            let key = String::from_utf8_lossy(&key).into_owned();
                            Err(Fault::new(
                                ErrorCode::KeyExists,
                                format!("{key} was changed by somebody else"),
                            ))
                        }
                        None => Ok(done),
                    };
                }
                Err(fault) => fault,
            };
            let may_pass = fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown;
            if !may_pass || begun.elapsed() > PATIENCE {
                return Err(fault);
            }
            import.ours_since = self.since;
            std::thread::sleep(PAUSE);
        }
    }

    fn show(&mut self) {
        while self.shown + DOT_EVERY <= self.total {
            self.shown += DOT_EVERY;
            match self.shown.is_multiple_of(LINE_EVERY) {
                true => say::data(format_args!("{}({})", self.shown, self.existed)),
                false => {
                    let _ = write!(say::Out, ".");
                    let _ = say::Out.flush();
                }
            }
        }
    }
}

fn kind_named(name: &str) -> Result<ContentKind, Fault> {
    let detail = || format!("Error:unknown type '{name}'\n{USAGE}");
    ContentKind::named(name).ok_or_else(|| Fault::new(ErrorCode::BadArgument, detail()))
}

fn bad_file(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::BadFile, format!("{}: {error}", path.display()))
}

fn damaged(error: &BackupError) -> Fault {
    Fault { code: ErrorCode::BadFile, ..error.to_fault() }
}
