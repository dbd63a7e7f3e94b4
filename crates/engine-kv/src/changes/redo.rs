//! Carries out the changes of an entry of another state again: over the same contents they make the same contents.
//!
//! Parts of collections are numbered differently here, the places of lists are others, and a string may be stored
//! whole that was in pages there. None of it shows in contents.

use api::kv::{
    ContentKind, Element, EntryChanges, HashOp, HashRequest, KeyAndMembers, KeyChange, KvError, Members,
    Piece, SetOp, SetRequest, SortedOp, SortedRequest,
};
use bytes::Bytes;
use engine::ApplyContext;
use types::limits::{BITMAP_PAGE_BYTES, VALUE_BYTES_MAX};

use crate::bits::Editing;
use crate::import::add_elements;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::{Header, Stored};
use crate::{hashes, lists, reply, sets, sorted};

/// Carries out all changes of an entry: its pieces put together.
pub(crate) fn redo(staging: &mut Staging, context: &ApplyContext, changes: &EntryChanges) -> Outcome {
    // What an import has begun is in the changes as well, and an entry may go on with it.
    staging.seeing_unfinished(|staging| redo_all(staging, context, changes))
}

fn redo_all(staging: &mut Staging, context: &ApplyContext, changes: &EntryChanges) -> Outcome {
    if changes.flushed {
        staging.flush(context)?;
    }
    let mut taken: Vec<(&Bytes, Stored)> = Vec::with_capacity(changes.moved.len());
    for moved in &changes.moved {
        let slot = staging.slot(context, &moved.from)?;
        let stored = slot.found.clone().ok_or(Stop::Refused(KvError::NoSuchKey))?;
        staging.detach(context, &slot);
        taken.push((&moved.to, stored));
    }
    for (to, stored) in taken {
        let slot = staging.slot(context, to)?;
        let header = Header { version: context.hlc, ..stored.header };
        staging.put(context, &slot, header, &[&stored.body]);
    }
    for key in &changes.gone {
        let slot = staging.slot(context, key)?;
        staging.remove(context, &slot);
    }
    let mut written = changes.written.iter().peekable();
    while let Some(change) = written.next() {
        let mut change = change.clone();
        while let Some(more) = written.next_if(|more| more.key == change.key) {
            merge(&mut change, more);
        }
        write(staging, context, change)?;
    }
    Ok(reply::ok())
}

/// Puts the parts of one change together again.
fn merge(change: &mut KeyChange, more: &KeyChange) {
    change.elements.extend(more.elements.iter().cloned());
    change.removed.extend(more.removed.iter().cloned());
    if let (Some(list), Some(more)) = (&mut change.list, &more.list) {
        list.places.extend(&more.places);
    }
    if let (Some(pages), Some(more)) = (&mut change.pages, &more.pages) {
        pages.offsets.extend(&more.offsets);
    }
}

fn write(staging: &mut Staging, context: &ApplyContext, change: KeyChange) -> Result<(), Stop> {
    if change.fresh {
        let slot = staging.slot(context, &change.key)?;
        staging.remove(context, &slot);
    }
    let (key, expiry_millis, unfinished) = (change.key.clone(), change.expiry_millis, change.unfinished);
    match change.kind() {
        ContentKind::Unknown => return Err(Stop::Refused(KvError::Unsupported)),
        ContentKind::String => string(staging, context, change)?,
        ContentKind::List => list(staging, context, change)?,
        ContentKind::Hash | ContentKind::Set | ContentKind::SortedSet => members(staging, context, change)?,
    }
    let slot = staging.slot(context, &key)?;
    let Some(stored) = &slot.found else { return Ok(()) };
    if (stored.header.expiry_millis, stored.header.unfinished) != (expiry_millis, unfinished) {
        let header = Header { expiry_millis, unfinished, version: context.hlc, ..stored.header };
        staging.put(context, &slot, header, &[&stored.body]);
    }
    Ok(())
}

fn string(staging: &mut Staging, context: &ApplyContext, change: KeyChange) -> Result<(), Stop> {
    let Some(pages) = &change.pages else {
        let value = change.value.ok_or(Stop::Refused(KvError::Unsupported))?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(Stop::Refused(KvError::TooLong));
        }
        let slot = staging.slot(context, &change.key)?;
        staging.put_string(context, &slot, change.expiry_millis, &[&value]);
        return Ok(());
    };
    if pages.page_bytes > BITMAP_PAGE_BYTES as u64 || pages.offsets.len() != change.elements.len() {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    let mut string = Editing::open(staging, context, &change.key, pages.length)?;
    for (offset, page) in pages.offsets.iter().zip(&change.elements) {
        if *offset > pages.length {
            return Err(Stop::Refused(KvError::Unsupported));
        }
        // The last page may end before its time.
        let bytes = pages.page_bytes.min(pages.length.saturating_sub(*offset)) as usize;
        if page.value.len() > bytes {
            return Err(Stop::Refused(KvError::Unsupported));
        }
        let mut padded = page.value.to_vec();
        padded.resize(bytes, 0);
        string.write(staging, context, *offset, &padded)?;
    }
    string.finish(staging, context);
    Ok(())
}

fn list(staging: &mut Staging, context: &ApplyContext, change: KeyChange) -> Result<(), Stop> {
    let places = change.list.as_ref().ok_or(Stop::Refused(KvError::Unsupported))?;
    if places.places.len() != change.elements.len() {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    if !change.fresh {
        return lists::redo(staging, context, &change.key, places, &change.elements);
    }
    // All elements, in order: their places tell no more than that.
    if places.count != change.elements.len() as u64 {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    add(staging, context, &change.key, ContentKind::List, change.elements)
}

fn members(staging: &mut Staging, context: &ApplyContext, change: KeyChange) -> Result<(), Stop> {
    let (key, kind) = (change.key.clone(), change.kind());
    add(staging, context, &key, kind, change.elements)?;
    if change.removed.is_empty() {
        return Ok(());
    }
    let members = change.removed;
    match kind {
        ContentKind::Hash => {
            let op = HashOp::Remove(Members { members });
            hashes::write(staging, context, &HashRequest { key, op: Some(op) })?;
        }
        ContentKind::Set => {
            let op = SetOp::Remove(KeyAndMembers { key, members });
            sets::write(staging, context, &SetRequest { op: Some(op) })?;
        }
        _ => {
            let op = SortedOp::Remove(KeyAndMembers { key, members });
            sorted::write(staging, context, &SortedRequest { op: Some(op) })?;
        }
    }
    Ok(())
}

fn add(
    staging: &mut Staging,
    context: &ApplyContext,
    key: &Bytes,
    kind: ContentKind,
    elements: Vec<Element>,
) -> Result<(), Stop> {
    if elements.is_empty() {
        return Ok(());
    }
    let piece = Piece { key: key.clone(), kind: kind as i32, elements, ..Default::default() };
    add_elements(staging, context, &piece, 0)
}
