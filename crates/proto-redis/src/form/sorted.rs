//! Replies of commands on sorted sets.

use super::{answer, nothing, unexpected};
use crate::float;
use crate::reply::Reply;
use api::kv::{KvAnswer, KvReply, Many, ScoredMember, ScoredMembers};
use bytes::Bytes;
use types::Fault;

/// Members, each with its score if `scores`: pairs in RESP3, flat in RESP2.
pub(super) fn members(found: ScoredMembers, scores: bool) -> Reply {
    if scores {
        Reply::Pairs(found.members.into_iter().map(pair).collect())
    } else {
        Reply::Array(found.members.into_iter().map(|member| Reply::Bulk(member.member)).collect())
    }
}

/// The first member, or nil.
pub(super) fn first_member(found: ScoredMembers) -> Reply {
    found.members.into_iter().next().map_or(Reply::Null, |member| Reply::Bulk(member.member))
}

/// Scores of members, nil for those that are not there.
pub(super) fn doubles(many: Many) -> Result<Vec<Reply>, Fault> {
    many.replies.into_iter().map(double).collect()
}

/// The first of them.
pub(super) fn first_double(many: Many) -> Result<Reply, Fault> {
    many.replies.into_iter().next().map_or(Ok(Reply::Null), double)
}

fn double(reply: KvReply) -> Result<Reply, Fault> {
    match answer(reply)? {
        KvAnswer::Double(score) => Ok(Reply::Double(score)),
        KvAnswer::Nil(_) => Ok(Reply::Null),
        other => Err(unexpected("a score", &other)),
    }
}

/// A rank and a score.
pub(super) fn rank_and_score(many: Many) -> Result<Reply, Fault> {
    let mut replies = many.replies.into_iter();
    let rank = match replies.next().map(answer).transpose()? {
        Some(KvAnswer::Integer(rank)) => Reply::Integer(rank),
        other => return Err(unexpected("a rank", &other.unwrap_or_else(nothing))),
    };
    Ok(Reply::Array(vec![rank, replies.next().map_or(Ok(Reply::Null), double)?]))
}

/// One member that was removed, flat in both protocols.
pub(super) fn popped(many: Many) -> Result<Reply, Fault> {
    let (_, found) = taken(many)?;
    Ok(Reply::Array(
        found.members.into_iter().map(pair).flat_map(|(member, score)| [member, score]).collect(),
    ))
}

/// Members that were removed from the one key.
pub(super) fn popped_many(many: Many) -> Result<Reply, Fault> {
    let (_, found) = taken(many)?;
    Ok(members(found, true))
}

/// From which of several keys members were removed, and the members, in pairs in both protocols.
pub(super) fn popped_from(keys: &[Bytes], many: Many) -> Result<Reply, Fault> {
    let (number, found) = taken(many)?;
    let key = keys.get(number).ok_or_else(|| unexpected("one of the keys", &nothing()))?;
    let pairs = found.members.into_iter().map(pair).map(|(member, score)| Reply::Array(vec![member, score]));
    Ok(Reply::Array(vec![Reply::Bulk(key.clone()), Reply::Array(pairs.collect())]))
}

/// The number of a key, and members.
fn taken(many: Many) -> Result<(usize, ScoredMembers), Fault> {
    let mut replies = many.replies.into_iter().map(answer);
    match (replies.next().transpose()?, replies.next().transpose()?) {
        (Some(KvAnswer::Integer(number)), Some(KvAnswer::Scored(found))) if number >= 0 => {
            Ok((number as usize, found))
        }
        (_, found) => Err(unexpected("one of the keys, and members", &found.unwrap_or_else(nothing))),
    }
}

/// A page of a walk: the cursor to go on with, then members and scores, which are text in both protocols.
pub(super) fn page(found: ScoredMembers) -> Reply {
    let cursor = found.next.unwrap_or(0).to_string();
    let text = |ScoredMember { member, score }| [Reply::Bulk(member), Reply::bulk(float::text(score))];
    Reply::Array(vec![Reply::bulk(cursor), Reply::Array(found.members.into_iter().flat_map(text).collect())])
}

fn pair(member: ScoredMember) -> (Reply, Reply) {
    (Reply::Bulk(member.member), Reply::Double(member.score))
}
