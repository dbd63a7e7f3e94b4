//! `backup`: one table into a file for each type.
//!
//! All partitions are of one point in time. A partition is written to the side first and added when it is complete, so
//! that one whose node dies half way can be asked of another; files get their names at the very end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use api::job::{BarrierPlace, HeldPartition, Job, JobWish};
use api::kv::{ContentKind, Contents, Piece};
use backup::zankv::{ZankvWriter, file_name};
use client::Client;
use prost::Message;
use types::{ErrorCode, Fault};

use super::{Flags, Place, asks_for_help, missing};
use crate::backups::{barrier, hold_of, now_ms};
use crate::cli::ZANKV_BACKUP_USAGE as USAGE;
use crate::exit::{self, Exit};
use crate::say;

/// Keys between two words about progress.
const WORD_EVERY: u64 = 10_000;
/// How often a partition is asked of its nodes.
const ATTEMPTS_MAX: usize = 8;
const PAUSE: Duration = Duration::from_millis(500);

/// Writes the files.
pub fn run(words: &[String]) -> Result<Exit, Fault> {
    if asks_for_help(words) {
        say::data(USAGE);
        return Ok(exit::OK);
    }
    let flags = Flags::parse(words, USAGE)?;
    let kinds = check(&flags)?;
    let client = flags.client()?;
    let place = Place::find(&client, &flags.namespace, &flags.table)?;
    let directory = flags.data_dir.clone().unwrap_or_else(|| "data".into());
    fs::create_dir_all(&directory).map_err(|error| file_fault(&directory, &error))?;
    let mut files = Files::begin(&directory, &flags, &kinds)?;
    if files.open.is_empty() {
        say::note(
            "nothing was saved: every file is there already; name another -data_dir, or move them away",
        );
        return Ok(exit::REFUSED);
    }
    let id = format!("zankv-{}-{}", std::process::id(), now_ms());
    let hold = hold_of(&id);
    let nodes: BTreeMap<u64, Client> =
        client.nodes()?.iter().map(|node| (node.id, client.only(&node.http))).collect();
    let begun = Instant::now();
    let mut saving = Saving { nodes, place: &place, hold, id, flags: &flags, kinds: &kinds, asked: 0 };
    let saved = saving.all(&client, &mut files);
    // Whatever came of it: a state that is held costs its node room.
    saving.nodes.values().for_each(|node| drop(node.release_holds(&saving.hold)));
    saved?;
    files.finish(begun.elapsed())?;
    say::data("backup finished.");
    Ok(exit::OK)
}

/// The kinds that are wanted.
fn check(flags: &Flags) -> Result<Vec<ContentKind>, Fault> {
    let bad = |detail: String| Fault::new(ErrorCode::BadArgument, format!("{detail}\n{USAGE}"));
    if flags.lookup.is_empty() && flags.dir.is_none() {
        return Err(missing("lookup list", USAGE));
    }
    if flags.namespace.is_empty() {
        return Err(missing("namespace", USAGE));
    }
    if flags.table.is_empty() {
        return Err(missing("table name", USAGE));
    }
    if flags.readable {
        return Err(bad("-readable files cannot be restored, and are not written".into()));
    }
    let all = flags.kinds.is_empty() || flags.kinds.iter().any(|kind| kind == "all");
    match (all, flags.kinds.len()) {
        (true, 0 | 1) => Ok(ContentKind::ALL.to_vec()),
        (true, _) => Err(bad("Error:type 'all' cannot be given together with another".into())),
        (false, _) => flags
            .kinds
            .iter()
            .map(|name| ContentKind::named(name).ok_or_else(|| bad(format!("Error:unknown type '{name}'"))))
            .collect(),
    }
}

/// A table on its way.
struct Saving<'a> {
    nodes: BTreeMap<u64, Client>,
    place: &'a Place,
    hold: String,
    id: String,
    flags: &'a Flags,
    kinds: &'a [ContentKind],
    asked: u64,
}

impl Saving<'_> {
    /// Writes all partitions as they are at one point in time.
    fn all(&mut self, client: &Client, files: &mut Files) -> Result<(), Fault> {
        let report = barrier(client, vec![self.place.title.clone()], &self.hold)?;
        let mut partitions = report.tables.iter().flat_map(|table| &table.partitions);
        partitions.try_for_each(|partition| self.partition(partition, files))
    }

    /// Writes a partition, asked of one node after the other until one has given all of it.
    fn partition(&mut self, place: &BarrierPlace, files: &mut Files) -> Result<(), Fault> {
        let mut last = Fault::from(ErrorCode::Unreachable);
        for attempt in 0..ATTEMPTS_MAX {
            self.asked += 1;
            let name = format!("{}-{}", self.id, self.asked);
            let node = place.nodes.get(attempt % place.nodes.len().max(1)).and_then(|id| self.nodes.get(id));
            let Some(node) = node else { continue };
            files.begin_partition()?;
            let taken = self.take(node, &name, place, files);
            let _ = node.end_job(&name);
            match taken {
                Ok(()) => return files.end_partition(),
                Err(fault) if fault.code == ErrorCode::DiskFull || fault.code == ErrorCode::BadFile => {
                    return Err(fault);
                }
                Err(fault) => last = fault,
            }
            std::thread::sleep(PAUSE);
        }
        Err(last)
    }

    fn take(&self, node: &Client, name: &str, place: &BarrierPlace, files: &mut Files) -> Result<(), Fault> {
        let held = HeldPartition {
            group: place.group,
            hold: self.hold.clone(),
            index: place.index,
            kinds: self.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
            expiry_shift_ms: 0,
            prefix: self.place.prefix.clone(),
        };
        let keys_per_second = self.flags.keys_per_second();
        let what = Job::Stream(held);
        node.start_job(&JobWish { name: name.to_owned(), what, bytes_per_second: 0, keys_per_second })?;
        let mut number = 0;
        loop {
            let page = match node.page(name, number) {
                Err(fault) if fault.code == ErrorCode::Overloaded => continue,
                page => page?,
            };
            let Some(page) = page else { return Ok(()) };
            number += 1;
            let contents = Contents::decode(&page[..]).map_err(|_| Fault::from(ErrorCode::WireCorrupt))?;
            for piece in contents.pieces.iter().filter(|piece| !piece.unfinished) {
                let key = piece.key.strip_prefix(self.place.prefix.as_bytes()).unwrap_or(&piece.key);
                files.write(key, piece)?;
            }
        }
    }
}

/// The files of one backup.
struct Files {
    open: Vec<Open>,
}

/// A file that has not got its name yet.
struct Open {
    kind: ContentKind,
    path: PathBuf,
    beside: PathBuf,
    out: File,
    /// The partition that is being written.
    spool: BufWriter<File>,
    keys: Count,
    /// Of the partition that is being written.
    pending: Count,
}

#[derive(Clone, Copy, Default)]
struct Count {
    keys: u64,
    expiring: u64,
}

impl Files {
    fn begin(directory: &Path, flags: &Flags, kinds: &[ContentKind]) -> Result<Self, Fault> {
        let today = backup::civil(now_ms() / 86_400_000);
        let mut open = Vec::new();
        for kind in kinds {
            let path = directory.join(file_name(*kind, today, &flags.namespace, &flags.table));
            if path.exists() {
                say::data(format_args!("file is already exist [path={}]", path.display()));
                continue;
            }
            open.push(Open::begin(*kind, path, flags)?);
        }
        Ok(Self { open })
    }

    fn begin_partition(&mut self) -> Result<(), Fault> {
        self.open
            .iter_mut()
            .try_for_each(|file| file.begin_partition().map_err(|error| file_fault(&file.beside, &error)))
    }

    fn write(&mut self, key: &[u8], piece: &Piece) -> Result<(), Fault> {
        let Some(file) = self.open.iter_mut().find(|file| file.kind == piece.kind()) else { return Ok(()) };
        file.write(key, piece).map_err(|error| file_fault(&file.beside, &error))
    }

    fn end_partition(&mut self) -> Result<(), Fault> {
        self.open
            .iter_mut()
            .try_for_each(|file| file.end_partition().map_err(|error| file_fault(&file.beside, &error)))
    }

    fn finish(&mut self, took: Duration) -> Result<(), Fault> {
        let mut expiring = 0;
        for file in &mut self.open {
            file.finish().map_err(|error| file_fault(&file.path, &error))?;
            expiring += file.keys.expiring;
            let (kind, keys) = (file.kind.name(), file.keys.keys);
            say::data(format_args!("[{kind}] total backuped {keys}, cost time: {:.3}s", took.as_secs_f64()));
        }
        if expiring > 0 {
            say::note(format_args!(
                "{} had a TTL, which this format cannot carry: restored they stay for ever",
                say::count(expiring, "key")
            ));
        }
        Ok(())
    }
}

impl Open {
    fn begin(kind: ContentKind, path: PathBuf, flags: &Flags) -> Result<Self, Fault> {
        let beside = |end: &str| PathBuf::from(format!("{}.{}.{end}", path.display(), std::process::id()));
        let (whole, spool_path) = (beside("unfinished"), beside("partition"));
        let create = |path: &Path| {
            let made = File::options().read(true).write(true).create(true).truncate(true).open(path);
            made.map_err(|error| file_fault(path, &error))
        };
        let out = create(&whole)?;
        let spool = create(&spool_path)?;
        // Nobody needs its name.
        let _ = fs::remove_file(&spool_path);
        let out = ZankvWriter::new(out, &flags.namespace, &flags.table, kind)
            .map_err(|error| file_fault(&whole, &error))?
            .finish();
        let spool = BufWriter::new(spool);
        let (keys, pending) = (Count::default(), Count::default());
        Ok(Self { kind, path, beside: whole, out, spool, keys, pending })
    }

    fn begin_partition(&mut self) -> io::Result<()> {
        self.spool.flush()?;
        self.spool.get_mut().set_len(0)?;
        self.spool.get_mut().rewind()?;
        self.pending = self.keys;
        Ok(())
    }

    fn write(&mut self, key: &[u8], piece: &Piece) -> io::Result<()> {
        ZankvWriter::records(&mut self.spool, self.kind).write(key, piece)?;
        if piece.first == 0 {
            self.pending.keys += 1;
            self.pending.expiring += u64::from(piece.expiry_millis.is_some());
            if self.pending.keys.is_multiple_of(WORD_EVERY) {
                say::data(format_args!("current backuped {}", self.pending.keys));
            }
        }
        Ok(())
    }

    fn end_partition(&mut self) -> io::Result<()> {
        self.spool.flush()?;
        let spool = self.spool.get_mut();
        spool.rewind()?;
        io::copy(spool, &mut self.out)?;
        self.keys = self.pending;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Nothing is left of a backup that failed; a finished file has another name.
        let _ = fs::remove_file(&self.beside);
    }
}

fn file_fault(path: &Path, error: &io::Error) -> Fault {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
        _ => ErrorCode::BadFile,
    };
    Fault::new(code, format!("{}: {error}", path.display()))
}
