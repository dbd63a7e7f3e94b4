//! ZanKV's walks through one table: `ADVSCAN`, `FULLSCAN` and their kin.
//!
//! They differ from Redis' `SCAN` in three ways: the cursor begins with the table (`namespace:table:`), a walk sees
//! keys of one kind, and the cursor that ends it is empty. A cursor is shaped like ZanKV's,
//!
//! ```text
//!   base64( partition ":" base64( position ) ";" )
//! ```
//!
//! and names the one partition in which the walk is: one is finished before the next begins. ZanKV promises an order
//! within a partition, that of the keys; here it is that of their positions, which says nothing to a user, so the
//! forms that walk backwards walk like the others.
//!
//! `FULLSCAN` asks for a page of keys and then for what each of them holds. A key that is gone by then, or holds
//! something else, is left out.

use api::kv::{
    Bounds, ContentKind, HashOp, HashRequest, Key, KvAnswer, KvOp, ListOp, ListRange, ListRequest, Nothing,
    Page, RankBounds, Scan, SetOp, SetRequest, SortedBounds, SortedOp, SortedRange, SortedRequest,
    zankv_score,
};
use bytes::Bytes;
use types::limits::{CLIENT_OUTPUT_BYTES_MAX, POSITION_BITS};
use types::{ErrorCode, Fault};

use crate::base64;
use crate::form::unexpected;
use crate::reply::Reply;
use crate::scan::{PAGE_KEYS_MAX, Shown, Step, advance};
use crate::text::ErrorText;

/// Keys of a page when `COUNT` is not given, as in ZanKV.
const COUNT: u64 = 100;
/// Bytes that an element takes in a reply beside its own, about.
const ELEMENT_BYTES: usize = 16;

/// `ERR invalid scan cursor`.
pub(crate) const BAD_CURSOR: ErrorText = ErrorText::fixed("ERR invalid scan cursor");

/// A page of a walk through one table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableScan {
    /// `namespace:table:`, as clients write it.
    table: Bytes,
    at: (u32, u64),
    count: u64,
    pattern: Option<Bytes>,
    kind: ContentKind,
    /// Whether to tell what the keys hold.
    with_values: bool,
    /// Where the walk goes on after this page.
    next: Option<(u32, u64)>,
    /// Keys of the page whose values have not been asked for, as stored and as shown; the next one is the last.
    waiting: Vec<(Bytes, Bytes)>,
    items: Vec<Reply>,
    bytes: usize,
}

impl TableScan {
    /// The page of a cursor, `namespace:table:` and what the page before has answered.
    pub(crate) fn new(cursor: &Bytes, kind: ContentKind, with_values: bool) -> Result<Self, ErrorText> {
        let mut colons = cursor.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(place, _)| place);
        let (Some(_), Some(second)) = (colons.next(), colons.next()) else { return Err(BAD_CURSOR) };
        let at = match &cursor[second + 1..] {
            [] => (0, 0),
            text => place_of(text).ok_or(BAD_CURSOR)?,
        };
        Ok(Self {
            table: cursor.slice(..=second),
            at,
            count: COUNT,
            pattern: None,
            kind,
            with_values,
            next: None,
            waiting: Vec::new(),
            items: Vec::new(),
            bytes: 0,
        })
    }

    pub(crate) fn set_count(&mut self, count: u64) {
        self.count = count;
    }

    pub(crate) fn set_pattern(&mut self, pattern: Bytes) {
        self.pattern = Some(pattern);
    }

    pub(crate) fn table(&self) -> &Bytes {
        &self.table
    }

    pub(crate) fn ask(&mut self, targets: u32) -> Step {
        let (index, position) = self.at;
        if index >= targets {
            return Step::Done(if index == 0 { self.page() } else { BAD_CURSOR.into() });
        }
        // The table's name stands in the pattern as it is; behind it stands what the client wants.
        let mut pattern = Vec::with_capacity(2 * self.table.len() + 1);
        for byte in &self.table {
            pattern.extend_from_slice(&[b'\\', *byte]);
        }
        pattern.extend_from_slice(self.pattern.as_deref().unwrap_or(b"*"));
        let op = KvOp::Scan(Scan {
            position,
            count: self.count.clamp(1, PAGE_KEYS_MAX),
            pattern: pattern.into(),
            only_type: type_name(self.kind).into(),
            ..Default::default()
        });
        Step::Ask { index, op }
    }

    pub(crate) fn absorb(&mut self, targets: u32, answer: KvAnswer, shown: Shown<'_>) -> Result<Step, Fault> {
        match (self.waiting.pop(), answer) {
            (None, KvAnswer::Page(page)) => self.take_keys(targets, page, shown)?,
            (None, other) => return Err(unexpected("a page", &other)),
            (Some((_, name)), answer) => self.take_value(name, answer)?,
        }
        if self.bytes > CLIENT_OUTPUT_BYTES_MAX {
            let detail =
                format!("the page takes more than {CLIENT_OUTPUT_BYTES_MAX} bytes; use a smaller COUNT");
            return Err(Fault::new(ErrorCode::RequestTooLarge, detail));
        }
        Ok(match self.waiting.last() {
            Some((key, _)) => Step::Ask { index: self.at.0, op: value_of(self.kind, key.clone()) },
            None => Step::Done(self.page()),
        })
    }

    fn take_keys(&mut self, targets: u32, page: Page, shown: Shown<'_>) -> Result<(), Fault> {
        self.next = advance(self.at, &page, targets)?;
        for key in page.keys {
            let name = shown(key.clone()).filter(|name| name.starts_with(&self.table));
            let Some(name) = name.map(|name| name.slice(self.table.len()..)) else { continue };
            self.bytes += name.len() + ELEMENT_BYTES;
            match self.with_values {
                true => self.waiting.push((key, name)),
                false => self.items.push(Reply::Bulk(name)),
            }
        }
        // The next one is taken from the end.
        self.waiting.reverse();
        Ok(())
    }

    fn take_value(&mut self, name: Bytes, answer: KvAnswer) -> Result<(), Fault> {
        let mut item = vec![Reply::Bulk(name)];
        match (self.kind, answer) {
            (_, KvAnswer::Nil(_) | KvAnswer::Error(_)) => return Ok(()),
            (ContentKind::String, KvAnswer::Value(value)) => {
                self.bytes += value.len();
                item.push(Reply::Bulk(value));
            }
            (ContentKind::Hash, KvAnswer::Page(page)) => {
                let bulks = self.bulks(page.keys);
                item.extend(bulks.chunks(2).map(|pair| Reply::Array(pair.to_vec())));
            }
            (ContentKind::Set, KvAnswer::Page(page)) => item.append(&mut self.bulks(page.keys)),
            (ContentKind::List, KvAnswer::Values(values)) => {
                let elements = values.values.into_iter().filter_map(|maybe| maybe.value);
                item.append(&mut self.bulks(elements.collect()));
            }
            (ContentKind::SortedSet, KvAnswer::Scored(scored)) => {
                for scored in scored.members {
                    self.bytes += scored.member.len() + 2 * ELEMENT_BYTES;
                    let score = Reply::bulk(zankv_score(scored.score));
                    item.push(Reply::Array(vec![Reply::Bulk(scored.member), score]));
                }
            }
            (_, other) => return Err(unexpected("what the key holds", &other)),
        }
        // Nothing behind the name: it was removed in between.
        if item.len() > 1 {
            self.items.push(Reply::Array(item));
        }
        Ok(())
    }

    fn bulks(&mut self, values: Vec<Bytes>) -> Vec<Reply> {
        self.bytes += values.iter().map(|value| value.len() + ELEMENT_BYTES).sum::<usize>();
        values.into_iter().map(Reply::Bulk).collect()
    }

    fn page(&mut self) -> Reply {
        let cursor = self.next.map_or(String::new(), cursor_of);
        Reply::Array(vec![Reply::bulk(cursor), Reply::Array(std::mem::take(&mut self.items))])
    }
}

/// The request for what a key holds.
fn value_of(kind: ContentKind, key: Bytes) -> KvOp {
    match kind {
        ContentKind::Hash => KvOp::Hash(HashRequest { key, op: Some(HashOp::All(Nothing {})) }),
        ContentKind::List => {
            let op = ListOp::Range(ListRange { key, start: 0, stop: -1 });
            KvOp::List(ListRequest { op: Some(op) })
        }
        ContentKind::Set => KvOp::Sets(SetRequest { op: Some(SetOp::Members(Key { key })) }),
        ContentKind::SortedSet => {
            let bounds = Some(Bounds::Rank(RankBounds { start: 0, stop: -1 }));
            let range = SortedRange { key, between: Some(SortedBounds { bounds }), ..Default::default() };
            KvOp::Sorted(SortedRequest { op: Some(SortedOp::Range(range)) })
        }
        ContentKind::String | ContentKind::Unknown => KvOp::Get(Key { key }),
    }
}

/// What `TYPE` calls a kind.
fn type_name(kind: ContentKind) -> &'static str {
    match kind {
        ContentKind::String | ContentKind::Unknown => "string",
        other => other.name(),
    }
}

fn cursor_of((partition, position): (u32, u64)) -> String {
    let position = base64::encode(position.to_string().as_bytes());
    base64::encode(format!("{partition}:{position};").as_bytes())
}

fn place_of(cursor: &[u8]) -> Option<(u32, u64)> {
    let text = String::from_utf8(base64::decode(cursor)?).ok()?;
    let (partition, position) = text.strip_suffix(';')?.split_once(':')?;
    let position = String::from_utf8(base64::decode(position.as_bytes())?).ok()?;
    let (partition, position) = (partition.parse().ok()?, position.parse().ok()?);
    (position < 1 << POSITION_BITS).then_some((partition, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back() {
        for place in [(0, 1), (1023, (1 << POSITION_BITS) - 1)] {
            assert_eq!(place_of(cursor_of(place).as_bytes()), Some(place));
        }
        assert_eq!(cursor_of((3, 7)), base64::encode(b"3:Nw==;"));
        for text in ["x", "MDox", &base64::encode(b"0:Nw=="), &base64::encode(b"a:Nw==;")] {
            assert_eq!(place_of(text.as_bytes()), None, "{text}");
        }
    }
}
