//! Block files: contents, or the keys of them (see `keys`), as numbered, compressed, checksummed blocks.
//!
//! ```text
//!   head    "SKEINBKP" │ version u16 = 1 │ bytes of what follows u32 │ whose file it is │ CRC32C of all before u32
//!   block   kind u8 = 1 │ number u32, from 0 │ bytes stored u32 │ bytes in full u32 │ CRC32C u32 │ zstd of Contents or Keys
//!   …
//!   end     kind u8 = 2 │ number u32         │ bytes u32        │ the same u32      │ CRC32C u32 │ totals
//! ```
//!
//! Numbers are big-endian. A block's CRC32C is over its first 13 bytes and its stored bytes. Whose file it is and the
//! totals are Protocol Buffers. What every kind of damage meets:
//!
//! | damage | found by |
//! |---|---|
//! | bytes changed | the CRC of head or block; whatever slips through, by the totals |
//! | cut off | the end is missing |
//! | blocks left out, repeated, exchanged | their numbers, which the CRC covers |
//! | a file of another backup, table or partition, or another file of the same | the head |
//! | something appended | the end is not the end |
//!
//! Files may come from anybody, so no length is believed before it was compared with its limit.

use std::io::{self, Read, Write};

use api::kv::{ContentSum, Contents};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use xxhash_rust::xxh3::Xxh3;

use crate::error::BackupError;
use crate::keys::Keys;

const MAGIC: &[u8; 8] = b"SKEINBKP";
const VERSION: u16 = 1;
/// Bytes of the head before what it says.
const HEAD_BYTES: usize = 8 + 2 + 4;
/// Bytes before a block's contents.
const BLOCK_HEAD_BYTES: usize = 1 + 4 + 4 + 4 + 4;
/// Of which so many are under the checksum.
const CHECKED_BYTES: usize = 13;
const CONTENTS: u8 = 1;
const END: u8 = 2;
/// Longest description in a head: names have up to 255 bytes.
const DESCRIPTION_BYTES_MAX: usize = 4096;
/// Most bytes of a block in full: a page, and the largest value that may come on top of it, twice.
pub const BLOCK_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Whose file it is.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FileHead {
    /// The backup.
    #[prost(string, tag = "1")]
    pub backup: String,
    /// The table's namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// The table's name.
    #[prost(string, tag = "3")]
    pub table: String,
    /// The partition.
    #[prost(uint32, tag = "4")]
    pub partition: u32,
    /// The file's number within the partition.
    #[prost(uint32, tag = "5")]
    pub number: u32,
    /// It has the partition's keys, without what they hold.
    #[prost(bool, tag = "6")]
    pub keys: bool,
}

/// What the whole file comes to.
#[derive(Clone, Copy, PartialEq, Message)]
struct Totals {
    #[prost(uint64, tag = "1")]
    keys: u64,
    #[prost(uint64, tag = "2")]
    elements: u64,
    #[prost(uint64, tag = "3")]
    bytes: u64,
    #[prost(uint64, tag = "4")]
    expiring: u64,
    #[prost(fixed64, tag = "5")]
    digest_high: u64,
    #[prost(fixed64, tag = "6")]
    digest_low: u64,
    #[prost(uint64, tag = "7")]
    gone: u64,
}

impl From<&FileSum> for Totals {
    fn from(FileSum { contents: sum, gone, .. }: &FileSum) -> Self {
        Self {
            keys: sum.keys,
            elements: sum.elements,
            bytes: sum.bytes,
            expiring: sum.expiring,
            digest_high: (sum.digest >> 64) as u64,
            digest_low: sum.digest as u64,
            gone: *gone,
        }
    }
}

/// What is known of a file that was written or read to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSum {
    /// Its length.
    pub bytes: u64,
    /// XXH3-128 of all of it.
    pub checksum: u128,
    /// What its contents come to; of a file of keys, what these come to.
    pub contents: ContentSum,
    /// Keys that are told to be gone.
    pub gone: u64,
}

/// Writes a block file.
pub struct BlockWriter<W> {
    out: W,
    compressor: zstd::bulk::Compressor<'static>,
    number: u32,
    hasher: Xxh3,
    sum: FileSum,
}

impl<W: Write> BlockWriter<W> {
    /// Begins a file. `level` is zstd's.
    ///
    /// # Errors
    /// Whatever the writer says.
    pub fn new(out: W, head: &FileHead, level: i32) -> io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(level)?;
        let mut writer = Self { out, compressor, number: 0, hasher: Xxh3::new(), sum: FileSum::default() };
        let description = head.encode_to_vec();
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + description.len() + 4);
        bytes.put_slice(MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u32(description.len() as u32);
        bytes.put_slice(&description);
        bytes.put_u32(crc32c::crc32c(&bytes));
        writer.put(&bytes)?;
        Ok(writer)
    }

    /// Writes a block: `contents` encoded, and what they come to.
    ///
    /// # Errors
    /// Whatever the writer says; `InvalidInput` for more than [`BLOCK_BYTES_MAX`].
    pub fn write(&mut self, contents: &[u8], sum: &ContentSum) -> io::Result<()> {
        self.put_full(contents)?;
        self.sum.contents.merge(sum);
        Ok(())
    }

    /// Writes a block of keys.
    ///
    /// # Errors
    /// Whatever the writer says; `InvalidInput` for more than [`BLOCK_BYTES_MAX`].
    pub(crate) fn write_keys(&mut self, keys: &Keys) -> io::Result<()> {
        self.put_full(&keys.encode_to_vec())?;
        keys.add_to(&mut self.sum);
        Ok(())
    }

    fn put_full(&mut self, contents: &[u8]) -> io::Result<()> {
        if contents.len() > BLOCK_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a block is too large"));
        }
        let stored = self.compressor.compress(contents)?;
        self.put_block(CONTENTS, &stored, contents.len())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.sum.bytes
    }

    /// Ends the file, and hands back the writer, which the caller makes durable.
    ///
    /// # Errors
    /// Whatever the writer says.
    pub fn finish(mut self) -> io::Result<(W, FileSum)> {
        let totals = Totals::from(&self.sum).encode_to_vec();
        self.put_block(END, &totals, totals.len())?;
        self.sum.checksum = self.hasher.digest128();
        Ok((self.out, self.sum))
    }

    fn put_block(&mut self, kind: u8, stored: &[u8], full_bytes: usize) -> io::Result<()> {
        let mut head = BytesMut::with_capacity(BLOCK_HEAD_BYTES);
        head.put_u8(kind);
        head.put_u32(self.number);
        head.put_u32(stored.len() as u32);
        head.put_u32(full_bytes as u32);
        head.put_u32(crc32c::crc32c_append(crc32c::crc32c(&head), stored));
        self.number += 1;
        self.put(&head)?;
        self.put(stored)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.sum.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Reads a block file, and believes nothing of it.
pub struct BlockReader<R> {
    input: R,
    /// What errors call the file.
    name: String,
    decompressor: zstd::bulk::Decompressor<'static>,
    number: u32,
    hasher: Xxh3,
    sum: FileSum,
    ended: bool,
}

impl<R: Read> BlockReader<R> {
    /// Begins to read a file that should have this head.
    ///
    /// # Errors
    /// `Damaged` when it has another, or is no block file that this release knows; what the reader says.
    pub fn new(input: R, name: &str, expected: &FileHead) -> Result<Self, BackupError> {
        let decompressor = zstd::bulk::Decompressor::new().map_err(|error| BackupError::io(name, &error))?;
        let name = name.to_owned();
        let (hasher, sum) = (Xxh3::new(), FileSum::default());
        let mut reader = Self { input, name, decompressor, number: 0, hasher, sum, ended: false };
        reader.read_head(expected)?;
        Ok(reader)
    }

    /// The contents of the next block; `None` once the file has ended as it should.
    ///
    /// # Errors
    /// `Damaged`, naming where; what the reader says.
    pub fn next_block(&mut self) -> Result<Option<Contents>, BackupError> {
        let at = self.sum.bytes;
        let Some(full) = self.next_full()? else { return Ok(None) };
        let contents = Contents::decode(full).map_err(|_| self.damaged(at, "a block holds no contents"))?;
        contents.pieces.iter().for_each(|piece| self.sum.contents.add(piece));
        Ok(Some(contents))
    }

    /// The keys of the next block, of a file that has such; `None` once the file has ended as it should.
    ///
    /// # Errors
    /// `Damaged`, naming where; what the reader says.
    pub(crate) fn next_keys(&mut self) -> Result<Option<Keys>, BackupError> {
        let at = self.sum.bytes;
        let Some(full) = self.next_full()? else { return Ok(None) };
        let keys = Keys::decode(full).ok().filter(Keys::is_even);
        let keys = keys.ok_or_else(|| self.damaged(at, "a block holds no keys"))?;
        keys.add_to(&mut self.sum);
        Ok(Some(keys))
    }

    /// The next block in full.
    fn next_full(&mut self) -> Result<Option<Bytes>, BackupError> {
        if self.ended {
            return Ok(None);
        }
        let at = self.sum.bytes;
        let head: [u8; BLOCK_HEAD_BYTES] = self.array("the end is missing")?;
        let number = |place: usize| {
            u32::from_be_bytes([head[place], head[place + 1], head[place + 2], head[place + 3]])
        };
        let (kind, stored_bytes, full_bytes) = (head[0], number(5) as usize, number(9) as usize);
        if !matches!(kind, CONTENTS | END)
            || stored_bytes > BLOCK_BYTES_MAX + 1024
            || full_bytes > BLOCK_BYTES_MAX
        {
            return Err(self.damaged(at, "no block begins here"));
        }
        let stored = self.take(stored_bytes, "a block is cut off")?;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&head[..CHECKED_BYTES]), &stored);
        if checksum != number(13) {
            return Err(self.damaged(at, "a block's checksum does not fit"));
        }
        if number(1) != self.number {
            let what = format!("block {} stands in the place of block {}", number(1), self.number);
            return Err(self.damaged(at, &what));
        }
        self.number += 1;
        if kind == END {
            self.end(at, &stored)?;
            return Ok(None);
        }
        let full = self.decompressor.decompress(&stored, full_bytes);
        let full = full.ok().filter(|full| full.len() == full_bytes);
        let full = full.ok_or_else(|| self.damaged(at, "a block cannot be decompressed"))?;
        Ok(Some(full.into()))
    }

    /// Where the next block begins.
    pub fn offset(&self) -> u64 {
        self.sum.bytes
    }

    /// What was read; everything, once [`Self::next_block`] has returned `None`.
    pub fn sum(&self) -> FileSum {
        FileSum { checksum: self.hasher.digest128(), ..self.sum }
    }

    fn read_head(&mut self, expected: &FileHead) -> Result<(), BackupError> {
        let fixed: [u8; HEAD_BYTES] = self.array("the head is cut off")?;
        if &fixed[..8] != MAGIC {
            return Err(self.damaged(0, "this is no file of a backup"));
        }
        let version = u16::from_be_bytes([fixed[8], fixed[9]]);
        if version != VERSION {
            return Err(self.damaged(8, &format!("format version {version} is not known to this release")));
        }
        let length = u32::from_be_bytes([fixed[10], fixed[11], fixed[12], fixed[13]]) as usize;
        if length > DESCRIPTION_BYTES_MAX {
            return Err(self.damaged(10, "the head is too long"));
        }
        let description = self.take(length, "the head is cut off")?;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&fixed), &description);
        let stored: [u8; 4] = self.array("the head is cut off")?;
        if checksum != u32::from_be_bytes(stored) {
            return Err(self.damaged(0, "the head's checksum does not fit"));
        }
        let head = FileHead::decode(&description[..]);
        let head = head.map_err(|_| self.damaged(HEAD_BYTES as u64, "the head cannot be read"))?;
        if head != *expected {
            let file = if head.keys { "the keys".into() } else { format!("file {}", head.number) };
            let what = format!(
                "this is {file} of partition {} of {}.{} in backup {}, and another belongs here",
                head.partition, head.namespace, head.table, head.backup
            );
            return Err(self.damaged(HEAD_BYTES as u64, &what));
        }
        Ok(())
    }

    fn end(&mut self, at: u64, stored: &[u8]) -> Result<(), BackupError> {
        let totals = Totals::decode(stored).map_err(|_| self.damaged(at, "the totals cannot be read"))?;
        if totals != Totals::from(&self.sum) {
            return Err(self.damaged(at, "the totals are not those of the blocks"));
        }
        let mut byte = [0];
        if self.read_some(&mut byte)? != 0 {
            return Err(self.damaged(self.sum.bytes, "something follows the end"));
        }
        self.ended = true;
        Ok(())
    }

    fn array<const N: usize>(&mut self, cut_off: &str) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, cut_off)?;
        Ok(bytes)
    }

    fn take(&mut self, length: usize, cut_off: &str) -> Result<Vec<u8>, BackupError> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, cut_off)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], cut_off: &str) -> Result<(), BackupError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_some(&mut bytes[filled..])? {
                0 => return Err(self.damaged(self.sum.bytes + filled as u64, cut_off)),
                read => filled += read,
            }
        }
        self.hasher.update(bytes);
        self.sum.bytes += bytes.len() as u64;
        Ok(())
    }

    fn read_some(&mut self, bytes: &mut [u8]) -> Result<usize, BackupError> {
        loop {
            match self.input.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BackupError::io(&self.name, &error)),
                Ok(read) => return Ok(read),
            }
        }
    }

    fn damaged(&self, offset: u64, what: &str) -> BackupError {
        BackupError::damaged(&self.name, offset, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kv::{ContentKind, Piece};
    use proptest::prelude::*;

    fn head() -> FileHead {
        let (namespace, table) = ("default".into(), "kv".into());
        FileHead { backup: "b1".into(), namespace, table, partition: 3, number: 0, keys: false }
    }

    fn block(number: usize) -> Contents {
        let piece = |key: usize| Piece {
            key: format!("key {number} {key}").into(),
            kind: ContentKind::String as i32,
            value: vec![number as u8; 40].into(),
            ..Default::default()
        };
        Contents { pieces: (0..5).map(piece).collect() }
    }

    fn file(blocks: &[usize]) -> (Vec<u8>, FileSum) {
        let mut writer = BlockWriter::new(Vec::new(), &head(), 1).unwrap();
        for number in blocks {
            let contents = block(*number);
            let mut sum = ContentSum::default();
            contents.pieces.iter().for_each(|piece| sum.add(piece));
            writer.write(&contents.encode_to_vec(), &sum).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8], head: &FileHead) -> Result<(Vec<Contents>, FileSum), BackupError> {
        let mut reader = BlockReader::new(bytes, "f", head)?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block()? {
            blocks.push(block);
        }
        Ok((blocks, reader.sum()))
    }

    /// Where each block begins, and where the file ends.
    fn places(blocks: &[usize]) -> Vec<usize> {
        let (bytes, _) = file(blocks);
        let mut reader = BlockReader::new(&bytes[..], "f", &head()).unwrap();
        let mut places = vec![reader.offset() as usize];
        while reader.next_block().unwrap().is_some() {
            places.push(reader.offset() as usize);
        }
        places.push(bytes.len());
        places
    }

    fn refused(bytes: &[u8], at: usize, why: &str) {
        match read(bytes, &head()) {
            Err(BackupError::Damaged { file, offset, what }) => {
                assert_eq!((file.as_str(), offset as usize), ("f", at), "{what}");
                assert!(what.contains(why), "{what}");
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        for blocks in [vec![], vec![1], vec![1, 2, 3]] {
            let (bytes, written) = file(&blocks);
            let (read, sum) = read(&bytes, &head()).unwrap();
            assert_eq!(read, blocks.iter().map(|number| block(*number)).collect::<Vec<_>>());
            assert_eq!((sum, sum.bytes as usize), (written, bytes.len()));
        }
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let (bytes, _) = file(&[1, 2, 3]);
        let at = places(&[1, 2, 3]);
        let part = |from: usize, to: usize| &bytes[at[from]..at[to]];
        let start = &bytes[..at[0]];
        refused(&bytes[..at[3]], at[3], "end is missing");
        refused(&bytes[..at[2] + 30], at[2] + 30, "cut off");
        refused(&bytes[..5], 5, "head is cut off");
        refused(&[&bytes[..], b"x"].concat(), bytes.len(), "follows the end");
        refused(
            &[start, part(1, 2), part(0, 1), part(2, 4)].concat(),
            at[0],
            "block 1 stands in the place of block 0",
        );
        refused(
            &[start, part(0, 1), part(0, 1), part(1, 4)].concat(),
            at[1],
            "block 0 stands in the place of block 1",
        );
        refused(&[start, part(0, 1), part(2, 4)].concat(), at[1], "block 2 stands in the place of block 1");
        refused(&[start, part(3, 4)].concat(), at[0], "block 3 stands in the place of block 0");
        refused(b"ZANKV0001 something else", 0, "no file of a backup");
        let mut newer = bytes.clone();
        newer[9] = 2;
        refused(&newer, 8, "version 2");
    }

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        let (bytes, _) = file(&[1]);
        let others = [
            FileHead { backup: "b2".into(), ..head() },
            FileHead { table: "other".into(), ..head() },
            FileHead { namespace: "other".into(), ..head() },
            FileHead { partition: 4, ..head() },
            FileHead { number: 1, ..head() },
        ];
        for other in others {
            assert!(matches!(read(&bytes, &other), Err(BackupError::Damaged { .. })), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_always_found(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (mut bytes, _) = file(&[1, 2]);
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(read(&bytes, &head()).is_err(), "byte {}", place);
        }

        #[test]
        fn what_is_cut_off_is_always_missed(place in any::<prop::sample::Index>()) {
            let (bytes, _) = file(&[1, 2]);
            prop_assert!(read(&bytes[..place.index(bytes.len())], &head()).is_err());
        }

        #[test]
        fn nonsense_never_panics(
            place in any::<prop::sample::Index>(),
            nonsense in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let (mut bytes, _) = file(&[1, 2]);
            let place = place.index(bytes.len());
            let end = (place + nonsense.len()).min(bytes.len());
            let same = bytes[place..end] == nonsense[..end - place];
            bytes.splice(place..end, nonsense);
            prop_assert!(same || read(&bytes, &head()).is_err());
            let _ = read(&bytes[place..], &head());
        }
    }
}
