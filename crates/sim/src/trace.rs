//! The trace: one line for each thing that happens, or only its hash.
//!
//! Every run hashes what happens, so that two runs of a seed can be compared for the price of a few
//! multiplications; the words are made only when somebody wants to read them.

use std::fmt::{self, Write as _};
use std::io::{BufWriter, Stdout, Write as _};

use crate::random::mix;

/// What happened, as a hash and perhaps as text on standard output.
#[derive(Default)]
pub struct Trace {
    hash: u64,
    text: Option<BufWriter<Stdout>>,
}

impl Trace {
    /// A trace; printed as it grows if `readable`, so that it is there when the run ends in a panic.
    pub fn new(readable: bool) -> Self {
        Self { hash: 0, text: readable.then(|| BufWriter::new(std::io::stdout())) }
    }

    /// Something happened at a time: numbers for the hash, words for the reader.
    pub fn note(
        &mut self,
        now: u64,
        numbers: &[u64],
        words: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result,
    ) {
        let mut hash = self.hash ^ now;
        for number in numbers {
            hash = hash.rotate_left(23).wrapping_add(*number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        self.hash = mix(hash);
        if let Some(text) = &mut self.text {
            let micros = now / 1000;
            let mut line = format!("{:>3}.{:06}  ", micros / 1_000_000, micros % 1_000_000);
            // Writing into memory cannot fail, and a reader who went away misses nothing.
            let _ = words(&mut line).and_then(|()| line.write_char('\n'));
            let _ = text.write_all(line.as_bytes());
        }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}
