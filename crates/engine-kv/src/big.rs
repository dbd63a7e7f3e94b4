//! Whole numbers of any size: as little arithmetic as decimal numbers of 80-bit floats need.

use std::cmp::Ordering;

/// A whole number of any size, 64 bits a limb, lowest first, no zero limb on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Big(Vec<u64>);

impl From<u64> for Big {
    fn from(number: u64) -> Self {
        Big(vec![number]).trimmed()
    }
}

impl Big {
    /// Whether it is 0.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bits it has.
    pub(crate) fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 64 - top.leading_zeros() as usize)
    }

    /// The lowest 64 bits.
    pub(crate) fn low(&self) -> u64 {
        self.0.first().copied().unwrap_or(0)
    }

    /// One bit.
    pub(crate) fn bit(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|limb| limb >> (place % 64) & 1 == 1)
    }

    /// Whether any bit below a place is set.
    pub(crate) fn has_bits_below(&self, place: usize) -> bool {
        let whole = (place / 64).min(self.0.len());
        self.0[..whole].iter().any(|limb| *limb != 0)
            || self.0.get(place / 64).is_some_and(|limb| limb & ((1 << (place % 64)) - 1) != 0)
    }

    /// Compares two numbers.
    pub(crate) fn cmp(&self, other: &Big) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Times a small number, plus a small number.
    pub(crate) fn multiply_add(&mut self, factor: u64, summand: u64) {
        let mut carry = u128::from(summand);
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        if carry != 0 {
            self.0.push(carry as u64);
        }
    }

    /// The product.
    pub(crate) fn times(&self, other: &Big) -> Big {
        let mut product = vec![0_u64; self.0.len() + other.0.len()];
        for (i, a) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (place, b) in product[i..].iter_mut().zip(other.0.iter().chain(std::iter::once(&0))) {
                let sum = u128::from(*a) * u128::from(*b) + u128::from(*place) + carry;
                *place = sum as u64;
                carry = sum >> 64;
            }
        }
        Big(product).trimmed()
    }

    /// Adds.
    pub(crate) fn add(&mut self, other: &Big) {
        self.0.resize(self.0.len().max(other.0.len()) + 1, 0);
        let mut carry = false;
        for (i, limb) in self.0.iter_mut().enumerate() {
            let (sum, first) = limb.overflowing_add(other.0.get(i).copied().unwrap_or(0));
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
        self.trim();
    }

    /// Takes away a number that is not greater.
    pub(crate) fn subtract(&mut self, other: &Big) {
        debug_assert!(self.cmp(other) != Ordering::Less);
        let mut borrow = false;
        for (i, limb) in self.0.iter_mut().enumerate() {
            let (rest, first) = limb.overflowing_sub(other.0.get(i).copied().unwrap_or(0));
            let (rest, second) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = first || second;
        }
        self.trim();
    }

    /// Times 2^bits.
    pub(crate) fn shifted_left(&self, bits: usize) -> Big {
        if self.is_zero() {
            return self.clone();
        }
        let mut limbs = vec![0; bits / 64];
        let shift = bits % 64;
        let mut carry = 0;
        for limb in &self.0 {
            limbs.push(limb << shift | carry);
            carry = if shift == 0 { 0 } else { limb >> (64 - shift) };
        }
        limbs.push(carry);
        Big(limbs).trimmed()
    }

    /// Divided by 2^bits, rounded down.
    pub(crate) fn shifted_right(&self, bits: usize) -> Big {
        let shift = bits % 64;
        let limbs = self.0.get(bits / 64..).unwrap_or(&[]);
        let above = limbs.iter().skip(1).chain(std::iter::once(&0));
        let shifted = limbs
            .iter()
            .zip(above)
            .map(|(limb, above)| if shift == 0 { *limb } else { limb >> shift | above << (64 - shift) });
        Big(shifted.collect()).trimmed()
    }

    /// Decimal digits.
    pub(crate) fn to_decimal(&self) -> String {
        const CHUNK: u64 = 10_u64.pow(18);
        let mut rest = self.clone();
        let mut chunks = Vec::new();
        while !rest.is_zero() {
            chunks.push(rest.divide_small(CHUNK));
        }
        let Some(top) = chunks.pop() else { return "0".into() };
        let mut text = top.to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:018}"));
        }
        text
    }

    /// Divides in place and returns the remainder.
    fn divide_small(&mut self, divisor: u64) -> u64 {
        let mut rest = 0;
        for limb in self.0.iter_mut().rev() {
            let part = u128::from(rest) << 64 | u128::from(*limb);
            *limb = (part / u128::from(divisor)) as u64;
            rest = (part % u128::from(divisor)) as u64;
        }
        self.trim();
        rest
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn trimmed(mut self) -> Self {
        self.trim();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(number: u128) -> Big {
        let mut big = Big::from((number >> 64) as u64).shifted_left(64);
        big.add(&Big::from(number as u64));
        big
    }

    proptest! {
        #[test]
        fn agrees_with_the_machine(a in any::<u128>(), b in any::<u64>(), shift in 0_usize..128) {
            let (a, product) = (a >> 65, (a >> 65) * u128::from(b));
            prop_assert_eq!(big(a).times(&Big::from(b)), big(product));
            prop_assert_eq!(big(a).to_decimal(), a.to_string());
            prop_assert_eq!(big(product).shifted_right(shift), big(product >> shift));
            prop_assert_eq!(big(a).shifted_left(shift).shifted_right(shift), big(a));
            prop_assert_eq!(big(a).bits(), 128 - a.leading_zeros() as usize);
            let mut sum = big(a);
            sum.add(&Big::from(b));
            prop_assert_eq!(&sum, &big(a + u128::from(b)));
            sum.subtract(&Big::from(b));
            prop_assert_eq!(&sum, &big(a));
            let mask = (1_u128 << shift) - 1;
            prop_assert_eq!(big(product).has_bits_below(shift), product & mask != 0);
        }
    }
}
