//! A committed entry never changes, on no replica.

use std::collections::BTreeMap;

use types::GroupId;
use xxhash_rust::xxh3::xxh3_64;

use crate::event::Place;

/// An entry as Raft commits it.
pub type Entry = replication::effects::RaftEntry;

/// What was committed, by group and index: the term and a hash.
#[derive(Default)]
pub struct Logs(BTreeMap<GroupId, BTreeMap<u64, (u64, u64, Place)>>);

impl Logs {
    /// A replica says that an entry is committed.
    pub fn committed(&mut self, place: Place, group: GroupId, entry: &Entry) -> Result<(), String> {
        let hash = xxh3_64(&entry.data) ^ xxh3_64(&entry.context).rotate_left(1);
        let group_log = self.0.entry(group).or_default();
        let (term, known, there) = *group_log.entry(entry.index).or_insert((entry.term, hash, place));
        if (term, known) == (entry.term, hash) {
            return Ok(());
        }
        Err(format!(
            "group {group} committed entry {} twice: with term {term} on node {}, with term {} and {} bytes \
             on node {}",
            entry.index,
            there + 1,
            entry.term,
            if known == hash { "equal" } else { "other" },
            place + 1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64, data: &'static [u8]) -> Entry {
        Entry { index, term, data: bytes::Bytes::from_static(data), ..Default::default() }
    }

    #[test]
    fn an_entry_that_changes_is_seen() {
        let mut logs = Logs::default();
        assert!(logs.committed(0, GroupId(1), &entry(6, 2, b"x")).is_ok());
        assert!(logs.committed(1, GroupId(1), &entry(6, 2, b"x")).is_ok());
        assert!(logs.committed(1, GroupId(1), &entry(6, 3, b"x")).is_err());
        assert!(logs.committed(1, GroupId(1), &entry(6, 2, b"y")).is_err());
        assert!(logs.committed(1, GroupId(2), &entry(6, 2, b"y")).is_ok());
    }
}
