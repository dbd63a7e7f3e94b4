//! What calls do to collections, which a history knows by one key and one value of bytes.
//!
//! ```text
//!   queue    two lists under the names KEY and KEY:moved      "b;c;|a;"     both, in order
//!   bundle   a hash, a set and a sorted set that transactions  "a;b;c;"      the members, in order; the hash
//!            keep alike                                                      counts them
//! ```
//!
//! What is empty is absent.

use super::{Call, Effect, Reply};

/// What ends each word of a value.
const WORD_END: u8 = b';';
/// What stands between the lists of a queue.
const MOVED: u8 = b'|';

/// The two lists of a queue.
#[derive(Default)]
pub struct Lists {
    /// Where words are pushed.
    pub first: Vec<Vec<u8>>,
    /// Where they are moved to.
    pub moved: Vec<Vec<u8>>,
}

impl Lists {
    /// Reads a value.
    pub fn of(value: Option<&[u8]>) -> Self {
        let value = value.unwrap_or_default();
        let border = value.iter().position(|byte| *byte == MOVED).unwrap_or(value.len());
        let (first, rest) = value.split_at(border);
        Self { first: words(first), moved: words(rest.strip_prefix(&[MOVED]).unwrap_or_default()) }
    }

    /// The value.
    pub fn value(&self) -> Option<Vec<u8>> {
        let is_empty = self.first.is_empty() && self.moved.is_empty();
        (!is_empty).then(|| [joined(&self.first), vec![MOVED], joined(&self.moved)].concat())
    }
}

/// Words one after another.
pub fn joined(words: &[Vec<u8>]) -> Vec<u8> {
    words.iter().flat_map(|word| word.iter().copied().chain([WORD_END])).collect()
}

fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let words = text.split_inclusive(|byte| *byte == WORD_END);
    words.map(|word| word.strip_suffix(&[WORD_END]).unwrap_or(word).to_vec()).collect()
}

/// What a call of a queue or bundle does; `None` for any other.
pub(super) fn apply(call: &Call, value: Option<&[u8]>) -> Option<(Effect, Reply)> {
    Some(match call {
        Call::Push(word) => {
            let mut lists = Lists::of(value);
            lists.first.push(word.clone());
            (Effect::Becomes(lists.value()), Reply::Number(lists.first.len() as i64))
        }
        Call::Take { .. } => taken(value, |lists| (!lists.first.is_empty()).then(|| lists.first.remove(0))),
        Call::TakeMoved => taken(value, |lists| (!lists.moved.is_empty()).then(|| lists.moved.remove(0))),
        Call::Move { .. } => taken(value, |lists| {
            let word = (!lists.first.is_empty()).then(|| lists.first.remove(0))?;
            lists.moved.push(word.clone());
            Some(word)
        }),
        Call::Join(word) => {
            let mut members = words(value.unwrap_or_default());
            members.push(word.clone());
            members.sort();
            (Effect::Becomes(Some(joined(&members))), Reply::Number(members.len() as i64))
        }
        Call::Lists | Call::Members => (Effect::None, Reply::Value(value.map(<[u8]>::to_vec))),
        _ => return None,
    })
}

fn taken(value: Option<&[u8]>, take: impl FnOnce(&mut Lists) -> Option<Vec<u8>>) -> (Effect, Reply) {
    let mut lists = Lists::of(value);
    match take(&mut lists) {
        Some(word) => (Effect::Becomes(lists.value()), Reply::Value(Some(word))),
        None => (Effect::None, Reply::Value(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_through_a_queue_in_order() {
        let mut value: Option<Vec<u8>> = None;
        let mut step = |call: &Call, wanted: Reply| {
            let (effect, reply) = apply(call, value.as_deref()).unwrap();
            assert_eq!(reply, wanted, "{call}");
            if let Effect::Becomes(new) = effect {
                value = new;
            }
            value.clone().map(|value| String::from_utf8(value).unwrap())
        };
        let word = |word: &str| Reply::Value(Some(word.as_bytes().to_vec()));
        assert_eq!(step(&Call::Take { waits: true }, Reply::Value(None)), None);
        step(&Call::Push(b"a".to_vec()), Reply::Number(1));
        assert_eq!(step(&Call::Push(b"b".to_vec()), Reply::Number(2)).unwrap(), "a;b;|");
        assert_eq!(step(&Call::Move { waits: false }, word("a")).unwrap(), "b;|a;");
        assert_eq!(step(&Call::Take { waits: false }, word("b")).unwrap(), "|a;");
        assert_eq!(step(&Call::TakeMoved, word("a")), None);
    }

    #[test]
    fn members_are_in_order() {
        let (effect, reply) = apply(&Call::Join(b"b".to_vec()), Some(b"a;c;")).unwrap();
        assert_eq!((effect, reply), (Effect::Becomes(Some(b"a;b;c;".to_vec())), Reply::Number(3)));
    }
}
