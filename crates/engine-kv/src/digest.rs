//! The digest: a hash of the live records in key order.
//!
//! The epoch is left out: what the user sees does not depend on it. Parts of collections are hashed with
//! their numbers, which are given out by entries and so are equal on all replicas; parts of dead
//! collections, which replicas remove when they like, are not.

use std::ops::Bound;

use bytes::Bytes;
use engine::records::{RecordIter, View};
use engine::{Digest, EngineError};
use types::Hlc;
use xxhash_rust::xxh3::Xxh3;

use crate::layout::{self, DATA, DEAD, PART, data_start, epoch_start};
use crate::value::Header;

/// Hashes the records of an epoch that have not expired and are whole.
pub(crate) fn of(view: &dyn View, epoch: u32, at: Hlc) -> Result<Digest, EngineError> {
    let key_at = data_start(epoch, 0).len();
    let mut hasher = Xxh3::new();
    let mut records = 0;
    for record in all(view, DATA, epoch) {
        let (record_key, value) = record?;
        let key = record_key
            .get(key_at..)
            .ok_or_else(|| EngineError::Damaged("a data record's key is too short".into()))?;
        if Header::decode(&value)?.0.is_hidden(at) {
            continue;
        }
        add(&mut hasher, key, &value);
        records += 1;
    }
    add_parts(&mut hasher, view, epoch)?;
    Ok(Digest { hash: hasher.digest128(), records })
}

/// Hashes the parts of the collections that are not dead.
fn add_parts(hasher: &mut Xxh3, view: &dyn View, epoch: u32) -> Result<(), EngineError> {
    let part_at = epoch_start(PART, epoch).len();
    let mut dead = all(view, DEAD, epoch);
    let mut next_dead = next_collection(&mut dead)?;
    for part in all(view, PART, epoch) {
        let (record_key, value) = part?;
        let number = layout::collection_of(&record_key)?;
        while next_dead.is_some_and(|dead| dead < number) {
            next_dead = next_collection(&mut dead)?;
        }
        if next_dead != Some(number) {
            add(hasher, &record_key[part_at..], &value);
        }
    }
    Ok(())
}

fn all(view: &dyn View, kind: u8, epoch: u32) -> RecordIter<'_> {
    let (from, to) = (epoch_start(kind, epoch), epoch_start(kind, epoch + 1));
    view.range(Bound::Included(&from), Bound::Excluded(&to), false)
}

fn next_collection(dead: &mut RecordIter<'_>) -> Result<Option<u64>, EngineError> {
    dead.next().transpose()?.map(|(key, _): (Bytes, Bytes)| layout::collection_of(&key)).transpose()
}

fn add(hasher: &mut Xxh3, key: &[u8], value: &[u8]) {
    engine::pace::worked(key.len() + value.len());
    for part in [key, value] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
}
