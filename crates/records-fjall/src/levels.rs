//! A large state is compacted piece by piece, while it is read and written to.
//!
//! fjall keeps the tables of a state in levels, the younger ones above:
//!
//! ```text
//!   level 0      what was flushed lately                       ▒▒▒▒▒▒▒▒▒  ▒▒▒▒▒▒▒▒▒   each over all keys
//!   levels 1-5   what is on its way; mostly one is in use      ▒▒▒▒ ▒▒▒▒ ▒▒▒▒
//!   level 6      the rest                                      ███ ███ ███ ███ ███ ███ ███
//!                                                              keys ──►
//!   a piece: a few tables, and those of the level below with the same keys
//!                                                                  ▒▒▒▒
//!                                                                 ███ ███   ──►   ██ ██
//! ```
//!
//! A grave that arrives at level 6 goes, and with it whatever it covers. So a state is compacted when all that lay above
//! level 6 has arrived there. fjall's strategy does that by itself, but only when a level is full: 256 MiB of
//! graves may lie above gigabytes that they cover. Here the same strategy is asked with levels that are full as soon
//! as there is anything in them, and each time it names the piece that costs least.
//!
//! fjall's own compaction of everything (`major_compact`) is not used for a large state. It keeps out all others of the
//! state, and fjall's only worker, which flushes all states, goes on to compact a state that it has just flushed: it
//! would wait until everything is over, and so would every writer of the node whose memtables are full. Pieces
//! keep nobody out, see [`crate::pieces`] for their pace. What they merged stays merged, whatever happens to the next one.
//!
//! That strategy has a gap: it merges a table only together with tables below that reach at least as far, and one that
//! holds the first or the last of all keys may find none. Then its whole level is merged into the last one.
//!
//! What is left behind: records that a view held fast while they arrived, and graves that came to lie in level 6 with
//! nothing below them. Both go when something with the same keys arrives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Compaction, EngineError};
use fjall::compaction::Leveled;
use fjall::{AbstractTree, Database, Keyspace};
use lsm_tree::compaction::{CompactionStrategy, PullDown};

use crate::pieces::{self, GivenUp};

const MIB: u64 = 1024 * 1024;
/// Tables that pieces write. fjall takes at most 50 tables' worth of a level below, which bounds a piece.
const TABLE_BYTES: u64 = 16 * MIB;
/// What comes from level 0 alone is cut finer than the level below it, so that its pieces are one table of that each.
const FINE_TABLE_BYTES: u64 = 4 * MIB;
/// If no piece is small enough: tables of this size, or of the n-th part of the last level.
const LARGE_TABLE_BYTES: u64 = 64 * MIB;
const LARGE_TABLE_PART: u64 = 40;
/// A state that is written to has always something above. After so many times its size it is enough.
const MERGED_TIMES_MAX: u64 = 3;
/// While fjall itself merges what the next piece needs, it is waited for: this long at a time, and so often.
const WAIT: Duration = Duration::from_millis(200);
const WAITS_MAX: u32 = 150;
/// After so many there is no piece: a whole level is merged.
const STUCK_AFTER: u32 = 5;

/// What a compaction reports after each piece.
pub(crate) trait Site {
    /// Whether the disk has room for another piece of at most so many bytes; otherwise the words for it.
    fn has_room(&self, bytes: u64) -> Result<(), String>;
    /// A piece of so many bytes was merged: the tables of before may go.
    fn merged(&mut self, bytes: u64) -> Result<(), EngineError>;
}

/// Compacts a state whose memtable was flushed.
///
/// # Errors
/// `Storage` when the disk refuses, `Damaged` when stored bytes do not fit.
pub(crate) fn compact(
    database: &Database,
    keyspace: &Keyspace,
    site: &mut dyn Site,
) -> Result<Compaction, EngineError> {
    let begun = Levels::of(keyspace);
    let mut budget = begun.bytes().saturating_mul(MERGED_TIMES_MAX);
    let mut waits = 0;
    loop {
        let now = Levels::of(keyspace);
        if now.have_taken_in(&begun) || budget == 0 {
            return Ok(Compaction::Done);
        }
        if engine::pace::is_over() {
            return Ok(left("its node stops"));
        }
        if let Err(why) = site.has_room(now.bytes().min(now.piece_max())) {
            return Ok(left(&why));
        }
        let piece = match waits < STUCK_AFTER {
            true => merge_a_piece(database, keyspace, &now)?,
            false => merge_a_level(database, keyspace, &now, site)?,
        };
        let merged = match piece {
            Ok(merged) => merged,
            Err(GivenUp::Over) => return Ok(left("its node stops")),
            Err(GivenUp::Overtaken) => return Ok(left("it is written to faster than it can be compacted")),
        };
        if merged > 0 {
            site.merged(merged)?;
            budget = budget.saturating_sub(merged);
            waits = 0;
        } else if waits < WAITS_MAX {
            std::thread::sleep(WAIT);
            waits += 1;
        } else {
            return Ok(left("the storage engine is at work on it all the time"));
        }
    }
}

fn left(why: &str) -> Compaction {
    Compaction::Left(format!("{why}; the next optimize goes on with it"))
}

/// Merges the piece that costs least. Returns how many bytes of tables it took in: 0 if there is none, or fjall is at work on it.
fn merge_a_piece(
    database: &Database,
    keyspace: &Keyspace,
    now: &Levels,
) -> Result<Result<u64, GivenUp>, EngineError> {
    for table_bytes in now.table_sizes() {
        let strategy = Leveled::default().with_l0_threshold(0).with_table_target_size(table_bytes);
        match merge(database, keyspace, now, Arc::new(strategy))? {
            Ok(0) => {}
            merged => return Ok(merged),
        }
    }
    Ok(Ok(0))
}

/// Merges a whole level into the last one. fjall finds no piece for a table that reaches beyond all tables below it.
fn merge_a_level(
    database: &Database,
    keyspace: &Keyspace,
    now: &Levels,
    site: &dyn Site,
) -> Result<Result<u64, GivenUp>, EngineError> {
    let Some(level) = now.deepest_between() else { return merge_a_piece(database, keyspace, now) };
    if site.has_room(now.bytes_in(level) + now.bytes_in(now.last)).is_err() {
        return Ok(Ok(0));
    }
    // There are seven levels.
    let strategy = PullDown(level as u8, now.last as u8);
    merge(database, keyspace, now, Arc::new(strategy))
}

/// Merges what a strategy chooses, as a piece. Returns how many bytes of tables were taken in.
fn merge(
    database: &Database,
    keyspace: &Keyspace,
    now: &Levels,
    strategy: Arc<dyn CompactionStrategy>,
) -> Result<Result<u64, GivenUp>, EngineError> {
    // What views still need stays.
    let watermark = database.supervisor.snapshot_tracker.get_seqno_safe_to_gc();
    let given_up = pieces::run(keyspace, || Ok(keyspace.tree.compact(strategy, watermark)?))?;
    Ok(given_up.map_or_else(|| Ok(now.bytes_moved(&Levels::of(keyspace))), Err))
}

/// The tables of a state at a moment: of each its level and its bytes.
struct Levels {
    tables: BTreeMap<u64, (usize, u64)>,
    /// The number of the last level.
    last: usize,
}

impl Levels {
    fn of(keyspace: &Keyspace) -> Self {
        let version = keyspace.tree.current_version();
        let mut tables = BTreeMap::new();
        for (level, found) in version.iter_levels().enumerate() {
            for table in found.iter().flat_map(|run| run.iter()) {
                tables.insert(table.id(), (level, table.metadata.file_size));
            }
        }
        Self { tables, last: version.level_count().saturating_sub(1) }
    }

    fn bytes(&self) -> u64 {
        self.tables.values().map(|(_, bytes)| bytes).sum()
    }

    fn bytes_in(&self, wanted: usize) -> u64 {
        self.tables.values().filter(|(level, _)| *level == wanted).map(|(_, bytes)| bytes).sum()
    }

    fn is_between(&self, level: usize) -> bool {
        level > 0 && level < self.last
    }

    /// The level next above the last one that has tables, but for level 0.
    fn deepest_between(&self) -> Option<usize> {
        self.tables.values().map(|(level, _)| *level).filter(|level| self.is_between(*level)).max()
    }

    /// Whether everything that was above the last level then has arrived there. What was flushed since may be above.
    fn have_taken_in(&self, begun: &Levels) -> bool {
        let is_old = |table: &u64| begun.tables.get(table).is_some_and(|(level, _)| *level == 0);
        !self.tables.iter().any(|(table, (level, _))| self.is_between(*level) || *level == 0 && is_old(table))
    }

    /// Bytes of the tables that are no longer where they were.
    fn bytes_moved(&self, since: &Levels) -> u64 {
        let moved = self
            .tables
            .iter()
            .filter(|(table, (level, _))| since.tables.get(table).is_none_or(|(now, _)| now != level));
        moved.map(|(_, (_, bytes))| bytes).sum()
    }

    /// How large the tables of the next piece may be, in the order in which it is tried.
    fn table_sizes(&self) -> Vec<u64> {
        let last = self.bytes_in(self.last);
        let is_on_its_way = self.tables.values().any(|(level, _)| self.is_between(*level));
        if !is_on_its_way && last > 0 {
            return vec![FINE_TABLE_BYTES];
        }
        vec![TABLE_BYTES, LARGE_TABLE_BYTES.max(last / LARGE_TABLE_PART)]
    }

    /// About the largest piece: see [`TABLE_BYTES`].
    fn piece_max(&self) -> u64 {
        50 * TABLE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(tables: &[(u64, usize)]) -> Levels {
        let tables = tables.iter().map(|(table, level)| (*table, (*level, 10 * MIB))).collect();
        Levels { tables, last: 6 }
    }

    #[test]
    fn a_state_is_compacted_when_what_lay_above_has_arrived() {
        let begun = levels(&[(1, 6), (2, 5), (3, 0), (4, 0)]);
        assert!(!begun.have_taken_in(&begun));
        assert!(!levels(&[(1, 6), (4, 0), (5, 6)]).have_taken_in(&begun), "one was not taken");
        assert!(!levels(&[(1, 6), (5, 5)]).have_taken_in(&begun), "it is on its way");
        assert!(levels(&[(1, 6), (5, 6), (6, 0)]).have_taken_in(&begun), "6 came later");
        assert!(levels(&[]).have_taken_in(&levels(&[])));
    }

    #[test]
    fn moved_is_what_was_merged_or_sank() {
        let before = levels(&[(1, 6), (2, 5), (3, 0), (4, 0)]);
        assert_eq!(before.deepest_between(), Some(5));
        assert_eq!(before.bytes_moved(&before), 0);
        assert_eq!(before.bytes_moved(&levels(&[(1, 6), (2, 6), (3, 0), (4, 0), (5, 0)])), 10 * MIB);
        assert_eq!(before.bytes_moved(&levels(&[(6, 6), (3, 0), (4, 0)])), 20 * MIB);
    }

    #[test]
    fn only_what_comes_straight_from_level_0_is_cut_fine() {
        assert_eq!(levels(&[(1, 6), (2, 0)]).table_sizes(), [FINE_TABLE_BYTES]);
        assert_eq!(levels(&[(1, 6), (2, 5), (3, 0)]).table_sizes(), [TABLE_BYTES, LARGE_TABLE_BYTES]);
        assert_eq!(levels(&[(2, 0)]).table_sizes(), [TABLE_BYTES, LARGE_TABLE_BYTES]);
    }
}
