//! Contents into a state: `KvOp::Import`.
//!
//! First every piece is looked at, and nothing is written if one is refused; then all are written, each by the
//! family that knows how (a sorted set's index, a list's places). A piece may come twice: a first piece replaces
//! what an earlier attempt has left of its key, a later one of a list leaves out what is there already, and
//! fields and members that are written again change nothing.
//!
//! A key of several pieces is **unfinished** until its last one has come. That is a flag in its header:
//!
//! ```text
//!   piece 1, more ──► unfinished, goes in a week ──► piece 2, more ──► piece 3, the last ──► whole, its own expiry
//!                        │  reads, scans, exports and digests pass over it
//!                        ├─ another import begins the key ──► replaced, whatever it does with keys that exist
//!                        ├─ a client writes the key ──► replaced; the next piece is refused
//!                        └─ nothing comes any more ──► removed like what has expired
//! ```
//!
//! Backups have unfinished keys in them, marked as such: what an archive tells of the time after may finish them.
//!
//! So an import that is killed, or whose source ends in the middle of a key, leaves nothing that looks whole, and
//! whoever repeats it need not know that there was an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use api::kv::{
    ContentKind, HashOp, HashRequest, HashSet, Import, Imported, KeyAndMembers, KvAnswer, KvError, ListOp,
    ListPush, ListRequest, OnConflict, Pair, Piece, ScoredMember, SetOp, SetRequest, SortedAdd, SortedOp,
    SortedRequest,
};
use bytes::Bytes;
use engine::ApplyContext;
use types::limits::{MEMBER_BYTES_MAX, UNFINISHED_IMPORT_MS, VALUE_BYTES_MAX};

use crate::collection::Found;
use crate::export::content_kind;
use crate::reader::encode;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Header;
use crate::{hashes, lists, sets, sorted};

/// Writes contents.
pub(crate) fn import(staging: &mut Staging, context: &ApplyContext, import: &Import) -> Outcome {
    staging.seeing_unfinished(|staging| import_pieces(staging, context, import))
}

fn import_pieces(staging: &mut Staging, context: &ApplyContext, import: &Import) -> Outcome {
    let mut done = Imported::default();
    let wanted = match look(staging, context, import, &mut done)? {
        Ok(wanted) => wanted,
        Err(refused) => {
            let done = Imported { refused: Some(refused), ..Default::default() };
            return Ok(encode(KvAnswer::Imported(done)));
        }
    };
    for piece in wanted {
        write(staging, context, piece, import.expiry_shift_millis)?;
        done.keys += u64::from(piece.first == 0 && !piece.unfinished);
    }
    Ok(encode(KvAnswer::Imported(done)))
}

/// The pieces that are to be written, or the key that stands in the way of all of them.
fn look<'a>(
    staging: &mut Staging,
    context: &ApplyContext,
    import: &'a Import,
    done: &mut Imported,
) -> Result<Result<Vec<&'a Piece>, Bytes>, Stop> {
    let mut wanted = Vec::with_capacity(import.pieces.len());
    // Elements that are there, or will be, of the keys of this request that are to be written.
    let mut counts: BTreeMap<&Bytes, (i32, u64)> = BTreeMap::new();
    let mut left_out: BTreeSet<&Bytes> = BTreeSet::new();
    for piece in &import.pieces {
        check(piece)?;
        if left_out.contains(&piece.key) {
            continue;
        }
        let deadline = deadline(piece, import.expiry_shift_millis);
        if deadline.is_some_and(|deadline| context.hlc.millis() > deadline) {
            done.expired += u64::from(piece.first == 0);
            leave_out(piece, &mut left_out, done);
            continue;
        }
        let there = there(staging, context, piece, import)?;
        if piece.first == 0 {
            match (there.filter(|there| !there.unfinished), import.on_conflict()) {
                (Some(there), _) if import.keep_other_kinds && there.kind != piece.kind => {
                    left_out.insert(&piece.key);
                    done.other_kinds.push(piece.key.clone());
                    continue;
                }
                (Some(_), OnConflict::Fail) => return Ok(Err(piece.key.clone())),
                (Some(_), OnConflict::Skip) => {
                    done.existed += 1;
                    leave_out(piece, &mut left_out, done);
                    continue;
                }
                (Some(_), OnConflict::Overwrite) | (None, _) => {}
            }
            counts.insert(&piece.key, (piece.kind, piece.elements.len() as u64));
        } else {
            let end = piece.first + piece.elements.len() as u64;
            let begun = there.filter(|there| there.unfinished).map(|there| (there.kind, there.count));
            match counts.get(&piece.key).copied().or(begun) {
                Some((kind, count)) if kind == piece.kind && count >= piece.first => {
                    counts.insert(&piece.key, (kind, count.max(end)));
                }
                // It came before, and so did the last one.
                None if there.is_some_and(|there| there.kind == piece.kind && there.count >= end) => continue,
                // The pieces before are not there: written now, it would look like the whole.
                _ => return Ok(Err(piece.key.clone())),
            }
        }
        wanted.push(piece);
    }
    Ok(Ok(wanted))
}

/// What a key holds when a piece of it comes.
#[derive(Clone, Copy)]
struct There {
    kind: i32,
    /// How many elements.
    count: u64,
    unfinished: bool,
}

/// Refuses what no state of this engine can hold.
fn check(piece: &Piece) -> Result<(), Stop> {
    let is_too_long = |bytes: &Bytes| bytes.len() > VALUE_BYTES_MAX;
    let mut elements = piece.elements.iter();
    // The families refuse such names as well, but then other pieces may have been written.
    if is_too_long(&piece.value)
        || elements.any(|element| is_too_long(&element.value) || element.name.len() > MEMBER_BYTES_MAX)
    {
        return Err(Stop::Refused(KvError::TooLong));
    }
    match piece.kind() {
        ContentKind::Unknown => Err(Stop::Refused(KvError::Unsupported)),
        ContentKind::String if piece.first > 0 || piece.more => Err(Stop::Refused(KvError::Unsupported)),
        ContentKind::SortedSet if piece.elements.iter().any(|element| element.score.is_nan()) => {
            Err(Stop::Refused(KvError::NotFloat))
        }
        _ => Ok(()),
    }
}

fn leave_out<'a>(piece: &'a Piece, left_out: &mut BTreeSet<&'a Bytes>, done: &mut Imported) {
    left_out.insert(&piece.key);
    if piece.more {
        done.leave_out.push(piece.key.clone());
    }
}

/// What the key holds. For a first piece, what an earlier attempt wrote is not there.
fn there(
    staging: &mut Staging,
    context: &ApplyContext,
    piece: &Piece,
    import: &Import,
) -> Result<Option<There>, Stop> {
    let slot = staging.slot(context, &piece.key)?;
    let Some(stored) = &slot.found else { return Ok(None) };
    let is_ours = import.ours_since != 0 && stored.header.version.0 >= import.ours_since;
    if is_ours && piece.first == 0 {
        return Ok(None);
    }
    let count = match stored.header.kind.is_string() {
        true => 0,
        false => Found::of(staging.facts.epoch, stored)?.count,
    };
    let kind = content_kind(stored.header.kind) as i32;
    Ok(Some(There { kind, count, unfinished: stored.header.unfinished }))
}

fn deadline(piece: &Piece, shift_millis: u64) -> Option<u64> {
    piece.expiry_millis.map(|millis| millis.saturating_add(shift_millis))
}

fn write(
    staging: &mut Staging,
    context: &ApplyContext,
    piece: &Piece,
    shift_millis: u64,
) -> Result<(), Stop> {
    let deadline = deadline(piece, shift_millis);
    let slot = staging.slot(context, &piece.key)?;
    if piece.kind() == ContentKind::String {
        staging.put_string(context, &slot, deadline, &[&piece.value]);
        return Ok(());
    }
    let mut there = 0;
    match &slot.found {
        Some(_) if piece.first == 0 => staging.remove(context, &slot),
        Some(stored) => there = Found::of(staging.facts.epoch, stored)?.count,
        None => {}
    }
    if !piece.elements.is_empty() {
        add_elements(staging, context, piece, there)?;
    }
    let slot = staging.slot(context, &piece.key)?;
    let Some(stored) = &slot.found else { return Ok(()) };
    let (unfinished, expiry_millis) = match piece.more || piece.unfinished {
        true => (true, Some(context.hlc.millis().saturating_add(UNFINISHED_IMPORT_MS))),
        false => (false, deadline),
    };
    if (stored.header.unfinished, stored.header.expiry_millis) != (unfinished, expiry_millis) {
        let header = Header { unfinished, expiry_millis, version: context.hlc, ..stored.header };
        staging.put(context, &slot, header, &[&stored.body]);
    }
    Ok(())
}

/// Gives elements to their family; `there` elements of the key are there already.
pub(crate) fn add_elements(
    staging: &mut Staging,
    context: &ApplyContext,
    piece: &Piece,
    there: u64,
) -> Result<(), Stop> {
    let key = piece.key.clone();
    let elements = piece.elements.iter();
    match piece.kind() {
        ContentKind::Hash => {
            let pair =
                |element: &api::kv::Element| Pair { key: element.name.clone(), value: element.value.clone() };
            let op = HashOp::Set(HashSet { fields: elements.map(pair).collect() });
            hashes::write(staging, context, &HashRequest { key, op: Some(op) })?;
        }
        ContentKind::Set => {
            let members = elements.map(|element| element.name.clone()).collect();
            let op = SetOp::Add(KeyAndMembers { key, members });
            sets::write(staging, context, &SetRequest { op: Some(op) })?;
        }
        ContentKind::SortedSet => {
            let member = |element: &api::kv::Element| ScoredMember {
                member: element.name.clone(),
                score: element.score,
            };
            let op = SortedOp::Add(SortedAdd {
                key,
                members: elements.map(member).collect(),
                ..Default::default()
            });
            sorted::write(staging, context, &SortedRequest { op: Some(op) })?;
        }
        ContentKind::List => {
            let known = there.saturating_sub(piece.first) as usize;
            let new: Vec<Bytes> = elements.skip(known).map(|element| element.value.clone()).collect();
            if !new.is_empty() {
                let op = ListOp::Push(ListPush { key, elements: new, ..Default::default() });
                lists::write(staging, context, &ListRequest { op: Some(op) })?;
            }
        }
        ContentKind::Unknown | ContentKind::String => return Err(Stop::Refused(KvError::Unsupported)),
    }
    Ok(())
}
