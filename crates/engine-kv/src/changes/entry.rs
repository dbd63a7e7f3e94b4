//! What an entry has changed, out of what it has touched: what is staged at its end against what was there before.

use std::collections::BTreeMap;

use api::kv::{Element, EntryChanges, KeyChange, ListChange, Moved, PageChange};
use bytes::Bytes;
use engine::EngineError;
use types::limits::BITMAP_PAGE_BYTES;

use super::Touched;
use crate::collection::Found;
use crate::export::{content_kind, element, elements_prefix};
use crate::lists::Row;
use crate::members::name_of;
use crate::staging::Staging;
use crate::value::{Kind, Stored};

/// About how many bytes a piece has: far below what a reply may have, unless one element is larger.
const PIECE_BYTES: usize = 256 * 1024;
/// What a key or an element costs besides its bytes, roughly.
const COST: usize = 24;

impl Touched {
    /// What the entry has changed, in pieces; none if nothing.
    ///
    /// # Errors
    /// `Damaged` if what is stored does not fit.
    pub(crate) fn changes(&self, staging: &Staging) -> Result<Vec<EntryChanges>, EngineError> {
        let mut pieces = Pieces::new(self.index.get(), self.hlc.0, self.flushed);
        let lived = self.collections_before();
        for (key, before) in &self.keys {
            let Some(stored) = staging.raw_slot(key)?.found else {
                // One whose collection was moved is taken from it by that.
                if before.is_some() {
                    pieces.gone(key);
                }
                continue;
            };
            let change = KeyChange {
                key: key.clone(),
                kind: content_kind(stored.header.kind) as i32,
                expiry_millis: stored.header.expiry_millis,
                unfinished: stored.header.unfinished,
                ..Default::default()
            };
            let Some(number) = stored.header.collection else {
                pieces.write(KeyChange { fresh: true, value: Some(stored.body.clone()), ..change });
                continue;
            };
            let before = lived.get(&number).copied();
            if let Some((from, _)) = before.filter(|(from, _)| *from != key) {
                pieces.moved(from, key);
            }
            let change = KeyChange { fresh: before.is_none(), ..change };
            self.add_parts(staging, &stored, before.map(|(_, stored)| stored), change, &mut pieces)?;
        }
        Ok(pieces.finish())
    }

    /// Collections that lived before the entry, with their keys and the records of these.
    fn collections_before(&self) -> BTreeMap<u64, (&Bytes, &Stored)> {
        let with_number = self.keys.iter().filter_map(|(key, before)| {
            let stored = before.as_ref()?;
            Some((stored.header.collection?, (key, stored)))
        });
        with_number.collect()
    }

    /// Adds what has become of the parts of a collection.
    fn add_parts(
        &self,
        staging: &Staging,
        stored: &Stored,
        before: Option<&Stored>,
        mut change: KeyChange,
        pieces: &mut Pieces,
    ) -> Result<(), EngineError> {
        let kind = stored.header.kind;
        let found = Found::of(staging.facts.epoch, stored)?;
        match kind {
            Kind::List => {
                let row = Row::of(&found)?;
                let row_before = before.map(|stored| Found::of(staging.facts.epoch, stored));
                let first_before = row_before.transpose()?.map(|found| Row::of(&found)).transpose()?;
                change.list = Some(ListChange {
                    first_before: first_before.map_or(0, |row| row.first()),
                    first: row.first(),
                    count: row.count,
                    places: Vec::new(),
                });
            }
            Kind::Bitmap => {
                let page_bytes = BITMAP_PAGE_BYTES as u64;
                change.pages = Some(PageChange { length: found.count, page_bytes, offsets: Vec::new() });
            }
            _ => {}
        }
        let mut open = pieces.open(change);
        for sub_key in self.parts.get(&found.parts.number()).into_iter().flatten() {
            if !sub_key.starts_with(&elements_prefix(kind)) {
                continue;
            }
            let value = staging.staged(&found.parts.key(sub_key));
            match kind {
                Kind::List => {
                    // What was removed lies outside of the list now.
                    let Some(value) = value else { continue };
                    open.place(number(sub_key)?, value);
                }
                Kind::Bitmap => open.page(u64::from(page_number(sub_key)?), value.unwrap_or_default()),
                _ => match value {
                    Some(value) => open.element(element(kind, sub_key, value)?),
                    None => open.removed(name_of(&sub_key.slice(elements_prefix(kind).len()..))?),
                },
            }
        }
        open.close();
        Ok(())
    }
}

fn number(sub_key: &[u8]) -> Result<u64, EngineError> {
    let damaged = |_| EngineError::Damaged("the place of an element does not fit".into());
    sub_key.try_into().map(u64::from_be_bytes).map_err(damaged)
}

fn page_number(sub_key: &[u8]) -> Result<u32, EngineError> {
    let damaged = |_| EngineError::Damaged("a page of a bitmap does not fit".into());
    sub_key.try_into().map(u32::from_be_bytes).map_err(damaged)
}

/// Changes of an entry, cut into pieces.
struct Pieces {
    done: Vec<EntryChanges>,
    piece: EntryChanges,
    bytes: usize,
}

impl Pieces {
    fn new(index: u64, hlc: u64, flushed: bool) -> Self {
        let piece = EntryChanges { index, hlc, flushed, ..Default::default() };
        Self { done: Vec::new(), piece, bytes: 0 }
    }

    fn moved(&mut self, from: &Bytes, to: &Bytes) {
        self.piece.moved.push(Moved { from: from.clone(), to: to.clone() });
        self.spend(from.len() + to.len());
    }

    fn gone(&mut self, key: &Bytes) {
        self.piece.gone.push(key.clone());
        self.spend(key.len());
    }

    fn write(&mut self, change: KeyChange) {
        self.open(change).close();
    }

    /// Begins with a key, to which elements are added.
    fn open(&mut self, change: KeyChange) -> Open<'_> {
        Open { pieces: self, change, bytes: 0 }
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes += bytes + COST;
        if self.bytes >= PIECE_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let next = EntryChanges {
            index: self.piece.index,
            hlc: self.piece.hlc,
            piece: self.piece.piece + 1,
            ..Default::default()
        };
        let done = std::mem::replace(&mut self.piece, next);
        self.done.push(EntryChanges { more: true, ..done });
        self.bytes = 0;
    }

    fn finish(mut self) -> Vec<EntryChanges> {
        let piece = &self.piece;
        let is_empty =
            !piece.flushed && piece.moved.is_empty() && piece.gone.is_empty() && piece.written.is_empty();
        match (is_empty, self.done.last_mut()) {
            (false, _) => self.done.push(self.piece),
            (true, Some(last)) => last.more = false,
            (true, None) => {}
        }
        self.done
    }
}

/// A key whose elements are being told.
struct Open<'a> {
    pieces: &'a mut Pieces,
    change: KeyChange,
    /// Bytes of elements that are told and not in a piece yet.
    bytes: usize,
}

impl Open<'_> {
    fn element(&mut self, element: Element) {
        let bytes = element.name.len() + element.value.len();
        self.change.elements.push(element);
        self.spend(bytes);
    }

    fn removed(&mut self, name: &[u8]) {
        self.change.removed.push(Bytes::copy_from_slice(name));
        self.spend(name.len());
    }

    fn place(&mut self, place: u64, value: Bytes) {
        if let Some(list) = &mut self.change.list {
            list.places.push(place);
        }
        self.element(Element { value, ..Default::default() });
    }

    fn page(&mut self, page: u64, value: Bytes) {
        if let Some(pages) = &mut self.change.pages {
            pages.offsets.push(page * pages.page_bytes);
        }
        self.element(Element { value, ..Default::default() });
    }

    /// Cuts where a piece is full: the rest of the key is told in the next one.
    fn spend(&mut self, bytes: usize) {
        self.bytes += bytes + COST;
        if self.pieces.bytes + self.bytes < PIECE_BYTES {
            return;
        }
        let mut rest = KeyChange { fresh: false, ..self.change.clone() };
        rest.elements.clear();
        rest.removed.clear();
        rest.list.iter_mut().for_each(|list| list.places.clear());
        rest.pages.iter_mut().for_each(|pages| pages.offsets.clear());
        let told = std::mem::replace(&mut self.change, rest);
        self.pieces.piece.written.push(told);
        self.pieces.cut();
        self.bytes = 0;
    }

    fn close(self) {
        let value = self.change.value.as_ref().map_or(0, Bytes::len);
        let bytes = self.bytes + self.change.key.len() + value;
        self.pieces.piece.written.push(self.change);
        self.pieces.spend(bytes);
    }
}
