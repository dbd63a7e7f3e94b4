//! Backups in a target: begun, finished, listed, loaded, proved, removed.

use api::kv::ContentKind;
use serde::Serialize;
use types::limits;

use crate::chain::{Chain, check_all};
use crate::error::BackupError;
use crate::manifest::{Begun, FORMAT, Manifest, Proof, checksum_of, seal, unseal};
use crate::target::{Target, list_all, put, read_whole};

const BEGUN: &str = "begun.json";
const MANIFEST: &str = "manifest.json";
const PROOFS: &str = "proofs";

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has no manifest: it is being made, or was interrupted. It cannot be restored.
    Begun,
    /// It is complete, and nobody has restored it yet.
    Complete,
    /// It was restored, and compared with its source.
    Proven,
    /// What describes it is damaged, or what it stands on is not there.
    Damaged,
}

impl State {
    /// As people are told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Begun => "incomplete",
            Self::Complete => "complete, not proven",
            Self::Proven => "proven",
            Self::Damaged => "damaged",
        }
    }
}

/// A backup in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// How far it is.
    pub state: State,
    /// What it was to be, if that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// All of it, if it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// The last restore that was compared with its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What is wrong with it; empty if nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// The name of a backup that is begun at a moment: names sort by age. `chance` keeps two of one second apart.
pub fn id(begun_ms: u64, chance: u32) -> String {
    format!("{}-{:06x}", compact_time(begun_ms), chance & 0xff_ffff)
}

/// Begins a backup: from now on it is listed, as one that is not complete.
///
/// # Errors
/// `Exists` if there is one of the name; what the target says.
pub fn begin(target: &dyn Target, begun: &Begun) -> Result<(), BackupError> {
    target.put_new(&in_backup(&begun.id, BEGUN), &seal(begun))
}

/// What a backup was to be.
///
/// # Errors
/// `NoBackup` if there is none of the name; `Damaged`; what the target says.
pub fn begun(target: &dyn Target, id: &str) -> Result<Begun, BackupError> {
    let path = in_backup(checked(id)?, BEGUN);
    match read_whole(target, &path) {
        Err(BackupError::Missing(_)) => {
            Err(BackupError::NoBackup(format!("there is no backup '{id}' in {}", target.url())))
        }
        bytes => check_begun(&path, id, unseal(&path, &bytes?)?),
    }
}

/// Completes a backup: from now on it exists. One that is complete already is left as it is.
///
/// # Errors
/// What the target says.
pub fn finish(target: &dyn Target, manifest: &Manifest) -> Result<(), BackupError> {
    match target.put_new(&in_backup(&manifest.begun.id, MANIFEST), &seal(manifest)) {
        Err(BackupError::Exists(_)) => Ok(()),
        other => other,
    }
}

/// A complete backup, of which all that it stands on is there.
///
/// # Errors
/// `NoBackup` if there is none of the name, or it was never completed; `Parent` if one that it stands on is not there, or
/// is not the one that it was; `Damaged`; what the target says.
pub fn load(target: &dyn Target, id: &str) -> Result<Manifest, BackupError> {
    Chain::load(target, id).map(Chain::into_newest)
}

/// A complete backup, whatever is there of what it stands on; and the checksum of its manifest.
pub(crate) fn load_alone(target: &dyn Target, id: &str) -> Result<(Manifest, String), BackupError> {
    let path = in_backup(checked(id)?, MANIFEST);
    let bytes = match read_whole(target, &path) {
        Err(BackupError::Missing(_)) => {
            begun(target, id)?;
            let detail = format!("backup '{id}' in {} was never completed", target.url());
            return Err(BackupError::NoBackup(detail));
        }
        bytes => bytes?,
    };
    let manifest: Manifest = unseal(&path, &bytes)?;
    let begun = check_begun(&path, id, manifest.begun.clone())?;
    // What it says of the whole must be what it says of the parts.
    let computed = Manifest::new(begun, manifest.finished_ms);
    if computed != manifest {
        return Err(BackupError::damaged(&path, 0, "its totals are not those of its parts"));
    }
    let mut partitions = manifest.begun.tables.iter().flat_map(|table| &table.partitions);
    match partitions.all(|partition| partition.keys.is_some()) {
        true => Ok((manifest, checksum_of(&bytes))),
        false => Err(BackupError::damaged(&path, 0, "a partition has no file of its keys")),
    }
}

/// All backups, oldest first, complete or not. One whose description is damaged is listed as such.
///
/// # Errors
/// What the target says.
pub fn list(target: &dyn Target) -> Result<Vec<Listed>, BackupError> {
    let names = target.list("")?;
    let ids = names.iter().filter_map(|name| name.strip_suffix('/')).filter(|name| is_id(name));
    let mut all: Vec<(Listed, Option<String>)> =
        ids.map(|id| listed(target, id)).collect::<Result<_, _>>()?;
    all.sort_by_key(|(listed, _)| age(listed));
    let (mut all, checksums): (Vec<Listed>, Vec<Option<String>>) = all.into_iter().unzip();
    check_all(target, &mut all, &checksums);
    Ok(all)
}

/// What backups are ordered by. Names tell seconds; which of one second is the older one, its description says.
fn age(listed: &Listed) -> (String, u64, String) {
    let second = listed.id.split('-').next().unwrap_or_default().to_owned();
    (second, listed.begun.as_ref().map_or(0, |begun| begun.begun_ms), listed.id.clone())
}

/// One backup as it is listed.
///
/// # Errors
/// `NoBackup` if there is none of the name; what the target says.
pub fn show(target: &dyn Target, id: &str) -> Result<Listed, BackupError> {
    let (mut listed, _) = listed(target, checked(id)?)?;
    if listed.begun.is_none() && listed.state == State::Begun {
        return Err(BackupError::NoBackup(format!("there is no backup '{id}' in {}", target.url())));
    }
    if listed.manifest.is_some()
        && let Err(error) = Chain::load(target, id)
    {
        listed.set_damaged(error)?;
    }
    Ok(listed)
}

/// Records that a backup was restored, and that the copy was compared with its source.
///
/// # Errors
/// What the target says.
pub fn prove(target: &dyn Target, proof: &Proof) -> Result<(), BackupError> {
    let name = format!("{PROOFS}/{}.json", compact_time(proof.begun_ms));
    put(target, &in_backup(&proof.id, &name), &seal(proof))
}

/// Removes a backup, complete or not, whatever stands on it; its manifest first, so that what is left if this breaks off
/// is none.
///
/// # Errors
/// `NoBackup` if there is none of the name; what the target says.
pub(crate) fn delete_alone(target: &dyn Target, id: &str) -> Result<u64, BackupError> {
    let files = list_all(target, checked(id)?)?;
    if files.is_empty() {
        return Err(BackupError::NoBackup(format!("there is no backup '{id}' in {}", target.url())));
    }
    target.remove(&in_backup(id, MANIFEST))?;
    // What says that it was begun goes last: until then it is listed, and can be removed again.
    let begun = in_backup(id, BEGUN);
    for file in files.iter().filter(|file| **file != begun) {
        target.remove(file)?;
    }
    target.remove(&begun)?;
    target.remove_directory(id)?;
    Ok(files.len() as u64)
}

/// A path within a backup.
pub(crate) fn in_backup(id: &str, path: &str) -> String {
    format!("{id}/{path}")
}

impl Listed {
    /// It cannot be restored, for a reason that lies in what describes it.
    ///
    /// # Errors
    /// The error, if it says nothing of that.
    fn set_damaged(&mut self, error: BackupError) -> Result<(), BackupError> {
        if !matches!(error, BackupError::Damaged { .. } | BackupError::Parent(_)) {
            return Err(error);
        }
        self.manifest = None;
        self.state = State::Damaged;
        self.problem = error.to_string();
        Ok(())
    }
}

/// A backup on its own, and the checksum of its manifest.
fn listed(target: &dyn Target, id: &str) -> Result<(Listed, Option<String>), BackupError> {
    let mut listed = Listed {
        id: id.into(),
        state: State::Begun,
        begun: None,
        manifest: None,
        proof: None,
        problem: String::new(),
    };
    let mut checksum = None;
    match load_alone(target, id) {
        Ok((manifest, sealed)) => {
            checksum = Some(sealed);
            listed.state = State::Complete;
            listed.begun = Some(manifest.begun.clone());
            listed.proof = last_proof(target, &manifest)?;
            listed.manifest = Some(manifest);
            if listed.proof.is_some() {
                listed.state = State::Proven;
            }
        }
        Err(BackupError::NoBackup(_)) => listed.begun = begun(target, id).ok(),
        Err(error) => {
            listed.set_damaged(error)?;
            // What it stands on must stay while somebody looks at it.
            listed.begun = begun(target, id).ok();
        }
    }
    Ok((listed, checksum))
}

/// The latest proof that says what the manifest says. A damaged one proves nothing.
fn last_proof(target: &dyn Target, manifest: &Manifest) -> Result<Option<Proof>, BackupError> {
    let id = &manifest.begun.id;
    for name in target.list(&in_backup(id, PROOFS))?.iter().rev() {
        let path = in_backup(id, &format!("{PROOFS}/{name}"));
        match unseal::<Proof>(&path, &read_whole(target, &path)?) {
            Ok(proof) if proof.id == *id && proof.sum == manifest.sum => return Ok(Some(proof)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

/// What could be used to reach for other files, or to take memory without end, is refused here.
fn check_begun(path: &str, id: &str, begun: Begun) -> Result<Begun, BackupError> {
    let damaged = |what: String| BackupError::damaged(path, 0, what);
    if begun.format != FORMAT {
        return Err(damaged(format!("format version {} is not known to this release", begun.format)));
    }
    if begun.id != id {
        return Err(damaged(format!("it describes backup '{}'", begun.id)));
    }
    if let Some(kind) = begun.kinds.iter().find(|kind| ContentKind::named(kind).is_none()) {
        return Err(damaged(format!("there is no kind '{kind}'")));
    }
    if let Some(parent) = &begun.parent
        && (!is_id(&parent.id) || parent.id == id || !(1..limits::BACKUP_CHAIN_MAX).contains(&parent.length))
    {
        return Err(damaged(format!("'{}' can be no parent of it", parent.id)));
    }
    for table in &begun.tables {
        if !is_name(&table.namespace) || !is_name(&table.name) {
            return Err(damaged(format!("'{}:{}' is no table", table.namespace, table.name)));
        }
        if table.partitions.len() > limits::PARTITIONS_MAX as usize {
            return Err(damaged(format!("'{}' has too many partitions", table.name)));
        }
        for (partition, place) in table.partitions.iter().zip(0..) {
            if partition.partition != place {
                return Err(damaged(format!("'{}' has no partition {place}", table.name)));
            }
            if let Some(file) =
                partition.keys.as_ref().filter(|file| file.path != keys_path(&table.directory(), place))
            {
                return Err(damaged(format!("'{}' is no file of partition {place}", file.path)));
            }
            for (file, number) in partition.files.iter().zip(0..) {
                if file.path != file_path(&table.directory(), place, number) {
                    return Err(damaged(format!("'{}' is no file of partition {place}", file.path)));
                }
            }
        }
    }
    Ok(begun)
}

/// The path of a block file within its backup.
pub(crate) fn file_path(directory: &str, partition: u32, number: u32) -> String {
    format!("{directory}/{partition:04}-{number:03}.skb")
}

/// The path of the keys of a partition within their backup.
pub(crate) fn keys_path(directory: &str, partition: u32) -> String {
    format!("{directory}/{partition:04}-keys.skb")
}

/// The path of what says that a partition is complete.
pub(crate) fn partition_path(directory: &str, partition: u32) -> String {
    format!("{directory}/{partition:04}.json")
}

pub(crate) fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=limits::NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_word)
}

pub(crate) fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=limits::BACKUP_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(is_allowed)
        && id.starts_with(|first: char| first.is_ascii_digit())
}

/// A name that came from outside and becomes part of a path.
fn checked(id: &str) -> Result<&str, BackupError> {
    match is_id(id) {
        true => Ok(id),
        false => Err(BackupError::NoBackup(format!("'{id}' is no name of a backup"))),
    }
}

/// A moment as `20261126T231502Z`, in UTC.
pub fn compact_time(millis: u64) -> String {
    let seconds = millis / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day since 1970. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The day since 1970 of a date; `None` if there is none of the kind, or it is before 1970. The other way round of
/// [`civil`].
pub fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = (era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year) - 719_468;
    // The 30th of February is another day.
    (civil(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for days in [0, 1, 58, 59, 60, 364, 365, 789, 11_016, 11_017, 20_783, 2_932_896] {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, month, day), Some(days));
        }
        for (year, month, day) in [(1969, 12, 31), (2026, 2, 29), (2026, 4, 31), (2026, 13, 1), (2026, 0, 1)]
        {
            assert_eq!(days_of(year, month, day), None);
        }
    }

    #[test]
    fn names_tell_the_time() {
        assert_eq!(id(1_795_735_800_000, 0xff_5c1d9a), "20261126T233000Z-5c1d9a");
        assert_eq!(compact_time(0), "19700101T000000Z");
        assert_eq!(compact_time(951_782_400_000), "20000229T000000Z");
        assert_eq!(compact_time(1_709_251_199_000), "20240229T235959Z");
        assert!(is_id(&id(1_795_735_800_000, 7)));
        for name in ["", "..", "2/..", "2.", "proofs", "restores"] {
            assert!(!is_id(name), "{name}");
        }
    }
}
