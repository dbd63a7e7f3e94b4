//! Strings as such.

use proto_redis::Reply;

use super::arguments::{count_argument, decimal, option, whole, whole_argument};
use super::{Answer, Model, NOT_FLOAT, NOT_INTEGER, OVERFLOW, SYNTAX, Text, Value, bulk, integer, maybe};

impl Model {
    pub(super) fn string_command(&mut self, name: &str, words: &[Text], found: &Reply) -> Option<Answer> {
        let key = words.first().map_or(&[][..], |key| key);
        Some(match name {
            "SET" => self.set_string(key, &words[1], &words[2..]),
            "GET" => self.string(key).map(|text| maybe(text.as_ref())),
            "MGET" => Ok(Reply::Array(
                words.iter().map(|key| maybe(self.string(key).ok().flatten().as_ref())).collect(),
            )),
            "GETSET" => self.string(key).map(|old| {
                self.replace(key, Value::String(words[1].clone()));
                maybe(old.as_ref())
            }),
            "SETNX" => Ok(Reply::flag(self.set_absent(words))),
            "MSETNX" => Ok(Reply::flag(self.set_absent(words))),
            "MSET" => {
                self.set_all(words);
                Ok(Reply::OK)
            }
            "GETDEL" => self.string(key).map(|old| {
                self.remove(key);
                maybe(old.as_ref())
            }),
            "GETEX" => self.get_and_expire(key, &words[1..]),
            "APPEND" => self
                .string(key)
                .and_then(|old| self.put_string(key, [old.unwrap_or_default(), words[1].clone()].concat())),
            "STRLEN" => self.string(key).and_then(|text| integer(text.unwrap_or_default().len())),
            "GETRANGE" => self.get_range(key, &words[1], &words[2]),
            "SETRANGE" => self.set_range(key, &words[1], &words[2]),
            "INCR" => self.add(key, 1),
            "INCRBY" => whole_argument(&words[1]).and_then(|number| self.add(key, number)),
            "DECRBY" => whole_argument(&words[1]).and_then(|number| self.add(key, -number)),
            "INCRBYFLOAT" => self.add_decimal(key, &words[1], found),
            "LCS" => self.common_length(key, &words[1], found),
            _ => return None,
        })
    }

    /// Stores a string and answers with its length; the deadline stays.
    pub(super) fn put_string(&mut self, key: &[u8], text: Text) -> Answer {
        let length = text.len();
        self.put(key, Value::String(text));
        integer(length)
    }

    fn set_string(&mut self, key: &[u8], value: &Text, options: &[Text]) -> Answer {
        let options: Vec<_> = options.iter().map(|word| option(word)).collect();
        let has = |name: &str| options.iter().any(|option| option == name);
        let at = options.iter().position(|option| option == "EXAT");
        let deadline = at.map(|place| options[place + 1].parse::<i64>().unwrap() * 1000);
        if has("KEEPTTL") && deadline.is_some() || has("NX") && has("XX") {
            return Err(SYNTAX.into());
        }
        let old = if has("GET") { self.string(key)? } else { None };
        let before = self.entry(key).cloned();
        let stores = (!has("NX") || before.is_none()) && (!has("XX") || before.is_some());
        if stores {
            let kept = before.and_then(|entry| entry.deadline).filter(|_| has("KEEPTTL"));
            self.set_entry(key, Value::String(value.clone()), deadline.or(kept));
        }
        Ok(match (has("GET"), stores) {
            (true, _) => maybe(old.as_ref()),
            (false, true) => Reply::OK,
            (false, false) => Reply::Null,
        })
    }

    fn set_all(&mut self, pairs: &[Text]) {
        for pair in pairs.chunks(2) {
            self.replace(&pair[0], Value::String(pair[1].clone()));
        }
    }

    fn set_absent(&mut self, pairs: &[Text]) -> bool {
        let absent = pairs.chunks(2).all(|pair| self.entry(&pair[0]).is_none());
        if absent {
            self.set_all(pairs);
        }
        absent
    }

    fn get_and_expire(&mut self, key: &[u8], options: &[Text]) -> Answer {
        let old = self.string(key)?;
        if let Some(text) = old.clone() {
            match options.first().map(|word| option(word)).as_deref() {
                Some("PERSIST") => self.replace(key, Value::String(text)),
                Some("EXAT") => {
                    let deadline = whole_argument(&options[1])? * 1000;
                    self.set_entry(key, Value::String(text), Some(deadline));
                }
                _ => {}
            }
        }
        Ok(maybe(old.as_ref()))
    }

    fn get_range(&self, key: &[u8], start: &[u8], end: &[u8]) -> Answer {
        let (start, end) = (whole_argument(start)?, whole_argument(end)?);
        let text = self.string(key)?.unwrap_or_default();
        let length = text.len() as i64;
        if start < 0 && end < 0 && start > end {
            return Ok(bulk(b""));
        }
        let place = |place: i64| if place < 0 { (place + length).max(0) } else { place };
        let (start, end) = (place(start), place(end).min(length - 1));
        Ok(if start > end { bulk(b"") } else { bulk(&text[start as usize..=end as usize]) })
    }

    fn set_range(&mut self, key: &[u8], offset: &[u8], value: &Text) -> Answer {
        let offset = count_argument(offset)?;
        let mut text = self.string(key)?.unwrap_or_default();
        if value.is_empty() {
            return integer(text.len());
        }
        let end = offset + value.len();
        text.resize(text.len().max(end), 0);
        text[offset..end].copy_from_slice(value);
        self.put_string(key, text)
    }

    fn add(&mut self, key: &[u8], number: i64) -> Answer {
        let old = self.string(key)?.unwrap_or(b"0".to_vec());
        let sum = whole(&old).ok_or(NOT_INTEGER)?.checked_add(number).ok_or(OVERFLOW)?;
        self.put(key, Value::String(sum.to_string().into()));
        Ok(Reply::Integer(sum))
    }

    fn add_decimal(&mut self, key: &[u8], number: &[u8], found: &Reply) -> Answer {
        let old = self.string(key)?.unwrap_or(b"0".to_vec());
        let sum = decimal_sum(&old, number, NOT_FLOAT, found)?;
        self.put(key, Value::String(sum.clone()));
        Ok(bulk(&sum))
    }

    /// `LCS … LEN`, from the table of the textbook. Of long strings it would take too long, and may be refused.
    fn common_length(&self, key: &[u8], other: &[u8], found: &Reply) -> Answer {
        let not_strings = |_| "ERR The specified keys must contain string values".to_owned();
        let (left, right) =
            (self.string(key).map_err(not_strings)?, self.string(other).map_err(not_strings)?);
        let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
        if left.len() * right.len() > 1_000_000 {
            return Ok(found.clone());
        }
        let mut above = vec![0; right.len() + 1];
        for a in &left {
            let mut row = vec![0];
            for (place, b) in right.iter().enumerate() {
                row.push(if a == b { above[place] + 1 } else { row[place].max(above[place + 1]) });
            }
            above = row;
        }
        integer(above[right.len()])
    }
}

/// The text of a sum. Quarters are added exactly; of other numbers the text is as found, if it is near.
pub(super) fn decimal_sum(
    old: &[u8],
    number: &[u8],
    not_a_number: &str,
    found: &Reply,
) -> Result<Text, String> {
    let number = decimal(number).ok_or(NOT_FLOAT)?;
    let old = decimal(old).ok_or(not_a_number)?;
    let sum = old + number;
    let is_exact = |number: f64| (number * 4.0).fract() == 0.0 && number.abs() < 1e9;
    if is_exact(old) && is_exact(number) {
        // Adding zero makes a positive zero of a negative one.
        return Ok((sum + 0.0).to_string().into());
    }
    let Reply::Bulk(text) = found else { return Err("ERR a number was expected".into()) };
    let near = |found: f64| (found - sum).abs() <= 1e-12 * sum.abs().max(1.0);
    match decimal(text) {
        Some(value) if near(value) || !sum.is_finite() => Ok(text.to_vec()),
        _ => Ok(sum.to_string().into()),
    }
}
