//! Walks over many keys: pages in position order, expired keys in order of deadline, some live key.

use std::ops::Bound;

use api::kv::{Page, Scan};
use bytes::Bytes;
use engine::EngineError;
use engine::records::Record;
use types::limits::POSITION_BITS;
use types::{Hlc, glob};

use crate::layout::{self, DATA, DEAD, EXPIRY};
use crate::look::Look;
use crate::value::Header;

/// Most keys that one page looks at, whatever the request asks for: a page takes milliseconds.
const PAGE_KEYS_MAX: u64 = 16 * 1024;
/// A page ends after this many bytes of keys, so that a reply fits a frame by far.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// One page of keys.
pub(crate) fn page(look: &dyn Look, scan: &Scan) -> Result<Page, EngineError> {
    if scan.expired { expired_page(look, scan) } else { live_page(look, scan) }
}

/// The first key at or after a position that lives, going round at the end.
pub(crate) fn first_live_from(look: &dyn Look, position: u64) -> Result<Option<Bytes>, EngineError> {
    let (epoch, now) = (look.epoch(), look.now());
    let (begin, end) = (layout::data_start(epoch, 0), layout::epoch_start(DATA, epoch + 1));
    let middle = layout::data_start(epoch, position);
    let halves = [(&middle[..], &end[..]), (&begin[..], &middle[..])];
    for (from, to) in halves {
        for record in look.range(Bound::Included(from), Bound::Excluded(to), false) {
            let (record_key, value) = record?;
            if !Header::decode(&value)?.0.is_hidden(now) {
                return Ok(Some(layout::split_data_key(&record_key)?.1));
            }
        }
    }
    Ok(None)
}

/// Keys from a position on; a page ends only between two positions.
fn live_page(look: &dyn Look, scan: &Scan) -> Result<Page, EngineError> {
    let (epoch, now) = (look.epoch(), look.now());
    if scan.position >> POSITION_BITS != 0 {
        return Ok(Page { keys: Vec::new(), next: None });
    }
    let (from, to) = (layout::data_start(epoch, scan.position), layout::epoch_start(DATA, epoch + 1));
    let mut budget = Budget::new(scan.count);
    let mut keys = Vec::new();
    let mut last = None;
    for record in look.range(Bound::Included(&from), Bound::Excluded(&to), false) {
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
/// what a FLUSH left behind: what a page named is removed before the next page is asked for. Dead collections count as well.
fn expired_page(look: &dyn Look, scan: &Scan) -> Result<Page, EngineError> {
    let (epoch, now) = (look.epoch(), look.now());
    let (from, to) = (layout::epoch_start(EXPIRY, epoch), layout::expiry_start(epoch, now.millis()));
    let mut budget = Budget::new(scan.count);
    let mut keys = Vec::new();
    for record in look.range(Bound::Included(&from), Bound::Excluded(&to), false) {
        let (record_key, _): Record = record?;
        if budget.is_spent() {
            return Ok(Page { keys, next: Some(0) });
        }
        let key = layout::split_expiry_key(&record_key)?;
        budget.spend(key.len());
        keys.push(key);
    }
    let facts = look.facts()?;
    let (begin, end) = (layout::epoch_start(DEAD, epoch), layout::epoch_start(DEAD, epoch + 1));
    let mut dead = look.range(Bound::Included(&begin), Bound::Excluded(&end), false);
    let has_garbage = facts.oldest_epoch < facts.epoch || dead.next().transpose()?.is_some();
    Ok(Page { keys, next: has_garbage.then_some(0) })
}

fn is_wanted(key: &[u8], header: &Header, scan: &Scan, now: Hlc) -> bool {
    !header.is_hidden(now)
        && (scan.only_type.is_empty() || scan.only_type.eq_ignore_ascii_case(header.kind.name()))
        && (scan.pattern.is_empty() || matches_as_shown(scan, key))
}

fn matches_as_shown(scan: &Scan, key: &[u8]) -> bool {
    if scan.shown_before.is_empty() {
        return glob::matches(&scan.pattern, key, false);
    }
    glob::matches(&scan.pattern, &[&scan.shown_before, key].concat(), false)
}

/// How much of a page is left.
pub(crate) struct Budget {
    keys: u64,
    bytes: usize,
}

impl Budget {
    /// For a page of about so many keys.
    pub(crate) fn new(count: u64) -> Self {
        Self { keys: count.clamp(1, PAGE_KEYS_MAX), bytes: PAGE_BYTES_MAX }
    }

    /// Notes a key of so many bytes.
    pub(crate) fn spend(&mut self, key_bytes: usize) {
        self.keys = self.keys.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(key_bytes);
    }

    /// Whether the page should end.
    pub(crate) fn is_spent(&self) -> bool {
        self.keys == 0 || self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_about_the_name_that_is_shown() {
        let scan = |pattern: &'static str, before: &'static str| Scan {
            pattern: pattern.into(),
            shown_before: before.into(),
            ..Default::default()
        };
        assert!(matches_as_shown(&scan("ns:t:*", "ns:"), b"t:a"));
        assert!(!matches_as_shown(&scan("t:*", "ns:"), b"t:a"));
        assert!(matches_as_shown(&scan("t:*", ""), b"t:a"));
    }
}
