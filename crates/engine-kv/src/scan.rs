//! Walks over many keys: pages in position order, expired keys in order of deadline, some live key.

use std::ops::Bound;

use api::kv::{Page, Scan};
use bytes::Bytes;
use engine::EngineError;
use engine::records::{Record, View};
use types::limits::POSITION_BITS;
use types::{Hlc, glob};

use crate::layout::{self, DATA, EXPIRY, FACTS, Facts};
use crate::value::Header;

/// Most keys that one page looks at, whatever the request asks for: a page takes milliseconds.
const PAGE_KEYS_MAX: u64 = 16 * 1024;
/// A page ends after this many bytes of keys, so that a reply fits a frame by far.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// One page of keys.
pub(crate) fn page(view: &dyn View, epoch: u32, scan: &Scan, now: Hlc) -> Result<Page, EngineError> {
    if scan.expired { expired_page(view, epoch, scan, now) } else { live_page(view, epoch, scan, now) }
}

/// The first key at or after a position that lives, going round at the end.
pub(crate) fn first_live_from(
    view: &dyn View,
    epoch: u32,
    position: u64,
    now: Hlc,
) -> Result<Option<Bytes>, EngineError> {
    let (begin, end) = (layout::data_start(epoch, 0), layout::epoch_start(DATA, epoch + 1));
    let middle = layout::data_start(epoch, position);
    let halves = [(&middle[..], &end[..]), (&begin[..], &middle[..])];
    for (from, to) in halves {
        for record in view.range(Bound::Included(from), Bound::Excluded(to), false) {
            let (record_key, value) = record?;
            if !Header::decode(&value)?.0.is_expired(now) {
                return Ok(Some(layout::split_data_key(&record_key)?.1));
            }
        }
    }
    Ok(None)
}

/// Keys from a position on; a page ends only between two positions.
fn live_page(view: &dyn View, epoch: u32, scan: &Scan, now: Hlc) -> Result<Page, EngineError> {
    if scan.position >> POSITION_BITS != 0 {
        return Ok(Page { keys: Vec::new(), next: None });
    }
    let (from, to) = (layout::data_start(epoch, scan.position), layout::epoch_start(DATA, epoch + 1));
    let mut budget = Budget::new(scan.count);
    let mut keys = Vec::new();
    let mut last = None;
    for record in view.range(Bound::Included(&from), Bound::Excluded(&to), false) {
        let (record_key, value) = record?;
        let (position, key) = layout::split_data_key(&record_key)?;
        if budget.is_spent() && last != Some(position) {
            return Ok(Page { keys, next: Some(position) });
        }
        last = Some(position);
        budget.spend(key.len());
        if is_wanted(&key, &Header::decode(&value)?.0, scan, now) {
            keys.push(key);
        }
    }
    Ok(Page { keys, next: None })
}

/// Keys that have expired, soonest first. `next` only says whether there is more to remove, which includes
/// what a FLUSH left behind: what a page named is removed before the next page is asked for.
fn expired_page(view: &dyn View, epoch: u32, scan: &Scan, now: Hlc) -> Result<Page, EngineError> {
    let (from, to) = (layout::epoch_start(EXPIRY, epoch), layout::expiry_start(epoch, now.millis()));
    let mut budget = Budget::new(scan.count);
    let mut keys = Vec::new();
    for record in view.range(Bound::Included(&from), Bound::Excluded(&to), false) {
        let (record_key, _): Record = record?;
        if budget.is_spent() {
            return Ok(Page { keys, next: Some(0) });
        }
        let key = layout::split_expiry_key(&record_key)?;
        budget.spend(key.len());
        keys.push(key);
    }
    let facts = view.get(FACTS)?.map(|facts| Facts::decode(&facts)).transpose()?;
    let has_garbage = facts.is_some_and(|facts| facts.oldest_epoch < facts.epoch);
    Ok(Page { keys, next: has_garbage.then_some(0) })
}

fn is_wanted(key: &[u8], header: &Header, scan: &Scan, now: Hlc) -> bool {
    !header.is_expired(now)
        && (scan.only_type.is_empty() || scan.only_type.eq_ignore_ascii_case(header.kind.name()))
        && (scan.pattern.is_empty() || glob::matches(&scan.pattern, key, false))
}

/// How much of a page is left.
struct Budget {
    keys: u64,
    bytes: usize,
}

impl Budget {
    fn new(count: u64) -> Self {
        Self { keys: count.clamp(1, PAGE_KEYS_MAX), bytes: PAGE_BYTES_MAX }
    }

    fn spend(&mut self, key_bytes: usize) {
        self.keys = self.keys.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(key_bytes);
    }

    fn is_spent(&self) -> bool {
        self.keys == 0 || self.bytes == 0
    }
}
