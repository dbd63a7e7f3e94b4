//! A disk in memory that fails the way real ones do: it forgets and tears what was not synced, runs
//! full, breaks, lies, and loses its power in the middle of anything.
//!
//! ```text
//!   writes ---> now (what the running process reads) ---- sync -----> durable
//!                       \__ unsynced writes, in order __/                |
//!                                     |                                  |
//!                                     +--- crash(seed): each lost, ------+---> the disk after
//!                                          kept or torn                        the power cut
//! ```
//!
//! The same holds for names: what was created, renamed or removed since the directory's last sync is
//! independently there or not. A sector (512 bytes) is written whole or not at all where a write covers
//! several; a write may also stop at any byte. Bytes outside of a write never change.
//!
//! Everything follows from the calls and the seeds. Clones share one disk; [`ModelDisk::crash`] makes a
//! new one, and a process that still holds the old one can no longer do harm.
//!
//! Left out: directories that vanish, bits that rot by themselves (see [`ModelDisk::overwrite`]), and
//! permissions.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use env::{Disk, DiskFile};

/// What a disk writes as one piece.
pub const SECTOR_BYTES: u64 = 512;

/// What [`ModelDisk::inject`] lets happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The operation fails because there is no room. A write may have been carried out in part.
    Full,
    /// The operation fails with an IO error. A write may have been carried out in part; a failed sync
    /// drops some of the unsynced bytes for good while the process still reads them, and later syncs
    /// succeed, as Linux does it.
    Broken,
    /// The power goes off during the operation. It and everything after it fails.
    PowerOff,
}

/// A disk in memory. Clones share it.
#[derive(Clone, Default)]
pub struct ModelDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    files: BTreeMap<u64, File>,
    next_file: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the last sync of their directory, in order.
    unsynced_names: Vec<NameChange>,
    directories: BTreeSet<PathBuf>,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    capacity: Option<u64>,
    syncs_lie: bool,
    power_off: bool,
}

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    handles: u32,
}

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Clone)]
struct NameChange {
    file: u64,
    removed: Option<PathBuf>,
    added: Option<PathBuf>,
}

impl ModelDisk {
    /// An empty disk without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as a power cut at this moment leaves it. The same calls and the same seed leave the same.
    /// Capacity and lying go on as they are, pending faults are forgotten, the power is on.
    #[must_use]
    pub fn crash(&self, seed: u64) -> ModelDisk {
        let mut chance = Chance::new(seed);
        let mut state = self.lock().clone();
        state.names = survivors(&state.durable_names, &state.unsynced_names, &mut chance);
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| named.contains(id));
        for file in state.files.values_mut() {
            file.settle(&mut chance);
            file.now = file.durable.clone();
            file.handles = 0;
        }
        state.faults.clear();
        state.power_off = false;
        ModelDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// How many operations that change the disk or make it durable were tried so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets the changing operation after the next `after` ones fail; 0 is the next one.
    pub fn inject(&self, after: u64, fault: Fault) {
        let mut state = self.lock();
        let at = state.operations + after;
        state.faults.insert(at, fault);
    }

    /// Limits the bytes of all files together; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// From now on syncs of files report success and do nothing, or work again.
    pub fn set_syncs_lie(&self, lie: bool) {
        self.lock().syncs_lie = lie;
    }

    /// Every file with its length, in order.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.lock();
        let length = |id: &u64| state.files.get(id).map_or(0, |file| file.now.len() as u64);
        state.names.iter().map(|(path, id)| (path.clone(), length(id))).collect()
    }

    /// What a file contains now.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        let id = state.names.get(path)?;
        state.files.get(id).map(|file| file.now.clone())
    }

    /// Damages a file: replaces what it contains, durably, behind everybody's back. Makes the file if
    /// there is none.
    pub fn overwrite(&self, path: &Path, contents: Vec<u8>) {
        let mut state = self.lock();
        let id = match state.names.get(path) {
            Some(id) => *id,
            None => state.new_file(path),
        };
        state.durable_names.insert(path.to_owned(), id);
        let file = File { now: contents.clone(), durable: contents, ..File::default() };
        state.files.insert(id, file);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn handle(&self, state: &mut State, id: u64) -> Box<dyn DiskFile> {
        if let Some(file) = state.files.get_mut(&id) {
            file.handles += 1;
        }
        Box::new(ModelFile { state: Arc::clone(&self.state), id })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Counts an operation and says what fault hits it.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        self.check_power()?;
        let fault = self.faults.remove(&self.operations);
        self.operations += 1;
        self.power_off = fault == Some(Fault::PowerOff);
        Ok(fault)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.power_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn new_file(&mut self, path: &Path) -> u64 {
        let id = self.next_file;
        self.next_file += 1;
        self.files.insert(id, File::default());
        self.names.insert(path.to_owned(), id);
        id
    }

    fn change_name(&mut self, change: NameChange) {
        if let Some(path) = &change.removed {
            self.names.remove(path);
        }
        if let Some(path) = &change.added {
            self.names.insert(path.clone(), change.file);
        }
        self.unsynced_names.push(change);
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        let missing = || io::Error::new(ErrorKind::NotFound, format!("no file {}", path.display()));
        self.names.get(path).copied().ok_or_else(missing)
    }

    fn file(&mut self, id: u64) -> io::Result<&mut File> {
        self.files.get_mut(&id).ok_or_else(|| io::Error::from(ErrorKind::NotFound))
    }

    /// How long a file may become.
    fn length_max(&self, id: u64) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let others = self.files.iter().filter(|(other, _)| **other != id);
        capacity.saturating_sub(others.map(|(_, file)| file.now.len() as u64).sum())
    }

    /// Forgets files that nothing can reach any more, now or after a crash.
    fn forget_unreachable(&mut self) {
        let mut reachable: BTreeSet<u64> = self.names.values().copied().collect();
        reachable.extend(self.durable_names.values());
        reachable.extend(self.unsynced_names.iter().map(|change| change.file));
        self.files.retain(|id, file| file.handles > 0 || reachable.contains(id));
    }
}

/// The names after a crash: each unsynced change is there or not. A change that was lost takes later
/// ones of the same file with it, because a file system writes those of one file in order.
fn survivors(
    durable: &BTreeMap<PathBuf, u64>,
    unsynced: &[NameChange],
    chance: &mut Chance,
) -> BTreeMap<PathBuf, u64> {
    let mut names = durable.clone();
    let mut lost = BTreeSet::new();
    for change in unsynced {
        if lost.contains(&change.file) || chance.coin() {
            lost.insert(change.file);
            continue;
        }
        apply_name(&mut names, change);
    }
    names
}

fn apply_name(names: &mut BTreeMap<PathBuf, u64>, change: &NameChange) {
    if let Some(path) = &change.removed
        && names.get(path) == Some(&change.file)
    {
        names.remove(path);
    }
    if let Some(path) = &change.added {
        names.insert(path.clone(), change.file);
    }
}

impl File {
    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// Decides about everything unsynced.
    fn settle(&mut self, chance: &mut Chance) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write { offset, bytes } => settle_write(&mut self.durable, offset, &bytes, chance),
                length @ Change::Length(_) if chance.coin() => apply(&mut self.durable, &length),
                Change::Length(_) => {}
            }
        }
    }
}

fn apply(contents: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            let (from, to) = (*offset as usize, *offset as usize + bytes.len());
            if contents.len() < to {
                contents.resize(to, 0);
            }
            contents[from..to].copy_from_slice(bytes);
        }
        Change::Length(length) => contents.resize(*length as usize, 0),
    }
}

fn settle_write(contents: &mut Vec<u8>, offset: u64, bytes: &[u8], chance: &mut Chance) {
    let keep = |contents: &mut Vec<u8>, from: usize, to: usize| {
        let change = Change::Write { offset: offset + from as u64, bytes: bytes[from..to].to_vec() };
        apply(contents, &change);
    };
    match chance.below(5) {
        0 => {}
        1 => keep(contents, 0, bytes.len()),
        2 => keep(contents, 0, chance.below(bytes.len() as u64 + 1) as usize),
        _ => {
            let mut from = 0;
            while from < bytes.len() {
                let sector_end = ((offset + from as u64) / SECTOR_BYTES + 1) * SECTOR_BYTES;
                let to = ((sector_end - offset) as usize).min(bytes.len());
                if chance.coin() {
                    keep(contents, from, to);
                }
                from = to;
            }
        }
    }
    // The file may have grown without the bytes having arrived.
    let end = offset as usize + bytes.len();
    if contents.len() < end && chance.coin() {
        contents.resize(end, 0);
    }
}

impl Disk for ModelDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check_power()?;
        state.directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.check_power()?;
        if !state.directories.contains(path) {
            return Err(io::Error::new(ErrorKind::NotFound, format!("no directory {}", path.display())));
        }
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        let fault = state.begin()?;
        if let Some(fault @ (Fault::Full | Fault::Broken)) = fault {
            return Err(error_of(fault));
        }
        if !path.parent().is_some_and(|parent| state.directories.contains(parent)) {
            return Err(io::Error::new(ErrorKind::NotFound, format!("no directory for {}", path.display())));
        }
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let id = state.new_file(path);
        state.change_name(NameChange { file: id, removed: None, added: Some(path.to_owned()) });
        state.check_power()?;
        Ok(self.handle(&mut state, id))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        state.check_power()?;
        let id = state.find(path)?;
        Ok(self.handle(&mut state, id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.begin()?;
        if let Some(fault @ (Fault::Full | Fault::Broken)) = fault {
            return Err(error_of(fault));
        }
        let file = state.find(from)?;
        let (removed, added) = (Some(from.to_owned()), Some(to.to_owned()));
        state.change_name(NameChange { file, removed, added });
        state.forget_unreachable();
        state.check_power()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let fault = state.begin()?;
        if let Some(fault @ (Fault::Full | Fault::Broken)) = fault {
            return Err(error_of(fault));
        }
        let file = state.find(path)?;
        state.change_name(NameChange { file, removed: Some(path.to_owned()), added: None });
        state.check_power()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(fault) = state.begin()? {
            return Err(error_of(fault));
        }
        let inside = |name: &Option<PathBuf>| name.as_ref().is_some_and(|name| name.parent() == Some(path));
        let changes = std::mem::take(&mut state.unsynced_names);
        let (synced, left): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| inside(&change.removed) || inside(&change.added));
        for change in &synced {
            apply_name(&mut state.durable_names, change);
        }
        state.unsynced_names = left;
        state.forget_unreachable();
        Ok(())
    }
}

fn error_of(fault: Fault) -> io::Error {
    match fault {
        Fault::Full => ErrorKind::StorageFull.into(),
        Fault::Broken => io::Error::other("the disk is broken"),
        Fault::PowerOff => io::Error::other("the power is off"),
    }
}

struct ModelFile {
    state: Arc<Mutex<State>>,
    id: u64,
}

impl DiskFile for ModelFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = lock(&self.state);
        state.check_power()?;
        let file = state.file(self.id)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(file.now.len());
        let count = buffer.len().min(file.now.len() - from);
        buffer[..count].copy_from_slice(&file.now[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let fault = state.begin()?;
        let room = state.length_max(self.id).saturating_sub(offset).min(bytes.len() as u64) as usize;
        let count = match fault {
            Some(Fault::Full | Fault::Broken) => bytes.len() / 2,
            _ => bytes.len(),
        };
        // Overwriting needs no room.
        let file = state.file(self.id)?;
        let held = (file.now.len() as u64).saturating_sub(offset) as usize;
        let count = count.min(room.max(held));
        if count > 0 {
            file.change(Change::Write { offset, bytes: bytes[..count].to_vec() });
        }
        match fault {
            Some(fault) => Err(error_of(fault)),
            None if count < bytes.len() => Err(ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        let fault = state.begin()?;
        let (lie, mut chance) = (state.syncs_lie, Chance::new(state.operations));
        let file = state.file(self.id)?;
        match fault {
            None if lie => Ok(()),
            None => {
                file.sync();
                Ok(())
            }
            Some(Fault::Broken) => {
                file.settle(&mut chance);
                Err(error_of(Fault::Broken))
            }
            Some(fault) => Err(error_of(fault)),
        }
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = lock(&self.state);
        state.check_power()?;
        Ok(state.file(self.id)?.now.len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let fault = state.begin()?;
        if let Some(fault @ (Fault::Full | Fault::Broken)) = fault {
            return Err(error_of(fault));
        }
        if bytes > state.length_max(self.id) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.file(self.id)?.change(Change::Length(bytes));
        state.check_power()
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(file) = state.files.get_mut(&self.id) {
            file.handles = file.handles.saturating_sub(1);
            if file.handles == 0 {
                state.forget_unreachable();
            }
        }
    }
}

/// Chance that follows from a seed: the generator SplitMix64 (Steele, Lea, Flood, 2014).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed ^ 0x5bf0_3635_dcf5_9d27)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: u64 = 200;

    fn disk() -> (ModelDisk, PathBuf) {
        let disk = ModelDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        (disk, PathBuf::from("/d/file"))
    }

    /// What a crash leaves of a file, over many seeds.
    fn outcomes(disk: &ModelDisk, path: &Path) -> BTreeSet<Option<Vec<u8>>> {
        (0..SEEDS).map(|seed| disk.crash(seed).contents(path)).collect()
    }

    #[test]
    fn synced_bytes_under_synced_names_survive_every_crash() {
        let (disk, path) = disk();
        let file = disk.create(&path).unwrap();
        file.write_at(b"abc", 2).unwrap();
        file.sync().unwrap();
        assert!(outcomes(&disk, &path).contains(&None), "the name is not durable yet");
        disk.sync_dir(Path::new("/d")).unwrap();
        assert_eq!(outcomes(&disk, &path), BTreeSet::from([Some(b"\0\0abc".to_vec())]));
    }

    #[test]
    fn unsynced_sectors_are_lost_kept_and_torn_independently() {
        let (disk, path) = disk();
        let file = disk.create(&path).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(&[2; 1024], 0).unwrap();
        let outcomes = outcomes(&disk, &path);
        for (first, second) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let expected = [[first; 512], [second; 512]].concat();
            assert!(outcomes.contains(&Some(expected)), "{first} {second}");
        }
        let torn = |contents: &Option<Vec<u8>>| contents.as_ref().is_some_and(|bytes| bytes[0] != bytes[511]);
        assert!(outcomes.iter().any(torn), "no write stopped in the middle of a sector");
    }

    #[test]
    fn lying_syncs_keep_nothing_for_sure() {
        let (disk, path) = disk();
        let file = disk.create(&path).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.set_syncs_lie(true);
        file.write_at(b"abc", 0).unwrap();
        file.sync().unwrap();
        assert!(outcomes(&disk, &path).contains(&Some(Vec::new())));
    }

    #[test]
    fn names_change_only_with_their_directory() {
        let (disk, path) = disk();
        drop(disk.create(&path).unwrap());
        disk.sync_dir(Path::new("/d")).unwrap();
        let other = PathBuf::from("/d/other");
        disk.rename(&path, &other).unwrap();
        let names: BTreeSet<_> = (0..SEEDS).map(|seed| disk.crash(seed).files()).collect();
        assert_eq!(names, BTreeSet::from([vec![(path.clone(), 0)], vec![(other.clone(), 0)]]));
        disk.sync_dir(Path::new("/d")).unwrap();
        assert_eq!(disk.crash(0).files(), vec![(other, 0)]);
    }

    #[test]
    fn faults_hit_the_operation_they_are_meant_for() {
        let (disk, path) = disk();
        let file = disk.create(&path).unwrap();
        disk.inject(1, Fault::Full);
        disk.inject(2, Fault::PowerOff);
        file.write_at(b"a", 0).unwrap();
        assert_eq!(file.write_at(b"bc", 1).unwrap_err().kind(), ErrorKind::StorageFull);
        file.sync().unwrap_err();
        file.len().unwrap_err();
        disk.list(Path::new("/d")).unwrap_err();
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_lets_bytes_be_overwritten() {
        let (disk, path) = disk();
        let file = disk.create(&path).unwrap();
        disk.set_capacity(Some(4));
        assert_eq!(file.write_at(b"abcdef", 0).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(disk.contents(&path).unwrap(), b"abcd");
        file.write_at(b"xy", 2).unwrap();
        disk.set_capacity(None);
        file.write_at(b"z", 4).unwrap();
        assert_eq!(disk.contents(&path).unwrap(), b"abxyz");
    }

    #[test]
    fn a_failed_sync_forgets_bytes_for_good() {
        let lost = (0..20).any(|extra| {
            let (disk, path) = disk();
            let file = disk.create(&path).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            for at in 0..extra {
                file.write_at(b"x", at).unwrap();
            }
            disk.inject(0, Fault::Broken);
            file.sync().unwrap_err();
            file.sync().unwrap();
            disk.crash(0).contents(&path) != disk.contents(&path)
        });
        assert!(lost);
    }
}
