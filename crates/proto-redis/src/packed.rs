//! Lists of bulk strings that pass from the engine to the client without being taken apart.
//!
//! ```text
//!   the engine's page   0x32 │ length │ 0x0a │ length │ item │ 0x0a │ length │ item …       lengths are varints
//!   the client's list          *2 CRLF │ $1 CRLF │ item CRLF │ $1 CRLF │ item CRLF …
//! ```
//!
//! A list of a hundred items would otherwise become a hundred values, each with an owner of its own, only to be
//! written one after another. Whatever is not such a page is taken apart as ever ([`KvReply`](api::kv::KvReply)).

use bytes::{Bytes, BytesMut};

use crate::form::pairs;
use crate::reply::{Protocol, Reply, put_bulk, put_head};

/// The field of a page in a reply, and the field of an item in a page, as protobuf writes them before a length.
const PAGE: u8 = 0x32;
const ITEM: u8 = 0x0a;
/// Bytes of an item in the client's list besides the item itself, nearly always.
const FRAME_BYTES: usize = 10;

/// What kind of list it is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedKind {
    /// As [`Reply::Array`](crate::Reply::Array).
    Array,
    /// As [`Reply::Set`](crate::Reply::Set).
    Set,
    /// As [`Reply::Map`](crate::Reply::Map): names and values in turn.
    Map,
    /// As [`Reply::Pairs`](crate::Reply::Pairs): names and values in turn.
    Pairs,
}

/// A list of bulk strings.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    kind: PackedKind,
    count: usize,
    /// The items as they stand in the page.
    items: Bytes,
}

impl Packed {
    /// The list in an engine's reply, if that is a page of items and nothing else.
    pub(crate) fn of(kind: PackedKind, reply: &Bytes) -> Option<Self> {
        let (&tag, rest) = reply.split_first()?;
        let (length, rest) = length(rest)?;
        if tag != PAGE || length != rest.len() {
            return None;
        }
        let mut items = Items(rest);
        let count = items.by_ref().count();
        // What is not an item ends the walk early.
        let is_whole = items.0.is_empty();
        let is_paired = count.is_multiple_of(2) || matches!(kind, PackedKind::Array | PackedKind::Set);
        (is_whole && is_paired).then(|| Self { kind, count, items: reply.slice_ref(rest) })
    }

    /// Whether there are no items.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The same reply with a value for each item.
    pub fn unpacked(&self) -> Reply {
        let items: Vec<_> = Items(&self.items).map(|item| Reply::Bulk(self.items.slice_ref(item))).collect();
        match self.kind {
            PackedKind::Array => Reply::Array(items),
            PackedKind::Set => Reply::Set(items),
            PackedKind::Map => Reply::Map(pairs(items)),
            PackedKind::Pairs => Reply::Pairs(pairs(items)),
        }
    }

    /// Appends the bytes of the list.
    pub(crate) fn encode(&self, protocol: Protocol, out: &mut BytesMut) {
        out.reserve(self.items.len() + self.count * FRAME_BYTES);
        let (count, resp3) = (self.count as i64, protocol == Protocol::Resp3);
        match self.kind {
            PackedKind::Set if resp3 => put_head(out, b'~', count),
            PackedKind::Map if resp3 => put_head(out, b'%', count / 2),
            PackedKind::Pairs if resp3 => put_head(out, b'*', count / 2),
            _ => put_head(out, b'*', count),
        }
        let nested = resp3 && self.kind == PackedKind::Pairs;
        for (number, item) in Items(&self.items).enumerate() {
            if nested && number.is_multiple_of(2) {
                put_head(out, b'*', 2);
            }
            put_bulk(out, b'$', item);
        }
    }
}

/// Walks through the items of a page; stops in front of anything else.
struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = length(self.0.strip_prefix(&[ITEM])?)?;
        let (item, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(item)
    }
}

/// A length at the front of bytes, and what stands behind it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    for (place, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((length, &bytes[place + 1..]));
        }
    }
    // No reply is so long that its length has more bytes.
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{Form, Shape};
    use api::kv::{KvAnswer, KvReply, Page};
    use prost::Message;

    fn page(lengths: &[usize], next: Option<u64>) -> KvReply {
        let keys = lengths.iter().map(|length| Bytes::from(vec![b'x'; *length])).collect();
        KvReply::new(KvAnswer::Page(Page { keys, next }))
    }

    #[test]
    fn a_packed_list_reads_as_one_that_was_taken_apart() {
        let lists: [&[usize]; 5] = [&[], &[0, 1], &[3, 127, 128, 20_000], &[1; 250], &[0; 2]];
        for shape in [Shape::Bulks, Shape::BulkSet, Shape::BulkMap, Shape::BulkPairs] {
            let form = Form { shape, command: "x" };
            for reply in lists.map(|lengths| page(lengths, None)) {
                let packed = form.packed(&reply.encode_to_vec().into()).expect("it is a list");
                for protocol in [Protocol::Resp2, Protocol::Resp3] {
                    let (mut one, mut other) = (BytesMut::new(), BytesMut::new());
                    packed.encode(protocol, &mut one);
                    form.reply(Ok(reply.clone())).encode(protocol, &mut other);
                    assert_eq!(one, other, "{form:?}");
                    let Reply::Packed(list) = &packed else { panic!("not packed") };
                    assert_eq!(list.unpacked(), form.reply(Ok(reply.clone())));
                }
            }
        }
    }

    #[test]
    fn what_is_no_such_list_is_left_to_others() {
        let form = |shape| Form { shape, command: "x" };
        let bytes = |reply: KvReply| Bytes::from(reply.encode_to_vec());
        let list = bytes(page(&[1, 2], None));
        assert_eq!(form(Shape::Plain).packed(&list), None);
        assert_eq!(form(Shape::Bulks).packed(&bytes(KvReply::nil())), None);
        assert_eq!(form(Shape::Bulks).packed(&bytes(KvReply::value("v"))), None);
        assert_eq!(form(Shape::Bulks).packed(&bytes(page(&[1], Some(7)))), None);
        assert_eq!(form(Shape::BulkMap).packed(&bytes(page(&[1, 2, 3], None))), None);
        for length in 0..list.len() {
            assert_eq!(form(Shape::Bulks).packed(&list.slice(..length)), None, "{length}");
        }
        assert_eq!(
            form(Shape::Bulks).packed(&Bytes::from_static(&[PAGE, 0xff, 0xff, 0xff, 0xff, 0xff])),
            None
        );
    }
}
