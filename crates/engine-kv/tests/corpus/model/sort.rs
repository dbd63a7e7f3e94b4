//! `SORT`.

use proto_redis::Reply;

use super::arguments::{option, whole_argument};
use super::sorted::in_order;
use super::{Answer, Model, Text, Value, WRONG_TYPE, array, integer};

impl Model {
    pub(super) fn sort_command(&mut self, name: &str, words: &[Text], found: &Reply) -> Option<Answer> {
        (name == "SORT").then(|| self.sort(words, found))
    }

    /// With what the random commands use: by bytes or not at all. What is not sorted of a set is not modelled.
    fn sort(&mut self, words: &[Text], found: &Reply) -> Answer {
        let (mut by_bytes, mut descending, mut limit, mut patterns, mut to) =
            (false, false, None, Vec::new(), None);
        let mut unsorted = false;
        let mut rest = &words[1..];
        while let Some(word) = rest.first() {
            let taken = match &option(word)[..] {
                "LIMIT" => {
                    limit = Some((whole_argument(&rest[1])?, whole_argument(&rest[2])?));
                    3
                }
                "BY" => {
                    unsorted = true;
                    2
                }
                "GET" => {
                    patterns.push(rest[1].clone());
                    2
                }
                "STORE" => {
                    to = Some(rest[1].clone());
                    2
                }
                name => {
                    by_bytes |= name == "ALPHA";
                    descending |= name == "DESC";
                    1
                }
            };
            rest = &rest[taken..];
        }
        let (mut elements, is_set) = self.elements(&words[0])?;
        if to.is_none() && (is_set || !unsorted && by_bytes) {
            return Ok(found.clone());
        }
        // What is stored of a set does not depend on an order that it happens to have.
        if by_bytes && !unsorted || is_set {
            elements.sort();
        }
        if descending {
            elements.reverse();
        }
        let (offset, count) = limit.unwrap_or((0, -1));
        let most = if count < 0 { usize::MAX } else { count as usize };
        let chosen = elements.into_iter().skip(offset.max(0) as usize).take(most);
        let result: Vec<Option<Text>> = match patterns.is_empty() {
            true => chosen.map(Some).collect(),
            false => chosen
                .flat_map(|element| patterns.iter().map(move |pattern| (pattern, element.clone())))
                .map(|(pattern, element)| self.named(pattern, &element))
                .collect(),
        };
        let stored: Vec<Text> = result.into_iter().map(Option::unwrap_or_default).collect();
        let Some(to) = to else { return Ok(array(&stored)) };
        let length = stored.len();
        self.replace(&to, Value::List(stored));
        integer(length)
    }

    fn elements(&self, key: &[u8]) -> Result<(Vec<Text>, bool), String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok((Vec::new(), false)),
            Some(Value::List(list)) => Ok((list.clone(), false)),
            Some(Value::Set(set)) => Ok((set.iter().cloned().collect(), true)),
            Some(Value::Sorted(set)) => {
                Ok((in_order(set).into_iter().map(|(member, _)| member).collect(), false))
            }
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    /// What a pattern names: the element itself, a string or a field.
    fn named(&self, pattern: &[u8], element: &[u8]) -> Option<Text> {
        if pattern == b"#" {
            return Some(element.to_vec());
        }
        let text = pattern.to_vec();
        let star = text.iter().position(|byte| *byte == b'*')?;
        let (before, after) = (&text[..star], &text[star + 1..]);
        match after.strip_prefix(b"->") {
            Some(field) => {
                self.hash(&[before, element].concat()).ok().and_then(|hash| hash.get(field).cloned())
            }
            None => self.string(&[before, element, after].concat()).ok().flatten(),
        }
    }
}
