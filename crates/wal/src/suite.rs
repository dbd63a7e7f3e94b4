//! What every [`LogStore`] must do, as tests that any crate can run against its own.
//!
//! ```no_run
//! wal::suite::check_all(|| wal::MemoryLog::new());
//! ```
//!
//! Each check gets a fresh, empty log from the factory and panics when a promise is broken.

use bytes::Bytes;
use types::{GroupId, LogIndex, Term};

use crate::store::{GroupWrite, LogEntry, LogError, LogPosition, LogStore};

const GROUP: GroupId = GroupId(7);

/// Runs all checks.
///
/// # Panics
/// When the log breaks a promise.
pub fn check_all<L: LogStore>(make: impl Fn() -> L) {
    let checks: [fn(&dyn LogStore); 13] = [
        an_empty_log_knows_nothing,
        a_group_is_made_by_its_first_write,
        entries_come_back_as_written,
        reads_stop_at_the_limit_but_give_one,
        an_overlapping_append_cuts_what_is_behind,
        gaps_are_refused_and_nothing_is_taken,
        a_cut_forgets_the_beginning,
        a_reset_forgets_all_entries,
        a_deleted_group_is_gone_and_can_come_back,
        records_are_replaced_alone,
        a_batch_is_applied_in_order,
        groups_are_apart,
        reclaiming_changes_nothing_visible,
    ];
    for check in checks {
        check(&make());
    }
}

/// A position.
pub fn position(index: u64, term: u64) -> LogPosition {
    LogPosition { index: LogIndex(index), term: Term(term) }
}

/// An entry whose payload tells its index and term, padded to `bytes`.
pub fn entry(index: u64, term: u64, bytes: usize) -> LogEntry {
    let mut payload = format!("{index}@{term}.").into_bytes();
    payload.resize(bytes.max(payload.len()), (index % 251) as u8);
    LogEntry { index: LogIndex(index), term: Term(term), payload: Bytes::from(payload) }
}

/// A write of entries `from..=to`.
pub fn append(group: GroupId, from: u64, to: u64, term: u64) -> GroupWrite {
    let entries = (from..=to).map(|index| entry(index, term, 20)).collect();
    GroupWrite { group, entries, ..GroupWrite::default() }
}

/// A write that makes a group, or makes it anew.
pub fn reset(group: GroupId, index: u64, term: u64) -> GroupWrite {
    GroupWrite { group, reset: Some(position(index, term)), ..GroupWrite::default() }
}

/// A write of a group's record.
pub fn record(group: GroupId, text: &str) -> GroupWrite {
    GroupWrite { group, record: Some(Bytes::copy_from_slice(text.as_bytes())), ..GroupWrite::default() }
}

/// A write that forgets a group.
pub fn delete(group: GroupId) -> GroupWrite {
    GroupWrite { group, delete: true, ..GroupWrite::default() }
}

fn write(log: &dyn LogStore, batch: &[GroupWrite]) {
    log.write(batch, true).expect("a write that fits");
}

/// The index and term of each entry of the group, read in one go.
fn listed(log: &dyn LogStore, group: GroupId) -> Vec<(u64, u64)> {
    let summary = log.group(group).expect("the group is there");
    let (from, to) = (summary.start.index.next(), summary.last.index.next());
    let entries = log.entries(group, from, to, u64::MAX).expect("entries that are there");
    for got in &entries {
        assert_eq!(*got, entry(got.index.get(), got.term.get(), got.payload.len()), "payloads are kept");
        assert_eq!(log.term(group, got.index).expect("a term of an entry"), got.term);
    }
    entries.iter().map(|entry| (entry.index.get(), entry.term.get())).collect()
}

fn an_empty_log_knows_nothing(log: &dyn LogStore) {
    assert!(log.groups().is_empty());
    assert_eq!(log.group(GROUP), None);
    assert!(matches!(log.entries(GROUP, LogIndex(1), LogIndex(2), 1), Err(LogError::Beyond { .. })));
    assert!(matches!(log.term(GROUP, LogIndex(0)), Err(LogError::Beyond { .. })));
    assert!(matches!(log.cut(GROUP, LogIndex(1)), Err(LogError::Beyond { .. })));
    write(log, &[]);
    write(log, &[delete(GROUP), GroupWrite { group: GROUP, ..GroupWrite::default() }]);
    assert!(log.groups().is_empty(), "a write of nothing makes no group");
}

fn a_group_is_made_by_its_first_write(log: &dyn LogStore) {
    write(log, &[reset(GroupId(1), 5, 3)]);
    write(log, &[append(GroupId(2), 1, 2, 1)]);
    write(log, &[record(GroupId(3), "r")]);
    let summaries = log.groups();
    let got: Vec<_> = summaries.iter().map(|s| (s.group.get(), s.start, s.last)).collect();
    let zero = position(0, 0);
    let five = position(5, 3);
    assert_eq!(got, [(1, five, five), (2, zero, position(2, 1)), (3, zero, zero)]);
    assert_eq!(summaries[0].record, Bytes::new());
    assert_eq!(summaries[2].record, Bytes::from_static(b"r"));
    assert_eq!(log.term(GroupId(1), LogIndex(5)).expect("the start has a term"), Term(3));
}

fn entries_come_back_as_written(log: &dyn LogStore) {
    write(log, &[reset(GROUP, 5, 1)]);
    let sizes = [0, 1, 100, 5000, 70_000, 0, 3];
    let entries: Vec<LogEntry> = sizes
        .iter()
        .zip(6..)
        .map(|(size, index)| LogEntry {
            index: LogIndex(index),
            term: Term(2),
            payload: Bytes::from(vec![index as u8; *size]),
        })
        .collect();
    for entry in &entries {
        write(log, &[GroupWrite { group: GROUP, entries: vec![entry.clone()], ..GroupWrite::default() }]);
    }
    for from in 6..=12 {
        for to in from..=13 {
            let got = log.entries(GROUP, LogIndex(from), LogIndex(to), u64::MAX).expect("entries");
            assert_eq!(got, entries[from as usize - 6..to as usize - 6]);
        }
    }
    let summary = log.group(GROUP).expect("the group");
    assert_eq!(summary.bytes, sizes.iter().sum::<usize>() as u64);
}

fn reads_stop_at_the_limit_but_give_one(log: &dyn LogStore) {
    write(log, &[append(GROUP, 1, 10, 1)]);
    for (limit, count) in [(0, 1), (1, 1), (20, 1), (39, 1), (40, 2), (100, 5), (1000, 10)] {
        let got = log.entries(GROUP, LogIndex(1), LogIndex(11), limit).expect("entries");
        assert_eq!(got.len(), count, "limit {limit}");
    }
    assert!(log.entries(GROUP, LogIndex(4), LogIndex(4), 100).expect("an empty range").is_empty());
    let beyond = log.entries(GROUP, LogIndex(4), LogIndex(12), 1);
    assert!(matches!(beyond, Err(LogError::Beyond { index: LogIndex(11), .. })), "{beyond:?}");
}

fn an_overlapping_append_cuts_what_is_behind(log: &dyn LogStore) {
    write(log, &[append(GROUP, 1, 10, 1)]);
    write(log, &[append(GROUP, 5, 6, 2)]);
    assert_eq!(listed(log, GROUP), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]);
    write(log, &[append(GROUP, 1, 1, 3)]);
    assert_eq!(listed(log, GROUP), [(1, 3)]);
    assert_eq!(log.group(GROUP).expect("the group").bytes, 20);
}

fn gaps_are_refused_and_nothing_is_taken(log: &dyn LogStore) {
    write(log, &[reset(GROUP, 5, 1), append(GROUP, 6, 7, 1)]);
    let gap = log.write(&[record(GroupId(1), "no"), append(GROUP, 9, 9, 1)], true);
    assert!(matches!(gap, Err(LogError::Beyond { index: LogIndex(8), .. })), "{gap:?}");
    let below = log.write(&[record(GroupId(1), "no"), append(GROUP, 5, 9, 1)], true);
    assert!(matches!(below, Err(LogError::Cut { start: LogIndex(5), .. })), "{below:?}");
    let mut holes = append(GROUP, 8, 10, 1);
    holes.entries.remove(1);
    assert!(matches!(log.write(&[holes], true), Err(LogError::Beyond { index: LogIndex(9), .. })));
    let edge = log.write(&[reset(GROUP, u64::MAX, 1)], true);
    assert!(matches!(edge, Err(LogError::Beyond { .. })), "no index is left behind the largest");
    assert_eq!(listed(log, GROUP), [(6, 1), (7, 1)]);
    assert_eq!(log.groups().len(), 1);
}

fn a_cut_forgets_the_beginning(log: &dyn LogStore) {
    write(log, &[append(GROUP, 1, 4, 1), append(GROUP, 5, 10, 2)]);
    log.cut(GROUP, LogIndex(4)).expect("a cut");
    log.cut(GROUP, LogIndex(2)).expect("a cut that is done already");
    let summary = log.group(GROUP).expect("the group");
    assert_eq!((summary.start, summary.last, summary.bytes), (position(4, 1), position(10, 2), 120));
    assert_eq!(log.term(GROUP, LogIndex(4)).expect("the start's term"), Term(1));
    assert!(matches!(log.term(GROUP, LogIndex(3)), Err(LogError::Cut { start: LogIndex(4), .. })));
    assert!(matches!(log.entries(GROUP, LogIndex(4), LogIndex(6), 1), Err(LogError::Cut { .. })));
    assert!(matches!(log.cut(GROUP, LogIndex(11)), Err(LogError::Beyond { .. })));
    assert_eq!(listed(log, GROUP).len(), 6);
    log.cut(GROUP, LogIndex(10)).expect("a cut of everything");
    let summary = log.group(GROUP).expect("the group");
    assert_eq!((summary.start, summary.last, summary.bytes), (position(10, 2), position(10, 2), 0));
    write(log, &[append(GROUP, 11, 11, 3)]);
    assert_eq!(listed(log, GROUP), [(11, 3)]);
}

fn a_reset_forgets_all_entries(log: &dyn LogStore) {
    write(log, &[append(GROUP, 1, 10, 1), record(GROUP, "kept")]);
    write(log, &[GroupWrite { reset: Some(position(20, 4)), ..append(GROUP, 21, 22, 5) }]);
    assert_eq!(listed(log, GROUP), [(21, 5), (22, 5)]);
    write(log, &[reset(GROUP, 3, 1)]);
    let summary = log.group(GROUP).expect("the group");
    assert_eq!((summary.start, summary.last, summary.bytes), (position(3, 1), position(3, 1), 0));
    assert_eq!(summary.record, Bytes::from_static(b"kept"), "a reset leaves the record");
}

fn a_deleted_group_is_gone_and_can_come_back(log: &dyn LogStore) {
    write(log, &[append(GROUP, 1, 10, 1), record(GROUP, "old")]);
    write(log, &[GroupWrite { record: Some(Bytes::from_static(b"unseen")), ..delete(GROUP) }]);
    assert_eq!(log.group(GROUP), None);
    assert!(matches!(log.term(GROUP, LogIndex(1)), Err(LogError::Beyond { .. })));
    write(log, &[reset(GROUP, 5, 9)]);
    let summary = log.group(GROUP).expect("the group");
    assert_eq!((summary.start, summary.record), (position(5, 9), Bytes::new()));
    write(log, &[delete(GROUP), append(GROUP, 1, 1, 2)]);
    assert_eq!(listed(log, GROUP), [(1, 2)], "deleted and made anew in one batch");
}

fn records_are_replaced_alone(log: &dyn LogStore) {
    write(log, &[append(GROUP, 1, 3, 1), record(GROUP, "one")]);
    write(log, &[record(GROUP, "two")]);
    write(log, &[append(GROUP, 4, 4, 1)]);
    assert_eq!(log.group(GROUP).expect("the group").record, Bytes::from_static(b"two"));
    write(log, &[record(GROUP, "")]);
    assert_eq!(log.group(GROUP).expect("the group").record, Bytes::new());
    assert_eq!(listed(log, GROUP).len(), 4);
}

fn a_batch_is_applied_in_order(log: &dyn LogStore) {
    let both = GroupWrite { record: Some(Bytes::from_static(b"r1")), ..append(GROUP, 1, 5, 1) };
    write(log, &[both, append(GROUP, 3, 4, 2), record(GROUP, "r2"), append(GROUP, 5, 5, 3)]);
    assert_eq!(listed(log, GROUP), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]);
    assert_eq!(log.group(GROUP).expect("the group").record, Bytes::from_static(b"r2"));
    write(log, &[reset(GROUP, 9, 4), record(GROUP, "r3"), append(GROUP, 10, 10, 4), reset(GROUP, 2, 1)]);
    let summary = log.group(GROUP).expect("the group");
    assert_eq!((summary.start, summary.last), (position(2, 1), position(2, 1)));
    assert_eq!(summary.record, Bytes::from_static(b"r3"));
}

fn groups_are_apart(log: &dyn LogStore) {
    let groups: Vec<GroupId> = (0..20).map(GroupId).collect();
    for round in 0..10 {
        let batch: Vec<_> =
            groups.iter().map(|&group| append(group, round + 1, round + 1, group.get() + 1)).collect();
        write(log, &batch);
    }
    log.cut(GroupId(3), LogIndex(5)).expect("a cut");
    write(log, &[delete(GroupId(4)), append(GroupId(5), 2, 2, 77)]);
    for &group in &groups {
        let expected: Vec<(u64, u64)> = match group.get() {
            3 => (6..=10).map(|index| (index, 4)).collect(),
            4 => continue,
            5 => vec![(1, 6), (2, 77)],
            other => (1..=10).map(|index| (index, other + 1)).collect(),
        };
        assert_eq!(listed(log, group), expected, "{group:?}");
    }
    assert_eq!(log.groups().len(), 19);
}

fn reclaiming_changes_nothing_visible(log: &dyn LogStore) {
    write(log, &[reset(GroupId(1), 5, 2), record(GroupId(1), "idle"), append(GroupId(1), 6, 8, 2)]);
    for index in 1..=600 {
        let entries = vec![entry(index, 1, 200)];
        let batch = [GroupWrite { group: GROUP, entries, ..GroupWrite::default() }];
        log.write(&batch, index % 7 == 0).expect("a write");
        if index > 20 {
            log.cut(GROUP, LogIndex(index - 20)).expect("a cut");
        }
        if index % 10 == 0 {
            log.reclaim().expect("a reclaim");
        }
    }
    assert_eq!(listed(log, GroupId(1)), [(6, 2), (7, 2), (8, 2)]);
    assert_eq!(log.group(GroupId(1)).expect("the idle group").record, Bytes::from_static(b"idle"));
    assert_eq!(listed(log, GROUP), (581..=600).map(|index| (index, 1)).collect::<Vec<_>>());
}
