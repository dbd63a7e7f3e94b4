//! A small backup, and what is needed to make it.
#![allow(dead_code, reason = "each test file needs a part of it")]

pub mod archive;
pub mod breaking;

use std::fs;
use std::path::{Path, PathBuf};

use api::kv::{ContentKind, ContentSum, Contents, Piece};
use backup::write::Progress;
use backup::{
    BackupError, Begun, Chain, FORMAT, Manifest, PartitionRecord, TableRecord, Target, verify, write,
};
use engine::{ContentPage, ContentSource, EngineError, IsKnown};
use prost::Message;
use types::Hlc;

/// Its name.
pub const ID: &str = "20261126T233000Z-5c1d9a";
/// Its partitions.
pub const PARTITIONS: u32 = 3;

/// Contents that were made up.
pub struct Made(pub Vec<Contents>);

impl ContentSource for Made {
    fn next_page_without(
        &mut self,
        _bytes_max: usize,
        is_known: IsKnown<'_>,
    ) -> Result<Option<ContentPage>, EngineError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut contents = self.0.remove(0);
        let mut sum = ContentSum::default();
        contents.pieces.iter().for_each(|piece| sum.add(piece));
        contents.pieces.retain(|piece| !is_known(&piece.key, Hlc(piece.version)));
        Ok(Some(ContentPage { body: contents.encode_to_vec().into(), sum, is_whole: true }))
    }
}

/// A few keys in a few pages.
pub fn contents(partition: u32) -> Vec<Contents> {
    let piece = |number: u32| Piece {
        key: format!("{partition}:{number}").into(),
        kind: ContentKind::String as i32,
        version: 7,
        value: "value".into(),
        ..Default::default()
    };
    pages((0..12).map(piece).collect(), 4)
}

/// Keys in the order in which engines tell them, some in each page.
pub fn pages(mut pieces: Vec<Piece>, in_page: usize) -> Vec<Contents> {
    pieces.sort_by_key(|piece| (types::hash::position(&piece.key), piece.key.clone()));
    pieces.chunks(in_page).map(|pieces| Contents { pieces: pieces.to_vec() }).collect()
}

/// A backup of one table.
pub fn begun() -> Begun {
    begun_of(PARTITIONS)
}

/// The same, of another number of partitions.
pub fn begun_of(partitions: u32) -> Begun {
    let partition =
        |partition| PartitionRecord { partition, group: 10, index: 5, term: 1, ..Default::default() };
    Begun {
        format: FORMAT,
        id: ID.into(),
        cluster: "c".into(),
        cluster_name: "skein".into(),
        release: "0.1.0".into(),
        begun_ms: 1,
        at_ms: 2,
        kinds: Vec::new(),
        schedule: String::new(),
        parent: None,
        tables: vec![TableRecord {
            namespace: "default".into(),
            name: "kv".into(),
            engine: "kv".into(),
            hash: "tag".into(),
            replicas: 3,
            partitions: (0..partitions).map(partition).collect(),
        }],
    }
}

/// Does what is left to do of a backup; the number of partitions that had to be written.
pub fn go_on(target: &dyn Target, contents: &dyn Fn(u32) -> Vec<Contents>) -> Result<u32, BackupError> {
    go_on_with(target, &begun(), contents)
}

/// The same of any backup, which is begun as it is given.
pub fn go_on_with(
    target: &dyn Target,
    wished: &Begun,
    contents: &dyn Fn(u32) -> Vec<Contents>,
) -> Result<u32, BackupError> {
    let mut begun = match backup::begun(target, &wished.id) {
        Err(BackupError::NoBackup(_)) => {
            backup::begin(target, wished)?;
            wished.clone()
        }
        begun => begun?,
    };
    let mut written = 0;
    for partition in 0..PARTITIONS {
        let table = &begun.tables[0];
        let place = &table.partitions[partition as usize];
        written += u32::from(write::complete(target, &begun, table, place)?.is_none());
        let mut source = Made(contents(partition));
        let record = write::partition(target, &begun, table, place, &mut source, &Progress::default())?;
        begun.tables[0].partitions[partition as usize] = record;
    }
    backup::finish(target, &Manifest::new(begun, 3))?;
    Ok(written)
}

/// Whether a backup is there, and every byte of it is what was written.
pub fn is_good(target: &dyn Target) -> bool {
    is_good_of(target, ID)
}

/// The same of the backup of a name.
pub fn is_good_of(target: &dyn Target, id: &str) -> bool {
    let chain = Chain::load(target, id).unwrap();
    let manifest = chain.newest();
    let found = verify::all(target, &chain, &Progress::default()).unwrap();
    found.damaged.is_empty() && found.sum == manifest.sum && manifest.sum.keys > 0
}

/// Every file under a directory, by name.
pub fn files_of(place: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![place.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
