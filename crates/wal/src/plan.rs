//! Checks a batch against what is there, before anything is written, and spells out its steps.
//!
//! A batch may name a group more than once; each write then sees what the ones before it did.

use std::collections::BTreeMap;

use bytes::Bytes;
use types::{GroupId, LogIndex};

use crate::format::{ANCHOR_BYTES, BATCH_BYTES_MAX, ENTRY_HEADER_BYTES};
use crate::store::{GroupWrite, LogEntry, LogError, LogPosition};

/// What a step must know of a group.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The position before its first entry.
    pub(crate) start: LogPosition,
    /// Its last entry, or the start.
    pub(crate) last: LogIndex,
    /// Its record.
    pub(crate) record: Bytes,
}

/// One thing that a batch does.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// Forget the group.
    Delete { group: GroupId },
    /// Start and record, always both, so that the newest copy alone says everything about the group
    /// but its entries.
    Anchor { group: GroupId, reset: bool, start: LogPosition, record: Bytes },
    /// Entries that follow the last one, or replace what is at and behind the first.
    Append { group: GroupId, entries: &'a [LogEntry] },
}

/// The steps of a batch.
///
/// # Errors
/// `Beyond` names an entry that would have to be there before one of the batch, `Cut` a group whose log
/// starts behind the first entry given, `Disk` a batch over the limit of 512 MiB. Nothing was done.
pub(crate) fn plan(
    batch: &[GroupWrite],
    known: impl Fn(GroupId) -> Option<Head>,
) -> Result<Vec<Step<'_>>, LogError> {
    let mut heads: BTreeMap<GroupId, Option<Head>> = BTreeMap::new();
    let mut steps = Vec::with_capacity(batch.len() * 2);
    for write in batch {
        let head = heads.entry(write.group).or_insert_with(|| known(write.group));
        plan_group(write, head, &mut steps)?;
    }
    check_size(batch)?;
    Ok(steps)
}

fn plan_group<'a>(
    write: &'a GroupWrite,
    head: &mut Option<Head>,
    steps: &mut Vec<Step<'a>>,
) -> Result<(), LogError> {
    let group = write.group;
    if write.delete {
        if head.take().is_some() {
            steps.push(Step::Delete { group });
        }
        return Ok(());
    }
    if write.reset.is_none() && write.entries.is_empty() && write.record.is_none() {
        return Ok(());
    }
    // A group that is not known is made by its first write, at position 0 unless it says otherwise.
    let reset = write.reset.or_else(|| head.is_none().then(LogPosition::default));
    let record = write.record.clone().or_else(|| head.as_ref().map(|head| head.record.clone()));
    let state =
        head.get_or_insert(Head { start: LogPosition::default(), last: LogIndex(0), record: Bytes::new() });
    state.record = record.unwrap_or_default();
    if let Some(start) = reset {
        check_room(group, start.index)?;
        state.start = start;
        state.last = start.index;
    }
    if reset.is_some() || write.record.is_some() {
        let (start, record) = (state.start, state.record.clone());
        steps.push(Step::Anchor { group, reset: reset.is_some(), start, record });
    }
    if !write.entries.is_empty() {
        state.last = check_entries(group, &write.entries, state)?;
        steps.push(Step::Append { group, entries: &write.entries });
    }
    Ok(())
}

/// Checks that entries follow each other and what is there; returns the last one's index.
fn check_entries(group: GroupId, entries: &[LogEntry], head: &Head) -> Result<LogIndex, LogError> {
    let mut last = head.last;
    for (at, entry) in entries.iter().enumerate() {
        if entry.index <= head.start.index {
            return Err(LogError::Cut { group, start: head.start.index });
        }
        let follows = entry.index.get().checked_sub(1).map(LogIndex);
        let fits = if at == 0 { follows <= Some(last) } else { follows == Some(last) };
        check_room(group, entry.index)?;
        if !fits {
            return Err(LogError::Beyond { group, index: last.next() });
        }
        last = entry.index;
    }
    Ok(last)
}

/// The largest number is kept free, so that "the index after" always exists.
fn check_room(group: GroupId, index: LogIndex) -> Result<(), LogError> {
    if index.get() == u64::MAX { Err(LogError::Beyond { group, index }) } else { Ok(()) }
}

fn check_size(batch: &[GroupWrite]) -> Result<(), LogError> {
    let bytes: usize = batch
        .iter()
        .map(|write| {
            let entries = write.entries.iter().map(|entry| entry.payload.len() + ENTRY_HEADER_BYTES);
            entries.sum::<usize>() + write.record.as_ref().map_or(0, Bytes::len) + 2 * ANCHOR_BYTES
        })
        .sum();
    if bytes as u64 > BATCH_BYTES_MAX {
        let text = format!("a batch of {bytes} bytes is over the limit of {}", BATCH_BYTES_MAX);
        return Err(LogError::Disk(std::io::Error::new(std::io::ErrorKind::InvalidInput, text)));
    }
    Ok(())
}
