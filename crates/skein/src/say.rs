//! What people see: words to stderr, data to stdout, errors in one shape.
//!
//! ```text
//! error: the directory holds a cluster of another shape than asked for [topology-differs]
//!        ./skein-data has 3 nodes, --nodes asks for 5
//!  next: leave the option out to start the cluster as it is
//! ```

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use api::admin::ErrorBody;
use serde::Serialize;
use types::Fault;

use crate::exit::{self, Exit};

/// How a command gives its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people: aligned text.
    Text,
    /// For programs: JSON.
    Json,
}

/// Something to know, on stderr.
pub fn note(words: impl Display) {
    // Nobody reads a closed stderr; that is no reason to end.
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Data, on stdout. A reader that has gone away ends nothing: the command's exit code still counts.
pub fn data(text: impl Display) {
    let _ = writeln!(Out, "{text}");
}

/// Why data on stdout was lost, the first time that it was.
static LOST: OnceLock<String> = OnceLock::new();

/// Stdout for data. Writing never fails, for what a command does must not end halfway because of a full disk behind
/// its words; what was lost is told at the end, by [`ended`].
pub struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        written(io::stdout().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        written(io::stdout().flush());
        Ok(())
    }
}

/// Notes that data was lost, unless whoever read it wants no more.
pub fn written(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != ErrorKind::BrokenPipe
    {
        // Later ones say the same.
        let _ = LOST.set(error.to_string());
    }
}

/// How the program ends: a command whose data did not get through has not succeeded.
pub fn ended(exit: Exit) -> Exit {
    written(io::stdout().flush());
    match LOST.get() {
        Some(why) if exit == exit::OK => {
            note(format_args!("error: the output could not be written: {why}"));
            exit::ERROR
        }
        _ => exit,
    }
}

/// Data as one JSON document.
pub fn json(value: &impl Serialize) {
    data(serde_json::to_string_pretty(value).expect("replies are plain data"));
}

/// Data as one line of JSON.
pub fn json_line(value: &impl Serialize) {
    data(serde_json::to_string(value).expect("replies are plain data"));
}

/// An error, on stderr: as text, or as one line of JSON.
pub fn fault(fault: &Fault, form: Form) {
    match form {
        Form::Text => note(explained(fault)),
        Form::Json => note(serde_json::to_string(&ErrorBody::from(fault)).expect("plain data")),
    }
}

/// An error in the shape above.
pub fn explained(fault: &Fault) -> String {
    let mut text = format!("error: {} [{}]", fault.code.cause(), fault.code.as_str());
    for line in fault.detail.lines() {
        text.push_str("\n       ");
        text.push_str(line);
    }
    text.push_str("\n next: ");
    text.push_str(fault.code.hint());
    text
}

/// Rows under headings, columns aligned, nothing drawn around them.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut lines: Vec<Vec<String>> = vec![headings.iter().map(ToString::to_string).collect()];
    lines.extend(rows);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let aligned = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>().trim_end().to_owned()
    });
    aligned.collect::<Vec<_>>().join("\n")
}

/// `1 node`, `3 nodes`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `17 B`, `12.3 MiB`: three digits or so, as people read them.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    // From here on it would be printed as 1024.0.
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// `2 s`, `5 min`, `3 h`, `2 d`: as exact as a guess can be.
pub fn duration_s(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { duration_ms(seconds.saturating_mul(1000)) }
}

/// `0.4 s`, `12 s`, `5 min`, `3 h`, `2 d`: as exact as it matters.
pub fn duration_ms(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{:.1} s", ms as f64 / 1000.0),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::ErrorCode;

    #[test]
    fn an_error_has_cause_detail_and_next() {
        let fault = Fault::new(ErrorCode::PortInUse, "127.0.0.1:7000 (redis-server, process 9)");
        assert_eq!(
            explained(&fault),
            "error: an address that the node must listen at is in use [port-in-use]\n       \
             127.0.0.1:7000 (redis-server, process 9)\n \
             next: stop the program that uses it, or choose other ports: --base-port of 'skein up', --port-base of 'skein server'"
        );
    }

    #[test]
    fn amounts_are_short() {
        let amounts = [0, 1023, 1024, 12_902_400, 1_048_575, u64::MAX].map(bytes);
        assert_eq!(amounts, ["0 B", "1023 B", "1.0 KiB", "12.3 MiB", "1.0 MiB", "16384.0 PiB"]);
        let times = [0, 440, 9_999, 75_000, 119_999, 120_000, 7_200_000, 172_800_000].map(duration_ms);
        assert_eq!(times, ["0.0 s", "0.4 s", "10.0 s", "75 s", "119 s", "2 min", "2 h", "2 d"]);
    }

    #[test]
    fn columns_are_aligned_without_trailing_blanks() {
        let rows = vec![vec!["1".into(), "up".into()], vec!["20".into(), "suspect".into()]];
        assert_eq!(table(&["NODE", "STATE"], rows), "NODE  STATE\n1     up\n20    suspect");
    }
}
