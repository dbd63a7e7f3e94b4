//! Nodes of the index: as they are read, and as they are stored.
//!
//! ```text
//!   width u8 │ members, width bytes │ length u8 │ separator │ members │ length │ separator …
//!              └──────────── one entry ───────────────────┘
//! ```
//!
//! The width is 1, 2, 4 or 8: what the largest number of members in the node takes, or took once. A length of 255 says
//! that the length stands in the two bytes behind it.
//!
//! Most writes change one number in each node that they pass. They do not read the rest: they look for the entry
//! ([`covering`]), and put the new number where the old one stood ([`with_members`]).

use std::ops::Range;

use bytes::{BufMut, Bytes};
use engine::EngineError;

use super::place::{INDEX, damaged};
use super::read::Sorted;

/// A length that stands behind this byte.
const LONG: u8 = u8::MAX;

/// A run of members, or a node below, as the node above it knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it begins, except that the first entry of a node begins where the node does. It names the node below.
    pub(super) separator: Bytes,
    /// How many members it has.
    pub(super) members: u64,
}

/// A node of the index: what follows each other between two places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) entries: Vec<Entry>,
}

impl Node {
    /// Reads a node.
    pub(super) fn get(sorted: &Sorted<'_>, level: u8, separator: &[u8]) -> Result<Self, EngineError> {
        let bytes = sorted.part(&[INDEX, level], separator)?;
        Self::decode(&bytes.ok_or_else(gone)?)
    }

    /// Reads the bytes of a node; separators are slices of them.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, EngineError> {
        let mut entries = Vec::with_capacity(bytes.len() / 6);
        let mut walk = Walk::of(bytes)?;
        while let Some(entry) = walk.next()? {
            entries.push(Entry { separator: bytes.slice(entry.separator), members: entry.members });
        }
        Ok(Self { entries })
    }

    /// The bytes of a node, which has an entry.
    pub(super) fn encode(&self) -> Bytes {
        let most = self.entries.iter().map(|entry| entry.members).max().unwrap_or(0);
        let width = [1, 2, 4].into_iter().find(|width| fits(most, *width)).unwrap_or(8);
        let length_bytes = |length| if length < usize::from(LONG) { 1 } else { 3 };
        let entry_bytes = |length| width + length_bytes(length) + length;
        let size: usize = self.entries.iter().map(|entry| entry_bytes(entry.separator.len())).sum();
        let mut bytes = Vec::with_capacity(1 + size);
        bytes.put_u8(width as u8);
        for entry in &self.entries {
            bytes.put_uint(entry.members, width);
            match entry.separator.len() {
                length if length < usize::from(LONG) => bytes.put_u8(length as u8),
                // Separators are parts of record keys, whose lengths have 16 bits.
                length => {
                    bytes.put_u8(LONG);
                    bytes.put_u16(length as u16);
                }
            }
            bytes.put_slice(&entry.separator);
        }
        bytes.into()
    }

    /// The entry that covers a place.
    pub(super) fn covering(&self, place: &[u8]) -> usize {
        self.entries.partition_point(|entry| entry.separator <= place).saturating_sub(1)
    }

    /// How many members all its entries have.
    pub(super) fn members(&self) -> u64 {
        self.entries.iter().map(|entry| entry.members).sum()
    }
}

/// Where an entry stands in the bytes of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// How many entries stand before it.
    pub(super) at: usize,
    /// How many members it has.
    pub(super) members: u64,
    members_at: usize,
    /// Where its separator stands.
    pub(super) separator: Range<usize>,
    /// Where the separator of the entry behind it stands, if there is one.
    pub(super) next: Option<Range<usize>>,
}

/// The entry of a stored node that covers a place.
pub(super) fn covering(bytes: &[u8], place: &[u8]) -> Result<Standing, EngineError> {
    let mut walk = Walk::of(bytes)?;
    let mut found = walk.next()?.ok_or_else(short)?;
    while let Some(next) = walk.next()? {
        if &bytes[next.separator.clone()] > place {
            found.next = Some(next.separator);
            break;
        }
        found = next;
    }
    Ok(found)
}

/// The bytes of a node in which an entry has another number of members; `None` if that takes more room.
pub(super) fn with_members(bytes: &[u8], entry: &Standing, members: u64) -> Option<Bytes> {
    let width = usize::from(*bytes.first()?);
    if !fits(members, width) {
        return None;
    }
    let mut changed = bytes.to_vec();
    let number = changed.get_mut(entry.members_at..entry.members_at + width)?;
    number.copy_from_slice(&members.to_be_bytes()[8 - width..]);
    Some(changed.into())
}

fn fits(number: u64, width: usize) -> bool {
    width >= 8 || number >> (8 * width) == 0
}

/// Walks through the entries of a stored node.
struct Walk<'a> {
    bytes: &'a [u8],
    width: usize,
    at: usize,
    passed: usize,
}

impl<'a> Walk<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, EngineError> {
        match bytes {
            [width @ (1 | 2 | 4 | 8), _, ..] => {
                Ok(Self { bytes, width: usize::from(*width), at: 1, passed: 0 })
            }
            _ => Err(damaged("a node of the index is empty")),
        }
    }

    fn next(&mut self) -> Result<Option<Standing>, EngineError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let members_at = self.at;
        let members = self.number(self.width)?;
        let length = match self.number(1)? {
            length if length == u64::from(LONG) => self.number(2)?,
            length => length,
        };
        let start = self.at;
        self.take(length as usize)?;
        self.passed += 1;
        let separator = start..self.at;
        Ok(Some(Standing { at: self.passed - 1, members, members_at, separator, next: None }))
    }

    fn number(&mut self, width: usize) -> Result<u64, EngineError> {
        Ok(self.take(width)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], EngineError> {
        let taken = self.bytes.get(self.at..self.at + count).ok_or_else(short)?;
        self.at += count;
        Ok(taken)
    }
}

/// What is said of a node that should be there.
pub(super) fn gone() -> EngineError {
    damaged("a node of the index is gone")
}

fn short() -> EngineError {
    damaged("a node of the index is too short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(entries: &[(&[u8], u64)]) -> Node {
        let entry = |(separator, members): &(&[u8], u64)| Entry {
            separator: Bytes::copy_from_slice(separator),
            members: *members,
        };
        Node { entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn nodes_are_the_bytes_of_the_drawing() {
        let long = [7; 300];
        assert_eq!(node(&[(b"", 7), (b"cd", 255)]).encode(), &b"\x01\x07\x00\xff\x02cd"[..]);
        let wide = node(&[(b"", 256), (&long, 1)]).encode();
        assert_eq!(wide[..9], b"\x02\x01\x00\x00\x00\x01\xff\x01\x2c"[..]);
        assert_eq!(wide[9..], long[..]);
    }

    #[test]
    fn damage_is_named() {
        let node = node(&[(b"", 7), (b"b", 7), (b"cd", 7)]);
        let bytes = node.encode();
        assert_eq!(Node::decode(&bytes).unwrap(), node);
        for length in [0, 1, 2, 4, 5, bytes.len() - 1] {
            let cut = bytes.slice(..length);
            assert!(matches!(Node::decode(&cut), Err(EngineError::Damaged(_))), "{length}");
            assert!(matches!(covering(&cut, b"d"), Err(EngineError::Damaged(_))), "{length}");
        }
        assert!(matches!(Node::decode(&Bytes::from_static(&[3, 0, 0])), Err(EngineError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn a_stored_node_says_what_the_node_says(
            separators in proptest::collection::btree_set(proptest::collection::vec(0..3_u8, 0..4), 1..9),
            numbers in proptest::collection::vec(any::<u64>(), 9),
            shift in 0..64_u32,
            place in proptest::collection::vec(0..3_u8, 0..5),
            members in any::<u64>(),
        ) {
            let entries = separators.into_iter().zip(&numbers).map(|(separator, number)| Entry {
                separator: separator.into(),
                members: number >> shift,
            });
            let mut node = Node { entries: entries.collect() };
            let bytes = node.encode();
            prop_assert_eq!(&Node::decode(&bytes).unwrap(), &node);

            let found = covering(&bytes, &place).unwrap();
            prop_assert_eq!(found.at, node.covering(&place));
            let entry = &node.entries[found.at];
            prop_assert_eq!((&bytes[found.separator.clone()], found.members), (&entry.separator[..], entry.members));
            let next = found.next.clone().map(|next| bytes.slice(next));
            prop_assert_eq!(next.as_ref(), node.entries.get(found.at + 1).map(|entry| &entry.separator));

            let changed = with_members(&bytes, &found, members >> shift);
            node.entries[found.at].members = members >> shift;
            match changed {
                Some(changed) => prop_assert_eq!(Node::decode(&changed).unwrap(), node),
                None => prop_assert!(node.encode().len() > bytes.len()),
            }
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>, place: Vec<u8>) {
            let _ = Node::decode(&bytes.clone().into());
            if let Ok(found) = covering(&bytes, &place) {
                let _ = with_members(&bytes, &found, 1);
            }
        }
    }
}
