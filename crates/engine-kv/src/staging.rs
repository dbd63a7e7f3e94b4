//! What has been staged and not committed: writes over the records, seen by the requests that follow.
//!
//! Every change of a key goes through [`Staging::put`] and [`Staging::remove`], which keep the expiry
//! index, the number of records and the change feed in step with the data.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use api::kv::KvError;
use bytes::Bytes;
use engine::records::{Batch, Records, is_empty_range};
use engine::{ApplyContext, Change, EngineError};

use crate::changes::Recorder;
use crate::layout::{self, EPOCH_END, Facts};
use crate::look::{LazyView, Look, RecordsInOrder, merged};
use crate::state::Stop;
use crate::value::{Header, Kind, Stored};
use types::limits::{ENTRY_RESULT_BYTES_MAX, STAGED_RECORD_BYTES};
use types::{Hlc, LogIndex};

/// Staged writes of one state.
pub(crate) struct Staging {
    records: Arc<dyn Records>,
    /// What is committed, for those who read many records.
    view: LazyView,
    /// Whether a collection died since this was last asked.
    has_new_dead: bool,
    /// The facts as they will be after the commit.
    pub(crate) facts: Facts,
    writes: BTreeMap<Bytes, Option<Bytes>>,
    /// Records outside of the epochs: FLUSH does not concern them.
    aside: BTreeMap<Bytes, Option<Bytes>>,
    changes: Vec<Change>,
    /// What writes and changes hold in memory, about. What replaces another write counts besides it.
    bytes: usize,
    /// Whether somebody waits for elements.
    listening: bool,
    /// Keys whose collections have elements that somebody may wait for.
    filled: BTreeSet<Bytes>,
    /// Values that are not whole are looked up as others are.
    sees_unfinished: bool,
    /// What the entries have changed, for those who want to know it.
    pub(crate) recorder: Recorder,
    /// The present entry, and the bytes that its requests make of nothing but names.
    made: (LogIndex, usize),
}

/// A key that was looked up for writing, with what it holds.
pub(crate) struct Slot {
    pub(crate) key: Bytes,
    record_key: Bytes,
    /// What is there, has not expired and is whole.
    pub(crate) found: Option<Stored>,
    /// What an import has brought so far of a value that is not whole yet. It is not there for anybody else: whatever
    /// is put in the slot takes its place.
    unfinished: Option<Stored>,
}

impl Slot {
    /// The expiry of what is there.
    pub(crate) fn expiry_millis(&self) -> Option<u64> {
        self.found.as_ref().and_then(|stored| stored.header.expiry_millis)
    }

    /// The record of the key, seen or not.
    fn stored(&self) -> Option<&Stored> {
        self.found.as_ref().or(self.unfinished.as_ref())
    }
}

impl Staging {
    /// Nothing staged over these records.
    pub(crate) fn new(records: Arc<dyn Records>, facts: Facts, recorder: Recorder) -> Self {
        let view = LazyView::default();
        Self {
            records,
            view,
            has_new_dead: false,
            facts,
            writes: BTreeMap::new(),
            aside: BTreeMap::new(),
            changes: Vec::new(),
            bytes: 0,
            listening: false,
            filled: BTreeSet::new(),
            sees_unfinished: false,
            recorder,
            made: (LogIndex(0), 0),
        }
    }

    /// Looks a key up for writing. A value that has expired is removed, as in Redis.
    pub(crate) fn slot(&mut self, context: &ApplyContext, key: &Bytes) -> Result<Slot, EngineError> {
        let mut slot = self.raw_slot(key)?;
        match &slot.found {
            Some(stored) if stored.header.is_expired(context.hlc) => {
                self.remove(context, &slot);
                slot.found = None;
            }
            Some(stored) if stored.header.unfinished && !self.sees_unfinished => {
                slot.unfinished = slot.found.take();
            }
            _ => {}
        }
        Ok(slot)
    }

    /// Does something that goes on with values that are not whole, or makes them so.
    pub(crate) fn seeing_unfinished<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.sees_unfinished, true);
        let done = act(self);
        self.sees_unfinished = before;
        done
    }

    /// Looks a key up, expired or not, whole or not.
    pub(crate) fn raw_slot(&self, key: &Bytes) -> Result<Slot, EngineError> {
        let record_key = layout::data_key(self.facts.epoch, key);
        let bytes = match self.writes.get(&record_key) {
            Some(staged) => staged.clone(),
            None => self.records.get_latest(&record_key)?,
        };
        let found = bytes.map(Stored::decode).transpose()?;
        Ok(Slot { key: key.clone(), record_key, found, unfinished: None })
    }

    /// Stores a string, given in pieces.
    pub(crate) fn put_string(
        &mut self,
        context: &ApplyContext,
        slot: &Slot,
        expiry_millis: Option<u64>,
        body: &[&[u8]],
    ) {
        let header = Header {
            kind: Kind::String,
            version: context.hlc,
            expiry_millis,
            collection: None,
            unfinished: false,
        };
        self.put(context, slot, header, body);
    }

    /// Stores a value in place of what the slot holds.
    pub(crate) fn put(&mut self, context: &ApplyContext, slot: &Slot, header: Header, body: &[&[u8]]) {
        if slot.stored().is_none() {
            self.facts.records += 1;
        }
        self.bury(slot.stored(), header.collection);
        self.move_deadline(slot, header.expiry_millis);
        if self.listening && matches!(header.kind, Kind::List | Kind::SortedSet) {
            match header.unfinished {
                true => self.filled.remove(&slot.key),
                false => self.filled.insert(slot.key.clone()),
            };
        }
        self.recorder.touch_key(context, &slot.key, slot.stored());
        let bytes = header.encode(body);
        self.record_change(context, &slot.key, Some(&bytes));
        self.write(slot.record_key.clone(), Some(bytes));
    }

    /// Removes what the slot holds; nothing if it is empty.
    pub(crate) fn remove(&mut self, context: &ApplyContext, slot: &Slot) {
        self.bury(slot.found.as_ref(), None);
        self.detach(context, slot);
    }

    /// Removes the record of a key whose parts, if it has any, live on under another key.
    pub(crate) fn detach(&mut self, context: &ApplyContext, slot: &Slot) {
        if slot.found.is_none() {
            return;
        }
        self.facts.records = self.facts.records.saturating_sub(1);
        self.move_deadline(slot, None);
        self.recorder.touch_key(context, &slot.key, slot.found.as_ref());
        self.record_change(context, &slot.key, None);
        self.write(slot.record_key.clone(), None);
    }

    /// Stages a part of a collection, or its removal.
    pub(crate) fn put_part(
        &mut self,
        context: &ApplyContext,
        key: &Bytes,
        record_key: Bytes,
        value: Option<Bytes>,
    ) {
        let sub_key = &record_key[layout::PART_PREFIX_BYTES..];
        if context.wants_changes {
            let sub_key = Bytes::copy_from_slice(sub_key);
            self.change(Change { hlc: context.hlc, key: key.clone(), sub_key, value: value.clone() });
        }
        self.recorder.touch_part(context, &record_key, sub_key);
        self.write(record_key, value);
    }

    /// About how many bytes are staged.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A request comes: if it is of another entry than the one before, that one is complete.
    pub(crate) fn begin_request(&mut self, context: &ApplyContext) -> Result<(), EngineError> {
        if self.recorder.is_at_another(context.index) { self.end_entry() } else { Ok(()) }
    }

    /// The present entry is complete: what it has changed is kept, if anybody wants it.
    fn end_entry(&mut self) -> Result<(), EngineError> {
        let Some(entry) = self.recorder.take_entry() else { return Ok(()) };
        for changes in entry.changes(self)? {
            self.keep(&changes);
        }
        Ok(())
    }

    /// Stages a record that is not a key's: it lies outside of the epochs.
    pub(crate) fn put_aside(&mut self, record_key: Bytes, value: Option<Bytes>) {
        self.bytes += record_key.len() + value.as_ref().map_or(0, Bytes::len) + STAGED_RECORD_BYTES;
        self.aside.insert(record_key, value);
    }

    /// The first value between two keys outside of the epochs, where what is staged lies behind what is stored.
    pub(crate) fn first_aside(&self, from: &[u8], to: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        if let Some(record) = self.records.view().range(bounds.0, bounds.1, false).next() {
            return Ok(Some(record?.1));
        }
        Ok(self.aside.range::<[u8], _>(bounds).find_map(|(_, value)| value.clone()))
    }

    /// The value of a record that can only have been staged.
    pub(crate) fn staged(&self, record_key: &[u8]) -> Option<Bytes> {
        self.writes.get(record_key).cloned().flatten()
    }

    /// Whether anything was staged since these facts.
    pub(crate) fn has_changed(&self, facts: &Facts) -> bool {
        !self.writes.is_empty() || !self.aside.is_empty() || self.facts != *facts
    }

    /// Takes note of so many bytes that a request makes of nothing but the names of keys. A few of them in one entry
    /// would otherwise fill the memory of every replica.
    ///
    /// # Errors
    /// `ResultTooLarge` if all requests of the entry make more than [`ENTRY_RESULT_BYTES_MAX`].
    pub(crate) fn make(&mut self, context: &ApplyContext, bytes: usize) -> Result<(), Stop> {
        let before = if self.made.0 == context.index { self.made.1 } else { 0 };
        if before + bytes > ENTRY_RESULT_BYTES_MAX {
            return Err(Stop::Refused(KvError::ResultTooLarge));
        }
        self.made = (context.index, before + bytes);
        Ok(())
    }

    /// The number for a new collection.
    pub(crate) fn next_collection(&mut self) -> u64 {
        let number = self.facts.next_collection;
        self.facts.next_collection += 1;
        number
    }

    /// What is staged over what is committed, at the moment of an entry.
    pub(crate) fn look(&self, context: &ApplyContext) -> Staged<'_> {
        Staged { staging: self, now: context.hlc }
    }

    /// Whether a collection died since the last call.
    pub(crate) fn take_new_dead(&mut self) -> bool {
        std::mem::take(&mut self.has_new_dead)
    }

    /// Whether keys with elements are remembered from now on.
    pub(crate) fn listen(&mut self, on: bool) {
        self.listening = on;
    }

    /// The keys that were remembered.
    pub(crate) fn take_filled(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.filled).into_iter().collect()
    }

    /// Removes everything: the next epoch is empty. The change feed names every key, because a reader of
    /// the feed may partition them differently and cannot know which keys were here.
    pub(crate) fn flush(&mut self, context: &ApplyContext) -> Result<(), EngineError> {
        let next = self.facts.epoch + 1;
        if next == EPOCH_END {
            return Err(EngineError::Damaged("the state has used up its data epochs".into()));
        }
        if context.wants_changes {
            for key in self.all_keys()? {
                self.record_change(context, &key, None);
            }
        }
        self.recorder.flush(context);
        self.writes.clear();
        self.facts.epoch = next;
        self.facts.records = 0;
        Ok(())
    }

    /// Ends the staging: the batch of its writes, and the changes.
    ///
    /// # Errors
    /// `Damaged` if what was changed does not fit.
    pub(crate) fn take(&mut self) -> Result<(Batch, Vec<Change>), EngineError> {
        self.end_entry()?;
        self.view.forget();
        self.bytes = 0;
        let aside = std::mem::take(&mut self.aside);
        let writes = std::mem::take(&mut self.writes).into_iter().chain(aside).collect();
        Ok((Batch { writes }, std::mem::take(&mut self.changes)))
    }

    fn write(&mut self, record_key: Bytes, value: Option<Bytes>) {
        self.bytes += record_key.len() + value.as_ref().map_or(0, Bytes::len) + STAGED_RECORD_BYTES;
        self.writes.insert(record_key, value);
    }

    fn change(&mut self, change: Change) {
        // The bytes are those of the write.
        self.bytes += change.sub_key.len() + STAGED_RECORD_BYTES;
        self.changes.push(change);
    }

    /// Notes the collection of a record as dead, unless it is the one that stays.
    fn bury(&mut self, stored: Option<&Stored>, stays: Option<u64>) {
        let held = stored.and_then(|stored| stored.header.collection);
        if let Some(number) = held.filter(|_| held != stays) {
            self.has_new_dead = true;
            self.write(layout::dead_key(self.facts.epoch, number), Some(Bytes::new()));
        }
    }

    fn move_deadline(&mut self, slot: &Slot, after: Option<u64>) {
        let before = slot.stored().and_then(|stored| stored.header.expiry_millis);
        if before == after {
            return;
        }
        let index_key = |deadline| layout::expiry_key(self.facts.epoch, deadline, &slot.key);
        let (before, after) = (before.map(index_key), after.map(index_key));
        if let Some(key) = before {
            self.write(key, None);
        }
        if let Some(key) = after {
            self.write(key, Some(Bytes::new()));
        }
    }

    fn record_change(&mut self, context: &ApplyContext, key: &Bytes, value: Option<&Bytes>) {
        if context.wants_changes {
            self.change(Change {
                hlc: context.hlc,
                key: key.clone(),
                sub_key: Bytes::new(),
                value: value.cloned(),
            });
        }
    }

    /// The keys of the present epoch, staged ones included.
    fn all_keys(&self) -> Result<Vec<Bytes>, EngineError> {
        let from = layout::epoch_start(layout::DATA, self.facts.epoch);
        let to = layout::epoch_start(layout::DATA, self.facts.epoch + 1);
        let (from, to) = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
        let mut record_keys = Vec::new();
        for record in self.records.view().range(from, to, false) {
            let (record_key, _) = record?;
            if !self.writes.contains_key(&record_key) {
                record_keys.push(record_key);
            }
        }
        let staged = self.writes.range::<[u8], _>((from, to));
        record_keys.extend(staged.filter(|(_, value)| value.is_some()).map(|(key, _)| key.clone()));
        record_keys.sort_unstable();
        record_keys.iter().map(|key| Ok(layout::split_data_key(key)?.1)).collect()
    }
}

/// What is staged over what is committed.
pub(crate) struct Staged<'a> {
    staging: &'a Staging,
    now: Hlc,
}

impl Look for Staged<'_> {
    fn get(&self, record_key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.staging.writes.get(record_key) {
            Some(staged) => Ok(staged.clone()),
            None => self.staging.records.get_latest(record_key),
        }
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> RecordsInOrder<'_> {
        if is_empty_range(from, to) {
            return Box::new(std::iter::empty());
        }
        let view = self.staging.view.get(|| self.staging.records.view());
        let stored = view.range(from, to, reverse);
        let staged = self.staging.writes.range::<[u8], _>((from, to));
        if reverse { merged(stored, staged.rev(), true) } else { merged(stored, staged, false) }
    }

    fn facts(&self) -> Result<Facts, EngineError> {
        Ok(self.staging.facts)
    }

    fn epoch(&self) -> u32 {
        self.staging.facts.epoch
    }

    fn now(&self) -> Hlc {
        self.now
    }
}
