//! Contents out of a state that was taken hold of: key after key, in the order of their positions.
//!
//! A collection is read part by part, and cut where a page is full, so its size does not matter. What parts
//! look like is each family's own (see `collection`); here they become elements.

use std::ops::Bound;
use std::sync::Arc;

use api::kv::{ContentKind, ContentSelection, ContentSum, Contents, Element, Piece};
use bytes::Bytes;
use engine::records::View;
use engine::{ContentPage, ContentSource, EngineError, Held, IsKnown};
use prost::Message;
use types::Hlc;

use crate::collection::{Found, POSITION_BYTES};
use crate::layout::{self, DATA};
use crate::look::Committed;
use crate::state::Stop;
use crate::strings::string_of;
use crate::value::{Header, Kind, Stored};

/// Bytes that an element costs besides its own, roughly.
const ELEMENT_COST: usize = 8;
/// Bytes that a key costs besides its own, roughly.
const KEY_COST: usize = 32;
/// Bytes of the version in front of a field's value and of a member's score.
const VERSION_BYTES: usize = 8;

/// A state that was taken hold of.
pub(crate) struct KvHeld {
    view: Arc<dyn View>,
    epoch: u32,
    at: Hlc,
}

impl KvHeld {
    /// The live records of an epoch in a view, as of a moment.
    pub(crate) fn new(view: Arc<dyn View>, epoch: u32, at: Hlc) -> Self {
        Self { view, epoch, at }
    }
}

impl Held for KvHeld {
    fn export(&self, selection: &[u8]) -> Result<Box<dyn ContentSource>, EngineError> {
        let selection = ContentSelection::decode(selection).map_err(|_| bad("a selection"))?;
        Ok(Box::new(KvContents {
            look: Committed { view: self.view.clone(), epoch: self.epoch, now: self.at },
            selection,
            next: Some(Bound::Included(Bytes::copy_from_slice(&layout::epoch_start(DATA, self.epoch)))),
            open: None,
        }))
    }
}

/// Contents being read.
struct KvContents {
    look: Committed,
    selection: ContentSelection,
    /// Where the next key is looked for; `None` at the end.
    next: Option<Bound<Bytes>>,
    /// A collection of which a page has taken a part.
    open: Option<Collection>,
}

/// A collection on its way.
struct Collection {
    key: Bytes,
    header: Header,
    found: Found,
    /// Where its next element is looked for.
    next: Bound<Bytes>,
    /// Elements that have been given out.
    given: u64,
    /// Somebody has it already: it only counts.
    is_known: bool,
}

/// A page being filled.
struct Page {
    pieces: Vec<Piece>,
    sum: ContentSum,
    is_empty: bool,
    bytes: usize,
    bytes_max: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// Takes a piece; of one that is known only the sum.
    fn put(&mut self, piece: Piece, is_known: bool) {
        self.is_empty = false;
        self.sum.add(&piece);
        if !is_known {
            self.pieces.push(piece);
        }
    }
}

impl ContentSource for KvContents {
    fn next_page_without(
        &mut self,
        bytes_max: usize,
        is_known: IsKnown<'_>,
    ) -> Result<Option<ContentPage>, EngineError> {
        let sum = ContentSum::default();
        let mut page = Page { pieces: Vec::new(), sum, is_empty: true, bytes: 0, bytes_max };
        if let Some(collection) = self.open.take() {
            self.open = self.take_elements(collection, &mut page)?;
        }
        if self.open.is_none() {
            self.take_keys(&mut page, is_known)?;
        }
        if page.is_empty {
            return Ok(None);
        }
        let body = Contents { pieces: page.pieces }.encode_to_vec().into();
        Ok(Some(ContentPage { body, sum: page.sum, is_whole: self.open.is_none() }))
    }
}

impl KvContents {
    /// Takes keys until the page is full or there are no more.
    fn take_keys(&mut self, page: &mut Page, is_known: IsKnown<'_>) -> Result<(), EngineError> {
        let Some(from) = self.next.take() else { return Ok(()) };
        let view = self.look.view.clone();
        let from = match &from {
            Bound::Included(key) => Bound::Included(&key[..]),
            Bound::Excluded(key) => Bound::Excluded(&key[..]),
            Bound::Unbounded => Bound::Unbounded,
        };
        let end = layout::epoch_start(DATA, self.look.epoch + 1);
        for record in view.range(from, Bound::Excluded(&end), false) {
            let (record_key, value) = record?;
            let stored = Stored::decode(value)?;
            let (_, key) = layout::split_data_key(&record_key)?;
            if self.wants(&stored.header) && key.starts_with(&self.selection.prefix) {
                let is_known = is_known(&key, stored.header.version);
                self.take_key(key, stored, is_known, page)?;
            }
            if page.is_full() || self.open.is_some() {
                self.next = Some(Bound::Excluded(record_key));
                return Ok(());
            }
        }
        Ok(())
    }

    fn wants(&self, header: &Header) -> bool {
        let kind = content_kind(header.kind) as i32;
        let is_selected = self.selection.kinds.is_empty() || self.selection.kinds.contains(&kind);
        is_selected && !header.is_expired(self.look.now)
    }

    fn take_key(
        &mut self,
        key: Bytes,
        stored: Stored,
        is_known: bool,
        page: &mut Page,
    ) -> Result<(), EngineError> {
        if stored.header.kind.is_string() {
            let value = string_of(&self.look, &stored).map_err(damaged)?;
            page.bytes += KEY_COST + key.len() + value.len();
            page.put(Piece { value, ..self.face(&key, &stored.header) }, is_known);
            return Ok(());
        }
        let found = Found::of(self.look.epoch, &stored)?;
        let start = Bound::Included(elements_prefix(stored.header.kind));
        let collection = Collection { key, header: stored.header, found, next: start, given: 0, is_known };
        self.open = self.take_elements(collection, page)?;
        Ok(())
    }

    /// Takes elements of a collection until the page is full; what is left of it, if anything is.
    fn take_elements(
        &self,
        mut collection: Collection,
        page: &mut Page,
    ) -> Result<Option<Collection>, EngineError> {
        let mut piece = Piece { first: collection.given, ..self.face(&collection.key, &collection.header) };
        page.bytes += KEY_COST + collection.key.len();
        let kind = collection.header.kind;
        let prefix = elements_prefix(kind);
        let from = match &collection.next {
            Bound::Included(sub_key) => Bound::Included(&sub_key[..]),
            Bound::Excluded(sub_key) => Bound::Excluded(&sub_key[..]),
            Bound::Unbounded => Bound::Unbounded,
        };
        let mut last = None;
        for part in collection.found.parts.range(&self.look, from, Bound::Unbounded, false) {
            let (sub_key, value) = part?;
            // Behind the elements there may be records that are derived from them.
            if !sub_key.starts_with(&prefix) {
                break;
            }
            let element = element(kind, &sub_key, value)?;
            page.bytes += ELEMENT_COST + element.name.len() + element.value.len();
            piece.elements.push(element);
            last = Some(sub_key);
            if page.is_full() {
                break;
            }
        }
        collection.given += piece.elements.len() as u64;
        let rest = collection.found.count.checked_sub(collection.given);
        match (rest, last) {
            (Some(0), _) => {
                page.put(piece, collection.is_known);
                Ok(None)
            }
            (Some(_), Some(last)) if page.is_full() => {
                piece.more = true;
                page.put(piece, collection.is_known);
                collection.next = Bound::Excluded(last);
                Ok(Some(collection))
            }
            _ => Err(bad("the number of elements of a collection")),
        }
    }

    /// A piece that says what is the same in all pieces of a key.
    fn face(&self, key: &Bytes, header: &Header) -> Piece {
        let shift = self.selection.expiry_shift_millis;
        Piece {
            key: key.clone(),
            kind: content_kind(header.kind) as i32,
            expiry_millis: header.expiry_millis.map(|millis| millis.saturating_sub(shift)),
            version: header.version.0,
            unfinished: header.unfinished,
            ..Default::default()
        }
    }
}

/// What a kind is in contents.
pub(crate) fn content_kind(kind: Kind) -> ContentKind {
    match kind {
        Kind::String | Kind::Bitmap => ContentKind::String,
        Kind::Hash => ContentKind::Hash,
        Kind::List => ContentKind::List,
        Kind::Set => ContentKind::Set,
        Kind::SortedSet => ContentKind::SortedSet,
    }
}

/// What the sub-keys of a kind's elements begin with.
pub(crate) fn elements_prefix(kind: Kind) -> Bytes {
    match kind {
        Kind::SortedSet => Bytes::from_static(b"m"),
        _ => Bytes::new(),
    }
}

/// The element that a part is.
pub(crate) fn element(kind: Kind, sub_key: &Bytes, value: Bytes) -> Result<Element, EngineError> {
    let name_at = elements_prefix(kind).len() + POSITION_BYTES;
    let name = || match sub_key.len() >= name_at {
        true => Ok(sub_key.slice(name_at..)),
        false => Err(bad("the sub-key of a part")),
    };
    match kind {
        Kind::Hash if value.len() >= VERSION_BYTES => {
            Ok(Element { name: name()?, value: value.slice(VERSION_BYTES..), score: 0.0 })
        }
        Kind::Set => Ok(Element { name: name()?, ..Default::default() }),
        Kind::SortedSet => {
            let score = value.get(VERSION_BYTES..).and_then(|bits| bits.try_into().ok());
            let score = score.map(u64::from_be_bytes).ok_or_else(|| bad("the score of a member"))?;
            Ok(Element { name: name()?, score: f64::from_bits(score), ..Default::default() })
        }
        Kind::List => Ok(Element { value, ..Default::default() }),
        Kind::Hash => Err(bad("the value of a field")),
        Kind::String | Kind::Bitmap => Err(bad("a string that has elements")),
    }
}

/// A read of what is there is refused only if it is damaged.
fn damaged(stop: Stop) -> EngineError {
    match stop {
        Stop::Failed(error) => error,
        Stop::Refused(_) => bad("a string"),
    }
}

fn bad(what: &str) -> EngineError {
    EngineError::Damaged(format!("{what} does not fit"))
}
