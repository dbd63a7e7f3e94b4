//! The journals are looked over before fjall opens them.
//!
//! fjall cuts a journal where it cannot read on, and goes on with the next journal. Where a crash tore
//! the end of the *last* journal that is right: what is lost was never synced, and the log has it. But
//!
//! - a page missing inside a large value of the torn end is a checksum error to fjall, and it opens
//!   nothing at all;
//! - a bad place in an *earlier* journal was synced once, so it is damage; the batches after it would be
//!   skipped while those of the next journal are applied: a hole in a state that nobody would notice.
//!
//! So the last journal is cut here after its last whole batch, and damage in an earlier one is reported.
//!
//! ```text
//!   batch:  1 │ items u32 │ sequence number u64
//!           2 │ value type u8 │ compression u8 │ keyspace u64 │ key length u16
//!             │ value length u32 │ stored length u32 │ key │ stored value            … items times
//!           3 │ XXH3-64 of the items u64 │ "FJL" 3
//!   numbers are little-endian; after the last batch there are zeros to the end of the file
//! ```
//!
//! Source: `journal/entry.rs` and `journal/batch_reader.rs` of fjall 3.1.13, which is pinned.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::EngineError;
use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = *b"FJL\x03";
/// Bytes of a journal held in memory while it is looked over.
const BUFFER_BYTES: usize = 128 * 1024;

/// The file that fjall locks while a database is open.
const LOCK_FILE: &str = "lock";
/// A store that was just closed by this process may hold its lock a moment longer, for its last handles.
const LOCK_ATTEMPTS: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Looks over the journals in a database's directory; nothing if there is none yet.
///
/// # Errors
/// `Damaged` when an earlier journal has a bad place; `Storage` when another process has the database
/// open (its journal must not be cut under its hands), or the disk refuses.
pub(crate) fn look_over(directory: &Path) -> Result<(), EngineError> {
    let Some(_lock) = lock(&directory.join(LOCK_FILE))? else { return Ok(()) };
    let mut journals = journals_in(directory).map_err(storage)?;
    journals.sort();
    let Some((_, last)) = journals.pop() else { return Ok(()) };
    for (_, path) in journals {
        let whole = whole_bytes(&path).map_err(storage)?;
        if !is_zero_from(&path, whole).map_err(storage)? {
            let path = path.display();
            return Err(EngineError::Damaged(format!("journal {path} cannot be read after byte {whole}")));
        }
    }
    cut(&last).map_err(storage)
}

/// The lock of a database; `None` if there is no database yet.
fn lock(path: &Path) -> Result<Option<File>, EngineError> {
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(storage)?,
    };
    for attempt in 1..=LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(storage(error)),
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    Err(EngineError::Storage("another process has the store open".into()))
}

fn storage(error: io::Error) -> EngineError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => EngineError::Full(error.to_string()),
        _ => EngineError::Storage(error.to_string()),
    }
}

fn journals_in(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if let Some(number) = name.strip_suffix(".jnl").and_then(|number| number.parse().ok()) {
            journals.push((number, path));
        }
    }
    Ok(journals)
}

/// Cuts a journal after its last whole batch.
fn cut(path: &Path) -> io::Result<()> {
    let whole = whole_bytes(path)?;
    if is_zero_from(path, whole)? {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), at_byte = whole, "the journal's end was torn by a crash and is cut off");
    let file = File::options().write(true).open(path)?;
    file.set_len(whole)?;
    file.sync_all()
}

/// Where the last batch ends up to which everything is whole.
fn whole_bytes(path: &Path) -> io::Result<u64> {
    let mut scanner = Scanner::new(File::open(path)?);
    let mut whole = 0;
    while scanner.batch()?.is_some() {
        whole = scanner.position;
    }
    Ok(whole)
}

/// Whether a file has nothing but zeros from a place on.
fn is_zero_from(path: &Path, from: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let zeros = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            count if buffer[..count] != zeros[..count] => return Ok(false),
            _ => {}
        }
    }
}

/// Reads batches without keeping them.
struct Scanner {
    reader: BufReader<File>,
    position: u64,
    /// Of the items of the present batch.
    hasher: Xxh3,
}

impl Scanner {
    fn new(file: File) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, file), position: 0, hasher: Xxh3::new() }
    }

    /// Passes over one batch; `None` if what comes is not a whole one.
    fn batch(&mut self) -> io::Result<Option<()>> {
        let Some([START, items @ .., _, _, _, _, _, _, _, _]) = self.take::<13>()? else { return Ok(None) };
        self.hasher.reset();
        for _ in 0..u32::from_le_bytes(items) {
            if self.item()?.is_none() {
                return Ok(None);
            }
        }
        let Some([END, checksum @ .., a, b, c, d]) = self.take::<13>()? else { return Ok(None) };
        let is_whole = [a, b, c, d] == TRAILER && u64::from_le_bytes(checksum) == self.hasher.digest();
        Ok(is_whole.then_some(()))
    }

    fn item(&mut self) -> io::Result<Option<()>> {
        match self.take::<1>()? {
            Some([ITEM]) => {}
            Some([CLEAR]) => {
                let Some(keyspace) = self.take::<8>()? else { return Ok(None) };
                self.hasher.update(&[CLEAR]);
                self.hasher.update(&keyspace);
                return Ok(Some(()));
            }
            _ => return Ok(None),
        }
        let Some(head) = self.take::<20>()? else { return Ok(None) };
        self.hasher.update(&[ITEM]);
        self.hasher.update(&head);
        let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
        let key_bytes = u64::from(u16::from_le_bytes([k0, k1]));
        let value_bytes = u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
        self.hash(key_bytes + value_bytes)
    }

    /// The next bytes; `None` at the end of the file.
    fn take<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => {
                self.position += N as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hashes the next bytes, without trusting their number with memory.
    fn hash(&mut self, mut bytes: u64) -> io::Result<Option<()>> {
        let mut piece = [0; 4096];
        while bytes > 0 {
            let length = bytes.min(piece.len() as u64) as usize;
            match self.reader.read(&mut piece[..length])? {
                0 => return Ok(None),
                count => {
                    self.hasher.update(&piece[..count]);
                    self.position += count as u64;
                    bytes -= count as u64;
                }
            }
        }
        Ok(Some(()))
    }
}
