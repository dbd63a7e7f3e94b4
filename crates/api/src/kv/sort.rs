//! `SORT`: the elements of a list, set or sorted set in another order.

use bytes::Bytes;
use prost::Message;
use types::limits::KEY_BYTES_MAX;

/// Sort elements. An absent key has none.
#[derive(Clone, PartialEq, Message)]
pub struct Sort {
    /// The key of the list, set or sorted set.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Leave them in the order that they have.
    #[prost(bool, tag = "2")]
    pub unsorted: bool,
    /// Sort by what this names instead of the elements themselves.
    #[prost(message, optional, tag = "3")]
    pub by: Option<SortPattern>,
    /// Reply with what these name, one after another for each element, instead of the elements.
    #[prost(message, repeated, tag = "4")]
    pub get: Vec<SortPattern>,
    /// Leave out so many in the beginning.
    #[prost(uint64, tag = "5")]
    pub start: u64,
    /// At most so many elements; absent: all.
    #[prost(uint64, optional, tag = "6")]
    pub count: Option<u64>,
    /// The greatest first.
    #[prost(bool, tag = "7")]
    pub descending: bool,
    /// Compare bytes instead of decimal numbers.
    #[prost(bool, tag = "8")]
    pub alphabetical: bool,
}

/// What to look up for an element. The key, or the field of a hash, names nothing if there is no such string.
#[derive(Clone, PartialEq, Message)]
pub struct SortPattern {
    /// The element itself.
    #[prost(bool, tag = "1")]
    pub element: bool,
    /// A key, with the element in place of the first `*`; nothing if there is no `*`.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    /// A field of the hash under that key; empty: the string under that key.
    #[prost(bytes = "bytes", tag = "3")]
    pub field: Bytes,
}

/// Sort elements and store them as a list.
#[derive(Clone, PartialEq, Message)]
pub struct SortAndStore {
    /// What to sort; never absent.
    #[prost(message, optional, tag = "1")]
    pub sort: Option<Sort>,
    /// The key of the list; what it held is gone.
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
}

impl SortPattern {
    /// The key for an element; `None` if the pattern has no place for it, or no key is as long.
    pub fn key_for(&self, element: &[u8]) -> Option<Bytes> {
        // Not even made: that would take hours for a million elements and a pattern of megabytes.
        if self.key.len() + element.len() > KEY_BYTES_MAX + 1 {
            return None;
        }
        let star = self.key.iter().position(|&byte| byte == b'*')?;
        Some([&self.key[..star], element, &self.key[star + 1..]].concat().into())
    }
}

impl Sort {
    /// Calls `visit` with every key that has a place for an element, and the option that it belongs to.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_patterns<E>(
        &mut self,
        visit: &mut dyn FnMut(&'static str, &mut Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let by = self.by.iter_mut().map(|pattern| ("BY", pattern));
        let get = self.get.iter_mut().map(|pattern| ("GET", pattern));
        for (option, pattern) in by.chain(get) {
            if !pattern.element && pattern.key.contains(&b'*') {
                visit(option, &mut pattern.key)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_keys_up_to_the_longest_there_can_be() {
        let pattern = SortPattern { key: "a*b".into(), ..SortPattern::default() };
        assert_eq!(pattern.key_for(b"xy"), Some("axyb".into()));
        let longest = pattern.key_for(&vec![b'x'; KEY_BYTES_MAX - 2]);
        assert_eq!(longest.map(|key| key.len()), Some(KEY_BYTES_MAX));
        assert_eq!(pattern.key_for(&vec![b'x'; KEY_BYTES_MAX - 1]), None);
        assert_eq!(SortPattern { key: "a".into(), ..pattern }.key_for(b"x"), None);
    }
}
