//! `import redis-rdb`: a file of values.
//!
//! Values go as `RESTORE`, many at once. When the connection breaks, another one is made, to the next node, and what
//! has no reply is sent again: a key that exists then and holds the same was written by the first attempt.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proto_redis::Reply;
use proto_redis::faults::RETRIED_BY_CLIENTS;
use rdb::{Entry, FileReader, Found, RdbError, Value};
use types::{ErrorCode, Fault};

use super::large::{Large, Written};
use super::{Imported, Sender, pieces, shown};
use crate::cli::ImportConflict as OnConflict;

/// Largest payload of a collection that goes in one `RESTORE`; one that takes more is sent in pieces.
const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a file that are read at once.
const FILE_BUFFER_BYTES: usize = 256 * 1024;
/// How long a batch is sent again.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// How long the part of a value stays whose import was killed, where its pieces go as commands.
const PART_MS: u64 = 60 * 60 * 1000;

/// What to do with the entries of a file.
pub struct Rules<'a> {
    /// With a key that exists.
    pub on_conflict: OnConflict,
    /// The database that is wanted.
    pub database: u64,
    /// What comes before each key.
    pub prefix: &'a str,
}

/// A command on its way, which is its own note.
pub struct Note {
    command: Vec<Bytes>,
    /// It was sent before.
    again: bool,
}

impl Note {
    fn new(command: Vec<Bytes>) -> Self {
        Self { command, again: false }
    }

    fn key(&self) -> &Bytes {
        &self.command[1]
    }
}

/// Where values go.
pub struct Port<'a, S> {
    /// Makes a connection that has shown its password, to the next node that can be reached.
    pub connect: &'a mut dyn FnMut() -> Result<S, Fault>,
    /// Writes large values, if the cluster's nodes are known.
    pub large: Option<Large>,
}

/// A file, opened and at its first entry.
fn open(path: &Path) -> Result<FileReader<BufReader<File>>, Fault> {
    let file = File::open(path)
        .map_err(|error| Fault::new(ErrorCode::BadFile, format!("{}: {error}", path.display())))?;
    FileReader::new(BufReader::with_capacity(FILE_BUFFER_BYTES, file)).map_err(|error| bad(path, 0, &error))
}

/// Reads a file to its end and compares its checksum; how many entries it has.
///
/// # Errors
/// `BadFile`, with the place.
pub fn check(path: &Path, mut progress: impl FnMut(u64, u64)) -> Result<u64, Fault> {
    let mut reader = open(path)?;
    let mut entries = 0;
    while next(&mut reader, path)?.is_some() {
        entries += 1;
        progress(entries, reader.position());
    }
    Ok(entries)
}

/// Sends the values of a file.
///
/// # Errors
/// The file is damaged, no node can be reached for a while, or a key exists and the rules say to fail.
pub fn values<S: Read + Write>(
    path: &Path,
    rules: &Rules<'_>,
    port: Port<'_, S>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Imported, Fault> {
    let mut reader = open(path)?;
    let sender = Sender::new((port.connect)()?);
    let mut sending = Sending { rules, port, sender, imported: Imported::default() };
    let mut entries = 0;
    while let Some(entry) = next(&mut reader, path)? {
        entries += 1;
        sending.take(entry)?;
        if sending.sender.is_full() {
            sending.settle()?;
        }
        progress(entries, reader.position());
    }
    sending.settle()?;
    Ok(sending.imported)
}

fn next<R: Read>(reader: &mut FileReader<R>, path: &Path) -> Result<Option<Entry>, Fault> {
    reader.next_entry().map_err(|error| bad(path, reader.position(), &error))
}

/// Values on their way.
struct Sending<'r, 'p, S> {
    rules: &'r Rules<'r>,
    port: Port<'p, S>,
    sender: Sender<S, Note>,
    imported: Imported,
}

impl<S: Read + Write> Sending<'_, '_, S> {
    fn take(&mut self, entry: Entry) -> Result<(), Fault> {
        if entry.database != self.rules.database {
            self.imported.other_databases += 1;
            return Ok(());
        }
        let key: Bytes = [self.rules.prefix.as_bytes(), &entry.key].concat().into();
        let value = match entry.value {
            Found::Value(value) => value,
            Found::Unsupported(what) => {
                self.imported.unsupported += 1;
                self.imported.tell(format!("{}: a {what} is not stored here", shown(&key)));
                return Ok(());
            }
        };
        let payload = rdb::dump(&value);
        if payload.len() > PAYLOAD_BYTES_MAX && !matches!(value, Value::String(_)) {
            self.settle()?;
            return self.large(&key, &value, entry.expiry_millis);
        }
        let millis = entry.expiry_millis.unwrap_or(0).to_string();
        let mut command: Vec<Bytes> = vec!["RESTORE".into(), key, millis.into(), payload, "ABSTTL".into()];
        if self.rules.on_conflict == OnConflict::Overwrite {
            command.push("REPLACE".into());
        }
        self.add(Note::new(command));
        Ok(())
    }

    fn add(&mut self, note: Note) {
        let command = note.command.clone();
        self.sender.add(&command, note);
    }

    /// Sends what was added, until every command has a reply that stays, and takes the replies into account.
    fn settle(&mut self) -> Result<(), Fault> {
        let begun = Instant::now();
        let mut conflict = None;
        loop {
            let flushed = self.sender.flush();
            let mut repeat: Vec<Note> = Vec::new();
            if let Some((error, unanswered)) = flushed.broken {
                self.reconnect(&error, begun)?;
                repeat = unanswered;
            } else if flushed.replies.iter().any(|(_, reply)| may_pass(reply)) {
                std::thread::sleep(PAUSE);
            }
            for (note, reply) in flushed.replies {
                if may_pass(&reply) && begun.elapsed() < PATIENCE {
                    repeat.push(note);
                } else if let Some(key) = self.answered(&note, &reply)? {
                    conflict.get_or_insert(key);
                }
            }
            if repeat.is_empty() {
                break;
            }
            repeat.into_iter().for_each(|note| self.add(Note { again: true, ..note }));
        }
        match conflict.filter(|_| self.rules.on_conflict == OnConflict::Fail) {
            Some(key) => Err(exists(&key, &self.imported)),
            None => Ok(()),
        }
    }

    /// Takes a reply into account; the key, if it existed. Nothing else is under way.
    fn answered(&mut self, note: &Note, reply: &Reply) -> Result<Option<Bytes>, Fault> {
        match reply {
            Reply::Error(error) if error.as_bytes().starts_with(b"BUSYKEY") => {
                if note.again && self.holds(note)? {
                    self.imported.done += 1;
                    return Ok(None);
                }
                self.imported.existed += 1;
                return Ok(Some(note.key().clone()));
            }
            Reply::Error(error) => {
                self.imported.refused += 1;
                self.imported.tell(format!("{}: {error}", shown(note.key())));
            }
            _ => self.imported.done += 1,
        }
        Ok(None)
    }

    /// Whether a key holds what a command brings.
    fn holds(&mut self, note: &Note) -> Result<bool, Fault> {
        let begun = Instant::now();
        let command: Vec<Bytes> = vec!["DUMP".into(), note.key().clone()];
        loop {
            match self.sender.ask(&command, Note::new(command.clone())) {
                Ok(reply) if may_pass(&reply) && begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Ok(Reply::Bulk(there)) => return Ok(is_same(&there, &note.command[3])),
                Ok(_) => return Ok(false),
                Err(error) => self.reconnect(&error, begun)?,
            }
        }
    }

    /// Makes another connection.
    fn reconnect(&mut self, error: &std::io::Error, begun: Instant) -> Result<(), Fault> {
        loop {
            if begun.elapsed() > PATIENCE {
                let detail = format!("the connection to the Redis port broke: {error}");
                return Err(Fault::new(ErrorCode::Unreachable, detail));
            }
            match (self.port.connect)() {
                Ok(stream) => {
                    self.sender = Sender::new(stream);
                    return Ok(());
                }
                Err(fault) if fault.code == ErrorCode::Unreachable => std::thread::sleep(PAUSE),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Writes a large value, one piece after the other. Nothing else is under way.
    fn large(&mut self, key: &Bytes, value: &Value, expiry_millis: Option<u64>) -> Result<(), Fault> {
        let on_conflict = self.rules.on_conflict;
        let written = match &mut self.port.large {
            Some(large) => large.write(key, value, expiry_millis, on_conflict)?,
            None => self.in_pieces(key, value, expiry_millis)?,
        };
        match written {
            Written::Done => self.imported.done += 1,
            Written::Existed => {
                self.imported.existed += 1;
                if on_conflict == OnConflict::Fail {
                    return Err(exists(key, &self.imported));
                }
            }
            Written::Refused(why) => {
                self.imported.refused += 1;
                self.imported.tell(format!("{}: {why}", shown(key)));
            }
        }
        Ok(())
    }

    /// Writes a large value by commands.
    ///
    /// From its first piece on it has an expiry, so of an import that is killed the part goes by itself. If the
    /// connection breaks, the part is removed and all of it is sent again.
    fn in_pieces(
        &mut self,
        key: &Bytes,
        value: &Value,
        expiry_millis: Option<u64>,
    ) -> Result<Written, Fault> {
        let begun = Instant::now();
        let mut is_ours = self.rules.on_conflict == OnConflict::Overwrite;
        loop {
            match self.try_pieces(key, value, expiry_millis, &mut is_ours) {
                Ok(Reply::Error(error))
                    if may_pass(&Reply::Error(error.clone())) && begun.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(PAUSE);
                }
                Ok(Reply::Error(error)) => {
                    // A part of a value would look like the whole.
                    let removed = self.ask(&["DEL".into(), key.clone()]);
                    removed.or_else(|error| self.reconnect(&error, begun).map(|()| Reply::Null))?;
                    return Ok(Written::Refused(error.to_string()));
                }
                Ok(Reply::Null) => return Ok(Written::Existed),
                Ok(_) => return Ok(Written::Done),
                Err(error) => self.reconnect(&error, begun)?,
            }
        }
    }

    /// One attempt: the last reply, or the first error; null if the key exists and is not `is_ours`.
    fn try_pieces(
        &mut self,
        key: &Bytes,
        value: &Value,
        expiry_millis: Option<u64>,
        is_ours: &mut bool,
    ) -> std::io::Result<Reply> {
        let first = if *is_ours { "DEL" } else { "EXISTS" };
        match self.ask(&[first.into(), key.clone()])? {
            Reply::Integer(1) if !*is_ours => return Ok(Reply::Null),
            Reply::Integer(_) => *is_ours = true,
            other => return Ok(other),
        }
        let part_goes = now_ms() + PART_MS;
        let at = |millis: u64| vec!["PEXPIREAT".into(), key.clone(), millis.to_string().into()];
        let mut commands = pieces::commands(key, value);
        if let Some(first) = commands.first().cloned() {
            let together = vec![vec!["MULTI".into()], first, at(part_goes), vec!["EXEC".into()]];
            commands.splice(..1, together);
        }
        commands.push(match expiry_millis {
            Some(millis) => at(millis),
            None => vec!["PERSIST".into(), key.clone()],
        });
        let mut last = Reply::Null;
        for command in commands {
            last = self.ask(&command)?;
            if let Reply::Array(replies) = &last {
                last = replies.iter().find(|reply| matches!(reply, Reply::Error(_))).unwrap_or(&last).clone();
            }
            if matches!(last, Reply::Error(_)) {
                break;
            }
        }
        Ok(last)
    }

    fn ask(&mut self, command: &[Bytes]) -> std::io::Result<Reply> {
        self.sender.ask(command, Note::new(command.to_vec()))
    }
}

/// Whether an error is one of those that pass, of a command that is sent again without harm.
fn may_pass(reply: &Reply) -> bool {
    let words = RETRIED_BY_CLIENTS.iter().chain(&["UNKNOWN"]);
    matches!(reply, Reply::Error(error) if words.into_iter().any(|word| error.as_bytes().starts_with(word.as_bytes())))
}

/// Whether two payloads hold the same; only a list has an order.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    let read = |payload: &Bytes| {
        let mut value = rdb::restore(payload, u64::MAX).ok()?;
        match &mut value {
            Value::Set(members) => members.sort(),
            Value::Hash(fields) => fields.sort(),
            Value::SortedSet(members) => members.sort_by(|(one, _), (other, _)| one.cmp(other)),
            Value::String(_) | Value::List(_) => {}
        }
        Some(value)
    };
    read(one).is_some_and(|one| Some(one) == read(other))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn exists(key: &Bytes, imported: &Imported) -> Fault {
    let detail = format!(
        "key {} exists; {} before it were written; --on-conflict says what to do with such keys",
        shown(key),
        imported.done
    );
    Fault::new(ErrorCode::BadArgument, detail)
}

fn bad(path: &Path, position: u64, error: &RdbError) -> Fault {
    Fault::new(ErrorCode::BadFile, format!("{} at byte {position}: {error}", path.display()))
}
