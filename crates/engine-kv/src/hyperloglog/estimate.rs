//! How many elements the registers have seen.
//!
//! The estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017
//! (arXiv:1702.01284), algorithm 6: it needs no correction for small or large numbers. Redis uses it as well, and
//! the sums are added in the same order, so that the numbers are the same.

use super::format::{RANK_BITS, REGISTERS, Registers};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate.
pub(super) fn count(registers: &Registers) -> u64 {
    // Ranks are at most 63: six bits.
    let mut of_rank = [0_u32; 64];
    for rank in registers.ranks() {
        of_rank[usize::from(*rank & 0x3f)] += 1;
    }
    let top = RANK_BITS as usize + 1;
    let all = REGISTERS as f64;
    let mut sum = all * tau((all - f64::from(of_rank[top])) / all);
    for rank in (1..top).rev() {
        sum = (sum + f64::from(of_rank[rank])) * 0.5;
    }
    sum += all * sigma(f64::from(of_rank[0]) / all);
    // An infinite sum, with all registers empty, gives 0.
    (ALPHA * all * all / sum).round() as u64
}

/// x + Σ x^(2^k) 2^(k−1) for k from 1 on.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// (1 − x − Σ (1 − x^(2^−k))² 2^−k for k from 1 on) / 3.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{Sketch, place};
    use super::*;

    #[test]
    fn the_estimate_is_near() {
        assert_eq!(count(&Registers::default()), 0);
        let mut sketch = Sketch::default();
        for number in 1..=100_000_u64 {
            let (register, rank) = place(number.to_string().as_bytes());
            sketch.raise(register, rank).unwrap();
            if [1, 10, 1000, 100_000].contains(&number) {
                let estimate = count(&sketch.registers().unwrap()) as f64;
                assert!((estimate / number as f64 - 1.0).abs() < 0.02, "{estimate} of {number}");
            }
        }
    }
}
