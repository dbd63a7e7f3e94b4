//! Changes that are kept for an archive: effects of log entries, durable together with what they describe.
//!
//! The log cannot tell them: it has commands, and what `INCR` or `SPOP` has done depends on a state that is gone when
//! somebody asks later. So the state itself keeps them, in the batch of the commit that made them, until whoever
//! wants them has them in safety. Every replica keeps the same ones, whoever leads next goes on with them, and a
//! crash leaves as many of them as of the data.
//!
//! ```text
//!   Record ──► entries are recorded ──► the holder reads, writes files ──► Record{safe} ──► forgotten
//!
//!   entry     touch a, touch a's parts, touch b …          while its requests are staged
//!   its end   a: was a hash, is the same: fields 3 and 7   what is staged now, against what was there before
//!             b: was, is gone
//! ```
//!
//! - A collection is followed by its number. The same number as before the entry: what was touched of its parts has
//!   changed. Under another key: it was moved. A number that is new: whatever the key held is gone, and all parts
//!   were made by this entry, so nothing has to be read.
//! - What a sorted set's index and the deadlines' index are made of follows from the rest, and is not told.
//! - Kept bytes have a limit, as every hold has: beyond it nothing is recorded any more, and the holder hears that
//!   there is a gap. The count follows from the entries alone, so all replicas give up at the same one.
//! - The records of what was forgotten go a few with each commit (see `garbage`).
//!
//! [`entry`] makes changes of what was touched, [`redo`] carries them out in another state.

mod entry;
mod redo;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use api::kv::{ChangesPage, EntryChanges, KvAnswer, KvError, ReadChanges, Record, Recording};
use bytes::{BufMut, Bytes, BytesMut};
use engine::records::Records;
use engine::{ApplyContext, EngineError};
use prost::Message;
use types::limits::REPLY_PART_BYTES_MAX;
use types::{Hlc, LogIndex};

use crate::layout::{self, RECORDING};
use crate::look::Look;
use crate::reader::encode;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Stored;
pub(crate) use redo::redo;

/// The format version of both kinds of records, in their first byte.
const FORMAT: u8 = 1;
/// Bytes in front of the changes in their record: the format, and the bytes that were kept before.
const KEPT_HEAD_BYTES: usize = 1 + 8;
/// What a page of changes may have besides its last change, which may have some ten megabytes.
const PAGE_BYTES_MAX: u64 = (REPLY_PART_BYTES_MAX / 8) as u64;

/// How changes are kept, as it is stored.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Kept {
    /// For whom.
    #[prost(fixed64, tag = "1")]
    archive: u64,
    /// Entries after this one are recorded.
    #[prost(uint64, tag = "2")]
    since: u64,
    /// Entries up to this one are forgotten.
    #[prost(uint64, tag = "3")]
    safe: u64,
    /// Bytes that were ever kept since then.
    #[prost(uint64, tag = "4")]
    total: u64,
    /// Of which so many are forgotten.
    #[prost(uint64, tag = "5")]
    forgotten: u64,
    /// Most bytes to keep.
    #[prost(uint64, tag = "6")]
    bytes_max: u64,
    /// There were more: nothing is recorded any more.
    #[prost(bool, tag = "7")]
    lost: bool,
}

/// Notes what entries touch.
#[derive(Default)]
pub(crate) struct Recorder {
    kept: Option<Kept>,
    /// The present entry, once it has touched anything.
    entry: Option<Touched>,
}

/// What an entry has touched.
pub(crate) struct Touched {
    index: LogIndex,
    hlc: Hlc,
    /// Everything was removed, and the rest was touched afterwards.
    flushed: bool,
    /// Keys, with what they held before the entry.
    keys: BTreeMap<Bytes, Option<Stored>>,
    /// Sub-keys of parts by the number of their collection.
    parts: BTreeMap<u64, BTreeSet<Bytes>>,
}

impl Recorder {
    /// How changes are kept in a state that is opened.
    ///
    /// # Errors
    /// `Damaged` if the record of it does not fit.
    pub(crate) fn open(records: &dyn Records) -> Result<Self, EngineError> {
        let kept = records.get(RECORDING)?.map(|bytes| decode_kept(&bytes)).transpose()?;
        Ok(Self { kept, entry: None })
    }

    /// Whether something was noted of another entry.
    pub(crate) fn is_at_another(&self, index: LogIndex) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.index != index)
    }

    /// What was noted of the present entry.
    pub(crate) fn take_entry(&mut self) -> Option<Touched> {
        self.entry.take()
    }

    /// A key is about to be written or removed.
    pub(crate) fn touch_key(&mut self, context: &ApplyContext, key: &Bytes, before: Option<&Stored>) {
        let Some(entry) = self.entry(context) else { return };
        if !entry.keys.contains_key(key) {
            entry.keys.insert(key.clone(), before.cloned());
        }
    }

    /// A part of the collection of a key is about to be written or removed.
    /// Whoever does so writes the key as well, before the entry ends.
    pub(crate) fn touch_part(&mut self, context: &ApplyContext, record_key: &[u8], sub_key: &[u8]) {
        let Some(entry) = self.entry(context) else { return };
        let Ok(number) = layout::collection_of(record_key) else { return };
        entry.parts.entry(number).or_default().insert(Bytes::copy_from_slice(sub_key));
    }

    /// Everything is about to be removed.
    pub(crate) fn flush(&mut self, context: &ApplyContext) {
        let Some(entry) = self.entry(context) else { return };
        *entry = Touched { flushed: true, ..Touched::new(context) };
    }

    /// The last entry whose changes nobody needs.
    pub(crate) fn forgettable(&self) -> u64 {
        self.kept.map_or(u64::MAX, |kept| kept.safe)
    }

    /// What is noted of the present entry, if it is recorded.
    fn entry(&mut self, context: &ApplyContext) -> Option<&mut Touched> {
        let is_recorded = self.kept.is_some_and(|kept| !kept.lost && context.index.get() > kept.since);
        is_recorded.then(|| self.entry.get_or_insert_with(|| Touched::new(context)))
    }
}

impl Touched {
    fn new(context: &ApplyContext) -> Self {
        Self {
            index: context.index,
            hlc: context.hlc,
            flushed: false,
            keys: BTreeMap::new(),
            parts: BTreeMap::new(),
        }
    }
}

impl Staging {
    /// Keeps a piece of the changes of an entry.
    pub(crate) fn keep(&mut self, changes: &EntryChanges) {
        let Some(mut kept) = self.recorder.kept else { return };
        let mut bytes = BytesMut::with_capacity(KEPT_HEAD_BYTES + changes.encoded_len());
        bytes.put_u8(FORMAT);
        bytes.put_u64(kept.total);
        let encoded = changes.encode(&mut bytes);
        encoded.expect("a buffer that grows has room");
        kept.total += bytes.len() as u64;
        kept.lost = kept.lost || kept.total - kept.forgotten > kept.bytes_max;
        self.put_aside(layout::changes_key(changes.index, changes.piece), Some(bytes.freeze()));
        self.set_kept(Some(kept));
    }

    /// The bytes that were kept before the first changes of an entry or of a later one; `None` if there are none.
    fn kept_before(&self, index: u64) -> Result<Option<u64>, EngineError> {
        let from = layout::changes_key(index, 0);
        let first = self.first_aside(&from, &[layout::CHANGES + 1])?;
        first.map(|value| Ok(decode_changes(&value)?.0)).transpose()
    }

    fn set_kept(&mut self, kept: Option<Kept>) {
        self.recorder.kept = kept;
        self.put_aside(Bytes::from_static(RECORDING), kept.map(|kept| encode_kept(&kept)));
    }
}

/// Begins to keep changes, goes on, or ends it.
pub(crate) fn record(staging: &mut Staging, context: &ApplyContext, ask: &Record) -> Outcome {
    let index = context.index.get();
    if ask.archive == 0 {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    let known = staging.recorder.kept.filter(|kept| kept.archive == ask.archive);
    let answer = |kept: &Kept| Recording {
        since: kept.since,
        safe: kept.safe,
        index,
        hlc: context.hlc.0,
        bytes: kept.total.saturating_sub(kept.forgotten),
    };
    if ask.stop {
        // Somebody else's are none of his business.
        let none = Kept { since: index, safe: index, ..Default::default() };
        if known.is_some() {
            staging.recorder.entry = None;
            staging.set_kept(None);
        }
        return Ok(encode(KvAnswer::Recording(answer(&known.unwrap_or(none)))));
    }
    let fresh = Kept { archive: ask.archive, since: index, safe: index, ..Default::default() };
    let mut kept = known.filter(|kept| !kept.lost).unwrap_or(fresh);
    kept.bytes_max = ask.bytes_max;
    if ask.safe > kept.safe {
        kept.safe = ask.safe.min(index);
        kept.forgotten = staging.kept_before(kept.safe + 1)?.unwrap_or(kept.total);
    }
    if kept.since == index {
        staging.recorder.entry = None;
    }
    staging.set_kept(Some(kept));
    Ok(encode(KvAnswer::Recording(answer(&kept))))
}

/// Some of the changes that are kept.
pub(crate) fn page(look: &dyn Look, ask: &ReadChanges) -> Result<ChangesPage, EngineError> {
    let kept = look.get(RECORDING)?.map(|bytes| decode_kept(&bytes)).transpose()?;
    let has = |kept: Kept| {
        (kept.archive, kept.since) == (ask.archive, ask.since) && !kept.lost && ask.from > kept.safe
    };
    if !kept.is_some_and(has) {
        return Ok(ChangesPage { lost: true, ..Default::default() });
    }
    let from = layout::changes_key(ask.from, ask.piece);
    let to = layout::changes_key(ask.to.saturating_add(1), 0);
    let mut page = ChangesPage::default();
    let mut bytes = 0;
    if from >= to {
        page.end = true;
        return Ok(page);
    }
    for record in look.range(Bound::Included(&from), Bound::Excluded(&to), false) {
        let (_, value) = record?;
        bytes += value.len() as u64;
        page.changes.push(decode_changes(&value)?.1);
        if bytes >= ask.bytes_max.min(PAGE_BYTES_MAX) {
            return Ok(page);
        }
    }
    page.end = true;
    Ok(page)
}

fn encode_kept(kept: &Kept) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + kept.encoded_len());
    bytes.put_u8(FORMAT);
    bytes.put_slice(&kept.encode_to_vec());
    bytes.freeze()
}

fn decode_kept(bytes: &[u8]) -> Result<Kept, EngineError> {
    let damaged = || EngineError::Damaged("the record of how changes are kept does not fit".into());
    match bytes.split_first() {
        Some((&FORMAT, body)) => Kept::decode(body).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}

/// The bytes that were kept before, and the changes.
fn decode_changes(value: &Bytes) -> Result<(u64, EntryChanges), EngineError> {
    let damaged = || EngineError::Damaged("changes that are kept do not fit".into());
    let head: &[u8; KEPT_HEAD_BYTES] = value.first_chunk().ok_or_else(damaged)?;
    let (format, before) = head.split_first().ok_or_else(damaged)?;
    let before = before.try_into().map(u64::from_be_bytes).map_err(|_| damaged())?;
    match *format {
        FORMAT => {
            let changes = EntryChanges::decode(value.slice(KEPT_HEAD_BYTES..)).map_err(|_| damaged())?;
            Ok((before, changes))
        }
        _ => Err(damaged()),
    }
}
