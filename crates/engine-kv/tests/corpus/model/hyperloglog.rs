//! HyperLogLog: 16384 registers, each the greatest rank that was seen; the paper's estimate of how many there were.

use proto_redis::Reply;

use super::{Answer, Model, Text, Value, WRONG_TYPE, integer};

const REGISTERS: usize = 16_384;
const NOT_ONE: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";

impl Model {
    pub(super) fn hyperloglog_command(&mut self, name: &str, words: &[Text]) -> Option<Answer> {
        Some(match name {
            "PFADD" => self.pfadd(words),
            "PFCOUNT" => self.merged(words).map(|registers| Reply::Integer(estimate(&registers))),
            "PFMERGE" => self.merged(words).map(|registers| {
                self.put(&words[0], Value::HyperLogLog(registers));
                Reply::OK
            }),
            _ => return None,
        })
    }

    fn pfadd(&mut self, words: &[Text]) -> Answer {
        let known = self.registers(&words[0])?;
        let mut registers = known.clone().unwrap_or(vec![0; REGISTERS]);
        for element in &words[1..] {
            let hash = murmur(element);
            let register = &mut registers[hash as usize % REGISTERS];
            let rank = ((hash / REGISTERS as u64) | (1 << 50)).trailing_zeros() + 1;
            *register = (*register).max(rank as u8);
        }
        let changed = known.as_ref() != Some(&registers);
        self.put(&words[0], Value::HyperLogLog(registers));
        integer(usize::from(changed))
    }

    fn merged(&self, keys: &[Text]) -> Result<Vec<u8>, String> {
        let mut merged = vec![0; REGISTERS];
        for key in keys {
            let registers = self.registers(key)?.unwrap_or(vec![0; REGISTERS]);
            for (to, from) in merged.iter_mut().zip(registers) {
                *to = from.max(*to);
            }
        }
        Ok(merged)
    }

    fn registers(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::HyperLogLog(registers)) => Ok(Some(registers.clone())),
            Some(Value::String(_)) => Err(NOT_ONE.into()),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }
}

/// Ertl's improved estimator, arXiv:1702.01284, algorithm 6.
fn estimate(registers: &[u8]) -> i64 {
    let all = REGISTERS as f64;
    let with_rank =
        |rank: usize| registers.iter().filter(|register| usize::from(**register) == rank).count() as f64;
    let mut sum = all * tau(1.0 - with_rank(51) / all);
    for rank in (1..=50).rev() {
        sum = 0.5 * (sum + with_rank(rank));
    }
    sum += all * sigma(with_rank(0) / all);
    (0.5 / 2_f64.ln() * all * all / sum).round() as i64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut sum, mut weight) = (x, 1.0);
    while x > 1e-300 {
        x *= x;
        sum += x * weight;
        weight *= 2.0;
    }
    sum
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut sum, mut weight) = (1.0 - x, 1.0);
    while x < 1.0 - 1e-15 {
        x = x.sqrt();
        weight *= 0.5;
        sum -= (1.0 - x).powi(2) * weight;
    }
    sum / 3.0
}

/// MurmurHash64A by Austin Appleby, with the seed of Redis.
fn murmur(text: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    let mut hash = 0xadc8_3b19 ^ (text.len() as u64).wrapping_mul(MULTIPLIER);
    let chunks = text.chunks_exact(8);
    let tail = chunks.remainder();
    for chunk in chunks {
        let mut word = u64::from_le_bytes(chunk.try_into().unwrap()).wrapping_mul(MULTIPLIER);
        word = (word ^ (word >> 47)).wrapping_mul(MULTIPLIER);
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ last).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 47)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 47)
}
