//! The files of ZanKV's own backup tool, "ZANKV 0001": read and written byte for byte.
//!
//! ```text
//!   "ZANKV" │ "0001" │ namespace │ table │ type u8 │ record │ record │ …          up to the end of the file
//!
//!   kv      key │ value                       zset    key │ count u32 │ count × (member │ score as text)
//!   hash    key │ count u32 │ count × (field │ value)
//!   list    key │ count u32 │ count × element set     key │ count u32 │ count × member
//! ```
//!
//! Each word is its length, u32 big-endian, and its bytes. The format has no checksum, no number of records and no
//! end, so a file that was cut off between two records looks whole; everything else is refused at its offset. It
//! has no expiry either. A collection may come in several records, which belong together.
//!
//! **The type byte means two things.** The guide numbers kv, hash, set, zset, list from 0; the original tool writes
//! kv, hash, list, set, zset. A list taken for a set would be wrong without anybody noticing, so for 2, 3 and 4 the
//! name of the file decides, or whoever reads it ([`kind_of`]). What is written follows the guide.

use std::io::{self, Read, Write};

use api::kv::{ContentKind, Element, Piece, zankv_score};
use bytes::Bytes;
use types::limits::{KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX};

use crate::error::BackupError;

const MAGIC: &[u8; 9] = b"ZANKV0001";
/// The guide's numbers are the places in this list.
const BY_GUIDE: [ContentKind; 5] =
    [ContentKind::String, ContentKind::Hash, ContentKind::Set, ContentKind::SortedSet, ContentKind::List];
/// The original tool's numbers are the places in this one.
const BY_TOOL: [ContentKind; 5] =
    [ContentKind::String, ContentKind::Hash, ContentKind::List, ContentKind::Set, ContentKind::SortedSet];
/// A collection is handed over in pieces of about so many bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// Longest text of a score: the shortest decimal form of a double has at most 24 characters.
const SCORE_BYTES_MAX: usize = 64;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZankvHead {
    /// The namespace.
    pub namespace: String,
    /// The table.
    pub table: String,
    /// The type byte, whatever it means.
    pub type_byte: u8,
}

/// The name of a file: `kv:2026-11-26:namespace:table.db`.
pub fn file_name(
    kind: ContentKind,
    (year, month, day): (u64, u64, u64),
    namespace: &str,
    table: &str,
) -> String {
    format!("{}:{year:04}-{month:02}-{day:02}:{namespace}:{table}.db", kind.name())
}

/// What a file holds, by its name, its type byte, and what the user says, if anything.
///
/// # Errors
/// Why it cannot be told, or what contradicts what.
pub fn kind_of(file_name: &str, type_byte: u8, said: Option<ContentKind>) -> Result<ContentKind, String> {
    let place = usize::from(type_byte);
    let (Some(by_guide), Some(by_tool)) = (BY_GUIDE.get(place), BY_TOOL.get(place)) else {
        return Err(format!("type {type_byte} is none that this format knows"));
    };
    let named = file_name.split_once(':').and_then(|(prefix, _)| ContentKind::named(prefix));
    match said.or(named) {
        Some(kind) if kind == *by_guide || kind == *by_tool => Ok(kind),
        Some(kind) => Err(format!(
            "type {type_byte} is {} by the guide and {} by the original tool, never {}",
            by_guide.name(),
            by_tool.name(),
            kind.name()
        )),
        None if by_guide == by_tool => Ok(*by_guide),
        None => Err(format!(
            "type {type_byte} is {} by the guide and {} by the original tool, and the file's name does not say \
             which: say it with -type",
            by_guide.name(),
            by_tool.name()
        )),
    }
}

/// Writes a file.
pub struct ZankvWriter<W> {
    out: W,
    kind: ContentKind,
}

impl<W: Write> ZankvWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Whatever the writer says.
    pub fn new(mut out: W, namespace: &str, table: &str, kind: ContentKind) -> io::Result<Self> {
        let type_byte = BY_GUIDE.iter().position(|guided| *guided == kind).unwrap_or(0) as u8;
        out.write_all(MAGIC)?;
        put_word(&mut out, namespace.as_bytes())?;
        put_word(&mut out, table.as_bytes())?;
        out.write_all(&[type_byte])?;
        Ok(Self { out, kind })
    }

    /// Goes on with a file whose head is written, or writes records that are added to one.
    pub fn records(out: W, kind: ContentKind) -> Self {
        Self { out, kind }
    }

    /// Writes a piece as a record under a key, which is the one without the table. A piece of another kind is none
    /// of this file, and is passed over.
    ///
    /// # Errors
    /// Whatever the writer says.
    pub fn write(&mut self, key: &[u8], piece: &Piece) -> io::Result<()> {
        if piece.kind() != self.kind {
            return Ok(());
        }
        put_word(&mut self.out, key)?;
        if self.kind == ContentKind::String {
            return put_word(&mut self.out, &piece.value);
        }
        self.out.write_all(&(piece.elements.len() as u32).to_be_bytes())?;
        for element in &piece.elements {
            match self.kind {
                ContentKind::Hash => {
                    put_word(&mut self.out, &element.name)?;
                    put_word(&mut self.out, &element.value)?;
                }
                ContentKind::SortedSet => {
                    put_word(&mut self.out, &element.name)?;
                    put_word(&mut self.out, zankv_score(element.score).as_bytes())?;
                }
                ContentKind::List => put_word(&mut self.out, &element.value)?,
                _ => put_word(&mut self.out, &element.name)?,
            }
        }
        Ok(())
    }

    /// Hands the writer back.
    pub fn finish(self) -> W {
        self.out
    }
}

fn put_word(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u32).to_be_bytes())?;
    out.write_all(bytes)
}

/// Reads a file, and believes nothing of it.
pub struct ZankvReader<R> {
    input: R,
    /// What errors call the file.
    name: String,
    offset: u64,
    head: ZankvHead,
    kind: ContentKind,
    /// A collection of which a piece was handed over.
    open: Option<Open>,
    /// The key of the record that is being read.
    key: Option<Bytes>,
    /// The first record was read.
    is_begun: bool,
    /// The user says what the file holds.
    is_said: bool,
}

/// Why a file of raw contents is refused.
const RAW: &str = "the file comes from a namespace whose data version is value_header_v1: ZanKV's backup writes its \
                   internal headers and keys there, with what has expired among them. Save it from a namespace with data \
                   version default, or copy the data with a client";

/// The header in front of raw values: version u8 = 1, expiry u32 in seconds, version of the value i64, which is 0 or a
/// time in nanoseconds.
const RAW_HEADER_BYTES: usize = 13;
/// Times that ZanKV can have written: from 2010 on, in seconds.
const RAW_TIME_MIN: u64 = 1_262_304_000;

/// Whether a value begins with the header of raw values.
fn is_raw_value(value: &[u8]) -> bool {
    let Some(header) = value.first_chunk::<RAW_HEADER_BYTES>() else { return false };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (expiry, version) = (number(&header[1..5]), number(&header[5..]));
    let is_time = |seconds| seconds == 0 || seconds >= RAW_TIME_MIN;
    header[0] == 1 && is_time(expiry) && is_time(version / 1_000_000_000) && i64::try_from(version).is_ok()
}

/// Whether a key is in the memcomparable form of raw collections: a 1, then groups of 8 bytes with a marker behind each,
/// which is 255 less the bytes that fill up the last one; then a 3 and the next part.
fn is_raw_key(key: &[u8]) -> bool {
    let Some(mut rest) = key.strip_prefix(&[1]) else { return false };
    while let Some((group, after)) = rest.split_first_chunk::<9>() {
        let padding = usize::from(255 - group[8]);
        if padding > 8 || group[8 - padding..8].iter().any(|byte| *byte != 0) {
            return false;
        }
        if padding > 0 {
            return after.first() == Some(&3);
        }
        rest = after;
    }
    false
}

/// A record of which elements are left.
struct Open {
    key: Bytes,
    given: u64,
    left: u32,
}

impl<R: Read> ZankvReader<R> {
    /// Reads a file's head. `name` is the file's name without its directory; `said` is what the user says that it
    /// holds.
    ///
    /// # Errors
    /// `Damaged` if it is no such file, or it cannot be told what it holds; what the reader says.
    pub fn new(input: R, name: &str, said: Option<ContentKind>) -> Result<Self, BackupError> {
        let head = ZankvHead { namespace: String::new(), table: String::new(), type_byte: 0 };
        let (kind, open, key, name) = (ContentKind::Unknown, None, None, name.to_owned());
        let (is_begun, is_said) = (false, said.is_some());
        let mut reader = Self { input, name, offset: 0, head, kind, open, key, is_begun, is_said };
        let mut magic = [0; 9];
        reader.fill(&mut magic, "the head is cut off")?;
        if &magic[..5] != b"ZANKV" {
            return Err(reader.damaged(0, "this is no backup of ZanKV"));
        }
        if &magic != MAGIC {
            return Err(reader.damaged(5, "the format is not version 0001"));
        }
        reader.head.namespace = reader.name_word()?;
        reader.head.table = reader.name_word()?;
        let at = reader.offset;
        let mut type_byte = [0];
        reader.fill(&mut type_byte, "the head is cut off")?;
        reader.head.type_byte = type_byte[0];
        let kind = kind_of(&reader.name, type_byte[0], said);
        reader.kind = kind.map_err(|why| reader.damaged(at, &why))?;
        Ok(reader)
    }

    /// What the file says of itself.
    pub fn head(&self) -> &ZankvHead {
        &self.head
    }

    /// What it holds.
    pub fn kind(&self) -> ContentKind {
        self.kind
    }

    /// The key of the record that is being read, or that an error has cut off; nothing between two records.
    pub fn key(&self) -> Option<&Bytes> {
        self.key.as_ref()
    }

    /// How much of it was read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next piece; `None` at the end of the file. `first` counts from the record's begin; a key may have several
    /// records.
    ///
    /// # Errors
    /// `Damaged` with the offset of the record that does not fit; what the reader says.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, BackupError> {
        if let Some(open) = self.open.take() {
            return self.elements(open).map(Some);
        }
        self.key = None;
        let record_at = self.offset;
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let mut length = [0; 4];
        match self.read_some(&mut length)? {
            0 => return Ok(None),
            read => self.fill_rest(&mut length, read, "a record is cut off")?,
        }
        let key = self.bytes(u32::from_be_bytes(length), KEY_BYTES_MAX, "a key")?;
        if key.is_empty() {
            return Err(self.damaged(record_at, "a key is empty"));
        }
        self.key = Some(key.clone());
        if is_first && self.kind != ContentKind::String && is_raw_key(&key) {
            return Err(self.damaged(record_at, RAW));
        }
        if self.kind == ContentKind::String {
            let value = self.word(VALUE_BYTES_MAX, "a value")?;
            if is_first && !self.is_said && is_raw_value(&value) {
                return Err(self
                    .damaged(record_at, &format!("{RAW}; if its values only look like that, say -type kv")));
            }
            return Ok(Some(Piece { key, kind: self.kind as i32, value, ..Default::default() }));
        }
        let at = self.offset;
        let count = self.number()?;
        if count == 0 {
            return Err(self.damaged(at, "a collection without elements"));
        }
        self.elements(Open { key, given: 0, left: count }).map(Some)
    }

    fn elements(&mut self, mut open: Open) -> Result<Piece, BackupError> {
        let mut piece =
            Piece { key: open.key.clone(), kind: self.kind as i32, first: open.given, ..Default::default() };
        let mut bytes = 0;
        while open.left > 0 && bytes < PIECE_BYTES {
            let element = self.element()?;
            bytes += element.name.len() + element.value.len() + 8;
            piece.elements.push(element);
            open.left -= 1;
            open.given += 1;
        }
        if open.left > 0 {
            piece.more = true;
            self.open = Some(open);
        }
        Ok(piece)
    }

    fn element(&mut self) -> Result<Element, BackupError> {
        let mut element = Element::default();
        match self.kind {
            ContentKind::List => element.value = self.word(VALUE_BYTES_MAX, "an element")?,
            ContentKind::Hash => {
                element.name = self.word(VALUE_BYTES_MAX, "a field")?;
                element.value = self.word(VALUE_BYTES_MAX, "a value")?;
            }
            ContentKind::SortedSet => {
                element.name = self.word(VALUE_BYTES_MAX, "a member")?;
                let at = self.offset;
                let text = self.word(SCORE_BYTES_MAX, "a score")?;
                let score = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<f64>().ok());
                let score = score.filter(|score| !score.is_nan());
                element.score = score.ok_or_else(|| self.damaged(at, "a score is no number"))?;
            }
            _ => element.name = self.word(VALUE_BYTES_MAX, "a member")?,
        }
        Ok(element)
    }

    fn name_word(&mut self) -> Result<String, BackupError> {
        let at = self.offset;
        let word = self.word(NAME_BYTES_MAX, "a name")?;
        String::from_utf8(word.into()).map_err(|_| self.damaged(at, "a name is no text"))
    }

    fn word(&mut self, bytes_max: usize, what: &str) -> Result<Bytes, BackupError> {
        let length = self.number()?;
        self.bytes(length, bytes_max, what)
    }

    /// Bytes whose length was just read.
    fn bytes(&mut self, length: u32, bytes_max: usize, what: &str) -> Result<Bytes, BackupError> {
        if length as usize > bytes_max {
            let why = format!("{what} of {length} bytes, and the limit is {bytes_max}");
            return Err(self.damaged(self.offset - 4, &why));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes, "a record is cut off")?;
        Ok(bytes.into())
    }

    fn number(&mut self) -> Result<u32, BackupError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes, "a record is cut off")?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8], cut_off: &str) -> Result<(), BackupError> {
        self.fill_rest(bytes, 0, cut_off)
    }

    fn fill_rest(&mut self, bytes: &mut [u8], mut filled: usize, cut_off: &str) -> Result<(), BackupError> {
        while filled < bytes.len() {
            match self.read_some(&mut bytes[filled..])? {
                0 => return Err(self.damaged(self.offset + filled as u64, cut_off)),
                read => filled += read,
            }
        }
        self.offset += bytes.len() as u64;
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
    use proptest::prelude::*;

    const KINDS: [(ContentKind, u8); 5] = [
        (ContentKind::String, 0),
        (ContentKind::Hash, 1),
        (ContentKind::Set, 2),
        (ContentKind::SortedSet, 3),
        (ContentKind::List, 4),
    ];

    fn piece(kind: ContentKind, number: usize) -> Piece {
        let word = |text: &str| Bytes::from(format!("{text}{number}"));
        let element = |place: usize| match kind {
            ContentKind::Hash => Element { name: word("f"), value: word("v"), score: 0.0 },
            ContentKind::List => Element { value: word("e"), ..Default::default() },
            ContentKind::SortedSet => {
                Element { name: word("m"), score: place as f64 + 0.5, ..Default::default() }
            }
            _ => Element { name: word("m"), ..Default::default() },
        };
        let (value, elements) = match kind {
            ContentKind::String => (word("value"), Vec::new()),
            _ => (Bytes::new(), (0..=number).map(element).collect()),
        };
        Piece { key: word("key"), kind: kind as i32, value, elements, ..Default::default() }
    }

    fn file(kind: ContentKind) -> Vec<u8> {
        let mut writer = ZankvWriter::new(Vec::new(), "ns", "t", kind).unwrap();
        (0..3).for_each(|number| {
            let piece = piece(kind, number);
            writer.write(&piece.key, &piece).unwrap();
        });
        writer.finish()
    }

    fn read(bytes: &[u8], name: &str) -> Result<Vec<Piece>, BackupError> {
        let mut reader = ZankvReader::new(bytes, name, None)?;
        let mut pieces = Vec::new();
        while let Some(piece) = reader.next_piece()? {
            pieces.push(piece);
        }
        Ok(pieces)
    }

    /// A key of at most 7 bytes in the form of raw collections.
    fn raw_key(key: &[u8]) -> Vec<u8> {
        let mut group = key.to_vec();
        group.resize(8, 0);
        let integer = |number: u64| [&[3][..], &(number ^ 1 << 63).to_be_bytes()].concat();
        let marker = 255 - (8 - key.len() as u8);
        [vec![1], group, vec![marker], integer(58), integer(0), integer(58)].concat()
    }

    #[test]
    fn raw_contents_are_refused_by_name() {
        let one = |kind, key: Vec<u8>, piece: Piece| {
            let mut writer = ZankvWriter::new(Vec::new(), "ns", "t", kind).unwrap();
            writer.write(&key, &piece).unwrap();
            writer.finish()
        };
        let raw = |file: &[u8], said| {
            let mut reader = ZankvReader::new(file, "kv:2026-11-26:ns:t.db", said).unwrap();
            reader.next_piece().map(|_| ()).map_err(|error| error.to_string())
        };
        let string = |value: &[u8]| Piece { value: value.to_vec().into(), ..piece(ContentKind::String, 0) };
        let header = |expiry: u32, version: i64| {
            [&[1][..], &expiry.to_be_bytes(), &version.to_be_bytes(), b"value"].concat()
        };
        for value in [header(0, 0), header(1_700_000_000, 0), header(0, 1_700_000_000_000_000_000)] {
            let file = one(ContentKind::String, b"key".to_vec(), string(&value));
            assert!(raw(&file, None).unwrap_err().contains("value_header_v1"));
            assert_eq!(raw(&file, Some(ContentKind::String)), Ok(()), "the user knows better");
        }
        for value in [&b"value"[..], &header(7, 0), &header(0, 7_000_000_000), &header(0, -1), b"\x01short"] {
            let file = one(ContentKind::String, b"key".to_vec(), string(value));
            assert_eq!(raw(&file, None), Ok(()), "{value:?}");
        }
        let hash = |key: Vec<u8>| {
            let file = one(ContentKind::Hash, key, piece(ContentKind::Hash, 0));
            read(&file, "hash:2026-11-26:ns:t.db").map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(hash(raw_key(b"user:7")).unwrap_err().contains("value_header_v1"));
        for key in [&b"user:7"[..], b"\x01", b"\x01abcdefgh", b"\x01abcdefgh\xf8\x03"] {
            assert_eq!(hash(key.to_vec()), Ok(()), "{key:?}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut writer = ZankvWriter::new(Vec::new(), "ns", "t", ContentKind::SortedSet).unwrap();
        let element = Element { name: "m".into(), score: 1.5, ..Default::default() };
        let kind = ContentKind::SortedSet as i32;
        writer.write(b"k", &Piece { kind, elements: vec![element], ..Default::default() }).unwrap();
        writer.write(b"k", &piece(ContentKind::List, 1)).unwrap();
        let expected = b"ZANKV0001\0\0\0\x02ns\0\0\0\x01t\x03\0\0\0\x01k\0\0\0\x01\0\0\0\x01m\0\0\0\x031.5";
        assert_eq!(writer.finish(), expected);
    }

    #[test]
    fn every_type_is_read_as_it_was_written() {
        for (kind, type_byte) in KINDS {
            let (bytes, name) = (file(kind), file_name(kind, (2026, 1, 2), "ns", "t"));
            let reader = ZankvReader::new(&bytes[..], &name, None).unwrap();
            assert_eq!(*reader.head(), ZankvHead { namespace: "ns".into(), table: "t".into(), type_byte });
            let expected: Vec<_> = (0..3).map(|number| piece(kind, number)).collect();
            assert_eq!(read(&bytes, &name).unwrap(), expected);
        }
        assert_eq!(file_name(ContentKind::String, (2026, 1, 2), "ns", "t"), "kv:2026-01-02:ns:t.db");
    }

    #[test]
    fn the_type_byte_is_believed_only_where_it_means_one_thing() {
        let by_tool = [0, 1, 3, 4, 2];
        for ((kind, by_guide), by_tool) in KINDS.into_iter().zip(by_tool) {
            let name = file_name(kind, (2026, 1, 2), "ns", "t");
            assert_eq!(kind_of(&name, by_guide, None), Ok(kind));
            assert_eq!(kind_of(&name, by_tool, None), Ok(kind));
            assert_eq!(kind_of("copy.db", by_guide, Some(kind)), Ok(kind));
            assert_eq!(kind_of("copy.db", by_guide, None).is_ok(), by_guide < 2, "{kind:?}");
        }
        assert!(kind_of("copy.db", 2, None).unwrap_err().contains("-type"));
        assert!(kind_of("hash:2026-01-02:ns:t.db", 2, None).unwrap_err().contains("never hash"));
        assert!(kind_of("kv:2026-01-02:ns:t.db", 5, None).is_err());
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let bytes = file(ContentKind::String);
        let name = "kv:2026-01-02:ns:t.db";
        let refused = |bytes: &[u8], at: u64, why: &str| match read(bytes, name) {
            Err(BackupError::Damaged { offset, what, .. }) => {
                assert_eq!(offset, at, "{what}");
                assert!(what.contains(why), "{what}");
            }
            other => panic!("not refused: {other:?}"),
        };
        refused(b"SKEIN0001", 0, "no backup of ZanKV");
        refused(b"ZANKV0002", 5, "version");
        let first = 9 + 6 + 5 + 1;
        refused(&bytes[..first + 2], first as u64 + 2, "cut off");
        refused(&bytes[..first + 10], first as u64 + 10, "cut off");
        let cut_at = |length: usize| {
            let mut reader = ZankvReader::new(&bytes[..length], name, None).unwrap();
            while let Ok(Some(_)) = reader.next_piece() {}
            reader.key().cloned()
        };
        assert_eq!(cut_at(bytes.len() - 1), Some("key2".into()), "the key that was cut off");
        assert_eq!(cut_at(bytes.len()), None);
        let mut huge = bytes.clone();
        huge[first] = 0xff;
        refused(&huge, first as u64, "a key of 4278190084 bytes");
        assert_eq!(read(&bytes[..first], name).unwrap(), []);
    }

    #[test]
    fn a_large_collection_comes_in_pieces() {
        let element =
            |number: usize| Element { name: format!("{number:0>100}").into(), ..Default::default() };
        let elements: Vec<_> = (0..10_000).map(element).collect();
        let kind = ContentKind::Set;
        let mut writer = ZankvWriter::new(Vec::new(), "ns", "t", kind).unwrap();
        let whole = Piece { kind: kind as i32, elements: elements.clone(), ..Default::default() };
        writer.write(b"k", &whole).unwrap();
        let pieces = read(&writer.finish(), "set:2026-01-02:ns:t.db").unwrap();
        assert!(pieces.len() > 2);
        let (last, others) = pieces.split_last().unwrap();
        assert!(!last.more && others.iter().all(|piece| piece.more));
        let mut first = 0;
        for piece in &pieces {
            assert_eq!(piece.first, first);
            first += piece.elements.len() as u64;
        }
        let read: Vec<_> = pieces.into_iter().flat_map(|piece| piece.elements).collect();
        assert_eq!(read, elements);
    }

    proptest! {
        #[test]
        fn nonsense_never_panics(
            kind in 0_usize..5,
            place in any::<prop::sample::Index>(),
            nonsense in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let (kind, _) = KINDS[kind];
            let mut bytes = file(kind);
            let place = place.index(bytes.len());
            let end = (place + nonsense.len()).min(bytes.len());
            bytes.splice(place..end, nonsense);
            let _ = read(&bytes, &file_name(kind, (2026, 1, 2), "ns", "t"));
        }
    }
}
