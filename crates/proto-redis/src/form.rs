//! From the engine's reply to the client's: one form per way that Redis words an answer.

mod geo;
mod sorted;

use crate::faults::{engine_error, fault_error};
use crate::packed::{Packed, PackedKind};
use crate::reply::Reply;
use crate::text::{ErrorText, WRONG_TYPE};
use api::kv::{KvAnswer, KvReply, Many, Nothing, Page, Values};
use bytes::Bytes;
use types::{ErrorCode, Fault};

/// How the reply of one operation reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The answer's shape.
    pub shape: Shape,
    /// The command, for error texts that name it.
    pub command: &'static str,
}

pub use geo::PlaceShape;

/// The shape of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// As the engine says it: `Ok`, nil, number or bytes.
    Plain,
    /// Bytes, where absent reads as empty.
    BytesOrEmpty,
    /// Milliseconds as seconds, rounded to the nearest; −1 and −2 stay.
    Seconds,
    /// `Ok` whatever the number is.
    Done,
    /// Stored or not, as 1 or 0.
    Stored,
    /// A type's name as a word; `none` when absent.
    TypeName,
    /// Several bulk strings, absent ones as nil.
    Bulks,
    /// The same, without order.
    BulkSet,
    /// Several bulk strings; no array if there is nothing to take them from.
    BulksOrNone,
    /// From which of these keys elements were taken, and the elements; no array if from none.
    TakenFrom(Vec<Bytes>),
    /// From which of these keys one element was taken, and the element; no array if from none.
    OneTakenFrom(Vec<Bytes>),
    /// From which of these keys one member was removed, the member and its score; no array if from none.
    OnePoppedFrom(Vec<Bytes>),
    /// Names and values in turn.
    BulkMap,
    /// Names and values in turn; in RESP3 each name with its value is a list of its own.
    BulkPairs,
    /// A page of a walk through a collection: the cursor to go on with, then fields or members.
    MemberPage,
    /// As `RefuseIfPresent` for such a page, with a number that is 0 if there is no key.
    RefusePageIfPresent(ErrorText),
    /// A decimal number; nil when there is none.
    Double,
    /// The argument is wrong, yet Redis looks at the key first: nil if it is absent, the engine's error if
    /// it has the wrong type, else this error.
    RefuseIfPresent(ErrorText),
    /// 1 if there is something, nil if not.
    OneIfPresent,
    /// As `RefuseIfPresent`, where an absent key is an error as well, the first one.
    RefuseAnyway(ErrorText, ErrorText),
    /// The same with the name of the key's type as the answer, for commands on strings: this number if the
    /// key is absent, else an error.
    RefuseString {
        /// The answer for an absent key.
        absent: i64,
        /// The answer for a string.
        error: ErrorText,
    },
    /// The argument is wrong, yet Redis looks at the types of the keys first: this error, whatever the answer is.
    Refuse(ErrorText),
    /// Several decimal numbers, some perhaps nil.
    Doubles,
    /// The first of them.
    FirstDouble,
    /// Members of a sorted set.
    ScoredMembers {
        /// Each with its score.
        scores: bool,
    },
    /// The first member, or nil.
    FirstMember,
    /// The one member that was removed, with its score.
    Popped,
    /// The members that were removed, with their scores.
    PoppedMany,
    /// From which of these keys members were removed, and the members; no array if from none.
    PoppedFrom(Vec<Bytes>),
    /// A page of a walk through a sorted set: the cursor to go on with, then members and scores.
    ScoredPage,
    /// The same, except that something else is the answer if there is no such key.
    RefuseOr {
        /// The answer if there is no such key.
        absent: Box<Reply>,
        /// The answer if there is one.
        error: ErrorText,
    },
    /// The places that were found.
    Places(PlaceShape),
    /// The points of members, whose scores are geohashes.
    Points,
    /// The same as letters.
    Geohashes,
    /// How far the two members are from each other.
    Distance {
        /// In units of so many meters.
        unit: f64,
    },
    /// The matches of `LCS IDX`.
    LcsMatches {
        /// Tell the length of each.
        with_lengths: bool,
    },
    /// Several numbers, some perhaps nil.
    Numbers,
    /// The rank of a member and its score; no array if it is not there.
    RankAndScore,
}

impl Form {
    /// The reply to the client.
    pub fn reply(&self, outcome: Result<KvReply, Fault>) -> Reply {
        match outcome.and_then(answer) {
            Ok(KvAnswer::Error(code)) => Reply::Error(engine_error(code, self.command)),
            Ok(KvAnswer::Refusal(text)) => Reply::Error(ErrorText::from(text)),
            Ok(answer) => self.shape_answer(answer).unwrap_or_else(|fault| fault_error(&fault).into()),
            Err(fault) => fault_error(&fault).into(),
        }
    }

    /// The reply to the client from the engine's bytes, if it is a list that need not be taken apart. The engine's
    /// errors are none.
    pub fn packed(&self, reply: &Bytes) -> Option<Reply> {
        let kind = match self.shape {
            Shape::Bulks => PackedKind::Array,
            Shape::BulkSet => PackedKind::Set,
            Shape::BulkMap => PackedKind::Map,
            Shape::BulkPairs => PackedKind::Pairs,
            _ => return None,
        };
        Packed::of(kind, reply).map(Reply::Packed)
    }

    fn shape_answer(&self, answer: KvAnswer) -> Result<Reply, Fault> {
        Ok(match (&self.shape, answer) {
            (Shape::Plain, KvAnswer::Ok(_)) => Reply::OK,
            (Shape::Plain, KvAnswer::Nil(_)) => Reply::Null,
            (Shape::Plain, KvAnswer::Integer(number)) => Reply::Integer(number),
            (Shape::Plain | Shape::BytesOrEmpty, KvAnswer::Value(bytes)) => Reply::Bulk(bytes),
            (Shape::BytesOrEmpty, KvAnswer::Nil(_)) => Reply::text(""),
            (Shape::Seconds, KvAnswer::Integer(millis)) => Reply::Integer(seconds(millis)),
            (Shape::Done, KvAnswer::Ok(_) | KvAnswer::Integer(_)) => Reply::OK,
            (Shape::Stored, KvAnswer::Ok(_)) => Reply::Integer(1),
            (Shape::Stored, KvAnswer::Nil(_)) => Reply::Integer(0),
            (Shape::TypeName, KvAnswer::Value(name)) => Reply::Simple(name),
            (Shape::TypeName, KvAnswer::Nil(_)) => Reply::simple("none"),
            (Shape::Bulks, KvAnswer::Values(values)) => Reply::Array(bulks(values)),
            (Shape::BulkSet, KvAnswer::Values(values)) => Reply::Set(bulks(values)),
            (Shape::BulksOrNone, KvAnswer::Values(values)) => Reply::Array(bulks(values)),
            (Shape::BulksOrNone | Shape::TakenFrom(_), KvAnswer::Nil(_)) => Reply::NullArray,
            (Shape::TakenFrom(keys), KvAnswer::Many(many)) => taken_from(keys, many)?,
            (Shape::OneTakenFrom(_) | Shape::OnePoppedFrom(_), KvAnswer::Nil(_)) => Reply::NullArray,
            (Shape::OneTakenFrom(keys), KvAnswer::Many(many)) => flat(taken_from(keys, many)?),
            (Shape::OnePoppedFrom(keys), KvAnswer::Many(many)) => flat(sorted::popped_from(keys, many)?),
            (Shape::BulkMap, KvAnswer::Values(values)) => Reply::Map(pairs(bulks(values))),
            (Shape::Bulks, KvAnswer::Page(page)) => Reply::Array(items(page)),
            (Shape::BulkSet, KvAnswer::Page(page)) => Reply::Set(items(page)),
            (Shape::BulkMap, KvAnswer::Page(page)) => Reply::Map(pairs(items(page))),
            (Shape::BulkPairs, KvAnswer::Page(page)) => Reply::Pairs(pairs(items(page))),
            (Shape::MemberPage, KvAnswer::Page(page)) => member_page(page),
            (Shape::RefusePageIfPresent(_), KvAnswer::Integer(0)) => member_page(Page::default()),
            (Shape::RefusePageIfPresent(error), KvAnswer::Integer(_)) => Reply::Error(error.clone()),
            (Shape::Double, KvAnswer::Double(number)) => Reply::Double(number),
            (Shape::Double, KvAnswer::Nil(_)) => Reply::Null,
            (Shape::RefuseIfPresent(_), KvAnswer::Nil(_)) => Reply::Null,
            (Shape::RefuseIfPresent(error), KvAnswer::Value(_)) => Reply::Error(error.clone()),
            (Shape::OneIfPresent, KvAnswer::Nil(_)) => Reply::Null,
            (Shape::OneIfPresent, KvAnswer::Value(_)) => Reply::Integer(1),
            (Shape::RefuseAnyway(error, _), KvAnswer::Nil(_)) => Reply::Error(error.clone()),
            (Shape::RefuseAnyway(_, error), KvAnswer::Value(_)) => Reply::Error(error.clone()),
            (Shape::RefuseString { absent, .. }, KvAnswer::Nil(_)) => Reply::Integer(*absent),
            (Shape::RefuseString { error, .. }, KvAnswer::Value(kind)) => {
                Reply::Error(if kind == "string" { error.clone() } else { WRONG_TYPE })
            }
            (Shape::Refuse(error), _) => Reply::Error(error.clone()),
            (Shape::RefuseOr { absent, .. }, KvAnswer::Nil(_)) => (**absent).clone(),
            (Shape::RefuseOr { error, .. }, _) => Reply::Error(error.clone()),
            (Shape::Places(_), KvAnswer::Nil(_)) => Reply::Array(Vec::new()),
            (Shape::Places(shape), KvAnswer::Places(places)) => geo::places(shape, places),
            (Shape::Points, KvAnswer::Many(many)) => geo::points(many)?,
            (Shape::Geohashes, KvAnswer::Many(many)) => geo::geohashes(many)?,
            (Shape::Distance { unit }, KvAnswer::Many(many)) => geo::distance(*unit, many)?,
            (Shape::Doubles, KvAnswer::Many(many)) => Reply::Array(sorted::doubles(many)?),
            (Shape::FirstDouble, KvAnswer::Many(many)) => sorted::first_double(many)?,
            (Shape::ScoredMembers { scores }, KvAnswer::Scored(found)) => sorted::members(found, *scores),
            (Shape::FirstMember, KvAnswer::Scored(found)) => sorted::first_member(found),
            (Shape::Popped | Shape::PoppedMany, KvAnswer::Nil(_)) => Reply::Array(Vec::new()),
            (Shape::Popped, KvAnswer::Many(many)) => sorted::popped(many)?,
            (Shape::PoppedMany, KvAnswer::Many(many)) => sorted::popped_many(many)?,
            (Shape::PoppedFrom(_), KvAnswer::Nil(_)) => Reply::NullArray,
            (Shape::PoppedFrom(keys), KvAnswer::Many(many)) => sorted::popped_from(keys, many)?,
            (Shape::ScoredPage, KvAnswer::Scored(found)) => sorted::page(found),
            (Shape::LcsMatches { with_lengths }, KvAnswer::Many(many)) => lcs_matches(many, *with_lengths)?,
            (Shape::Numbers, KvAnswer::Many(many)) => Reply::Array(numbers(many)?),
            (Shape::RankAndScore, KvAnswer::Nil(_)) => Reply::NullArray,
            (Shape::RankAndScore, KvAnswer::Many(many)) => sorted::rank_and_score(many)?,
            (shape, answer) => return Err(unexpected(&format!("{shape:?}"), &answer)),
        })
    }
}

/// A key by its number, and the elements that were taken from it.
fn taken_from(keys: &[Bytes], many: Many) -> Result<Reply, Fault> {
    let mut replies = many.replies.into_iter().map(answer);
    let key = match replies.next().transpose()? {
        Some(KvAnswer::Integer(number)) => usize::try_from(number).ok().and_then(|number| keys.get(number)),
        _ => None,
    };
    match (key, replies.next().transpose()?) {
        (Some(key), Some(KvAnswer::Values(values))) => {
            Ok(Reply::Array(vec![Reply::Bulk(key.clone()), Reply::Array(bulks(values))]))
        }
        (_, found) => Err(unexpected("one of the keys, and elements", &found.unwrap_or_else(nothing))),
    }
}

/// A list without lists in it.
fn flat(reply: Reply) -> Reply {
    fn flatten(reply: Reply, items: &mut Vec<Reply>) {
        match reply {
            Reply::Array(inner) => inner.into_iter().for_each(|item| flatten(item, items)),
            item => items.push(item),
        }
    }
    let mut items = Vec::new();
    flatten(reply, &mut items);
    Reply::Array(items)
}

fn nothing() -> KvAnswer {
    KvAnswer::Nil(Nothing {})
}

fn bulks(values: Values) -> Vec<Reply> {
    values.values.into_iter().map(|maybe| maybe.value.map_or(Reply::Null, Reply::Bulk)).collect()
}

fn items(page: Page) -> Vec<Reply> {
    page.keys.into_iter().map(Reply::Bulk).collect()
}

/// A cursor is the position to go on from. 0 is the end: no walk goes on from where it began.
fn member_page(page: Page) -> Reply {
    let cursor = page.next.unwrap_or(0).to_string();
    Reply::Array(vec![Reply::bulk(cursor), Reply::Array(items(page))])
}

/// Names and values in turn as pairs.
pub(crate) fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

/// The length and four places for each match, as [`api::kv::LcsAnswer::Matches`] says.
fn lcs_matches(many: Many, with_lengths: bool) -> Result<Reply, Fault> {
    let mut numbers = numbers(many)?.into_iter();
    let length = numbers.next().unwrap_or(Reply::Null);
    let mut matches = Vec::new();
    while let (Some(a), Some(b), Some(c), Some(d)) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    {
        let bytes = match (&a, &b) {
            (Reply::Integer(first), Reply::Integer(last)) => last - first + 1,
            _ => 0,
        };
        let mut parts = vec![Reply::Array(vec![a, b]), Reply::Array(vec![c, d])];
        parts.extend(with_lengths.then_some(Reply::Integer(bytes)));
        matches.push(Reply::Array(parts));
    }
    let names = (Reply::text("matches"), Reply::text("len"));
    Ok(Reply::Map(vec![(names.0, Reply::Array(matches)), (names.1, length)]))
}

fn numbers(many: Many) -> Result<Vec<Reply>, Fault> {
    let number = |reply: KvReply| match answer(reply)? {
        KvAnswer::Integer(number) => Ok(Reply::Integer(number)),
        KvAnswer::Nil(_) => Ok(Reply::Null),
        other => Err(unexpected("a number", &other)),
    };
    many.replies.into_iter().map(number).collect()
}

/// The answer in a reply; a reply without one comes from a newer release.
pub(crate) fn answer(reply: KvReply) -> Result<KvAnswer, Fault> {
    reply.answer.ok_or_else(|| Fault::new(ErrorCode::VersionUnsupported, "a reply of a newer release"))
}

/// The engine answered something that does not fit the question.
pub(crate) fn unexpected(wanted: &str, answer: &KvAnswer) -> Fault {
    let kind = match answer {
        KvAnswer::Ok(_) => "ok",
        KvAnswer::Nil(_) => "nil",
        KvAnswer::Integer(_) => "a number",
        KvAnswer::Value(_) => "bytes",
        KvAnswer::Values(_) => "several values",
        KvAnswer::Page(_) => "a page",
        KvAnswer::Error(_) | KvAnswer::Refusal(_) => "an error",
        KvAnswer::Double(_) => "a decimal number",
        KvAnswer::Scored(_) => "members with scores",
        KvAnswer::Many(_) => "several answers",
        KvAnswer::Places(_) => "places",
        KvAnswer::Imported(_) => "imported",
        KvAnswer::Recording(_) | KvAnswer::Changes(_) => "changes",
    };
    Fault::new(ErrorCode::Internal, format!("the engine answered {kind} where {wanted} was expected"))
}

fn seconds(millis: i64) -> i64 {
    if millis < 0 { millis } else { millis.saturating_add(500) / 1000 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kv::KvError;

    fn reply(shape: Shape, answer: KvReply) -> Reply {
        Form { shape, command: "x" }.reply(Ok(answer))
    }

    #[test]
    fn seconds_round_to_the_nearest() {
        for (millis, shown) in [(-2, -2), (-1, -1), (0, 0), (499, 0), (500, 1), (1499, 1), (99_999, 100)] {
            assert_eq!(reply(Shape::Seconds, KvReply::integer(millis)), Reply::Integer(shown));
        }
        assert_eq!(seconds(i64::MAX), i64::MAX / 1000);
    }

    #[test]
    fn a_wrong_argument_may_hide_behind_the_key() {
        let error = ErrorText::fixed("ERR bad");
        let shape = || Shape::RefuseIfPresent(error.clone());
        assert_eq!(reply(shape(), KvReply::nil()), Reply::Null);
        assert_eq!(reply(shape(), KvReply::value("v")), Reply::Error(error.clone()));
        let wrong_type = reply(shape(), KvReply::error(KvError::WrongType));
        assert_eq!(wrong_type, Reply::Error(crate::text::WRONG_TYPE));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_an_error_not_a_panic() {
        assert!(reply(Shape::Seconds, KvReply::ok()).is_error());
        assert!(reply(Shape::Plain, KvReply { answer: None }).is_error());
        assert!(reply(Shape::Plain, KvReply { answer: Some(KvAnswer::Error(99)) }).is_error());
    }
}
