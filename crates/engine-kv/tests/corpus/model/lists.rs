//! Lists.

use proto_redis::Reply;

use super::arguments::{count_argument, counted_keys, option, places, whole, whole_argument};
use super::{Answer, List, Model, NO_SUCH_KEY, Text, Value, array, bulk, integer, maybe};

impl Model {
    pub(super) fn list_command(&mut self, name: &str, words: &[Text]) -> Option<Answer> {
        Some(match name {
            "LPUSH" | "RPUSH" | "LPUSHX" | "RPUSHX" => self.push(name, words),
            "LPOP" | "RPOP" => self.pop(name, words),
            "LLEN" => self.list(&words[0]).and_then(|list| integer(list.len())),
            "LINDEX" => self.lindex(words),
            "LSET" => self.lset(words),
            "LRANGE" => self.lrange(words),
            "LTRIM" => self.ltrim(words),
            "LINSERT" => self.linsert(words),
            "LREM" => self.lrem(words),
            "LPOS" => self.lpos(words),
            "LMOVE" => self.lmove(&words[0], &words[1], &option(&words[2]), &option(&words[3])),
            "RPOPLPUSH" => self.lmove(&words[0], &words[1], "RIGHT", "LEFT"),
            "LMPOP" => self.lmpop(words),
            _ => return None,
        })
    }

    fn push(&mut self, name: &str, words: &[Text]) -> Answer {
        let mut list = self.list(&words[0])?;
        if name.ends_with('X') && list.is_empty() {
            return integer(0);
        }
        for element in &words[1..] {
            let place = if name.starts_with('L') { 0 } else { list.len() };
            list.insert(place, element.clone());
        }
        self.put_list(&words[0], list)
    }

    /// Stores a list and answers with its length.
    fn put_list(&mut self, key: &[u8], list: List) -> Answer {
        let length = list.len();
        self.put(key, Value::List(list));
        integer(length)
    }

    fn pop(&mut self, name: &str, words: &[Text]) -> Answer {
        let count = words.get(1).map(|word| count_argument(word)).transpose()?;
        let mut list = self.list(&words[0])?;
        if list.is_empty() {
            return Ok(if count.is_some() { Reply::NullArray } else { Reply::Null });
        }
        let popped = take(&mut list, name == "LPOP", count.unwrap_or(1));
        self.put(&words[0], Value::List(list));
        Ok(if count.is_some() { array(&popped) } else { maybe(popped.first()) })
    }

    fn lindex(&self, words: &[Text]) -> Answer {
        // The key comes first: without it the place may be anything.
        let list = self.list(&words[0])?;
        if list.is_empty() {
            return Ok(Reply::Null);
        }
        Ok(maybe(place(&list, whole_argument(&words[1])?).map(|place| &list[place])))
    }

    fn lset(&mut self, words: &[Text]) -> Answer {
        let mut list = self.list(&words[0])?;
        if list.is_empty() {
            return Err(NO_SUCH_KEY.into());
        }
        let place = place(&list, whole_argument(&words[1])?).ok_or("ERR index out of range")?;
        list[place] = words[2].clone();
        self.put_list(&words[0], list).map(|_| Reply::OK)
    }

    fn lrange(&self, words: &[Text]) -> Answer {
        let (start, end) = (whole_argument(&words[1])?, whole_argument(&words[2])?);
        let list = self.list(&words[0])?;
        Ok(array(&list[places(start, end, list.len())]))
    }

    fn ltrim(&mut self, words: &[Text]) -> Answer {
        let (start, end) = (whole_argument(&words[1])?, whole_argument(&words[2])?);
        let list = self.list(&words[0])?;
        let kept = list[places(start, end, list.len())].to_vec();
        self.put_list(&words[0], kept).map(|_| Reply::OK)
    }

    fn linsert(&mut self, words: &[Text]) -> Answer {
        let mut list = self.list(&words[0])?;
        if list.is_empty() {
            return integer(0);
        }
        let Some(pivot) = list.iter().position(|element| *element == words[2]) else {
            return Ok(Reply::Integer(-1));
        };
        let after = usize::from(option(&words[1]) == "AFTER");
        list.insert(pivot + after, words[3].clone());
        self.put_list(&words[0], list)
    }

    fn lrem(&mut self, words: &[Text]) -> Answer {
        let count = whole_argument(&words[1])?;
        let mut list = self.list(&words[0])?;
        let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
        let mut equal: Vec<_> = (0..list.len()).filter(|place| list[*place] == words[2]).collect();
        if count < 0 {
            equal.reverse();
        }
        equal.truncate(most);
        equal.sort_unstable();
        for place in equal.iter().rev() {
            list.remove(*place);
        }
        self.put_list(&words[0], list)?;
        integer(equal.len())
    }

    fn lpos(&self, words: &[Text]) -> Answer {
        let (mut rank, mut count, mut most) = (1, None, 0);
        for pair in words[2..].chunks(2) {
            match &option(&pair[0])[..] {
                "RANK" => {
                    rank = whole_argument(&pair[1])?;
                    if rank == 0 {
                        return Err(RANK_IS_ZERO.into());
                    }
                }
                "COUNT" => {
                    count = Some(whole(&pair[1]).filter(|n| *n >= 0).ok_or("ERR COUNT can't be negative")?)
                }
                _ => most = whole(&pair[1]).filter(|n| *n >= 0).ok_or("ERR MAXLEN can't be negative")?,
            }
        }
        let list = self.list(&words[0])?;
        let mut order: Vec<usize> = (0..list.len()).collect();
        if rank < 0 {
            order.reverse();
        }
        if most > 0 {
            order.truncate(most as usize);
        }
        let skipped = rank.unsigned_abs() as usize - 1;
        let mut found = order.into_iter().filter(|place| list[*place] == words[1]).skip(skipped);
        Ok(match count {
            None => found.next().map_or(Reply::Null, |place| Reply::Integer(place as i64)),
            Some(count) => {
                let most = if count == 0 { usize::MAX } else { count as usize };
                Reply::Array(found.take(most).map(|place| Reply::Integer(place as i64)).collect())
            }
        })
    }

    fn lmove(&mut self, from: &[u8], to: &[u8], from_end: &str, to_end: &str) -> Answer {
        let mut source = self.list(from)?;
        if source.is_empty() {
            return Ok(Reply::Null);
        }
        self.list(to)?;
        let moved = take(&mut source, from_end == "LEFT", 1).remove(0);
        if from == to {
            // The list does not vanish in between, so its deadline stays.
            let place = if to_end == "LEFT" { 0 } else { source.len() };
            source.insert(place, moved.clone());
            self.put(from, Value::List(source));
            return Ok(bulk(&moved));
        }
        self.put(from, Value::List(source));
        let mut target = self.list(to)?;
        let place = if to_end == "LEFT" { 0 } else { target.len() };
        target.insert(place, moved.clone());
        self.put(to, Value::List(target));
        Ok(bulk(&moved))
    }

    fn lmpop(&mut self, words: &[Text]) -> Answer {
        let (keys, options) = counted_keys(words)?;
        let count = whole(&options[2]).filter(|count| *count > 0);
        let count = count.ok_or("ERR count should be greater than 0")? as usize;
        for key in keys {
            let mut list = self.list(key)?;
            if !list.is_empty() {
                let popped = take(&mut list, option(&options[0]) == "LEFT", count);
                self.put(key, Value::List(list));
                return Ok(Reply::Array(vec![bulk(key), array(&popped)]));
            }
        }
        Ok(Reply::NullArray)
    }
}

const RANK_IS_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                            negative to start from the end of the list";

/// Takes elements from an end.
fn take(list: &mut List, left: bool, count: usize) -> List {
    let count = count.min(list.len());
    if left {
        return list.drain(..count).collect();
    }
    let start = list.len() - count;
    list.drain(start..).rev().collect()
}

fn place(list: &List, number: i64) -> Option<usize> {
    let place = if number < 0 { number + list.len() as i64 } else { number };
    usize::try_from(place).ok().filter(|place| *place < list.len())
}
