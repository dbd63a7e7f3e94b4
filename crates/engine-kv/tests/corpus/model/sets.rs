//! Sets.

use proto_redis::Reply;

use super::arguments::{counted_keys, option, whole, whole_argument};
use super::{Answer, Model, NOT_POSITIVE, SYNTAX, Set, Text, Value, array, bulk, fits, integer, maybe, told};

impl Model {
    pub(super) fn set_command(&mut self, name: &str, words: &[Text], found: &Reply) -> Option<Answer> {
        Some(match name {
            "SADD" | "SREM" => self.change_set(name, words),
            "SISMEMBER" => self.set(&words[0]).map(|set| Reply::flag(set.contains(&words[1]))),
            "SMISMEMBER" => self.set(&words[0]).map(|set| {
                Reply::Array(words[1..].iter().map(|member| Reply::flag(set.contains(member))).collect())
            }),
            "SMEMBERS" => self.set(&words[0]).map(|set| array(&set)),
            "SCARD" => self.set(&words[0]).and_then(|set| integer(set.len())),
            "SPOP" => self.spop(words, found),
            "SRANDMEMBER" => self.srandmember(words, found),
            "SMOVE" => self.smove(words),
            "SSCAN" => self.set(&words[0]).map(|set| {
                let pattern = words.last().filter(|_| words.len() > 4);
                let shown = set.iter().filter(|member| pattern.is_none_or(|pattern| fits(pattern, member)));
                Reply::Array(vec![bulk(b"0"), array(shown)])
            }),
            "SINTERCARD" => self.sintercard(words),
            "SINTER" | "SUNION" | "SDIFF" => self.algebra(name, words).map(|set| array(&set)),
            "SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE" => {
                self.algebra(name.trim_end_matches("STORE"), &words[1..]).and_then(|set| {
                    let count = set.len();
                    self.replace(&words[0], Value::Set(set));
                    integer(count)
                })
            }
            _ => return None,
        })
    }

    fn change_set(&mut self, name: &str, words: &[Text]) -> Answer {
        let mut set = self.set(&words[0])?;
        let before = set.len();
        for member in &words[1..] {
            match name {
                "SADD" => _ = set.insert(member.clone()),
                _ => _ = set.remove(member),
            }
        }
        let changed = before.abs_diff(set.len());
        self.put(&words[0], Value::Set(set));
        integer(changed)
    }

    fn spop(&mut self, words: &[Text], found: &Reply) -> Answer {
        let count = match words.get(1) {
            None => None,
            Some(word) => Some(whole(word).filter(|count| *count >= 0).ok_or(NOT_POSITIVE)?),
        };
        let mut set = self.set(&words[0])?;
        let chosen = told(found);
        let wanted = how_many(count.unwrap_or(1), set.len());
        if chosen.len() != wanted || !chosen.iter().all(|member| set.remove(member)) {
            return Ok(Reply::text("members of the set, as many as wanted"));
        }
        self.put(&words[0], Value::Set(set));
        Ok(if count.is_some() { array(&chosen) } else { maybe(chosen.first()) })
    }

    fn srandmember(&self, words: &[Text], found: &Reply) -> Answer {
        let count = words.get(1).map(|word| whole_argument(word)).transpose()?;
        let set = self.set(&words[0])?;
        Ok(chosen_members(count, &set, found))
    }

    fn smove(&mut self, words: &[Text]) -> Answer {
        if self.entry(&words[0]).is_none() {
            return Ok(Reply::Integer(0));
        }
        let (mut from, mut to) = (self.set(&words[0])?, self.set(&words[1])?);
        let member = &words[2];
        if !from.contains(member) {
            return Ok(Reply::Integer(0));
        }
        if words[0] != words[1] {
            from.remove(member);
            to.insert(member.clone());
            self.put(&words[0], Value::Set(from));
            self.put(&words[1], Value::Set(to));
        }
        Ok(Reply::Integer(1))
    }

    fn sintercard(&self, words: &[Text]) -> Answer {
        let (keys, options) = counted_keys(words)?;
        let limit = card_limit(options)?;
        let common = self.algebra("SINTER", keys)?.len();
        integer(if limit == 0 { common } else { common.min(limit) })
    }

    fn algebra(&self, name: &str, keys: &[Text]) -> Result<Set, String> {
        let sets = keys.iter().map(|key| self.set(key)).collect::<Result<Vec<_>, _>>()?;
        let together = |left: Set, right: Set| match name {
            "SINTER" => left.intersection(&right).cloned().collect(),
            "SUNION" => left.union(&right).cloned().collect(),
            _ => left.difference(&right).cloned().collect::<Set>(),
        };
        Ok(sets.into_iter().reduce(together).unwrap_or_default())
    }
}

/// `LIMIT n`; 0 is no limit.
pub(super) fn card_limit(options: &[Text]) -> Result<usize, String> {
    let mut limit = 0;
    for pair in options.chunks(2) {
        match pair {
            [name, count] if option(name) == "LIMIT" => {
                let count = whole(count).filter(|count| *count >= 0).ok_or("ERR LIMIT can't be negative")?;
                limit = count as usize;
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    Ok(limit)
}

/// How many are chosen of so many: a negative count repeats.
pub(super) fn how_many(count: i64, there: usize) -> usize {
    match count {
        _ if there == 0 => 0,
        ..0 => count.unsigned_abs() as usize,
        _ => there.min(count as usize),
    }
}

/// What chance chose among members, if it may.
fn chosen_members(count: Option<i64>, set: &Set, found: &Reply) -> Reply {
    let chosen = told(found);
    let wanted = how_many(count.unwrap_or(1), set.len());
    let distinct = chosen.iter().collect::<std::collections::BTreeSet<_>>().len();
    let may_repeat = count.is_some_and(|count| count < 0);
    let all_there = chosen.iter().all(|member| set.contains(member));
    if chosen.len() != wanted || !all_there || !may_repeat && distinct != wanted {
        return Reply::text("members of the set, as many as wanted");
    }
    if count.is_some() { array(&chosen) } else { maybe(chosen.first()) }
}
