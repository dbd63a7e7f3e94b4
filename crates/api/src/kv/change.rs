//! Changes: what log entries have made of keys, in words that do not depend on how an engine stores them.
//!
//! An archive keeps them, and a restore to a point in time carries them out again over the contents of a backup.
//! They are effects, never commands: `INCR` arrives as the number that it made, `SPOP` as the members that went, and
//! `FLUSHDB` as itself, because a restore carries changes out partition by partition, as they were made. What is
//! told of a key is what one log entry has made of it as a whole, however many commands the entry had.

use bytes::Bytes;
use prost::Message;

use super::Element;

/// What one log entry has changed, or a piece of it.
#[derive(Clone, PartialEq, Message)]
pub struct EntryChanges {
    /// The entry.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// Its stamp.
    #[prost(fixed64, tag = "2")]
    pub hlc: u64,
    /// Another piece of the same entry follows.
    #[prost(bool, tag = "3")]
    pub more: bool,
    /// Before everything else: every key was removed.
    #[prost(bool, tag = "4")]
    pub flushed: bool,
    /// Then: collections that have other keys now. All are taken from their keys before any is given its new one.
    #[prost(message, repeated, tag = "5")]
    pub moved: Vec<Moved>,
    /// Then: keys that are gone.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub gone: Vec<Bytes>,
    /// Then: keys that were written. Several for one key follow one another, and are one change.
    #[prost(message, repeated, tag = "7")]
    pub written: Vec<KeyChange>,
    /// The number of the piece within the entry, from 0.
    #[prost(uint32, tag = "8")]
    pub piece: u32,
}

impl EntryChanges {
    /// Calls `visit` with every key.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        for moved in &mut self.moved {
            visit(&mut moved.from)?;
            visit(&mut moved.to)?;
        }
        self.gone.iter_mut().try_for_each(&mut *visit)?;
        self.written.iter_mut().map(|written| &mut written.key).try_for_each(visit)
    }
}

/// A collection has another key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Moved {
    /// The key that it had before the entry.
    #[prost(bytes = "bytes", tag = "1")]
    pub from: Bytes,
    /// The key that it has now; a [`KeyChange`] of it says the rest.
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
}

/// What has become of a key.
#[derive(Clone, PartialEq, Message)]
pub struct KeyChange {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What it holds now.
    #[prost(enumeration = "super::ContentKind", tag = "2")]
    pub kind: i32,
    /// The last millisecond since 1970 in which it exists; absent is for ever.
    #[prost(uint64, optional, tag = "3")]
    pub expiry_millis: Option<u64>,
    /// Whatever it held before is gone, and what is told is all that it holds.
    #[prost(bool, tag = "4")]
    pub fresh: bool,
    /// The whole string, if it is one that is stored whole.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub value: Option<Bytes>,
    /// Fields or members that are there now; elements of a list or pages of a string, which `list` and `pages` place.
    #[prost(message, repeated, tag = "6")]
    pub elements: Vec<Element>,
    /// Fields or members that are gone.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub removed: Vec<Bytes>,
    /// Where the elements of a list are.
    #[prost(message, optional, tag = "8")]
    pub list: Option<ListChange>,
    /// Which bytes of a long string are told.
    #[prost(message, optional, tag = "9")]
    pub pages: Option<PageChange>,
    /// An import has not brought all of it yet: nobody sees it.
    #[prost(bool, tag = "10")]
    pub unfinished: bool,
}

/// Elements of a list by places, which are numbers that follow one another; only their differences mean something.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ListChange {
    /// The place of the first element before the entry; of no meaning for a list that is fresh.
    #[prost(fixed64, tag = "1")]
    pub first_before: u64,
    /// The place of the first element now.
    #[prost(fixed64, tag = "2")]
    pub first: u64,
    /// How many elements there are now.
    #[prost(uint64, tag = "3")]
    pub count: u64,
    /// The places of the elements that are told, in their order.
    #[prost(fixed64, repeated, tag = "4")]
    pub places: Vec<u64>,
}

/// Pieces of a long string.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PageChange {
    /// How long the string is now.
    #[prost(uint64, tag = "1")]
    pub length: u64,
    /// Where each piece that is told begins, in their order. After what is told of it a piece is zeros.
    #[prost(uint64, repeated, tag = "2")]
    pub offsets: Vec<u64>,
    /// How many bytes of the string each piece stands for.
    #[prost(uint64, tag = "3")]
    pub page_bytes: u64,
}

/// Begins to keep changes, or goes on, or ends it. Reply: [`Recording`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Record {
    /// Who keeps them: a random number, not 0. Changes are kept for one at a time; another one begins anew.
    #[prost(fixed64, tag = "1")]
    pub archive: u64,
    /// Changes of entries up to this one are in safety, and are forgotten.
    #[prost(uint64, tag = "2")]
    pub safe: u64,
    /// With more bytes of changes than this none are kept any more, and the next request begins anew.
    #[prost(uint64, tag = "3")]
    pub bytes_max: u64,
    /// No changes are wanted any more.
    #[prost(bool, tag = "4")]
    pub stop: bool,
}

/// How changes are kept.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Recording {
    /// Changes of entries after this one are kept, or were.
    #[prost(uint64, tag = "1")]
    pub since: u64,
    /// Changes of entries up to this one are forgotten.
    #[prost(uint64, tag = "2")]
    pub safe: u64,
    /// The entry of the request. Every entry after it has a later stamp.
    #[prost(uint64, tag = "3")]
    pub index: u64,
    /// Its stamp.
    #[prost(fixed64, tag = "4")]
    pub hlc: u64,
    /// Bytes of changes that are kept.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
}

/// A read of changes that are kept. Reply: [`ChangesPage`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ReadChanges {
    /// Who keeps them.
    #[prost(fixed64, tag = "1")]
    pub archive: u64,
    /// Since which entry, as [`Recording`] says.
    #[prost(uint64, tag = "2")]
    pub since: u64,
    /// The first entry that is wanted.
    #[prost(uint64, tag = "3")]
    pub from: u64,
    /// The first piece of it that is wanted.
    #[prost(uint32, tag = "4")]
    pub piece: u32,
    /// The last entry that is wanted.
    #[prost(uint64, tag = "5")]
    pub to: u64,
    /// About how many bytes.
    #[prost(uint64, tag = "6")]
    pub bytes_max: u64,
}

/// Some changes.
#[derive(Clone, PartialEq, Message)]
pub struct ChangesPage {
    /// They are not kept (any more): there is a gap.
    #[prost(bool, tag = "1")]
    pub lost: bool,
    /// They, in order; those of a large entry may begin or end within it.
    #[prost(message, repeated, tag = "2")]
    pub changes: Vec<EntryChanges>,
    /// There are no more up to the entry that was asked for.
    #[prost(bool, tag = "3")]
    pub end: bool,
}
