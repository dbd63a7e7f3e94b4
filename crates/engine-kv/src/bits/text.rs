//! Strings whose bytes are read and changed piece by piece, wherever they lie.
//!
//! ```text
//!   a string      the body has the bytes
//!   a bitmap      the count is the length in bytes;
//!                 page number u32 │ → up to `BITMAP_PAGE_BYTES` bytes of that page
//! ```
//!
//! What a page's record does not have is zeros, and so is a page without a record: setting one bit far out
//! writes one short record, however long the string is then. A string becomes a bitmap when its bits are
//! changed and it is longer than `BITMAP_WHOLE_BYTES_MAX`; it becomes a plain string again when a command
//! writes it whole.

use bytes::{BufMut, Bytes, BytesMut};
use engine::{ApplyContext, EngineError};
use std::ops::Bound;
use types::limits::{BITMAP_PAGE_BYTES, BITMAP_WHOLE_BYTES_MAX, VALUE_BYTES_MAX};

use crate::collection::{Edit, Found, Parts};
use crate::look::Look;
use crate::staging::{Slot, Staging};
use crate::state::Stop;
use crate::strings::check_length;
use crate::value::{Kind, Stored};
use api::kv::KvError;

const PAGE: u64 = BITMAP_PAGE_BYTES as u64;

/// A string that is read.
pub(crate) enum Text {
    /// All in one piece.
    Whole(Bytes),
    /// In pages.
    Paged {
        /// Where they lie.
        parts: Parts,
        /// The string's bytes.
        length: u64,
    },
}

/// Some bytes of a string.
pub(crate) struct Piece {
    /// Where they begin.
    pub(crate) at: u64,
    pub(crate) bytes: Bytes,
}

/// Pieces in order.
pub(crate) type Pieces<'a> = Box<dyn Iterator<Item = Result<Piece, EngineError>> + 'a>;

impl Text {
    /// The string that a key holds.
    ///
    /// # Errors
    /// `WrongType` if it holds something else.
    pub(crate) fn of(look: &dyn Look, stored: &Stored) -> Result<Self, Stop> {
        match stored.header.kind {
            Kind::String => Ok(Text::Whole(stored.body.clone())),
            Kind::Bitmap => {
                let found = Found::of(look.epoch(), stored)?;
                if found.count > VALUE_BYTES_MAX as u64 {
                    return Err(EngineError::Damaged("a bitmap is longer than a string may be".into()).into());
                }
                Ok(Text::Paged { parts: found.parts, length: found.count })
            }
            _ => Err(Stop::Refused(KvError::WrongType)),
        }
    }

    /// Its bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Text::Whole(bytes) => bytes.len() as u64,
            Text::Paged { length, .. } => *length,
        }
    }

    /// What is stored of a range, in order; what lies between is zeros. The range ends before `to`, which is
    /// at most the length.
    pub(crate) fn pieces<'a>(&self, look: &'a dyn Look, from: u64, to: u64) -> Pieces<'a> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        match self {
            Text::Whole(bytes) => {
                let bytes = bytes.slice(from as usize..to as usize);
                Box::new(std::iter::once(Ok(Piece { at: from, bytes })))
            }
            Text::Paged { parts, .. } => {
                let (first, last) = (page_key(from / PAGE), page_key((to - 1) / PAGE));
                let pages = parts.range(look, Bound::Included(&first), Bound::Included(&last), false);
                let pieces = pages.map(move |page| {
                    let (sub_key, bytes) = page?;
                    Ok(page_piece(&sub_key, bytes)?.within(from, to))
                });
                // What is stored of a page may end before the range begins.
                Box::new(pieces.filter(|piece| !matches!(piece, Ok(piece) if piece.bytes.is_empty())))
            }
        }
    }

    /// The bytes of a range as one slice. The range ends before `to`, which is at most the length.
    pub(crate) fn slice(&self, look: &dyn Look, from: u64, to: u64) -> Result<Bytes, EngineError> {
        if let Text::Whole(bytes) = self {
            return Ok(bytes.slice(from as usize..to as usize));
        }
        let mut all = vec![0; (to - from) as usize];
        for piece in self.pieces(look, from, to) {
            let piece = piece?;
            let place = (piece.at - from) as usize;
            all[place..place + piece.bytes.len()].copy_from_slice(&piece.bytes);
        }
        Ok(all.into())
    }

    /// Fills `into` with the bytes from a place on; zeros where the string has ended.
    pub(crate) fn read(&self, look: &dyn Look, at: u64, into: &mut [u8]) -> Result<(), EngineError> {
        let from = at.min(self.len());
        let to = at.saturating_add(into.len() as u64).min(self.len());
        let bytes = self.slice(look, from, to)?;
        into.fill(0);
        into[..bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}

impl Piece {
    /// The part of it that lies in a range.
    fn within(self, from: u64, to: u64) -> Self {
        let length = self.bytes.len() as u64;
        let begin = from.saturating_sub(self.at).min(length);
        let end = to.saturating_sub(self.at).clamp(begin, length);
        Piece { at: self.at + begin, bytes: self.bytes.slice(begin as usize..end as usize) }
    }
}

/// The string that a bitmap's pages make up.
pub(crate) fn assembled(look: &dyn Look, stored: &Stored) -> Result<Bytes, Stop> {
    let text = Text::of(look, stored)?;
    Ok(text.slice(look, 0, text.len())?)
}

fn page_key(number: u64) -> [u8; 4] {
    // A string of the greatest length has some thousand pages.
    (number as u32).to_be_bytes()
}

fn page_piece(sub_key: &[u8], bytes: Bytes) -> Result<Piece, EngineError> {
    let damaged = || EngineError::Damaged("a page of a bitmap does not fit".into());
    let number = sub_key.try_into().map(u32::from_be_bytes).map_err(|_| damaged())?;
    if bytes.len() > BITMAP_PAGE_BYTES {
        return Err(damaged());
    }
    Ok(Piece { at: u64::from(number) * PAGE, bytes })
}

/// A string that is changed.
pub(crate) struct Editing {
    held: Held,
    changed: bool,
}

enum Held {
    Whole(Slot, Vec<u8>),
    Paged(Edit),
}

impl Editing {
    /// Opens the string of a key, absent or not, and makes it at least `bytes` long.
    ///
    /// # Errors
    /// `WrongType` if the key holds something else, `TooLong` beyond the greatest length.
    pub(crate) fn open(
        staging: &mut Staging,
        context: &ApplyContext,
        key: &Bytes,
        bytes: u64,
    ) -> Result<Self, Stop> {
        let slot = staging.slot(context, key)?;
        let body = match &slot.found {
            Some(stored) if stored.header.kind == Kind::String => stored.body.clone(),
            None => Bytes::new(),
            Some(_) => {
                let mut edit = Edit::of_slot(staging, slot, Kind::Bitmap)?;
                check_length(bytes)?;
                let changed = bytes > edit.count;
                edit.count = edit.count.max(bytes);
                return Ok(Self { held: Held::Paged(edit), changed });
            }
        };
        check_length(bytes)?;
        let changed = bytes > body.len() as u64;
        if changed && bytes > BITMAP_WHOLE_BYTES_MAX as u64 {
            let mut edit = Edit::turning(staging, slot, Kind::Bitmap);
            edit.count = bytes;
            put_pages(&edit, staging, context, &body);
            return Ok(Self { held: Held::Paged(edit), changed });
        }
        let mut whole = body.to_vec();
        whole.resize(whole.len().max(bytes as usize), 0);
        Ok(Self { held: Held::Whole(slot, whole), changed })
    }

    /// Fills `into` with the bytes from a place on; zeros where the string has ended.
    pub(crate) fn read(&self, look: &dyn Look, at: u64, into: &mut [u8]) -> Result<(), EngineError> {
        match &self.held {
            Held::Whole(_, bytes) => {
                let begin = (at as usize).min(bytes.len());
                let end = begin.saturating_add(into.len()).min(bytes.len());
                into.fill(0);
                into[..end - begin].copy_from_slice(&bytes[begin..end]);
                Ok(())
            }
            Held::Paged(edit) => Text::Paged { parts: edit.parts, length: edit.count }.read(look, at, into),
        }
    }

    /// Overwrites bytes that lie inside the string.
    pub(crate) fn write(
        &mut self,
        staging: &mut Staging,
        context: &ApplyContext,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), EngineError> {
        self.changed = true;
        match &mut self.held {
            Held::Whole(_, whole) => whole[at as usize..at as usize + bytes.len()].copy_from_slice(bytes),
            Held::Paged(edit) => {
                let mut rest = (at, bytes);
                while !rest.1.is_empty() {
                    let (at, bytes) = rest;
                    let here = bytes.len().min((PAGE - at % PAGE) as usize);
                    write_in_page(edit, staging, context, at, &bytes[..here])?;
                    rest = (at + here as u64, &bytes[here..]);
                }
            }
        }
        Ok(())
    }

    /// Stages the string, if anything has changed.
    pub(crate) fn finish(self, staging: &mut Staging, context: &ApplyContext) {
        match self.held {
            _ if !self.changed => {}
            Held::Whole(slot, bytes) if bytes.len() > BITMAP_WHOLE_BYTES_MAX => {
                let mut edit = Edit::turning(staging, slot, Kind::Bitmap);
                edit.count = bytes.len() as u64;
                put_pages(&edit, staging, context, &bytes);
                edit.finish(staging, context);
            }
            Held::Whole(slot, bytes) => {
                staging.put_string(context, &slot, slot.expiry_millis(), &[&bytes]);
            }
            Held::Paged(edit) => edit.finish(staging, context),
        }
    }
}

/// Stages a string's pages, without those that are all zeros.
fn put_pages(edit: &Edit, staging: &mut Staging, context: &ApplyContext, bytes: &[u8]) {
    for (number, page) in (0..).zip(bytes.chunks(BITMAP_PAGE_BYTES)) {
        if let Some(last) = page.iter().rposition(|byte| *byte != 0) {
            edit.put(staging, context, &page_key(number), Bytes::copy_from_slice(&page[..=last]));
        }
    }
}

/// Overwrites bytes that lie in one page.
fn write_in_page(
    edit: &Edit,
    staging: &mut Staging,
    context: &ApplyContext,
    at: u64,
    bytes: &[u8],
) -> Result<(), EngineError> {
    let sub_key = page_key(at / PAGE);
    let before = edit.parts.get(&staging.look(context), &sub_key)?.unwrap_or_default();
    let before = page_piece(&sub_key, before)?.bytes;
    let (begin, end) = ((at % PAGE) as usize, (at % PAGE) as usize + bytes.len());
    let mut page = BytesMut::with_capacity(before.len().max(end));
    page.put_slice(&before);
    page.resize(before.len().max(end), 0);
    page[begin..end].copy_from_slice(bytes);
    edit.put(staging, context, &sub_key, page.freeze());
    Ok(())
}
