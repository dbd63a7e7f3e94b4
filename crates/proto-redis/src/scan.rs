//! Commands that walk through partitions: `SCAN`, `KEYS`, `RANDOMKEY`.
//!
//! A walk is a small machine without memory outside itself. The caller numbers the partitions that it
//! serves `0..targets`, always in the same order, and does what the step says:
//!
//! ```text
//!  begin ──▶ Step::Ask { index, op } ──reply──▶ absorb ──▶ Ask … ──▶ Step::Done(reply)
//! ```
//!
//! A scan's cursor is a partition's number and a position in it (see [`ScanCursor`]), so the server
//! remembers nothing between pages and a cursor survives restarts and leader changes. 0 is both the
//! start and the end. No cursor in the middle is 0: inside partition 0 the next position is greater than
//! the one before, and the start of a later partition has its number in the upper bits. A key that was
//! there throughout the scan has one fixed position, which lies in exactly one page.

use crate::faults::{engine_error, fault_error};
use crate::form::{answer, unexpected};
use crate::reply::Reply;
use crate::table_scan::TableScan;
use crate::text::ErrorText;
use api::kv::{KvAnswer, KvOp, KvReply, Page, Scan};
use bytes::Bytes;
use types::hash::ScanCursor;
use types::limits::{CLIENT_OUTPUT_BYTES_MAX, POSITION_BITS};
use types::{ErrorCode, Fault, PartitionIndex};

/// Keys that one page may hold whatever `COUNT` says: with the longest keys a page still fits a frame.
pub(crate) const PAGE_KEYS_MAX: u64 = 1024;
/// How many keys `KEYS` asks for at once.
const KEYS_PAGE: u64 = PAGE_KEYS_MAX;
/// Bytes that an element takes in a reply beside its own, about.
const ELEMENT_BYTES: usize = 16;

/// `ERR invalid cursor`.
pub const INVALID_CURSOR: ErrorText = ErrorText::fixed("ERR invalid cursor");

/// How a stored key is shown to the client; `None` hides it. On the plain port it is the key itself.
pub type Shown<'a> = &'a dyn Fn(Bytes) -> Option<Bytes>;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ask this partition and give the reply to `absorb`.
    Ask {
        /// Its number among the targets.
        index: u32,
        /// The operation. Patterns are about names as they are shown: the caller says in a [`Scan`] what the partition's
        /// keys are shown behind.
        op: KvOp,
    },
    /// The command is finished.
    Done(Reply),
}

/// A command that walks through partitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Walk {
    /// `SCAN`: one page.
    Scan(ScanPage),
    /// `KEYS`: all pages.
    Keys(KeysWalk),
    /// `RANDOMKEY`.
    RandomKey(RandomKey),
    /// `ADVSCAN` and its kin: one page of one table.
    Table(TableScan),
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanPage {
    /// As the client sent it.
    pub cursor: u64,
    /// About how many keys to look at; at least 1.
    pub count: u64,
    /// Only keys that match.
    pub pattern: Option<Bytes>,
    /// Only keys of this type; empty means all.
    pub only_type: String,
}

/// `KEYS pattern`.
#[derive(Clone, Debug, PartialEq)]
pub struct KeysWalk {
    /// Only keys that match.
    pub pattern: Bytes,
    at: (u32, u64),
    found: Vec<Reply>,
    bytes: usize,
}

/// `RANDOMKEY`: begins at a random place of a random partition; a partition without keys passes the
/// question on to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RandomKey {
    random: u64,
    tried: u32,
}

impl Walk {
    /// The first step. `random` is any number, for `RANDOMKEY`.
    pub fn begin(&mut self, targets: u32, random: u64) -> Step {
        match self {
            Walk::Scan(scan) => scan.ask(targets),
            Walk::Keys(keys) => keys.ask(targets),
            Walk::RandomKey(walk) => {
                walk.random = random;
                walk.ask(targets)
            }
            Walk::Table(scan) => scan.ask(targets),
        }
    }

    /// What the keys of the one table that the walk is about begin with; `None` if it is about all.
    ///
    /// The caller finds the place of this key, and serves the walk that table's partitions only.
    pub fn table(&self) -> Option<&Bytes> {
        match self {
            Walk::Table(scan) => Some(scan.table()),
            Walk::Scan(_) | Walk::Keys(_) | Walk::RandomKey(_) => None,
        }
    }

    /// The step after the reply to the last question.
    pub fn absorb(&mut self, targets: u32, outcome: Result<KvReply, Fault>, shown: Shown<'_>) -> Step {
        let answer = match outcome.and_then(answer) {
            // A page of a table leaves out keys that have become something else.
            Ok(KvAnswer::Error(code)) if self.table().is_none() => {
                return Step::Done(engine_error(code, "scan").into());
            }
            Ok(answer) => answer,
            Err(fault) => return failed(&fault),
        };
        let next = match self {
            Walk::Scan(scan) => scan.absorb(targets, answer, shown),
            Walk::Keys(keys) => keys.absorb(targets, answer, shown),
            Walk::RandomKey(walk) => walk.absorb(targets, answer, shown),
            Walk::Table(scan) => scan.absorb(targets, answer, shown),
        };
        next.unwrap_or_else(|fault| failed(&fault))
    }
}

impl ScanPage {
    fn ask(&self, targets: u32) -> Step {
        if targets == 0 && self.cursor == 0 {
            return Step::Done(page_reply(0, Vec::new()));
        }
        let Some(cursor) = ScanCursor::decode(self.cursor, targets) else {
            return Step::Done(INVALID_CURSOR.into());
        };
        let count = self.count.clamp(1, PAGE_KEYS_MAX);
        let (pattern, only_type) = (self.pattern.clone().unwrap_or_default(), self.only_type.clone());
        let position = cursor.position;
        let op = KvOp::Scan(Scan { position, count, pattern, only_type, ..Default::default() });
        // Decoding has compared the partition with `targets`, so it fits.
        Step::Ask { index: cursor.partition.get() as u32, op }
    }

    fn absorb(&self, targets: u32, answer: KvAnswer, shown: Shown<'_>) -> Result<Step, Fault> {
        let KvAnswer::Page(page) = answer else { return Err(unexpected("a page", &answer)) };
        let Some(cursor) = ScanCursor::decode(self.cursor, targets) else {
            return Ok(Step::Done(INVALID_CURSOR.into()));
        };
        let at = (cursor.partition.get() as u32, cursor.position);
        let next = match advance(at, &page, targets)? {
            None => 0,
            Some((index, position)) => {
                ScanCursor { partition: PartitionIndex(u64::from(index)), position }.encode()
            }
        };
        let keys = matching(page.keys, self.pattern.as_ref(), shown).map(Reply::Bulk).collect();
        Ok(Step::Done(page_reply(next, keys)))
    }
}

impl KeysWalk {
    /// A walk at its start.
    pub fn new(pattern: Bytes) -> Self {
        Self { pattern, at: (0, 0), found: Vec::new(), bytes: 0 }
    }

    fn ask(&mut self, targets: u32) -> Step {
        let (index, position) = self.at;
        if index >= targets {
            return Step::Done(Reply::Array(std::mem::take(&mut self.found)));
        }
        let pattern = self.pattern.clone();
        let op = KvOp::Scan(Scan { position, count: KEYS_PAGE, pattern, ..Default::default() });
        Step::Ask { index, op }
    }

    fn absorb(&mut self, targets: u32, answer: KvAnswer, shown: Shown<'_>) -> Result<Step, Fault> {
        let KvAnswer::Page(page) = answer else { return Err(unexpected("a page", &answer)) };
        self.at = advance(self.at, &page, targets)?.unwrap_or((targets, 0));
        for key in matching(page.keys, Some(&self.pattern), shown) {
            self.bytes += key.len() + ELEMENT_BYTES;
            self.found.push(Reply::Bulk(key));
        }
        if self.bytes > CLIENT_OUTPUT_BYTES_MAX {
            let detail = format!("the keys take more than {CLIENT_OUTPUT_BYTES_MAX} bytes; use SCAN");
            return Err(Fault::new(ErrorCode::RequestTooLarge, detail));
        }
        Ok(self.ask(targets))
    }
}

impl RandomKey {
    fn ask(&self, targets: u32) -> Step {
        if self.tried >= targets {
            return Step::Done(Reply::Null);
        }
        // The upper bits choose the partition, the lower ones the position in it.
        let first = (self.random >> POSITION_BITS) % u64::from(targets);
        let index = (first + u64::from(self.tried)) % u64::from(targets);
        let position = self.random & ((1 << POSITION_BITS) - 1);
        let op = KvOp::RandomKey(api::kv::RandomKey { position });
        Step::Ask { index: index as u32, op }
    }

    fn absorb(&mut self, targets: u32, answer: KvAnswer, shown: Shown<'_>) -> Result<Step, Fault> {
        match answer {
            KvAnswer::Value(key) => {
                if let Some(key) = shown(key) {
                    return Ok(Step::Done(Reply::Bulk(key)));
                }
            }
            KvAnswer::Nil(_) => {}
            other => return Err(unexpected("a key or nil", &other)),
        }
        self.tried += 1;
        Ok(self.ask(targets))
    }
}

/// Where the walk goes on after a page; `None` at the end of the last partition.
///
/// A page that does not get further would make a scan run for ever, and one that goes on at position 0 of
/// partition 0 would end it early. Both are bugs of the engine and end in an error.
pub(crate) fn advance(at: (u32, u64), page: &Page, targets: u32) -> Result<Option<(u32, u64)>, Fault> {
    let (index, position) = at;
    match page.next {
        Some(next) if next < 1 << POSITION_BITS => {
            if next <= position {
                return Err(Fault::new(ErrorCode::Internal, "a page of keys made no progress"));
            }
            Ok(Some((index, next)))
        }
        _ if index + 1 < targets => Ok(Some((index + 1, 0))),
        _ => Ok(None),
    }
}

/// Keys as they are shown. The engine knows patterns, but to it an empty one means all; to Redis it matches the empty
/// key only.
fn matching(keys: Vec<Bytes>, pattern: Option<&Bytes>, shown: Shown<'_>) -> impl Iterator<Item = Bytes> {
    let only_empty = pattern.is_some_and(Bytes::is_empty);
    keys.into_iter().filter_map(shown).filter(move |key| !only_empty || key.is_empty())
}

fn page_reply(cursor: u64, keys: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::bulk(cursor.to_string()), Reply::Array(keys)])
}

fn failed(fault: &Fault) -> Step {
    Step::Done(fault_error(fault).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::hash::position;

    /// Partitions as sorted lists of positions and keys; a page ends at a position's end.
    struct Partitions(Vec<Vec<(u64, Bytes)>>);

    impl Partitions {
        fn answer(&self, index: u32, op: KvOp) -> Result<KvReply, Fault> {
            let keys = &self.0[index as usize];
            match op {
                KvOp::Scan(scan) => {
                    let rest: Vec<_> = keys.iter().filter(|(at, _)| *at >= scan.position).collect();
                    let page: Vec<_> = rest.iter().take(scan.count as usize).collect();
                    let next = page.last().filter(|_| page.len() < rest.len()).map(|(at, _)| at + 1);
                    let keys = page.iter().map(|(_, key)| key.clone()).collect();
                    Ok(KvReply::new(KvAnswer::Page(Page { keys, next })))
                }
                KvOp::RandomKey(_) => {
                    Ok(keys.first().map_or(KvReply::nil(), |(_, key)| KvReply::value(key.clone())))
                }
                other => panic!("{other:?}"),
            }
        }

        fn run(&self, mut walk: Walk, random: u64) -> Reply {
            let targets = self.0.len() as u32;
            let mut step = walk.begin(targets, random);
            loop {
                match step {
                    Step::Done(reply) => return reply,
                    Step::Ask { index, op } => {
                        step = walk.absorb(targets, self.answer(index, op), &Some);
                    }
                }
            }
        }

        fn scan_all(&self, count: u64) -> Vec<Bytes> {
            let (mut cursor, mut all) = (0, Vec::new());
            for _ in 0..10_000 {
                let page = ScanPage { cursor, count, pattern: None, only_type: String::new() };
                let Reply::Array(parts) = self.run(Walk::Scan(page), 0) else { panic!("no page") };
                let [Reply::Bulk(next), Reply::Array(keys)] = &parts[..] else { panic!("{parts:?}") };
                all.extend(keys.iter().map(|key| match key {
                    Reply::Bulk(key) => key.clone(),
                    other => panic!("{other:?}"),
                }));
                cursor = std::str::from_utf8(next).unwrap().parse().unwrap();
                if cursor == 0 {
                    return all;
                }
            }
            panic!("the scan does not end");
        }
    }

    fn partitions(sizes: &[u16]) -> Partitions {
        let partition = |(index, &size): (usize, &u16)| {
            let key = |n| Bytes::from(format!("{index}:{n}"));
            let mut keys: Vec<_> = (0..size).map(|n| (position(&key(n)), key(n))).collect();
            keys.sort();
            keys
        };
        Partitions(sizes.iter().enumerate().map(partition).collect())
    }

    proptest! {
        #[test]
        fn a_scan_returns_every_key_once_and_ends(
            sizes in proptest::collection::vec(0u16..40, 0..6), count in 1u64..50,
        ) {
            let partitions = partitions(&sizes);
            let mut found = partitions.scan_all(count);
            found.sort();
            let mut wanted: Vec<_> = partitions.0.iter().flatten().map(|(_, key)| key.clone()).collect();
            wanted.sort();
            prop_assert_eq!(&found, &wanted);

            let all = partitions.run(Walk::Keys(KeysWalk::new(Bytes::from_static(b"*"))), 0);
            prop_assert_eq!(all, Reply::Array(partitions.0.iter().flatten().map(|(_, key)| Reply::Bulk(key.clone())).collect()));
        }

        #[test]
        fn a_random_key_is_found_if_there_is_one(
            sizes in proptest::collection::vec(0u16..2, 0..6), random: u64,
        ) {
            let reply = partitions(&sizes).run(Walk::RandomKey(RandomKey::default()), random);
            prop_assert_eq!(matches!(reply, Reply::Bulk(_)), sizes.iter().any(|&size| size > 0));
        }
    }

    #[test]
    fn the_end_of_partition_0_is_not_the_end_of_the_scan() {
        let page = Page { keys: vec![], next: None };
        assert_eq!(advance((0, 7), &page, 2), Ok(Some((1, 0))));
        assert_eq!(advance((1, 7), &page, 2), Ok(None));
        // One past the last position is the end of the partition, not a cursor of the next one.
        let past = Page { keys: vec![], next: Some(1 << POSITION_BITS) };
        assert_eq!(advance((0, 7), &past, 2), Ok(Some((1, 0))));
        let stuck = Page { keys: vec![], next: Some(7) };
        assert!(advance((0, 7), &stuck, 2).is_err());
        let restarted = Page { keys: vec![], next: Some(0) };
        assert!(advance((0, 0), &restarted, 2).is_err());
    }

    #[test]
    fn a_cursor_of_nobody_is_refused() {
        let page = |cursor| ScanPage { cursor, count: 10, pattern: None, only_type: String::new() };
        for cursor in [u64::MAX, 2 << POSITION_BITS] {
            assert_eq!(page(cursor).ask(2), Step::Done(INVALID_CURSOR.into()));
        }
        assert!(matches!(page(1 << POSITION_BITS).ask(2), Step::Ask { index: 1, .. }));
    }
}
