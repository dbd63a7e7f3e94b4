//! Hashes.

use proto_redis::Reply;

use super::arguments::{option, whole, whole_argument};
use super::strings::decimal_sum;
use super::{
    Answer, Hash, Model, OVERFLOW, SYNTAX, Text, Value, array, bulk, fits, integer, maybe, told, wrong_arity,
};

impl Model {
    pub(super) fn hash_command(&mut self, name: &str, words: &[Text], found: &Reply) -> Option<Answer> {
        if !name.starts_with('H') {
            return None;
        }
        let hash = match self.hash(&words[0]) {
            Ok(hash) => hash,
            // Mistakes that are looked for before the key is.
            Err(wrong) => return Some(self.hash_mistake(name, words).unwrap_or(Err(wrong))),
        };
        let field = words.get(1);
        let value = field.and_then(|field| hash.get(field));
        Some(match name {
            "HSET" | "HMSET" => self.hset(name, words, hash),
            "HSETNX" => {
                let absent = value.is_none();
                if absent {
                    self.hset("HSETNX", words, hash).map(|_| Reply::Integer(1))
                } else {
                    Ok(Reply::Integer(0))
                }
            }
            "HGET" => Ok(maybe(value)),
            "HMGET" => Ok(Reply::Array(words[1..].iter().map(|field| maybe(hash.get(field))).collect())),
            "HGETALL" => Ok(pairs(&hash)),
            "HDEL" => self.hdel(words, hash),
            "HEXISTS" => Ok(Reply::flag(value.is_some())),
            "HKEYS" => Ok(array(hash.keys())),
            "HVALS" => Ok(array(hash.values())),
            "HLEN" => integer(hash.len()),
            "HSTRLEN" => integer(value.map_or(0, Vec::len)),
            "HINCRBY" => self.hincrby(words, hash),
            "HINCRBYFLOAT" => {
                let old = value.cloned().unwrap_or(b"0".to_vec());
                decimal_sum(&old, &words[2], "ERR hash value is not a float", found).map(|sum| {
                    self.put_field(words, hash, sum.clone());
                    bulk(&sum)
                })
            }
            "HRANDFIELD" => hrandfield(&words[1..], &hash, found),
            "HSCAN" => {
                let pattern = words.last().filter(|_| words.len() > 4);
                let shown = hash
                    .into_iter()
                    .filter(|(field, _)| pattern.is_none_or(|pattern| fits(pattern, field)))
                    .collect();
                Ok(Reply::Array(vec![bulk(b"0"), pairs(&shown)]))
            }
            _ => return None,
        })
    }

    /// What is wrong with the words themselves.
    fn hash_mistake(&self, name: &str, words: &[Text]) -> Option<Answer> {
        match name {
            "HSET" | "HMSET" => self.pairs_mistake(name, words),
            "HINCRBY" => whole_argument(&words[2]).err().map(Err),
            "HINCRBYFLOAT" => super::arguments::decimal_argument(&words[2]).err().map(Err),
            "HRANDFIELD" => hrandfield(&words[1..], &Hash::new(), &Reply::Null).err().map(Err),
            _ => None,
        }
    }

    fn pairs_mistake(&self, name: &str, words: &[Text]) -> Option<Answer> {
        words.len().is_multiple_of(2).then(|| Err(wrong_arity(&[name.as_bytes().to_vec()])))
    }

    fn hset(&mut self, name: &str, words: &[Text], mut hash: Hash) -> Answer {
        if let Some(mistake) = self.pairs_mistake(name, words) {
            return mistake;
        }
        let before = hash.len();
        for pair in words[1..].chunks(2) {
            hash.insert(pair[0].clone(), pair[1].clone());
        }
        let added = hash.len() - before;
        self.put(&words[0], Value::Hash(hash));
        if name == "HMSET" { Ok(Reply::OK) } else { integer(added) }
    }

    fn put_field(&mut self, words: &[Text], mut hash: Hash, value: Text) {
        hash.insert(words[1].clone(), value);
        self.put(&words[0], Value::Hash(hash));
    }

    fn hdel(&mut self, words: &[Text], mut hash: Hash) -> Answer {
        let before = hash.len();
        for field in &words[1..] {
            hash.remove(field);
        }
        let removed = before - hash.len();
        self.put(&words[0], Value::Hash(hash));
        integer(removed)
    }

    fn hincrby(&mut self, words: &[Text], hash: Hash) -> Answer {
        let number = whole_argument(&words[2])?;
        let old = hash
            .get(&words[1])
            .map_or(Some(0), |text| whole(text))
            .ok_or("ERR hash value is not an integer")?;
        let sum = old.checked_add(number).ok_or(OVERFLOW)?;
        self.put_field(words, hash, sum.to_string().into());
        Ok(Reply::Integer(sum))
    }
}

fn pairs(hash: &Hash) -> Reply {
    array(hash.iter().flat_map(|(field, value)| [field, value]))
}

fn hrandfield(words: &[Text], hash: &Hash, found: &Reply) -> Answer {
    let Some(count) = words.first() else {
        let chosen = told(found);
        let fits = chosen.first().is_some_and(|field| hash.contains_key(field));
        return Ok(if hash.is_empty() { Reply::Null } else { maybe(chosen.first().filter(|_| fits)) });
    };
    let count = whole_argument(count)?;
    let with_values = match words.get(1) {
        None => false,
        Some(word) if option(word) == "WITHVALUES" => true,
        Some(_) => return Err(SYNTAX.into()),
    };
    let chosen = told(found);
    let group = if with_values { 2 } else { 1 };
    let is_there = |group: &[Text]| {
        hash.get(&group[0]).is_some_and(|value| group.get(1).is_none_or(|told| told == value))
    };
    let wanted = super::sets::how_many(count, hash.len());
    let fields: std::collections::BTreeSet<_> = chosen.chunks(group).map(|group| &group[0]).collect();
    let are_distinct = count < 0 || fields.len() == wanted;
    let fits = chosen.len() == wanted * group && chosen.chunks(group).all(is_there) && are_distinct;
    Ok(if fits { array(&chosen) } else { Reply::text("fields of the hash, as many as wanted") })
}
