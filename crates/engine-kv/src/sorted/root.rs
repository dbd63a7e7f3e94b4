//! What the key's record says of a sorted set besides the number of its members.

use bytes::{BufMut, Bytes};
use engine::EngineError;

use super::place::damaged;
use crate::collection::successor_of_prefix;

/// Most bytes that are kept of the first and last place.
const END_BYTES_MAX: usize = 40;

/// What the key's record says of a sorted set. Both ends are known so that walks begin there: in front of the first
/// member may lie the graves of a million that were popped, which a log-structured store keeps for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Root {
    /// How many levels the index has; 0: there is none.
    pub(super) levels: u8,
    /// The beginning of the first place, at most [`END_BYTES_MAX`] bytes.
    first: Bytes,
    /// The beginning of the last place, at most so many.
    last: Bytes,
    /// The first place was removed, so `first` only lies before the first one.
    first_is_gone: bool,
    /// The last place was removed.
    last_is_gone: bool,
}

impl Root {
    /// Reads it: levels u8, length of the first place u8, first place, last place.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, EngineError> {
        let [levels, length, ends @ ..] = &bytes[..] else {
            return if bytes.is_empty() {
                Ok(Self::default())
            } else {
                Err(damaged("its root is too short"))
            };
        };
        let first = ends.get(..usize::from(*length)).ok_or_else(|| damaged("its root is too short"))?;
        let (first, last) = (bytes.slice_ref(first), bytes.slice(2 + first.len()..));
        Ok(Self { levels: *levels, first, last, ..Self::default() })
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(2 + self.first.len() + self.last.len());
        bytes.put_u8(self.levels);
        bytes.put_u8(self.first.len() as u8);
        bytes.put_slice(&self.first);
        bytes.put_slice(&self.last);
        bytes.into()
    }

    /// Notes a new place; `is_only` if there is no other.
    pub(super) fn add(&mut self, place: &Bytes, is_only: bool) {
        let place = beginning(place);
        if is_only || place < &self.first[..] {
            (self.first, self.first_is_gone) = (Bytes::copy_from_slice(place), false);
        }
        if is_only || place > &self.last[..] {
            (self.last, self.last_is_gone) = (Bytes::copy_from_slice(place), false);
        }
    }

    /// Notes that a place is gone.
    pub(super) fn remove(&mut self, place: &Bytes) {
        let place = beginning(place);
        self.first_is_gone |= place == self.first;
        self.last_is_gone |= place == self.last;
    }

    /// Whether the first place, and the last one, have to be looked for.
    pub(super) fn is_gone(&self) -> (bool, bool) {
        (self.first_is_gone, self.last_is_gone)
    }

    /// Notes the first place, which was found.
    pub(super) fn set_first(&mut self, place: &Bytes) {
        (self.first, self.first_is_gone) = (Bytes::copy_from_slice(beginning(place)), false);
    }

    /// Notes the last place, which was found.
    pub(super) fn set_last(&mut self, place: &Bytes) {
        (self.last, self.last_is_gone) = (Bytes::copy_from_slice(beginning(place)), false);
    }

    /// No place lies before this.
    pub(super) fn start(&self) -> &Bytes {
        &self.first
    }

    /// Every place lies before this, if it is known.
    pub(super) fn end(&self) -> Option<Vec<u8>> {
        match self.last.len() {
            0 => None,
            END_BYTES_MAX => successor_of_prefix(&self.last),
            _ => Some([&self.last[..], &[0]].concat()),
        }
    }
}

fn beginning(place: &[u8]) -> &[u8] {
    &place[..place.len().min(END_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_places_lie_between_the_ends(
            places in proptest::collection::vec(proptest::collection::vec(254_u8.., 1..60), 1..6),
        ) {
            let places: Vec<Bytes> = places.into_iter().map(Bytes::from).collect();
            let mut root = Root::default();
            for (number, place) in places.iter().enumerate() {
                root.add(place, number == 0);
            }
            let root = Root::decode(&root.encode()).unwrap();
            prop_assert!(places.iter().all(|place| place >= root.start()));
            // There is no end behind a place of nothing but the highest bytes, and then none is known.
            prop_assert!(root.end().is_none_or(|end| places.iter().all(|place| place[..] < end[..])));
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>) {
            let _ = Root::decode(&bytes.into());
        }
    }
}
