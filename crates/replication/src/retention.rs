//! How much of a log is kept: the minimum of what is durable in the state and what somebody still needs.
//!
//! ```text
//!   start ────────── cut here ──────────────── durable ────── applied ───── last
//!                      ▲
//!        min( durable − tail,  slowest live follower,  named holds … )
//! ```
//!
//! The tail is for followers that are a little late; a hold is for somebody with a name (an archive, a
//! syncer to another cluster). Each hold has a limit in bytes: a log that grows beyond it lets the hold go,
//! and its holder must start over. So nobody who is slow or gone can fill a disk.

use std::collections::BTreeMap;

use types::{LogIndex, limits};

/// A named need for entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The last index that the holder has; entries after it are kept.
    pub index: LogIndex,
    /// The log's size in bytes above which the hold is let go.
    pub bytes_max: u64,
}

/// The named holds of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    holds: BTreeMap<String, Hold>,
}

/// What is known of a log when it is to be cut.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The index before the first entry.
    pub start: u64,
    /// The last index.
    pub last: u64,
    /// Bytes of the entries.
    pub bytes: u64,
    /// The last index that a crash of the machine would not take from the state.
    pub durable: u64,
    /// The least index that a live follower has acknowledged, on a leader that has one.
    pub slowest_follower: Option<u64>,
    /// Entries of the tail.
    pub keep_entries: u64,
}

impl Holds {
    /// Sets or moves a hold.
    pub fn set(&mut self, name: &str, hold: Hold) {
        self.holds.insert(name.to_owned(), hold);
    }

    /// Ends a hold.
    pub fn release(&mut self, name: &str) {
        self.holds.remove(name);
    }

    /// A hold that is in force.
    pub fn get(&self, name: &str) -> Option<Hold> {
        self.holds.get(name).copied()
    }

    /// Where to cut, if anywhere, after letting go of the holds that the log has outgrown.
    pub fn cut(&mut self, extent: &Extent) -> Option<LogIndex> {
        self.holds.retain(|_, hold| extent.bytes <= hold.bytes_max);
        let entries = extent.last.saturating_sub(extent.start);
        if entries == 0 {
            return None;
        }
        let entry_bytes = (extent.bytes / entries).max(1);
        let tail = extent.keep_entries.min(limits::LOG_KEEP_BYTES / entry_bytes);
        let mut index = extent.durable.saturating_sub(tail);
        if extent.bytes <= limits::LOG_HOLD_BYTES_MAX {
            index = index.min(extent.slowest_follower.unwrap_or(index));
        }
        index = self.holds.values().map(|hold| hold.index.get()).fold(index, u64::min);
        (index > extent.start).then_some(LogIndex(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Extent = Extent {
        start: 100,
        last: 1100,
        bytes: 100_000,
        durable: 1000,
        slowest_follower: None,
        keep_entries: 50,
    };

    #[test]
    fn the_neediest_decides() {
        let mut holds = Holds::default();
        assert_eq!(holds.cut(&LOG), Some(LogIndex(950)));
        assert_eq!(holds.cut(&Extent { slowest_follower: Some(700), ..LOG }), Some(LogIndex(700)));
        holds.set("archive", Hold { index: LogIndex(300), bytes_max: 1_000_000 });
        assert_eq!(holds.cut(&Extent { slowest_follower: Some(700), ..LOG }), Some(LogIndex(300)));
        holds.set("syncer", Hold { index: LogIndex(50), bytes_max: 1_000_000 });
        assert_eq!(holds.cut(&LOG), None, "nothing before the start is cut");
    }

    #[test]
    fn nothing_that_is_not_durable_is_ever_cut() {
        let mut holds = Holds::default();
        for durable in [0, 100, 101, 500] {
            let cut = holds.cut(&Extent { durable, keep_entries: 0, ..LOG });
            assert!(cut.is_none_or(|index| index.get() <= durable));
        }
    }

    #[test]
    fn a_hold_that_the_log_outgrew_is_let_go_and_stays_gone() {
        let mut holds = Holds::default();
        holds.set("archive", Hold { index: LogIndex(300), bytes_max: 99_999 });
        assert_eq!(holds.cut(&LOG), Some(LogIndex(950)));
        assert_eq!(holds.get("archive"), None);
    }

    #[test]
    fn long_entries_keep_a_shorter_tail() {
        let bytes = 1000 * limits::LOG_KEEP_BYTES;
        let mut holds = Holds::default();
        assert_eq!(holds.cut(&Extent { bytes, ..LOG }), Some(LogIndex(999)));
    }
}
