//! Contents: what keys hold, in words that do not depend on how an engine stores them.
//!
//! Backups, drills, imports and copies to another cluster all speak of contents. A key travels as one
//! [`Piece`], or as several when it holds a large collection; the pieces of a key follow one another. What two
//! sets of contents have in common is their [`ContentSum`]: it has no order, so it does not matter how the keys
//! are partitioned or where the pieces are cut.

use bytes::Bytes;
use prost::Message;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Pieces of contents, in order.
#[derive(Clone, PartialEq, Message)]
pub struct Contents {
    /// The pieces.
    #[prost(message, repeated, tag = "1")]
    pub pieces: Vec<Piece>,
}

/// A key and what it holds, or a part of it.
#[derive(Clone, PartialEq, Message)]
pub struct Piece {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What it holds.
    #[prost(enumeration = "ContentKind", tag = "2")]
    pub kind: i32,
    /// The last millisecond since 1970 in which it exists; absent is for ever.
    #[prost(uint64, optional, tag = "3")]
    pub expiry_millis: Option<u64>,
    /// The stamp of its last change.
    #[prost(fixed64, tag = "4")]
    pub version: u64,
    /// Elements in earlier pieces of the key; 0 in its first. Where an element may come twice and is still
    /// one, which is everywhere but in a list, fewer will do, but at least 1.
    #[prost(uint64, tag = "5")]
    pub first: u64,
    /// Another piece of the key follows.
    #[prost(bool, tag = "6")]
    pub more: bool,
    /// The string, if it is one.
    #[prost(bytes = "bytes", tag = "7")]
    pub value: Bytes,
    /// The elements, if it is a collection; those of a list in its order.
    #[prost(message, repeated, tag = "8")]
    pub elements: Vec<Element>,
    /// An import has not brought the rest of the key yet, so nobody sees it. It is told because changes that come
    /// later go on with it; it counts for nothing.
    #[prost(bool, tag = "9")]
    pub unfinished: bool,
}

/// An element of a collection.
#[derive(Clone, PartialEq, Message)]
pub struct Element {
    /// The field of a hash, or the member of a set or sorted set.
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    /// The value of a field, or the element of a list.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    /// The score of a member of a sorted set.
    #[prost(double, tag = "3")]
    pub score: f64,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ContentKind {
    /// None that this release knows.
    Unknown = 0,
    /// Bytes; a bitmap or HyperLogLog as well.
    String = 1,
    /// Fields with values.
    Hash = 2,
    /// A sequence.
    List = 3,
    /// Members.
    Set = 4,
    /// Members with scores.
    SortedSet = 5,
}

impl ContentKind {
    /// Every kind there is.
    pub const ALL: [ContentKind; 5] = [Self::String, Self::Hash, Self::List, Self::Set, Self::SortedSet];

    /// The kind's name in ZanKV, which command lines use too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::String => "kv",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Which contents are wanted.
#[derive(Clone, PartialEq, Message)]
pub struct ContentSelection {
    /// Only keys of these kinds; none means all.
    #[prost(enumeration = "ContentKind", repeated, tag = "1")]
    pub kinds: Vec<i32>,
    /// Deadlines are told this many milliseconds earlier than they are stored: what an import with the same
    /// shift has moved is moved back.
    #[prost(uint64, tag = "2")]
    pub expiry_shift_millis: u64,
    /// Only keys that begin with these bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub prefix: Bytes,
}

/// Writes contents. Pieces of a key must come in order, each after the reply to the request with the one before.
///
/// A key whose last piece has not come is seen by nobody but the import: an import that breaks off leaves no part that
/// looks like the whole. Its expiry is that of the last piece.
///
/// Every piece may be written twice: a first piece replaces what an earlier attempt has left of the key (see
/// `ours_since`), a later one leaves out elements that are there.
#[derive(Clone, PartialEq, Message)]
pub struct Import {
    /// The pieces.
    #[prost(message, repeated, tag = "1")]
    pub pieces: Vec<Piece>,
    /// What happens to a key that exists when its first piece comes.
    #[prost(enumeration = "OnConflict", tag = "2")]
    pub on_conflict: i32,
    /// A key whose version is this stamp or a later one was written by an earlier attempt of the same import, and
    /// counts as absent; 0 if there was none.
    #[prost(fixed64, tag = "3")]
    pub ours_since: u64,
    /// Deadlines are stored this many milliseconds later.
    #[prost(uint64, tag = "4")]
    pub expiry_shift_millis: u64,
    /// A key that holds another kind stays, whatever `on_conflict` says, and the reply names it in `other_kinds`:
    /// where it comes from, one name may have a value of each kind.
    #[prost(bool, tag = "5")]
    pub keep_other_kinds: bool,
}

/// What an import does with a key that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum OnConflict {
    /// Nothing of the request is written, and the reply names the key.
    Fail = 0,
    /// The key stays as it is, and is counted.
    Skip = 1,
    /// It is replaced.
    Overwrite = 2,
}

/// What an import did.
#[derive(Clone, PartialEq, Message)]
pub struct Imported {
    /// Keys written: first pieces.
    #[prost(uint64, tag = "1")]
    pub keys: u64,
    /// Keys that existed and stayed.
    #[prost(uint64, tag = "2")]
    pub existed: u64,
    /// Keys whose time was over.
    #[prost(uint64, tag = "3")]
    pub expired: u64,
    /// The key for which nothing of the request was written: one that exists, or one whose earlier pieces are not
    /// there.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub refused: Option<Bytes>,
    /// Keys of which more pieces follow, and that are not to be sent: they existed, or their time was over.
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub leave_out: Vec<Bytes>,
    /// Keys that hold another kind and stayed. Nothing more of them is to be sent.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub other_kinds: Vec<Bytes>,
}

impl Imported {
    /// Both together.
    pub fn with(mut self, other: Self) -> Self {
        self.keys += other.keys;
        self.existed += other.existed;
        self.expired += other.expired;
        self.refused = self.refused.or(other.refused);
        self.leave_out.extend(other.leave_out);
        self.other_kinds.extend(other.other_kinds);
        self
    }
}

/// What can be said of contents without comparing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentSum {
    /// How many keys.
    pub keys: u64,
    /// How many elements of collections.
    pub elements: u64,
    /// Bytes of keys, values and elements.
    pub bytes: u64,
    /// How many of the keys have an expiry.
    pub expiring: u64,
    /// The sum of the hashes of everything but versions, modulo 2^128.
    pub digest: u128,
}

impl ContentSum {
    /// Takes a piece into account.
    pub fn add(&mut self, piece: &Piece) {
        if piece.unfinished {
            return;
        }
        let key = xxh3_128(&piece.key).to_be_bytes();
        let kind = [piece.kind as u8];
        if piece.first == 0 {
            self.keys += 1;
            self.bytes += (piece.key.len() + piece.value.len()) as u64;
            self.expiring += u64::from(piece.expiry_millis.is_some());
            let mut hasher = Xxh3::new();
            hasher.update(&key);
            hasher.update(&kind);
            hasher.update(&[u8::from(piece.expiry_millis.is_some())]);
            hasher.update(&piece.expiry_millis.unwrap_or(0).to_be_bytes());
            hasher.update(&piece.value);
            self.digest = self.digest.wrapping_add(hasher.digest128());
        }
        for (element, place) in piece.elements.iter().zip(piece.first..) {
            self.elements += 1;
            self.bytes += (element.name.len() + element.value.len()) as u64;
            // Only a list has places that mean something.
            let place = if piece.kind == ContentKind::List as i32 { place } else { 0 };
            let mut hasher = Xxh3::new();
            hasher.update(&key);
            hasher.update(&kind);
            hasher.update(&place.to_be_bytes());
            hasher.update(&element.score.to_bits().to_be_bytes());
            hasher.update(&(element.name.len() as u64).to_be_bytes());
            hasher.update(&element.name);
            hasher.update(&element.value);
            self.digest = self.digest.wrapping_add(hasher.digest128());
        }
    }

    /// Takes other contents, with other keys, into account.
    pub fn merge(&mut self, other: &ContentSum) {
        self.keys += other.keys;
        self.elements += other.elements;
        self.bytes += other.bytes;
        self.expiring += other.expiring;
        self.digest = self.digest.wrapping_add(other.digest);
    }

    /// The digest as hexadecimal text.
    pub fn digest_text(&self) -> String {
        format!("{:032x}", self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(first: u64, more: bool, elements: &[&'static str]) -> Piece {
        let element = |value: &&'static str| Element { value: (*value).into(), ..Default::default() };
        Piece {
            key: "l".into(),
            kind: ContentKind::List as i32,
            first,
            more,
            elements: elements.iter().map(element).collect(),
            ..Default::default()
        }
    }

    fn sum(pieces: &[Piece]) -> ContentSum {
        let mut sum = ContentSum::default();
        pieces.iter().for_each(|piece| sum.add(piece));
        sum
    }

    #[test]
    fn a_sum_does_not_depend_on_cuts_and_order() {
        let whole = sum(&[list(0, false, &["a", "b", "c"])]);
        assert_eq!(whole, sum(&[list(1, false, &["b", "c"]), list(0, true, &["a"])]));
        assert_eq!((whole.keys, whole.elements, whole.bytes), (1, 3, 4));
        let string = Piece { key: "s".into(), kind: 1, value: "v".into(), ..Default::default() };
        let mut merged = whole;
        merged.merge(&sum(std::slice::from_ref(&string)));
        let half = Piece { unfinished: true, ..list(0, true, &["x"]) };
        assert_eq!(merged, sum(&[string, half, list(0, false, &["a", "b", "c"])]));
    }

    #[test]
    fn a_sum_depends_on_everything_but_versions() {
        let piece = Piece {
            key: "k".into(),
            kind: ContentKind::SortedSet as i32,
            expiry_millis: Some(7),
            version: 1,
            elements: vec![Element { name: "m".into(), value: Bytes::new(), score: 1.5 }],
            ..Default::default()
        };
        let digest = sum(std::slice::from_ref(&piece)).digest;
        assert_eq!(digest, sum(&[Piece { version: 2, ..piece.clone() }]).digest);
        let mut others = vec![
            Piece { key: "j".into(), ..piece.clone() },
            Piece { kind: ContentKind::Set as i32, ..piece.clone() },
            Piece { expiry_millis: Some(8), ..piece.clone() },
            Piece { expiry_millis: None, ..piece.clone() },
            Piece { value: "x".into(), ..piece.clone() },
        ];
        for change in [("n", "", 1.5), ("m", "v", 1.5), ("m", "", 2.5), ("", "m", 1.5)] {
            let element = Element { name: change.0.into(), value: change.1.into(), score: change.2 };
            others.push(Piece { elements: vec![element], ..piece.clone() });
        }
        for other in others {
            assert_ne!(digest, sum(std::slice::from_ref(&other)).digest, "{other:?}");
        }
        assert_ne!(sum(&[list(0, false, &["a", "b"])]).digest, sum(&[list(0, false, &["b", "a"])]).digest);
    }

    #[test]
    fn kinds_have_names() {
        for kind in ContentKind::ALL {
            assert_eq!(ContentKind::named(kind.name()), Some(kind));
        }
        assert_eq!(ContentKind::named("all"), None);
    }
}
