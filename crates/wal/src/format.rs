//! The bytes of the log: segment header, batch header, and the records inside a batch.
//!
//! Everything is little-endian and of fixed width. The drawing is in the crate's root. Decoding never
//! panics and never allocates more than the bytes it was given justify.

use bytes::Bytes;
use types::{GroupId, LogIndex, Term};

use crate::index::Place;
use crate::store::{LogEntry, LogPosition};

/// The version that this release writes. Older ones are read as long as a release had them.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// The first bytes of every segment, in every version.
const SEGMENT_MAGIC: [u8; 8] = *b"SKEINLOG";
/// The first 64 bytes end in their own checksum in every version, so that a newer version is told
/// from damage.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Batches begin here: the header has a sector of its own, so no later write touches it.
pub(crate) const DATA_START: u64 = 512;
/// Length of a batch header.
pub(crate) const BATCH_HEADER_BYTES: usize = 40;
/// Batches begin at multiples of this, so that a search for them can take steps.
pub(crate) const BATCH_ALIGNMENT: usize = 8;
/// Bytes in front of each entry's payload: term, checksum, length.
pub(crate) const ENTRY_HEADER_BYTES: usize = 16;
/// Bytes of an anchor beside its record; used to estimate what a group needs.
pub(crate) const ANCHOR_BYTES: usize = 30;
/// Longest body of a batch. Keeps every offset in a segment below 2^32 and one buffer affordable.
pub(crate) const BATCH_BYTES_MAX: u64 = 512 << 20;

const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"SKB1");

/// Nothing but zeros follows. The padding is part of the body, and so of its checksum: a batch whose last
/// byte could not be written is not a batch.
const KIND_PADDING: u8 = 0;
const KIND_DELETE: u8 = 1;
const KIND_ANCHOR: u8 = 2;
const KIND_APPEND: u8 = 3;
const KIND_MOVED: u8 = 4;
const KIND_RETIRED: u8 = 5;

/// What the first sector of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The segment's number; the same as in the file's name. Never used twice; numbers may be skipped.
    pub(crate) number: u32,
    /// The number of the segment before this one; 0 if this is the first of all.
    pub(crate) previous: u32,
    /// Carried by every batch of this segment and by no batch of any other.
    pub(crate) salt: u64,
    /// The first batch here. The segment before holds every batch below it, durably, and whatever else
    /// it holds does not count.
    pub(crate) first_sequence: u64,
    /// The oldest segment that was needed when this one was made; this one itself if it is the first.
    pub(crate) oldest: u32,
}

/// Why a segment header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// A release after this one wrote it.
    Newer(u32),
    /// It is not what was written.
    Damaged(&'static str),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.previous.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let Some(bytes) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(HeaderFault::Damaged("the file is shorter than a segment header"));
        };
        if bytes[0..8] != SEGMENT_MAGIC {
            return Err(HeaderFault::Damaged("the segment header does not begin with its mark"));
        }
        if crc32c::crc32c(&bytes[..60]) != u32_at(bytes, 60) {
            return Err(HeaderFault::Damaged("the checksum of the segment header does not fit"));
        }
        match u32_at(bytes, 8) {
            FORMAT_VERSION => Ok(Self {
                number: u32_at(bytes, 12),
                salt: u64_at(bytes, 16),
                first_sequence: u64_at(bytes, 24),
                oldest: u32_at(bytes, 32),
                previous: u32_at(bytes, 36),
            }),
            0 => Err(HeaderFault::Damaged("format version 0 was never written")),
            newer => Err(HeaderFault::Newer(newer)),
        }
    }
}

/// The salt of a segment: different for every number under one secret (each step is a bijection), and
/// not to be guessed from stored values without the secret.
pub(crate) fn salt(secret: u64, number: u32) -> u64 {
    let mut x = secret.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What stands in front of a batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// The segment's salt.
    pub(crate) salt: u64,
    /// Batches are numbered from 1, over all segments, without a gap.
    pub(crate) sequence: u64,
    /// Every batch up to this one was durable when this one was written.
    pub(crate) synced: u64,
    /// Length of the body.
    pub(crate) body_bytes: u32,
    /// Checksum of the body.
    pub(crate) body_crc: u32,
}

impl BatchHeader {
    fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.body_crc.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[0..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the beginning of `bytes`, if an intact one of the segment with this salt is there.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let bytes = bytes.first_chunk::<BATCH_HEADER_BYTES>()?;
        let intact = u64_at(bytes, 8) == salt
            && u32_at(bytes, 4) == BATCH_MAGIC
            && crc32c::crc32c(&bytes[4..]) == u32_at(bytes, 0);
        intact.then(|| Self {
            salt,
            sequence: u64_at(bytes, 16),
            synced: u64_at(bytes, 24),
            body_bytes: u32_at(bytes, 32),
            body_crc: u32_at(bytes, 36),
        })
    }

    /// Length of header and body.
    pub(crate) fn frame_bytes(&self) -> u64 {
        BATCH_HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }
}

/// A batch being assembled, in a buffer that is used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
}

/// A buffer that one large batch made larger than this is given back.
const FRAME_KEPT_BYTES: usize = 4 << 20;

impl Frame {
    /// Starts an empty batch.
    pub(crate) fn begin(&mut self) {
        if self.bytes.capacity() > FRAME_KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.resize(BATCH_HEADER_BYTES, 0);
    }

    /// Length with header and padding.
    pub(crate) fn frame_bytes(&self) -> u64 {
        self.bytes.len().next_multiple_of(BATCH_ALIGNMENT) as u64
    }

    /// Adds: forget a group.
    pub(crate) fn delete(&mut self, group: GroupId) {
        self.kind(KIND_DELETE, group);
    }

    /// Adds: where a group's log starts, and its record. `reset` forgets its entries first.
    pub(crate) fn anchor(&mut self, group: GroupId, reset: bool, start: LogPosition, record: &[u8]) {
        self.kind(KIND_ANCHOR, group);
        self.bytes.push(u8::from(reset));
        self.u64(start.index.get());
        self.u64(start.term.get());
        self.u32(record.len() as u32);
        self.bytes.extend_from_slice(record);
    }

    /// Adds entries that follow each other, cutting off what was behind them. Returns their places,
    /// counted from the beginning of this frame.
    pub(crate) fn append(&mut self, group: GroupId, entries: &[LogEntry]) -> Vec<Place> {
        let first = entries.first().map_or(LogIndex(0), |entry| entry.index);
        self.run(KIND_APPEND, group, first, entries.len());
        entries.iter().map(|entry| self.entry(entry.term, &entry.payload)).collect()
    }

    /// Adds copies of entries that are still in the log; cuts nothing off.
    pub(crate) fn moved(&mut self, group: GroupId, first: LogIndex, entries: &[(Term, Bytes)]) -> Vec<Place> {
        self.run(KIND_MOVED, group, first, entries.len());
        entries.iter().map(|(term, payload)| self.entry(*term, payload)).collect()
    }

    /// Adds: no segment up to this one is needed any more.
    pub(crate) fn retired(&mut self, number: u32) {
        self.bytes.push(KIND_RETIRED);
        self.u32(number);
    }

    /// Fills in the header and returns the bytes to write.
    pub(crate) fn seal(&mut self, salt: u64, sequence: u64, synced: u64) -> &[u8] {
        self.bytes.resize(self.frame_bytes() as usize, KIND_PADDING);
        let body = &self.bytes[BATCH_HEADER_BYTES..];
        let header = BatchHeader {
            salt,
            sequence,
            synced,
            body_bytes: body.len() as u32,
            body_crc: crc32c::crc32c(body),
        };
        self.bytes[..BATCH_HEADER_BYTES].copy_from_slice(&header.encode());
        &self.bytes
    }

    /// Adds bytes as they are, to forge batches.
    #[cfg(test)]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn run(&mut self, kind: u8, group: GroupId, first: LogIndex, count: usize) {
        self.kind(kind, group);
        self.u64(first.get());
        self.u32(count as u32);
    }

    fn entry(&mut self, term: Term, payload: &[u8]) -> Place {
        let crc = crc32c::crc32c(payload);
        self.u64(term.get());
        self.u32(crc);
        self.u32(payload.len() as u32);
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(payload);
        Place { term, segment: 0, offset, length: payload.len() as u32, crc }
    }

    fn kind(&mut self, kind: u8, group: GroupId) {
        self.bytes.push(kind);
        self.u64(group.get());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// One record of a batch, as read back. Places count from the beginning of the frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// Forget a group.
    Delete { group: GroupId },
    /// A group's start and record.
    Anchor { group: GroupId, reset: bool, start: LogPosition, record: &'a [u8] },
    /// Entries, written by a caller or moved by the log itself.
    Entries { group: GroupId, moved: bool, first: LogIndex, places: Vec<Place> },
    /// No segment up to this one is needed any more.
    Retired { number: u32 },
}

/// The records of a body whose checksum fits. `Err` names what cannot be decoded.
pub(crate) fn records(body: &[u8]) -> Result<Vec<Record<'_>>, &'static str> {
    let mut reader = Reader { body, position: 0 };
    let mut records = Vec::new();
    while !reader.at_end() {
        records.push(reader.record().ok_or("a record of the batch cannot be decoded")?);
    }
    Ok(records)
}

struct Reader<'a> {
    body: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Whether only padding is left, if anything.
    fn at_end(&self) -> bool {
        let rest = &self.body[self.position..];
        rest.len() < BATCH_ALIGNMENT && rest.iter().all(|byte| *byte == KIND_PADDING)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let kind = self.take(1)?[0];
        if kind == KIND_RETIRED {
            return Some(Record::Retired { number: self.u32()? });
        }
        let group = GroupId(self.u64()?);
        match kind {
            KIND_DELETE => Some(Record::Delete { group }),
            KIND_ANCHOR => self.anchor(group),
            KIND_APPEND => self.entries(group, false),
            KIND_MOVED => self.entries(group, true),
            _ => None,
        }
    }

    fn anchor(&mut self, group: GroupId) -> Option<Record<'a>> {
        let reset = match self.take(1)?[0] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let start = LogPosition { index: LogIndex(self.u64()?), term: Term(self.u64()?) };
        start.index.get().checked_add(1)?;
        let length = self.u32()? as usize;
        Some(Record::Anchor { group, reset, start, record: self.take(length)? })
    }

    fn entries(&mut self, group: GroupId, moved: bool) -> Option<Record<'a>> {
        let first = LogIndex(self.u64()?);
        let count = self.u32()? as usize;
        // Also keeps the vector below as small as the bytes that are really there.
        if count > (self.body.len() - self.position) / ENTRY_HEADER_BYTES {
            return None;
        }
        // The largest index is kept free: "the index after" must always exist.
        first.get().checked_add(count as u64 + 1)?;
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let (term, crc, length) = (Term(self.u64()?), self.u32()?, self.u32()?);
            let offset = (BATCH_HEADER_BYTES + self.position) as u32;
            self.take(length as usize)?;
            places.push(Place { term, segment: 0, offset, length, crc });
        }
        Some(Record::Entries { group, moved, first, places })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.body.get(self.position..self.position.checked_add(count)?)?;
        self.position += count;
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segment_headers_round_trip_and_tell_newer_from_damaged() {
        let header =
            SegmentHeader { number: 7, previous: 6, salt: salt(3, 7), first_sequence: 99, oldest: 5 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert!(matches!(SegmentHeader::decode(&flipped), Err(HeaderFault::Damaged(_))), "byte {at}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        let checksum = crc32c::crc32c(&newer[..60]);
        newer[60..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&newer), Err(HeaderFault::Newer(2)));
        assert!(matches!(SegmentHeader::decode(&bytes[..63]), Err(HeaderFault::Damaged(_))));
    }

    #[test]
    fn a_batch_header_with_any_bit_flipped_is_none() {
        let header = BatchHeader { salt: 5, sequence: 6, synced: 4, body_bytes: 10, body_crc: 11 };
        let bytes = header.encode();
        assert_eq!(BatchHeader::decode(&bytes, 5), Some(header));
        assert_eq!(BatchHeader::decode(&bytes, 6), None);
        for bit in 0..BATCH_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::decode(&flipped, 5), None, "bit {bit}");
        }
    }

    #[test]
    fn records_round_trip() {
        let mut frame = Frame::default();
        frame.begin();
        let start = LogPosition { index: LogIndex(5), term: Term(2) };
        frame.delete(GroupId(1));
        frame.anchor(GroupId(2), true, start, b"record");
        let entry = LogEntry { index: LogIndex(6), term: Term(3), payload: Bytes::from_static(b"abc") };
        let appended = frame.append(GroupId(2), &[entry]);
        let moved = frame.moved(GroupId(3), LogIndex(9), &[(Term(1), Bytes::new())]);
        frame.retired(4);
        let bytes = frame.seal(1, 2, 0).to_vec();
        assert_eq!(bytes.len() % BATCH_ALIGNMENT, 0);
        let header = BatchHeader::decode(&bytes, 1).unwrap();
        let body = &bytes[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + header.body_bytes as usize];
        assert_eq!(header.body_crc, crc32c::crc32c(body));
        let at = appended[0].offset as usize;
        assert_eq!(&bytes[at..at + 3], b"abc");
        let expected = vec![
            Record::Delete { group: GroupId(1) },
            Record::Anchor { group: GroupId(2), reset: true, start, record: b"record" },
            Record::Entries { group: GroupId(2), moved: false, first: LogIndex(6), places: appended },
            Record::Entries { group: GroupId(3), moved: true, first: LogIndex(9), places: moved },
            Record::Retired { number: 4 },
        ];
        assert_eq!(records(body), Ok(expected));
    }

    proptest! {
        /// Any bytes decode to something or to nothing, without a panic.
        #[test]
        fn hostile_bodies_do_not_panic(mut body in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..7) {
            if let Some(first) = body.first_mut() {
                *first = kind;
            }
            let _ = records(&body);
            let _ = SegmentHeader::decode(&body);
            let _ = BatchHeader::decode(&body, 0);
        }
    }
}
