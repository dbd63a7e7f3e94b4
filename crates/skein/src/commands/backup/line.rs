//! A line on the terminal that tells how far work on a backup is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::backups::crew::{Go, Seen, Totals};
use crate::say;

/// The line, written again and again; nothing where no terminal is.
pub struct Line {
    /// What is done, in a word for people.
    verb: &'static str,
    /// About how many bytes it is about; 0 if that is not known.
    bytes: u64,
    begun: Instant,
    /// Characters of the line on the terminal.
    shown: usize,
}

impl Line {
    /// Begins now.
    pub fn new(verb: &'static str, bytes: u64) -> Self {
        Self { verb, bytes, begun: Instant::now(), shown: 0 }
    }

    /// Writes how far it is.
    pub fn show(&mut self, seen: &Seen) -> Go {
        if std::io::stderr().is_terminal() {
            let line = words(self.verb, (seen.done, seen.of), seen.totals, self.bytes, self.begun.elapsed());
            let width = line.chars().count();
            let _ = write!(std::io::stderr(), "\r{line}{}", " ".repeat(self.shown.saturating_sub(width)));
            self.shown = width;
        }
        Go::On
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown > 0 {
            let _ = write!(std::io::stderr(), "\r{}\r", " ".repeat(self.shown));
        }
    }
}

/// `restored 1.2 GiB of about 2.0 GiB, 5/8 done, 160.3 MiB/s, about 5 s left`.
fn words(verb: &str, (done, of): (usize, usize), so_far: Totals, bytes: u64, took: Duration) -> String {
    let speed = so_far.bytes as f64 / took.as_secs_f64().max(0.001);
    let mut line = format!("{verb} {}", say::bytes(so_far.bytes));
    if bytes > 0 {
        line.push_str(&format!(" of about {}", say::bytes(bytes)));
    }
    line.push_str(&format!(", {done}/{of} done, {}/s", say::bytes(speed as u64)));
    if bytes > so_far.bytes && speed >= 1.0 {
        let left = (bytes - so_far.bytes) as f64 / speed;
        line.push_str(&format!(", about {} left", say::duration_s(left as u64)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_bytes_speed_and_time_left() {
        let so_far = Totals { bytes: 100 << 20, ..Default::default() };
        let line = |bytes| words("saved", (1, 8), so_far, bytes, Duration::from_secs(10));
        assert_eq!(
            line(200 << 20),
            "saved 100.0 MiB of about 200.0 MiB, 1/8 done, 10.0 MiB/s, about 10 s left"
        );
        assert_eq!(line(0), "saved 100.0 MiB, 1/8 done, 10.0 MiB/s");
    }
}
