//! What a partition held at the moment of a backup, out of all backups that it stands on.
//!
//! ```text
//!   newest     keys  b 12   c ✝    e 11         contents  B'     E
//!   full       keys  a 7    b 5    c 9   d 4    contents  A  B   C  D
//!                    ─────────────────────────────────────────────────►  one pass, in the order of keys
//!   together         A      B'     -     D  E
//! ```
//!
//! All files are read side by side and each to its end, one block of each in memory. For each key the newest backup that
//! says anything of it counts; what older ones hold of it is read and passed over. Contents and keys of a backup must
//! tell the same keys with the same stamps, so that a file in the place of another is found here at the latest.

use api::kv::{Contents, Piece};
use prost::Message;

use crate::chain::Chain;
use crate::error::BackupError;
use crate::keys::{KeysReader, Told, least};
use crate::manifest::{Manifest, PartitionRecord, TableRecord};
use crate::read::FileContents;
use crate::target::Target;
use crate::write::PAGE_BYTES;

/// The contents of a partition, out of a chain of backups.
pub struct Layers<'a> {
    target: &'a dyn Target,
    /// The newest first.
    layers: Vec<Layer<'a>>,
    keys: Vec<KeysReader>,
    /// The key of which pieces are being taken, and the layer that they come from.
    open: Option<(usize, Told)>,
}

/// The contents of a partition in one backup.
struct Layer<'a> {
    manifest: &'a Manifest,
    table: &'a TableRecord,
    partition: &'a PartitionRecord,
    /// The number of the next file.
    number: usize,
    file: Option<FileContents>,
    pieces: std::vec::IntoIter<Piece>,
    /// Bytes of files that were read before.
    bytes: u64,
}

impl<'a> Layers<'a> {
    /// Begins to read a partition of the newest backup of a chain.
    ///
    /// # Errors
    /// `NoBackup` if there is no such partition; `Missing`, `Damaged`; what the target says.
    pub fn open(
        target: &'a dyn Target,
        chain: &'a Chain,
        (namespace, name): (&str, &str),
        partition: u32,
    ) -> Result<Self, BackupError> {
        let (mut layers, mut keys) = (Vec::new(), Vec::new());
        for manifest in chain.manifests() {
            let (table, place) = manifest.begun.partition((namespace, name), partition)?;
            keys.push(KeysReader::open(target, manifest, table, place)?);
            let pieces = Vec::new().into_iter();
            layers.push(Layer { manifest, table, partition: place, number: 0, file: None, pieces, bytes: 0 });
        }
        Ok(Self { target, layers, keys, open: None })
    }

    /// The next contents, some hundred KiB; a collection may be cut between two. `None` once every file was read to its
    /// end and is the one that was written.
    ///
    /// # Errors
    /// `Damaged`, naming file and offset; what the target says.
    pub fn next_block(&mut self) -> Result<Option<Contents>, BackupError> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES {
            let Some(piece) = self.next_piece()? else { break };
            bytes += piece.encoded_len();
            pieces.push(piece);
        }
        Ok((!pieces.is_empty()).then_some(Contents { pieces }))
    }

    /// Bytes of files that were read.
    pub fn bytes_read(&self) -> u64 {
        let contents: u64 = self.layers.iter().map(Layer::bytes_read).sum();
        contents + self.keys.iter().map(KeysReader::bytes_read).sum::<u64>()
    }

    fn next_piece(&mut self) -> Result<Option<Piece>, BackupError> {
        if let Some((layer, told)) = self.open.take() {
            let piece = self.layers[layer].rest_of(self.target, &told)?;
            if piece.more {
                self.open = Some((layer, told));
            }
            return Ok(Some(piece));
        }
        while let Some((newest, told)) = least(self.keys.iter()) {
            let mut taken = None;
            for (number, keys) in self.keys.iter_mut().enumerate() {
                if keys.peek().is_none_or(|other| other.place != told.place) {
                    continue;
                }
                let Some(told) = keys.advance()? else { continue };
                let layer = &mut self.layers[number];
                match (number == newest, told.is_gone()) {
                    (_, true) => {}
                    (true, false) => taken = Some((layer.begin(self.target, &told)?, told)),
                    (false, false) => layer.pass_over(self.target, &told)?,
                }
            }
            if let Some((piece, told)) = taken {
                if piece.more {
                    self.open = Some((newest, told));
                }
                return Ok(Some(piece));
            }
        }
        for layer in &mut self.layers {
            layer.end(self.target)?;
        }
        Ok(None)
    }
}

impl Layer<'_> {
    fn bytes_read(&self) -> u64 {
        self.bytes + self.file.as_ref().map_or(0, FileContents::bytes_read)
    }

    fn next_piece(&mut self, target: &dyn Target) -> Result<Option<Piece>, BackupError> {
        loop {
            if let Some(piece) = self.pieces.next() {
                return Ok(Some(piece));
            }
            let Some(file) = &mut self.file else {
                if self.number == self.partition.files.len() {
                    return Ok(None);
                }
                let file =
                    FileContents::open(target, self.manifest, self.table, self.partition, self.number)?;
                self.file = Some(file);
                continue;
            };
            match file.next_block()? {
                Some(contents) => self.pieces = contents.pieces.into_iter(),
                None => {
                    self.bytes += file.bytes_read();
                    self.file = None;
                    self.number += 1;
                }
            }
        }
    }

    /// The first piece of a key.
    fn begin(&mut self, target: &dyn Target, told: &Told) -> Result<Piece, BackupError> {
        let piece = self.next_piece(target)?.filter(|piece| told.is_begun_by(piece));
        piece.ok_or_else(|| self.other())
    }

    /// Another piece of a key.
    fn rest_of(&mut self, target: &dyn Target, told: &Told) -> Result<Piece, BackupError> {
        let piece = self.next_piece(target)?.filter(|piece| told.goes_on_with(piece));
        piece.ok_or_else(|| self.other())
    }

    /// Reads all pieces of a key of which a newer backup says something else.
    fn pass_over(&mut self, target: &dyn Target, told: &Told) -> Result<(), BackupError> {
        let mut more = self.begin(target, told)?.more;
        while more {
            more = self.rest_of(target, told)?.more;
        }
        Ok(())
    }

    fn end(&mut self, target: &dyn Target) -> Result<(), BackupError> {
        self.next_piece(target)?.map_or(Ok(()), |_| Err(self.other()))
    }

    /// Each file is what the manifest describes, and yet they do not belong together.
    fn other(&self) -> BackupError {
        let (directory, partition) = (self.table.directory(), self.partition.partition);
        let name = format!("{}/{directory}/{partition:04}", self.manifest.begun.id);
        let at = self.file.as_ref().map_or(0, FileContents::bytes_read);
        BackupError::damaged(&name, at, "contents and keys do not tell the same")
    }
}
