//! Sorted sets.

use std::cmp::Ordering;

use proto_redis::Reply;

use super::arguments::{
    count_argument, counted_keys, decimal, decimal_argument, option, places, whole_argument,
};
use super::sets::{card_limit, how_many};
use super::{Answer, Model, SYNTAX, Sorted, Text, Value, WRONG_TYPE, bulk, fits, integer, told};

const NOT_COMPATIBLE: &str = "ERR XX and NX options at the same time are not compatible";
const ONE_OF_THEM: &str = "ERR GT, LT, and/or NX options at the same time are not compatible";
const ONE_PAIR: &str = "ERR INCR option supports a single increment-element pair";
const NOT_A_NUMBER: &str = "ERR resulting score is not a number (NaN)";
const NO_SCORES: &str = "ERR min or max is not a float";

/// A member with its score.
pub(super) type Scored = (Text, f64);

impl Model {
    pub(super) fn sorted_command(&mut self, name: &str, words: &[Text], found: &Reply) -> Option<Answer> {
        if !name.starts_with('Z') {
            return None;
        }
        Some(match name {
            "ZADD" => self.zadd(words),
            "ZINCRBY" => self.zadd(&[words[0].clone(), b"INCR".to_vec(), words[1].clone(), words[2].clone()]),
            "ZREM" => self.zrem(words),
            "ZSCORE" => self.sorted(&words[0]).map(|set| score(set.get(&words[1]))),
            "ZMSCORE" => self
                .sorted(&words[0])
                .map(|set| Reply::Array(words[1..].iter().map(|member| score(set.get(member))).collect())),
            "ZRANK" | "ZREVRANK" => self.rank(name, words),
            "ZCARD" => self.sorted(&words[0]).and_then(|set| integer(set.len())),
            "ZPOPMIN" | "ZPOPMAX" => self.zpop(name, words),
            "ZMPOP" => self.zmpop(words),
            "ZRANDMEMBER" => self.zrandmember(words, found),
            "ZSCAN" => self.zscan(words),
            "ZREMRANGEBYRANK" | "ZREMRANGEBYSCORE" | "ZREMRANGEBYLEX" => self.remove_range(name, words),
            "ZCOUNT" => {
                self.range(&words[0], Bounds::scores, &words[1..3]).and_then(|all| integer(all.len()))
            }
            "ZLEXCOUNT" => {
                self.range(&words[0], Bounds::lex, &words[1..3]).and_then(|all| integer(all.len()))
            }
            "ZUNION" | "ZINTER" | "ZDIFF" => {
                self.combined(name, words).map(|(all, with)| members(&all, with))
            }
            "ZINTERCARD" => self.zintercard(words),
            "ZUNIONSTORE" | "ZINTERSTORE" | "ZDIFFSTORE" => {
                let all = self.combined(name.trim_end_matches("STORE"), &words[1..]);
                all.and_then(|(all, _)| self.store_scored(&words[0], all))
            }
            "ZRANGESTORE" => {
                self.zrange("ZRANGE", &words[1..]).and_then(|(all, _)| self.store_scored(&words[0], all))
            }
            _ => self.zrange(name, words).map(|(all, with_scores)| members(&all, with_scores)),
        })
    }

    fn zadd(&mut self, words: &[Text]) -> Answer {
        let options: Vec<_> = words[1..]
            .iter()
            .map(|word| option(word))
            .take_while(|word| OPTIONS.contains(&&word[..]))
            .collect();
        let has = |name: &str| options.iter().any(|option| option == name);
        let pairs = &words[1 + options.len()..];
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return Err(SYNTAX.into());
        }
        if has("NX") && has("XX") {
            return Err(NOT_COMPATIBLE.into());
        }
        if has("GT") && (has("NX") || has("LT")) || has("LT") && has("NX") {
            return Err(ONE_OF_THEM.into());
        }
        if has("INCR") && pairs.len() > 2 {
            return Err(ONE_PAIR.into());
        }
        let scores = pairs.chunks(2).map(|pair| decimal_argument(&pair[0])).collect::<Result<Vec<_>, _>>()?;
        let mut set = self.sorted(&words[0])?;
        let (mut added, mut changed, mut result) = (0, 0, Reply::Null);
        for (pair, given) in pairs.chunks(2).zip(scores) {
            let old = set.get(&pair[1]).copied();
            let new = if has("INCR") { old.unwrap_or(0.0) + given } else { given };
            if old.is_some() && has("NX") || old.is_none() && has("XX") {
                continue;
            }
            if new.is_nan() {
                return Err(NOT_A_NUMBER.into());
            }
            if old.is_some_and(|old| has("GT") && new <= old || has("LT") && new >= old) {
                continue;
            }
            added += usize::from(old.is_none());
            changed += usize::from(old != Some(new));
            // A zero has no sign here.
            set.insert(pair[1].clone(), new + 0.0);
            result = Reply::Double(new + 0.0);
        }
        self.put(&words[0], Value::Sorted(set));
        if has("INCR") { Ok(result) } else { integer(if has("CH") { changed } else { added }) }
    }

    fn zrem(&mut self, words: &[Text]) -> Answer {
        let mut set = self.sorted(&words[0])?;
        let before = set.len();
        set.retain(|member, _| !words[1..].contains(member));
        let removed = before - set.len();
        self.put(&words[0], Value::Sorted(set));
        integer(removed)
    }

    fn rank(&self, name: &str, words: &[Text]) -> Answer {
        let mut order = in_order(&self.sorted(&words[0])?);
        if name == "ZREVRANK" {
            order.reverse();
        }
        let rank = order.iter().position(|(member, _)| *member == words[1]);
        rank.map_or(Ok(Reply::Null), integer)
    }

    fn take(&mut self, key: &[u8], least: bool, count: usize) -> Result<Vec<Scored>, String> {
        let mut set = self.sorted(key)?;
        let mut order = in_order(&set);
        if !least {
            order.reverse();
        }
        order.truncate(count);
        for (member, _) in &order {
            set.remove(member);
        }
        self.put(key, Value::Sorted(set));
        Ok(order)
    }

    fn zpop(&mut self, name: &str, words: &[Text]) -> Answer {
        let count = words.get(1).map_or(Ok(1), |word| count_argument(word))?;
        Ok(members(&self.take(&words[0], name == "ZPOPMIN", count)?, true))
    }

    fn zmpop(&mut self, words: &[Text]) -> Answer {
        let (keys, options) = counted_keys(words)?;
        let count = count_argument(&options[2])?;
        for key in keys {
            let popped = self.take(key, option(&options[0]) == "MIN", count)?;
            if !popped.is_empty() {
                let pairs = popped.iter().map(|pair| members(std::slice::from_ref(pair), true)).collect();
                return Ok(Reply::Array(vec![bulk(key), Reply::Array(pairs)]));
            }
        }
        Ok(Reply::NullArray)
    }

    fn zrandmember(&self, words: &[Text], found: &Reply) -> Answer {
        let count = words.get(1).map(|word| whole_argument(word)).transpose()?;
        let set = self.sorted(&words[0])?;
        let (chosen, group) = (told(found), words.len().saturating_sub(1).max(1));
        let wanted = how_many(count.unwrap_or(1), set.len());
        let is_there = |told: &[Text]| {
            let score = set.get(&told[0]);
            score.is_some_and(|score| told.get(1).is_none_or(|told| decimal(told) == Some(*score)))
        };
        let fits = chosen.len() == wanted * group && chosen.chunks(group).all(is_there);
        Ok(if fits { found.clone() } else { Reply::text("members of the sorted set, as many as wanted") })
    }

    fn zscan(&self, words: &[Text]) -> Answer {
        let pattern = words.last().filter(|_| words.len() > 4);
        let mut all: Vec<_> = self.sorted(&words[0])?.into_iter().collect();
        all.retain(|(member, _)| pattern.is_none_or(|pattern| fits(pattern, member)));
        Ok(Reply::Array(vec![bulk(b"0"), members(&all, true)]))
    }

    fn remove_range(&mut self, name: &str, words: &[Text]) -> Answer {
        let gone = match name {
            "ZREMRANGEBYRANK" => {
                let (start, end) = (whole_argument(&words[1])?, whole_argument(&words[2])?);
                let order = in_order(&self.sorted(&words[0])?);
                order[places(start, end, order.len())].to_vec()
            }
            "ZREMRANGEBYSCORE" => self.range(&words[0], Bounds::scores, &words[1..3])?,
            _ => self.range(&words[0], Bounds::lex, &words[1..3])?,
        };
        let mut names = vec![words[0].clone()];
        names.extend(gone.into_iter().map(|(member, _)| member));
        self.zrem(&names)
    }

    /// Members within bounds, in order.
    fn range(
        &self,
        key: &[u8],
        read: fn(&[Text]) -> Result<Bounds, String>,
        bounds: &[Text],
    ) -> Result<Vec<Scored>, String> {
        let bounds = read(bounds)?;
        let mut order = in_order(&self.sorted(key)?);
        order.retain(|one| bounds.hold(one));
        Ok(order)
    }

    /// `ZRANGE` and its older names; also whether scores are wanted.
    fn zrange(&self, name: &str, words: &[Text]) -> Result<(Vec<Scored>, bool), String> {
        let options: Vec<_> = words[3..].iter().map(|word| option(word)).collect();
        let has = |name: &str| options.iter().any(|option| option == name);
        let reversed = has("REV") || name.starts_with("ZREV");
        let limit = options.iter().position(|option| option == "LIMIT").map(|at| &words[3 + at + 1..]);
        let limit =
            limit.map(|words| Ok::<_, String>((whole_argument(&words[0])?, whole_argument(&words[1])?)));
        let limit = limit.transpose()?;
        let (by_score, by_lex) =
            (has("BYSCORE") || name.contains("BYSCORE"), has("BYLEX") || name.contains("BYLEX"));
        let mut bounds = words[1..3].to_vec();
        if reversed && (by_score || by_lex) {
            bounds.reverse();
        }
        let mut all = match (by_score, by_lex) {
            (true, _) => self.range(&words[0], Bounds::scores, &bounds)?,
            (_, true) => self.range(&words[0], Bounds::lex, &bounds)?,
            _ => {
                let (start, end) = (whole_argument(&bounds[0])?, whole_argument(&bounds[1])?);
                let mut order = in_order(&self.sorted(&words[0])?);
                if reversed {
                    order.reverse();
                }
                return Ok((order[places(start, end, order.len())].to_vec(), has("WITHSCORES")));
            }
        };
        if reversed {
            all.reverse();
        }
        if let Some((offset, count)) = limit {
            let most = if count < 0 { usize::MAX } else { count as usize };
            let offset = if offset < 0 { all.len() } else { offset as usize };
            all = all.into_iter().skip(offset).take(most).collect();
        }
        Ok((all, has("WITHSCORES")))
    }

    /// A sorted set, or a set whose members all have the score 1.
    fn scored(&self, key: &[u8]) -> Result<Sorted, String> {
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::Set(set)) => Ok(set.iter().map(|member| (member.clone(), 1.0)).collect()),
            Some(Value::Sorted(set)) => Ok(set.clone()),
            None => Ok(Sorted::new()),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    /// `ZUNION`, `ZINTER`, `ZDIFF`; also whether scores are wanted.
    fn combined(&self, name: &str, words: &[Text]) -> Result<(Vec<Scored>, bool), String> {
        let (keys, options) = counted_keys(words)?;
        let mut sets =
            keys.iter().map(|key| Ok((self.scored(key)?, 1.0))).collect::<Result<Vec<_>, String>>()?;
        let (mut rest, mut with_scores, mut aggregate) = (options, false, "SUM".to_owned());
        while let Some(word) = rest.first() {
            match &option(word)[..] {
                "WEIGHTS" => {
                    for (set, weight) in sets.iter_mut().zip(&rest[1..]) {
                        set.1 = decimal(weight).ok_or("ERR weight value is not a float")?;
                    }
                    rest = &rest[1 + keys.len()..];
                }
                "AGGREGATE" => {
                    aggregate = option(&rest[1]);
                    rest = &rest[2..];
                }
                _ => {
                    with_scores = true;
                    rest = &rest[1..];
                }
            }
        }
        if name == "ZDIFF" {
            let (mut first, others) = (sets.remove(0).0, sets);
            first.retain(|member, _| !others.iter().any(|(other, _)| other.contains_key(member)));
            return Ok((in_order(&first), with_scores));
        }
        // Sums depend on the order: the smallest set comes first.
        sets.sort_by_key(|(set, _)| set.len());
        let is_wanted =
            |member: &Text| name == "ZUNION" || sets.iter().all(|(set, _)| set.contains_key(member));
        let mut result = Sorted::new();
        for (set, weight) in &sets {
            for (member, score) in set.iter().filter(|(member, _)| is_wanted(member)) {
                let score = score * weight;
                let known = result.get(member).copied();
                result.insert(
                    member.clone(),
                    known.map_or(number(score), |known| together(known, score, &aggregate)),
                );
            }
        }
        Ok((in_order(&result), with_scores))
    }

    fn zintercard(&self, words: &[Text]) -> Answer {
        let (keys, options) = counted_keys(words)?;
        let sets = keys.iter().map(|key| self.scored(key)).collect::<Result<Vec<_>, _>>()?;
        let limit = card_limit(options)?;
        let common = sets[0].keys().filter(|member| sets.iter().all(|set| set.contains_key(*member))).count();
        integer(if limit == 0 { common } else { common.min(limit) })
    }

    pub(super) fn store_scored(&mut self, key: &[u8], members: Vec<Scored>) -> Answer {
        let count = members.len();
        self.replace(
            key,
            Value::Sorted(members.into_iter().map(|(member, score)| (member, score + 0.0)).collect()),
        );
        integer(count)
    }
}

const OPTIONS: &[&str] = &["NX", "XX", "GT", "LT", "CH", "INCR"];

/// Infinities that cancel each other out are 0.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

fn together(known: f64, score: f64, aggregate: &str) -> f64 {
    match aggregate {
        "SUM" => number(known + score),
        "MIN" if score < known => score,
        "MAX" if score > known => score,
        _ => known,
    }
}

/// By score, then by name.
pub(super) fn in_order(set: &Sorted) -> Vec<Scored> {
    let mut order: Vec<_> = set.iter().map(|(member, score)| (member.clone(), *score)).collect();
    order.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(&b.0)));
    order
}

fn score(score: Option<&f64>) -> Reply {
    score.map_or(Reply::Null, |score| Reply::Double(*score))
}

fn members(all: &[Scored], with_scores: bool) -> Reply {
    let one = |(member, score): &Scored| {
        let scores = with_scores.then(|| Reply::Double(*score));
        std::iter::once(bulk(member)).chain(scores).collect::<Vec<_>>()
    };
    Reply::Array(all.iter().flat_map(one).collect())
}

/// What a range holds.
enum Bounds {
    Scores { least: f64, without_least: bool, most: f64, without_most: bool },
    Members { least: Text, most: Text },
}

impl Bounds {
    fn scores(words: &[Text]) -> Result<Self, String> {
        let read = |word: &Text| {
            let open = word.first() == Some(&b'(');
            let number = decimal(&word[usize::from(open)..]).ok_or(NO_SCORES)?;
            Ok::<_, String>((number, open))
        };
        let ((least, without_least), (most, without_most)) = (read(&words[0])?, read(&words[1])?);
        Ok(Self::Scores { least, without_least, most, without_most })
    }

    /// Bounds as they are written; all of them are well formed.
    fn lex(words: &[Text]) -> Result<Self, String> {
        Ok(Self::Members { least: words[0].clone(), most: words[1].clone() })
    }

    fn hold(&self, (member, score): &Scored) -> bool {
        match self {
            Self::Scores { least, without_least, most, without_most } => {
                let above = if *without_least { score > least } else { score >= least };
                above && if *without_most { score < most } else { score <= most }
            }
            Self::Members { least, most } => {
                let above = match least.split_first() {
                    Some((b'-', _)) => true,
                    Some((b'+', _)) | None => false,
                    Some((b'(', bound)) => &member[..] > bound,
                    Some((_, bound)) => &member[..] >= bound,
                };
                above
                    && match most.split_first() {
                        Some((b'-', _)) | None => false,
                        Some((b'+', _)) => true,
                        Some((b'(', bound)) => &member[..] < bound,
                        Some((_, bound)) => &member[..] <= bound,
                    }
            }
        }
    }
}
