//! A line on the terminal that tells how far work is, written again and again; nothing where no terminal is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Line {
    last: Option<Instant>,
    /// Characters of the line on the terminal.
    shown: usize,
}

impl Line {
    /// Writes how far it is, this often at most.
    pub(super) fn show(&mut self, every: Duration, words: impl FnOnce() -> String) {
        if self.last.is_some_and(|last| last.elapsed() < every) || !std::io::stderr().is_terminal() {
            return;
        }
        self.last = Some(Instant::now());
        let words = words();
        let width = words.chars().count();
        let _ = write!(std::io::stderr(), "\r{words}{}", " ".repeat(self.shown.saturating_sub(width)));
        self.shown = width;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown > 0 {
            let _ = write!(std::io::stderr(), "\r{}\r", " ".repeat(self.shown));
        }
    }
}
