//! `import redis-rdb`: a file of values.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use bytes::Bytes;
use proto_redis::Reply;
use rdb::{Entry, FileReader, Found, RdbError, Value};
use types::{ErrorCode, Fault};

use super::{Imported, Sender, pieces, shown};
use crate::cli::ImportConflict as OnConflict;

/// Largest payload that goes in one `RESTORE`; a value that takes more is sent in pieces.
const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a file that are read at once.
const FILE_BUFFER_BYTES: usize = 256 * 1024;

/// What to do with the entries of a file.
pub struct Rules<'a> {
    /// With a key that exists.
    pub on_conflict: OnConflict,
    /// The database that is wanted.
    pub database: u64,
    /// What comes before each key.
    pub prefix: &'a str,
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
/// The file is damaged, the connection broke, or a key exists and the rules say to fail.
pub fn values<S: Read + Write>(
    path: &Path,
    rules: &Rules<'_>,
    sender: &mut Sender<S, Bytes>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Imported, Fault> {
    let mut reader = open(path)?;
    let (mut imported, mut entries) = (Imported::default(), 0);
    while let Some(entry) = next(&mut reader, path)? {
        entries += 1;
        take(entry, rules, sender, &mut imported)?;
        if sender.is_full() {
            settle(rules, sender, &mut imported)?;
        }
        progress(entries, reader.position());
    }
    settle(rules, sender, &mut imported)?;
    Ok(imported)
}

fn next<R: Read>(reader: &mut FileReader<R>, path: &Path) -> Result<Option<Entry>, Fault> {
    reader.next_entry().map_err(|error| bad(path, reader.position(), &error))
}

fn take<S: Read + Write>(
    entry: Entry,
    rules: &Rules<'_>,
    sender: &mut Sender<S, Bytes>,
    imported: &mut Imported,
) -> Result<(), Fault> {
    if entry.database != rules.database {
        imported.other_databases += 1;
        return Ok(());
    }
    let key: Bytes = [rules.prefix.as_bytes(), &entry.key].concat().into();
    let value = match entry.value {
        Found::Value(value) => value,
        Found::Unsupported(what) => {
            imported.unsupported += 1;
            imported.tell(format!("{}: a {what} is not stored here", shown(&key)));
            return Ok(());
        }
    };
    let payload = rdb::dump(&value);
    if payload.len() > PAYLOAD_BYTES_MAX {
        settle(rules, sender, imported)?;
        return in_pieces(&key, &value, entry.expiry_millis, rules, sender, imported);
    }
    let mut command: Vec<Bytes> =
        vec!["RESTORE".into(), key.clone(), entry.expiry_millis.unwrap_or(0).to_string().into(), payload];
    command.push("ABSTTL".into());
    if rules.on_conflict == OnConflict::Overwrite {
        command.push("REPLACE".into());
    }
    sender.add(&command, key);
    Ok(())
}

/// Sends what was added and takes the replies into account.
fn settle<S: Read + Write>(
    rules: &Rules<'_>,
    sender: &mut Sender<S, Bytes>,
    imported: &mut Imported,
) -> Result<(), Fault> {
    let mut conflict = None;
    for (key, reply) in sender.flush().map_err(broken)? {
        match reply {
            Reply::Error(error) if error.as_bytes().starts_with(b"BUSYKEY") => {
                imported.existed += 1;
                conflict.get_or_insert(key);
            }
            Reply::Error(error) => {
                imported.refused += 1;
                imported.tell(format!("{}: {error}", shown(&key)));
            }
            _ => imported.done += 1,
        }
    }
    match conflict.filter(|_| rules.on_conflict == OnConflict::Fail) {
        Some(key) => Err(exists(&key, imported)),
        None => Ok(()),
    }
}

/// Sends a large value, one piece after the other.
fn in_pieces<S: Read + Write>(
    key: &Bytes,
    value: &Value,
    expiry_millis: Option<u64>,
    rules: &Rules<'_>,
    sender: &mut Sender<S, Bytes>,
    imported: &mut Imported,
) -> Result<(), Fault> {
    let mut ask = |args: &[Bytes]| sender.ask(args, key.clone()).map_err(broken);
    if rules.on_conflict == OnConflict::Overwrite {
        ask(&["DEL".into(), key.clone()])?;
    } else if ask(&["EXISTS".into(), key.clone()])? == Reply::Integer(1) {
        imported.existed += 1;
        return match rules.on_conflict {
            OnConflict::Fail => Err(exists(key, imported)),
            _ => Ok(()),
        };
    }
    let mut commands = pieces::commands(key, value);
    if let Some(millis) = expiry_millis {
        commands.push(vec!["PEXPIREAT".into(), key.clone(), millis.to_string().into()]);
    }
    for command in commands {
        if let Reply::Error(error) = ask(&command)? {
            imported.refused += 1;
            imported.tell(format!("{}: {error}", shown(key)));
            // A part of a value would look like the whole.
            ask(&["DEL".into(), key.clone()])?;
            return Ok(());
        }
    }
    imported.done += 1;
    Ok(())
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

fn broken(error: std::io::Error) -> Fault {
    Fault::new(ErrorCode::Unreachable, format!("the connection to the Redis port broke: {error}"))
}
