//! Fields and members: parts whose sub-key is their position and their name (see `collection`).
//!
//! # Pages
//!
//! A page of `HSCAN` or `SSCAN` ends between two positions, and its cursor is the next position. So a walk
//! needs no memory on the server, and returns everything that was there throughout.
//!
//! # Choosing by chance
//!
//! Of few parts one is chosen by its number, counted from the first. To count through a million of them for one
//! would take too long, and to take the first one after a random position would favour those behind a wide gap.
//! So a random **window** of positions is opened, wide enough for [`WINDOW_PARTS`] parts on average, and a
//! random **ticket** below [`TICKETS`] is drawn:
//!
//! ```text
//!   positions   ──•────•─•────────•──•─•───────•────•──────•──•───▶      • a part
//!                          └─── window ───┘
//!                             0    1  2 …         the parts of the window have the first tickets;
//!                                                 a ticket of nobody: draw again, with a new window
//! ```
//!
//! Each part lies in equally many windows and has one ticket in each of them, so each is equally likely,
//! however the gaps are spread. Windows with more parts than tickets are rarer than one in a million.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use api::kv::{Choice, KvError, MemberScan};
use bytes::Bytes;
use engine::EngineError;
use engine::records::Record;
use types::glob;
use types::limits::{CHOICES_MAX, MEMBER_BYTES_MAX, POSITION_BITS};

use crate::chance::Chance;
use crate::collection::{Found, POSITION_BYTES, Parts, positioned};
use crate::layout::position_bytes;
use crate::look::{Look, RecordsInOrder};
use crate::scan::Budget;
use crate::state::Stop;

/// How many positions there are.
const POSITIONS: u64 = 1 << POSITION_BITS;
/// Collections up to this size are always counted through.
const COUNTED_MAX: u64 = 128;
/// Counting through the collection is cheaper than drawing more than one of so many parts.
const PARTS_PER_DRAW: u64 = 32;
/// Parts in a window, on average.
const WINDOW_PARTS: u64 = 8;
/// Tickets of a window.
const TICKETS: u64 = 32;
/// Draws without a winner before the first part after a random position is taken. One in four draws wins, so
/// this never happens unless somebody chose names whose positions lie together.
const DRAWS_MAX: usize = 128;

/// Takes in parts: sub-key and value.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Record) -> Result<(), Stop>;

/// The name of a field or member in its sub-key.
pub(crate) fn name_of(sub_key: &[u8]) -> Result<&[u8], EngineError> {
    sub_key.get(POSITION_BYTES..).ok_or_else(short_sub_key)
}

/// The value of the part with this name.
pub(crate) fn get(look: &dyn Look, parts: Parts, name: &[u8]) -> Result<Option<Bytes>, EngineError> {
    // What is too long to be stored is not there.
    if name.len() > MEMBER_BYTES_MAX { Ok(None) } else { parts.get(look, &positioned(&[], name)) }
}

/// Refuses names that are longer than the store may be given. Faces refuse them before, with better words.
pub(crate) fn check_names<'a>(mut names: impl Iterator<Item = &'a Bytes>) -> Result<(), Stop> {
    let fits = names.all(|name| name.len() <= MEMBER_BYTES_MAX);
    if fits { Ok(()) } else { Err(Stop::Refused(KvError::TooLong)) }
}

/// All parts, in order of position.
pub(crate) fn all(look: &dyn Look, parts: Parts) -> RecordsInOrder<'_> {
    parts.range(look, Bound::Unbounded, Bound::Unbounded, false)
}

/// One page: visits its parts and returns the position to go on from.
pub(crate) fn page(
    look: &dyn Look,
    parts: Parts,
    scan: &MemberScan,
    visit: Visit<'_>,
) -> Result<Option<u64>, Stop> {
    if scan.position >= POSITIONS {
        return Ok(None);
    }
    let start = position_bytes(scan.position);
    let mut budget = Budget::new(scan.count);
    let mut last = None;
    for part in parts.range(look, Bound::Included(&start), Bound::Unbounded, false) {
        let part = part?;
        let position = position_of(&part.0)?;
        if budget.is_spent() && last != Some(position) {
            return Ok(Some(position));
        }
        last = Some(position);
        budget.spend(part.0.len() + part.1.len());
        let name = name_of(&part.0)?;
        if scan.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, name, false)) {
            visit(&part)?;
        }
    }
    Ok(None)
}

/// Parts by chance, as many as `choice` says; without a count one.
///
/// # Errors
/// `ReplyTooLarge` for more repeats than a reply can have, and what `visit` says.
pub(crate) fn choose(look: &dyn Look, found: &Found, choice: &Choice, visit: Visit<'_>) -> Result<(), Stop> {
    let mut chance = Chance::new(choice.seed);
    match choice.count {
        Some(count) if count < 0 => with_repeats(look, found, count.unsigned_abs(), &mut chance, visit),
        count => different(look, found, count.unwrap_or(1) as u64, &mut chance, visit),
    }
}

/// So many different parts, or all if there are fewer.
pub(crate) fn different(
    look: &dyn Look,
    found: &Found,
    wanted: u64,
    chance: &mut Chance,
    visit: Visit<'_>,
) -> Result<(), Stop> {
    if !is_worth_drawing(wanted, found.count) {
        return sample(look, found, wanted, chance, visit);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..wanted.saturating_mul(8) {
        let Some(part) = draw(look, found, chance)? else { break };
        if seen.insert(part.0.clone()) {
            visit(&part)?;
        }
        if seen.len() as u64 == wanted {
            break;
        }
    }
    Ok(())
}

/// Exactly so many parts, each drawn from all of them.
fn with_repeats(
    look: &dyn Look,
    found: &Found,
    wanted: u64,
    chance: &mut Chance,
    visit: Visit<'_>,
) -> Result<(), Stop> {
    if wanted > CHOICES_MAX {
        return Err(Stop::Refused(KvError::ReplyTooLarge));
    }
    if is_worth_drawing(wanted, found.count) {
        for _ in 0..wanted {
            if let Some(part) = draw(look, found, chance)? {
                visit(&part)?;
            }
        }
        return Ok(());
    }
    let numbers: Vec<_> = (0..wanted).map(|_| chance.below(found.count)).collect();
    let chosen: BTreeSet<_> = numbers.iter().copied().collect();
    let mut parts = BTreeMap::new();
    let last = chosen.last().copied().unwrap_or(0);
    for (number, part) in (0..=last).zip(all(look, found.parts)) {
        let part = part?;
        if chosen.contains(&number) {
            parts.insert(number, part);
        }
    }
    numbers.iter().filter_map(|number| parts.get(number)).try_for_each(visit)
}

/// Whether drawing is cheaper than counting through the collection.
fn is_worth_drawing(wanted: u64, count: u64) -> bool {
    count > COUNTED_MAX && wanted < count / PARTS_PER_DRAW
}

/// So many parts in one walk: each is taken with the chance that the rest of them still has to be found in the
/// rest of the collection (Knuth's algorithm S).
fn sample(
    look: &dyn Look,
    found: &Found,
    mut wanted: u64,
    chance: &mut Chance,
    visit: Visit<'_>,
) -> Result<(), Stop> {
    let mut left = found.count;
    let mut parts = all(look, found.parts);
    while wanted > 0 {
        let Some(part) = parts.next() else { break };
        let part = part?;
        if wanted >= left || chance.below(left) < wanted {
            visit(&part)?;
            wanted -= 1;
        }
        left = left.saturating_sub(1);
    }
    Ok(())
}

/// One part of many; `None` if there are none at all.
fn draw(look: &dyn Look, found: &Found, chance: &mut Chance) -> Result<Option<Record>, EngineError> {
    let width = (POSITIONS / found.count.max(1)).saturating_mul(WINDOW_PARTS).min(POSITIONS);
    for _ in 0..DRAWS_MAX {
        let (start, ticket) = (chance.below(POSITIONS), chance.below(TICKETS));
        if let Some(part) = window(look, found.parts, start, width).nth(ticket as usize) {
            return part.map(Some);
        }
    }
    window(look, found.parts, chance.below(POSITIONS), POSITIONS).next().transpose()
}

/// The parts of so many positions from `start` on, going round at the end.
fn window(look: &dyn Look, parts: Parts, start: u64, width: u64) -> RecordsInOrder<'_> {
    let between = |from: u64, to: u64| -> RecordsInOrder<'_> {
        let (from, to) = (position_bytes(from), position_bytes(to));
        parts.range(look, Bound::Included(&from), Bound::Excluded(&to), false)
    };
    match start + width {
        end if end <= POSITIONS => between(start, end),
        end => Box::new(between(start, POSITIONS).chain(between(0, end - POSITIONS))),
    }
}

fn position_of(sub_key: &[u8]) -> Result<u64, EngineError> {
    let bytes = sub_key.get(..POSITION_BYTES).ok_or_else(short_sub_key)?;
    Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

fn short_sub_key() -> EngineError {
    EngineError::Damaged("the sub-key of a field or member is too short".into())
}
