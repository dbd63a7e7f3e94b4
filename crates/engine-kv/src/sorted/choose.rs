//! Members by chance, and pages of members.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use api::kv::{KvAnswer, KvError, ScoredMembers, SortedChoice, SortedScan};
use bytes::{BufMut, Bytes, BytesMut};
use types::glob;
use types::limits::{CHOICES_MAX, POSITION_BITS};

use super::place::{MEMBER, damaged, score_in};
use super::range::Scored;
use super::read::Sorted;
use crate::chance::Chance;
use crate::collection::{POSITION_BYTES, find, successor_of_prefix};
use crate::layout::position_bytes;
use crate::look::Look;
use crate::reader::encode;
use crate::scan::Budget;
use crate::state::{Outcome, Stop};
use crate::value::Kind;

/// Finding one rank costs as much as walking past so many members, about.
const MEMBERS_PER_RANK: u64 = 64;

/// Members by chance: each rank is as likely as any other.
pub(super) fn choose(look: &dyn Look, ask: &SortedChoice) -> Outcome {
    let mut chosen = Scored::default();
    if let Some(set) = Sorted::find(look, &ask.key)? {
        let mut chance = Chance::new(ask.choice.seed);
        match ask.choice.count {
            Some(count) if count < 0 => with_repeats(&set, count.unsigned_abs(), &mut chance, &mut chosen)?,
            count => different(&set, count.unwrap_or(1).unsigned_abs(), &mut chance, &mut chosen)?,
        }
    }
    Ok(chosen.reply())
}

/// So many different members, or all if there are fewer.
fn different(set: &Sorted<'_>, wanted: u64, chance: &mut Chance, chosen: &mut Scored) -> Result<(), Stop> {
    if wanted < set.count / MEMBERS_PER_RANK {
        let mut ranks = BTreeSet::new();
        while (ranks.len() as u64) < wanted {
            ranks.insert(chance.below(set.count));
        }
        return ranks.into_iter().try_for_each(|rank| add_rank(set, rank, chosen));
    }
    // Each is taken with the chance that the rest of them has to be found in the rest of the set (Knuth's algorithm S).
    let (mut wanted, mut left) = (wanted, set.count);
    let mut members = set.in_order();
    while wanted > 0 {
        let Some(member) = members.next() else { break };
        let (member, score) = member?;
        if wanted >= left || chance.below(left) < wanted {
            chosen.add(member, score)?;
            wanted -= 1;
        }
        left = left.saturating_sub(1);
    }
    Ok(())
}

/// Exactly so many members, each chosen from all.
fn with_repeats(set: &Sorted<'_>, wanted: u64, chance: &mut Chance, chosen: &mut Scored) -> Result<(), Stop> {
    if wanted > CHOICES_MAX {
        return Err(Stop::Refused(KvError::ReplyTooLarge));
    }
    let ranks: Vec<_> = (0..wanted).map(|_| chance.below(set.count)).collect();
    if wanted < set.count / MEMBERS_PER_RANK {
        return ranks.into_iter().try_for_each(|rank| add_rank(set, rank, chosen));
    }
    let distinct: BTreeSet<_> = ranks.iter().copied().collect();
    let mut members = BTreeMap::new();
    let last = distinct.last().copied().unwrap_or(0);
    for (rank, member) in (0..=last).zip(set.in_order()) {
        let member = member?;
        if distinct.contains(&rank) {
            members.insert(rank, member);
        }
    }
    for (member, score) in ranks.iter().filter_map(|rank| members.get(rank)) {
        chosen.add(member.clone(), *score)?;
    }
    Ok(())
}

fn add_rank(set: &Sorted<'_>, rank: u64, chosen: &mut Scored) -> Result<(), Stop> {
    match set.at_rank(rank, false)?.next() {
        Some(member) => {
            let (member, score) = member?;
            chosen.add(member, score)
        }
        None => Ok(()),
    }
}

/// A page of members, which ends between two positions; its cursor is the next one.
pub(super) fn page(look: &dyn Look, ask: &SortedScan) -> Outcome {
    let scan = &ask.scan;
    let found = find(look, &ask.key, Kind::SortedSet)?;
    let Some(found) = found.filter(|_| scan.position < 1 << POSITION_BITS) else {
        return Ok(Scored::default().reply());
    };
    let start = tagged(&position_bytes(scan.position));
    let end = successor_of_prefix(&[MEMBER]).unwrap_or_default();
    let mut budget = Budget::new(scan.count);
    let (mut page, mut next, mut last) = (Scored::default(), None, None);
    for part in found.parts.range(look, Bound::Included(&start), Bound::Excluded(&end), false) {
        let (sub_key, value) = part?;
        let position = position_of(&sub_key)?;
        if budget.is_spent() && last != Some(position) {
            next = Some(position);
            break;
        }
        last = Some(position);
        budget.spend(sub_key.len());
        let member = sub_key.slice(1 + POSITION_BYTES..);
        if scan.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, &member, false)) {
            page.add(member, score_in(&value)?)?;
        }
    }
    Ok(encode(KvAnswer::Scored(ScoredMembers { members: page.into_members(), next })))
}

fn tagged(position: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + position.len());
    bytes.put_u8(MEMBER);
    bytes.put_slice(position);
    bytes.freeze()
}

fn position_of(sub_key: &[u8]) -> Result<u64, Stop> {
    let bytes = sub_key.get(1..=POSITION_BYTES).ok_or_else(|| damaged("the key of a member is too short"))?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
