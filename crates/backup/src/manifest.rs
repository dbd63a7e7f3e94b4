//! What describes a backup: JSON for people and programs, each file with its checksum as the last line.
//!
//! ```text
//!   { "format": 1, … }
//!   #xxh3 5f0c…            XXH3-128 of everything before this line
//! ```

use api::kv::ContentSum;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::block::FileSum;
use crate::error::BackupError;

/// The version of the descriptions.
pub const FORMAT: u32 = 1;
/// What the last line begins with.
const SEAL: &str = "#xxh3 ";

/// What a backup is to be: the first file of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// The version of the descriptions.
    pub format: u32,
    /// The backup's name.
    pub id: String,
    /// The cluster's id, as hexadecimal text.
    pub cluster: String,
    /// What people call the cluster.
    pub cluster_name: String,
    /// The release that made it.
    pub release: String,
    /// When it was begun, milliseconds since 1970.
    pub begun_ms: u64,
    /// The point in time: it holds every write with a stamp below this millisecond, and no other.
    pub at_ms: u64,
    /// Kinds of keys that were asked for, by name; none means all.
    pub kinds: Vec<String>,
    /// The schedule that it was taken for; empty if somebody asked for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// The backup that it stands on; none if it is a full one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentRecord>,
    /// The tables, without what they hold.
    pub tables: Vec<TableRecord>,
}

/// The backup that an increment stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParentRecord {
    /// Its name.
    pub id: String,
    /// XXH3-128 of its manifest, as hexadecimal text.
    pub checksum: String,
    /// How many backups are in its chain: 1 for a full one.
    pub length: usize,
}

/// A table, and once it is complete what it held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRecord {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its engine.
    pub engine: String,
    /// How keys find their partition: `tag` or `whole`.
    pub hash: String,
    /// How many replicas each partition had.
    pub replicas: u32,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionRecord>,
}

/// A partition: where it stood, and once it is complete what it held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionRecord {
    /// Its place in the table.
    pub partition: u32,
    /// Its Raft group.
    pub group: u64,
    /// The log index of its barrier.
    pub index: u64,
    /// The barrier's term.
    pub term: u64,
    /// The node that wrote it; 0 before.
    #[serde(default)]
    pub node: u64,
    /// Its files, in order.
    #[serde(default)]
    pub files: Vec<FileRecord>,
    /// The file of its keys: those that its files have, and those of the parent that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<FileRecord>,
    /// What it held, of an increment too: all, not only what its files have.
    #[serde(default)]
    pub sum: SumRecord,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Its path from the backup's directory.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// XXH3-128 of it, as hexadecimal text.
    pub checksum: String,
    /// What it holds.
    pub sum: SumRecord,
    /// Keys that it tells to be gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gone: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A [`ContentSum`] as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumRecord {
    /// Keys.
    pub keys: u64,
    /// Elements of collections.
    pub elements: u64,
    /// Bytes of keys, values and elements.
    pub bytes: u64,
    /// Keys that have an expiry.
    pub expiring: u64,
    /// The content digest, as hexadecimal text.
    pub digest: String,
}

/// A whole backup: the last file of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What it was to be, with its tables complete.
    pub begun: Begun,
    /// When it was complete, milliseconds since 1970.
    pub finished_ms: u64,
    /// Bytes of its own block files, without those of what it stands on.
    pub bytes: u64,
    /// What all tables held.
    pub sum: SumRecord,
}

/// A restore that was compared with the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The version of the descriptions.
    pub format: u32,
    /// The backup.
    pub id: String,
    /// When the drill began, milliseconds since 1970.
    pub begun_ms: u64,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// The cluster that it was restored into, as hexadecimal text.
    pub cluster: String,
    /// Partitions of the tables that it was restored into, in the order of the manifest's tables.
    pub partitions: Vec<u32>,
    /// What the copies held; equal to what the backup says, else there is no proof.
    pub sum: SumRecord,
}

impl Default for SumRecord {
    fn default() -> Self {
        Self::from(&ContentSum::default())
    }
}

impl From<&ContentSum> for SumRecord {
    fn from(sum: &ContentSum) -> Self {
        Self {
            keys: sum.keys,
            elements: sum.elements,
            bytes: sum.bytes,
            expiring: sum.expiring,
            digest: sum.digest_text(),
        }
    }
}

impl SumRecord {
    /// The sum; a digest that is no number counts as 0, and so equals none.
    pub fn to_sum(&self) -> ContentSum {
        ContentSum {
            keys: self.keys,
            elements: self.elements,
            bytes: self.bytes,
            expiring: self.expiring,
            digest: u128::from_str_radix(&self.digest, 16).unwrap_or(0),
        }
    }

    /// The sum of several.
    pub fn total<'a>(sums: impl IntoIterator<Item = &'a SumRecord>) -> Self {
        let mut total = ContentSum::default();
        sums.into_iter().for_each(|sum| total.merge(&sum.to_sum()));
        Self::from(&total)
    }
}

impl FileRecord {
    /// The record of a file that was written.
    pub fn new(path: String, sum: &FileSum) -> Self {
        let checksum = format!("{:032x}", sum.checksum);
        Self { path, bytes: sum.bytes, checksum, sum: SumRecord::from(&sum.contents), gone: sum.gone }
    }

    /// Whether a file that was read is the one that was written.
    pub fn fits(&self, sum: &FileSum) -> bool {
        *self == Self::new(self.path.clone(), sum)
    }
}

impl Begun {
    /// How many backups it stands on, itself among them: 1 for a full one.
    pub fn chain_length(&self) -> usize {
        self.parent.as_ref().map_or(1, |parent| parent.length.saturating_add(1))
    }

    /// The table of the same name.
    pub(crate) fn table(&self, like: &TableRecord) -> Option<&TableRecord> {
        self.tables.iter().find(|table| table.namespace == like.namespace && table.name == like.name)
    }

    /// A partition of a table, given by namespace and name.
    ///
    /// # Errors
    /// `NoBackup` if it has none such.
    pub fn partition(
        &self,
        (namespace, name): (&str, &str),
        partition: u32,
    ) -> Result<(&TableRecord, &PartitionRecord), BackupError> {
        let table = self.tables.iter().find(|table| table.namespace == namespace && table.name == name);
        let found = table.and_then(|table| Some((table, table.partitions.get(partition as usize)?)));
        let none = || format!("backup '{}' has no partition {partition} of {namespace}.{name}", self.id);
        found.ok_or_else(|| BackupError::NoBackup(none()))
    }
}

impl PartitionRecord {
    /// Its files, that of its keys among them.
    pub fn all_files(&self) -> impl Iterator<Item = &FileRecord> {
        self.files.iter().chain(&self.keys)
    }
}

impl TableRecord {
    /// `namespace.name`: the directory of its files.
    pub fn directory(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    /// `namespace:name`, or just the name in the default namespace.
    pub fn title(&self) -> String {
        match self.namespace.as_str() {
            "default" => self.name.clone(),
            namespace => format!("{namespace}:{}", self.name),
        }
    }

    /// What it held.
    pub fn sum(&self) -> SumRecord {
        SumRecord::total(self.partitions.iter().map(|partition| &partition.sum))
    }
}

impl Manifest {
    /// Keys of the backup that it stands on that are gone.
    pub fn gone(&self) -> u64 {
        let partitions = self.begun.tables.iter().flat_map(|table| &table.partitions);
        partitions.filter_map(|partition| Some(partition.keys.as_ref()?.gone)).sum()
    }

    /// Keys that its own files have.
    pub fn saved_keys(&self) -> u64 {
        let partitions = self.begun.tables.iter().flat_map(|table| &table.partitions);
        partitions.filter_map(|partition| Some(partition.keys.as_ref()?.sum.keys)).sum()
    }

    /// The manifest of a backup whose tables are complete.
    pub fn new(begun: Begun, finished_ms: u64) -> Self {
        let partitions = || begun.tables.iter().flat_map(|table| &table.partitions);
        let bytes = partitions().flat_map(PartitionRecord::all_files).map(|file| file.bytes).sum();
        let sum = SumRecord::total(partitions().map(|partition| &partition.sum));
        Self { begun, finished_ms, bytes, sum }
    }
}

/// A description as the bytes of its file.
pub fn seal(description: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(description).expect("descriptions are plain data");
    text.push('\n');
    let checksum = xxh3_128(text.as_bytes());
    text.push_str(&format!("{SEAL}{checksum:032x}\n"));
    text.into_bytes()
}

/// The checksum in the last line of a description.
pub(crate) fn checksum_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let last = text.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
    last.strip_prefix(SEAL).unwrap_or_default().to_ascii_lowercase()
}

/// The description in the bytes of a file.
///
/// # Errors
/// `Damaged` if the last line does not fit the rest, or the rest is no such description.
pub fn unseal<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, BackupError> {
    let damaged = |offset: usize, what: String| BackupError::damaged(file, offset as u64, what);
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.valid_up_to(), "no text".into()))?;
    let sealed_at = text.trim_end_matches('\n').rfind('\n').map_or(0, |place| place + 1);
    let (body, last) = text.split_at(sealed_at);
    let stored = last.trim_end_matches('\n').strip_prefix(SEAL);
    let stored = stored.and_then(|digits| u128::from_str_radix(digits, 16).ok());
    let stored = stored
        .ok_or_else(|| damaged(sealed_at, "the last line is no checksum: the file is cut off".into()))?;
    if stored != xxh3_128(body.as_bytes()) {
        return Err(damaged(0, "the checksum in the last line does not fit".into()));
    }
    serde_json::from_str(body).map_err(|error| {
        let lines = body.split_inclusive('\n').take(error.line().saturating_sub(1));
        damaged(lines.map(str::len).sum::<usize>() + error.column(), error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proof() -> Proof {
        Proof {
            format: FORMAT,
            id: "b".into(),
            begun_ms: 1,
            took_ms: 2,
            cluster: "c".into(),
            partitions: vec![3],
            sum: SumRecord::default(),
        }
    }

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let bytes = seal(&proof());
        assert_eq!(unseal::<Proof>("f", &bytes).unwrap(), proof());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("{\n") && text.contains("\n#xxh3 "), "{text}");
    }

    #[test]
    fn another_description_is_refused() {
        let error = unseal::<Proof>("f", &seal(&SumRecord::default())).unwrap_err();
        assert!(error.to_string().starts_with("f, byte "), "{error}");
        assert!(unseal::<Proof>("f", b"").unwrap_err().to_string().contains("cut off"));
        assert!(unseal::<Proof>("f", b"{}").unwrap_err().to_string().contains("cut off"));
    }

    #[test]
    fn sums_add_up() {
        let mut sum = ContentSum { keys: 1, elements: 2, bytes: 3, expiring: 1, digest: u128::MAX };
        let record = SumRecord::from(&sum);
        assert_eq!(record.to_sum(), sum);
        sum.merge(&sum.clone());
        assert_eq!(SumRecord::total([&record, &record]).to_sum(), sum);
    }

    proptest! {
        #[test]
        fn damage_is_always_found(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = seal(&proof());
            let place = place.index(bytes.len());
            // A line feed more or less at the end changes nothing.
            prop_assume!(bytes[place] != byte && place + 1 < bytes.len());
            if cut {
                bytes.truncate(place);
            } else {
                bytes[place] = byte;
            }
            // Hexadecimal digits may be large.
            let same = String::from_utf8_lossy(&bytes).to_lowercase().as_bytes() == seal(&proof());
            prop_assert!(same || unseal::<Proof>("f", &bytes).is_err());
        }
    }
}
