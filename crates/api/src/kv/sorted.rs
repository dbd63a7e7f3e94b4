//! Requests to sorted sets.
//!
//! Members are in order of score, and in order of their bytes where scores are equal. A rank is a place in that
//! order, from 0.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{Choice, GeoSearch, GeoStore, Key, KeyAndMembers, MemberScan, ScoredMember};

/// A request to one sorted set or several.
#[derive(Clone, PartialEq, Message)]
pub struct SortedRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "SortedOp", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 40, 41, 42, 43, 44, 45, 46")]
    pub op: Option<SortedOp>,
}

/// What to do with sorted sets. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum SortedOp {
    /// How many members there are. Reply: `Integer`.
    #[prost(message, tag = "1")]
    Card(Key),
    /// The scores of members. Reply: `Many`, for each a `Double`, or `Nil` if there is no such member.
    #[prost(message, tag = "2")]
    Scores(KeyAndMembers),
    /// The rank of a member. Reply: `Integer` or `Nil`.
    #[prost(message, tag = "3")]
    Rank(SortedRank),
    /// Members between two bounds. Reply: `Scored`.
    #[prost(message, tag = "4")]
    Range(SortedRange),
    /// How many members lie between two bounds. Reply: `Integer`.
    #[prost(message, tag = "5")]
    Count(SortedBetween),
    /// Members chosen by chance. Reply: `Scored`.
    #[prost(message, tag = "6")]
    Choose(SortedChoice),
    /// Members in the order of their positions. Reply: `Scored`, with where to go on.
    #[prost(message, tag = "7")]
    Scan(SortedScan),
    /// The union, intersection or difference of several. Reply: `Scored`.
    #[prost(message, tag = "8")]
    Combined(SortedCombine),
    /// How many members several have in common. Reply: `Integer`.
    #[prost(message, tag = "9")]
    CommonCount(SortedCommonCount),
    /// Members that are places in an area. Reply: `Places`, or `Nil` if there is no such key.
    #[prost(message, tag = "10")]
    Near(GeoSearch),

    /// Add members or change their scores. Reply: `Integer`, how many are new or, with `count_changed`, new or
    /// changed; with `increment` the new score as `Double`, or `Nil` when a condition refused.
    #[prost(message, tag = "40")]
    Add(SortedAdd),
    /// Remove members. Reply: `Integer`, how many there were.
    #[prost(message, tag = "41")]
    Remove(KeyAndMembers),
    /// Remove all members between two bounds. Reply: `Integer`, how many there were.
    #[prost(message, tag = "42")]
    RemoveBetween(SortedBetween),
    /// Remove the lowest or highest members of the first of several keys that has any. Reply: `Nil` if none has; else
    /// `Many` of two: `Integer`, which of the keys it was, from 0, and `Scored`, the members in order of removal.
    #[prost(message, tag = "43")]
    PopFirst(SortedPop),
    /// Store a range under another key, whatever that holds. Reply: `Integer`, how many members there are.
    #[prost(message, tag = "44")]
    StoreRange(SortedStoreRange),
    /// Store a union, intersection or difference. Reply: `Integer`, how many members there are.
    #[prost(message, tag = "45")]
    StoreCombined(SortedStoreCombined),
    /// Store the members in an area. Reply: `Integer`, how many there are.
    #[prost(message, tag = "46")]
    StoreNear(GeoStore),
}

/// The rank of a member.
#[derive(Clone, PartialEq, Message)]
pub struct SortedRank {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The member.
    #[prost(bytes = "bytes", tag = "2")]
    pub member: Bytes,
    /// Count from the highest score.
    #[prost(bool, tag = "3")]
    pub reverse: bool,
    /// Tell the score as well.
    #[prost(bool, tag = "4")]
    pub with_score: bool,
}

/// Two bounds in the order of a sorted set.
#[derive(Clone, PartialEq, Message)]
pub struct SortedBounds {
    /// The bounds; `None` is a request of a newer release.
    #[prost(oneof = "Bounds", tags = "1, 2, 3")]
    pub bounds: Option<Bounds>,
}

/// Two bounds in the order of a sorted set.
#[derive(Clone, PartialEq, Oneof)]
pub enum Bounds {
    /// By rank.
    #[prost(message, tag = "1")]
    Rank(RankBounds),
    /// By score.
    #[prost(message, tag = "2")]
    Score(ScoreBounds),
    /// By the members' bytes, where all scores are equal.
    #[prost(message, tag = "3")]
    Lex(LexBounds),
}

/// Two ranks, both included; negative ones count from the end, as in Redis. In a reverse range they count from the
/// highest score.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct RankBounds {
    /// The first.
    #[prost(sint64, tag = "1")]
    pub start: i64,
    /// The last.
    #[prost(sint64, tag = "2")]
    pub stop: i64,
}

/// Two scores.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ScoreBounds {
    /// The lower one; never NaN.
    #[prost(double, tag = "1")]
    pub min: f64,
    /// The upper one; never NaN.
    #[prost(double, tag = "2")]
    pub max: f64,
    /// Without members of exactly the lower score.
    #[prost(bool, tag = "3")]
    pub excludes_min: bool,
    /// Without members of exactly the upper score.
    #[prost(bool, tag = "4")]
    pub excludes_max: bool,
}

/// Two bounds in the order of the members' bytes.
#[derive(Clone, PartialEq, Message)]
pub struct LexBounds {
    /// The lower one.
    #[prost(message, optional, tag = "1")]
    pub min: Option<LexBound>,
    /// The upper one.
    #[prost(message, optional, tag = "2")]
    pub max: Option<LexBound>,
}

/// A place in the order of bytes.
#[derive(Clone, PartialEq, Message)]
pub struct LexBound {
    /// What kind of place.
    #[prost(enumeration = "LexPlace", tag = "1")]
    pub place: i32,
    /// The member that it is at, if the kind has one.
    #[prost(bytes = "bytes", tag = "2")]
    pub member: Bytes,
}

/// What kind of place a [`LexBound`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum LexPlace {
    /// `-`: before every member.
    Lowest = 0,
    /// `[member`: at a member, which belongs to the range.
    Included = 1,
    /// `(member`: at a member, which does not.
    Excluded = 2,
    /// `+`: behind every member.
    Highest = 3,
}

/// Members between two bounds.
#[derive(Clone, PartialEq, Message)]
pub struct SortedRange {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Between what.
    #[prost(message, optional, tag = "2")]
    pub between: Option<SortedBounds>,
    /// From the highest to the lowest.
    #[prost(bool, tag = "3")]
    pub reverse: bool,
    /// How many members to leave out at the front; a negative number leaves out all. Not for ranks.
    #[prost(sint64, tag = "4")]
    pub offset: i64,
    /// How many members at most; absent or negative: all. Not for ranks.
    #[prost(sint64, optional, tag = "5")]
    pub limit: Option<i64>,
}

/// All members between two bounds.
#[derive(Clone, PartialEq, Message)]
pub struct SortedBetween {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Between what.
    #[prost(message, optional, tag = "2")]
    pub between: Option<SortedBounds>,
}

/// Members chosen by chance.
#[derive(Clone, PartialEq, Message)]
pub struct SortedChoice {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// How many; the scores are in the reply in any case.
    #[prost(message, required, tag = "2")]
    pub choice: Choice,
}

/// A page of members.
#[derive(Clone, PartialEq, Message)]
pub struct SortedScan {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Which page.
    #[prost(message, required, tag = "2")]
    pub scan: MemberScan,
}

/// The union, intersection or difference of several sorted sets or sets, whose members have the score 1.
#[derive(Clone, PartialEq, Message)]
pub struct SortedCombine {
    /// How to combine.
    #[prost(enumeration = "Combination", tag = "1")]
    pub combination: i32,
    /// The keys; a difference begins with the first.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub keys: Vec<Bytes>,
    /// What the scores of each key are multiplied with; missing ones are 1. Not for differences.
    #[prost(double, repeated, tag = "3")]
    pub weights: Vec<f64>,
    /// What becomes of the scores of a member that several keys have. Not for differences.
    #[prost(enumeration = "Aggregate", tag = "4")]
    pub aggregate: i32,
}

/// How to combine sorted sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Combination {
    /// Members of any.
    Union = 0,
    /// Members of all.
    Intersection = 1,
    /// Members of the first and no other.
    Difference = 2,
}

/// What becomes of several scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Aggregate {
    /// Their sum; infinities that cancel out give 0.
    Sum = 0,
    /// The lowest.
    Min = 1,
    /// The highest.
    Max = 2,
}

/// How many members several sorted sets or sets have in common.
#[derive(Clone, PartialEq, Message)]
pub struct SortedCommonCount {
    /// The keys.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub keys: Vec<Bytes>,
    /// Where to stop counting; 0: nowhere.
    #[prost(uint64, tag = "2")]
    pub limit: u64,
}

/// Add members or change their scores.
#[derive(Clone, PartialEq, Message)]
pub struct SortedAdd {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The members with their scores, taken one after another.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<ScoredMember>,
    /// `NX`: only add.
    #[prost(bool, tag = "3")]
    pub only_new: bool,
    /// `XX`: only change.
    #[prost(bool, tag = "4")]
    pub only_known: bool,
    /// `GT`: change to greater scores only.
    #[prost(bool, tag = "5")]
    pub only_greater: bool,
    /// `LT`: change to lower scores only.
    #[prost(bool, tag = "6")]
    pub only_lower: bool,
    /// `CH`: count changed members as well.
    #[prost(bool, tag = "7")]
    pub count_changed: bool,
    /// `INCR`: add to the score instead of replacing it, and reply with it; for one member.
    #[prost(bool, tag = "8")]
    pub increment: bool,
}

/// Remove the lowest or highest members.
#[derive(Clone, PartialEq, Message)]
pub struct SortedPop {
    /// The keys, of which the first with members counts.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub keys: Vec<Bytes>,
    /// The lowest instead of the highest.
    #[prost(bool, tag = "2")]
    pub min: bool,
    /// How many at most.
    #[prost(uint64, tag = "3")]
    pub count: u64,
}

/// Store a range under another key.
#[derive(Clone, PartialEq, Message)]
pub struct SortedStoreRange {
    /// Where to.
    #[prost(bytes = "bytes", tag = "1")]
    pub to: Bytes,
    /// What.
    #[prost(message, optional, tag = "2")]
    pub range: Option<SortedRange>,
}

/// Store a union, intersection or difference.
#[derive(Clone, PartialEq, Message)]
pub struct SortedStoreCombined {
    /// Where to.
    #[prost(bytes = "bytes", tag = "1")]
    pub to: Bytes,
    /// What.
    #[prost(message, optional, tag = "2")]
    pub combine: Option<SortedCombine>,
}

impl SortedRequest {
    /// A request for this operation.
    pub fn new(op: SortedOp) -> Self {
        Self { op: Some(op) }
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None
            | Some(
                SortedOp::Card(_)
                | SortedOp::Scores(_)
                | SortedOp::Rank(_)
                | SortedOp::Range(_)
                | SortedOp::Count(_)
                | SortedOp::Choose(_)
                | SortedOp::Scan(_)
                | SortedOp::Combined(_)
                | SortedOp::CommonCount(_)
                | SortedOp::Near(_),
            ) => false,
            Some(
                SortedOp::Add(_)
                | SortedOp::Remove(_)
                | SortedOp::RemoveBetween(_)
                | SortedOp::PopFirst(_)
                | SortedOp::StoreRange(_)
                | SortedOp::StoreCombined(_)
                | SortedOp::StoreNear(_),
            ) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        let Some(op) = &mut self.op else { return Ok(()) };
        match op {
            SortedOp::Card(op) => visit(&mut op.key),
            SortedOp::Scores(op) | SortedOp::Remove(op) => visit(&mut op.key),
            SortedOp::Rank(op) => visit(&mut op.key),
            SortedOp::Range(op) => visit(&mut op.key),
            SortedOp::Count(op) | SortedOp::RemoveBetween(op) => visit(&mut op.key),
            SortedOp::Choose(op) => visit(&mut op.key),
            SortedOp::Scan(op) => visit(&mut op.key),
            SortedOp::Combined(op) => op.keys.iter_mut().try_for_each(visit),
            SortedOp::CommonCount(op) => op.keys.iter_mut().try_for_each(visit),
            SortedOp::Near(op) => visit(&mut op.key),
            SortedOp::Add(op) => visit(&mut op.key),
            SortedOp::PopFirst(op) => op.keys.iter_mut().try_for_each(visit),
            SortedOp::StoreRange(op) => {
                visit(&mut op.to)?;
                op.range.iter_mut().map(|range| &mut range.key).try_for_each(visit)
            }
            SortedOp::StoreCombined(op) => {
                visit(&mut op.to)?;
                op.combine.iter_mut().flat_map(|combine| &mut combine.keys).try_for_each(visit)
            }
            SortedOp::StoreNear(op) => {
                visit(&mut op.to)?;
                op.search.iter_mut().map(|search| &mut search.key).try_for_each(visit)
            }
        }
    }
}
