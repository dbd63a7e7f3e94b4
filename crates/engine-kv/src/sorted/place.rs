//! Places: scores and members as bytes that sort as Redis sorts them, and the parts made of them.

use bytes::{BufMut, Bytes, BytesMut};
use engine::EngineError;

use crate::layout::PART_PREFIX_BYTES;

/// First byte of the index's sub-keys.
pub(super) const INDEX: u8 = b'i';
/// First byte of the members' sub-keys.
pub(super) const MEMBER: u8 = b'm';
/// First byte of the places' sub-keys.
pub(super) const PLACE: u8 = b's';

/// Bytes of a score.
pub(super) const SCORE_BYTES: usize = 8;
/// Bytes of the version in front of a member's score.
const VERSION_BYTES: usize = 8;

/// A score as a number that sorts as scores do; both zeros are equal.
///
/// The bits of positive numbers sort as the numbers do, those of negative ones the other way round.
pub(super) fn sortable(score: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = positive_zero(score).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn score_of(sortable: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    f64::from_bits(if sortable & SIGN == 0 { !sortable } else { sortable & !SIGN })
}

/// The score without the sign of a zero, which would have no place of its own in the order.
pub(super) fn positive_zero(score: f64) -> f64 {
    if score == 0.0 { 0.0 } else { score }
}

/// The place of a member.
pub(super) fn place(score: f64, member: &[u8]) -> Bytes {
    place_of_bits(sortable(score), member)
}

/// The place of a member whose score is given as its sortable number.
pub(super) fn place_of_bits(sortable: u64, member: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(SCORE_BYTES + member.len());
    bytes.put_u64(sortable);
    bytes.put_slice(member);
    bytes.freeze()
}

/// The member and score of a place.
pub(super) fn split_place(place: &Bytes) -> Result<(Bytes, f64), EngineError> {
    let score = place.first_chunk().ok_or_else(|| damaged("a place is too short"))?;
    Ok((place.slice(SCORE_BYTES..), score_of(u64::from_be_bytes(*score))))
}

/// The place in the record key of its part.
pub(super) fn place_in(record_key: &Bytes) -> Bytes {
    record_key.slice(PART_PREFIX_BYTES + 1..)
}

/// The sub-key of a place.
pub(super) fn place_key(place: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + place.len());
    bytes.put_u8(PLACE);
    bytes.put_slice(place);
    bytes.freeze()
}

/// What a member's part holds.
pub(super) fn member_value(version: u64, score: f64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(VERSION_BYTES + SCORE_BYTES);
    bytes.put_u64(version);
    bytes.put_u64(score.to_bits());
    bytes.freeze()
}

/// The score in a member's part.
pub(super) fn score_in(value: &[u8]) -> Result<f64, EngineError> {
    let score = value.get(VERSION_BYTES..).and_then(|score| score.try_into().ok());
    let score = score.map(|bits| f64::from_bits(u64::from_be_bytes(bits)));
    score.filter(|score| !score.is_nan()).ok_or_else(|| damaged("a member has no score"))
}

/// The shortest bytes above `before` that are not above `place`, which is the greater of the two.
pub(super) fn separator(before: &[u8], place: &Bytes) -> Bytes {
    let common = before.iter().zip(place.iter()).take_while(|(a, b)| a == b).count();
    Bytes::copy_from_slice(&place[..(common + 1).min(place.len())])
}

pub(super) fn damaged(what: &str) -> EngineError {
    EngineError::Damaged(format!("a sorted set: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_sort_as_numbers() {
        let scores = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            5e-324,
            1.0,
            1.0000000000000002,
            f64::MAX,
            f64::INFINITY,
        ];
        assert!(scores.is_sorted_by(|a, b| sortable(*a) < sortable(*b)));
        assert_eq!(sortable(-0.0), sortable(0.0));
        assert!(sortable(f64::INFINITY) < u64::MAX, "there must be something behind the last score");
    }

    proptest! {
        #[test]
        fn a_place_is_split_into_what_it_was_made_of(score: f64, member: Vec<u8>) {
            prop_assume!(!score.is_nan());
            let (found, back) = split_place(&place(score, &member)).unwrap();
            prop_assert_eq!((&found[..], back), (&member[..], positive_zero(score)));
            prop_assert_eq!(score_in(&member_value(7, score)).unwrap(), score);
        }

        #[test]
        fn a_separator_divides_as_its_place_does(mut a: Vec<u8>, mut b: Vec<u8>) {
            prop_assume!(a != b);
            if a > b {
                std::mem::swap(&mut a, &mut b);
            }
            let separator = separator(&a, &b.clone().into());
            prop_assert!(a < separator && separator <= b && separator.len() <= a.len() + 1);
        }
    }
}
