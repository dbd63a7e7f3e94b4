//! Reads of one sorted set: scores, ranks, ranges, counts.

use api::kv::{
    Bounds, KeyAndMembers, KvAnswer, KvError, ScoredMember, ScoredMembers, SortedBetween, SortedRange,
    SortedRank,
};
use bytes::Bytes;
use types::limits::REPLY_PART_BYTES_MAX;

use super::bounds::{between, ranks};
use super::place::place;
use super::read::{Members, Sorted};
use crate::look::Look;
use crate::reader::encode;
use crate::reply::{self, Gathered};
use crate::state::{Outcome, Stop};

/// Bytes of a member in a reply besides its own, at most: tags, lengths, score.
const MEMBER_EXTRA_BYTES: usize = 24;

/// The scores of members.
pub(super) fn scores(look: &dyn Look, ask: &KeyAndMembers) -> Outcome {
    let set = Sorted::find(look, &ask.key)?;
    let mut replies = Gathered::many();
    for member in &ask.members {
        let score = set.as_ref().map(|set| set.score(member)).transpose()?.flatten();
        replies.add_reply(&score.map_or_else(reply::nil, reply::double))?;
    }
    Ok(replies.finish())
}

/// The rank of a member, with its score if that is asked for.
pub(super) fn rank(look: &dyn Look, ask: &SortedRank) -> Outcome {
    let Some(set) = Sorted::find(look, &ask.key)? else { return Ok(reply::nil()) };
    let Some(score) = set.score(&ask.member)? else { return Ok(reply::nil()) };
    let before = set.rank_before(&place(score, &ask.member))?;
    let rank = if ask.reverse { set.count.saturating_sub(before + 1) } else { before };
    if !ask.with_score {
        return Ok(reply::integer(rank as i64));
    }
    let mut replies = Gathered::many();
    replies.add_reply(&reply::integer(rank as i64))?;
    replies.add_reply(&reply::double(score))?;
    Ok(replies.finish())
}

/// Members between two bounds.
pub(super) fn range(look: &dyn Look, ask: &SortedRange) -> Outcome {
    let mut found = Scored::default();
    if let Some(set) = Sorted::find(look, &ask.key)? {
        for member in walk(&set, ask)? {
            let (member, score) = member?;
            found.add(member, score)?;
        }
    }
    Ok(found.reply())
}

/// How many members lie between two bounds.
pub(super) fn count(look: &dyn Look, ask: &SortedBetween) -> Outcome {
    let Some(set) = Sorted::find(look, &ask.key)? else { return Ok(reply::integer(0)) };
    let bounds = ask.between.as_ref().ok_or(Stop::Refused(KvError::Unsupported))?;
    let between = between(&set, bounds)?.ok_or(Stop::Refused(KvError::Unsupported))?;
    if between.is_empty() {
        return Ok(reply::integer(0));
    }
    let (from, to) = (set.rank_before(&between.from)?, set.rank_before(&between.to)?);
    Ok(reply::integer(to.saturating_sub(from) as i64))
}

/// The members of a range, in its order.
pub(super) fn walk<'a>(set: &Sorted<'a>, ask: &SortedRange) -> Result<Members<'a>, Stop> {
    let bounds = ask.between.as_ref().ok_or(Stop::Refused(KvError::Unsupported))?;
    if let Some(Bounds::Rank(bounds)) = &bounds.bounds {
        let (first, count) = ranks(bounds, set.count);
        return Ok(Box::new(set.at_rank(first, ask.reverse)?.take(count as usize)));
    }
    let between = between(set, bounds)?.ok_or(Stop::Refused(KvError::Unsupported))?;
    if ask.offset < 0 || between.is_empty() {
        return Ok(Box::new(std::iter::empty()));
    }
    let members: Members<'a> = match (ask.offset as u64, ask.reverse) {
        (0, reverse) => set.between(&between.from, &between.to, reverse),
        (offset, false) => {
            let first = set.rank_before(&between.from)?.saturating_add(offset);
            let is_inside = move |place: &Bytes| *place < between.to;
            while_inside(set.at_rank(first, false)?, is_inside)
        }
        (offset, true) => {
            let behind = set.count.saturating_sub(set.rank_before(&between.to)?);
            let is_inside = move |place: &Bytes| *place >= between.from;
            while_inside(set.at_rank(behind.saturating_add(offset), true)?, is_inside)
        }
    };
    match ask.limit {
        Some(limit) if limit >= 0 => Ok(Box::new(members.take(limit as usize))),
        _ => Ok(members),
    }
}

fn while_inside<'a>(members: Members<'a>, is_inside: impl Fn(&Bytes) -> bool + 'a) -> Members<'a> {
    Box::new(members.take_while(move |member| match member {
        Ok((member, score)) => is_inside(&place(*score, member)),
        Err(_) => true,
    }))
}

/// A reply of members with scores, as many as a reply may have.
#[derive(Default)]
pub(super) struct Scored {
    members: Vec<ScoredMember>,
    bytes: usize,
}

impl Scored {
    /// Adds a member.
    ///
    /// # Errors
    /// `ReplyTooLarge` if the reply would become larger than one may be.
    pub(super) fn add(&mut self, member: Bytes, score: f64) -> Result<(), Stop> {
        self.bytes += member.len() + MEMBER_EXTRA_BYTES;
        if self.bytes > REPLY_PART_BYTES_MAX - MEMBER_EXTRA_BYTES {
            return Err(Stop::Refused(KvError::ReplyTooLarge));
        }
        self.members.push(ScoredMember { member, score });
        Ok(())
    }

    /// What was added.
    pub(super) fn members(&self) -> &[ScoredMember] {
        &self.members
    }

    /// What was added, to go elsewhere.
    pub(super) fn into_members(self) -> Vec<ScoredMember> {
        self.members
    }

    /// The answer.
    pub(super) fn answer(self) -> KvAnswer {
        KvAnswer::Scored(ScoredMembers { members: self.members, next: None })
    }

    /// The reply.
    pub(super) fn reply(self) -> Bytes {
        encode(self.answer())
    }
}
