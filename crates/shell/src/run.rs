//! One command or a whole conversation, between a cluster and whoever types.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use client::Lookup;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use types::{ErrorCode, Fault};

use crate::connect::{self, Connected};
use crate::layout::View;
use crate::line::Line;
use crate::session::{Clock, Outcome, Session};

/// Where words go: the original's to `out`, ours for people to `notes`.
pub struct Streams<'a> {
    /// What scripts read.
    pub out: &'a mut dyn Write,
    /// What people read.
    pub notes: &'a mut dyn Write,
}

/// What somebody wants of a shell.
pub struct Use<'a> {
    /// The name of the program, in its banner.
    pub program: &'a str,
    /// Whose columns and words are shown.
    pub view: View,
    /// The database to begin with; empty is the default one.
    pub database: &'a str,
    /// The one command to carry out; `None` reads them one after another.
    pub command: Option<&'a str>,
}

/// `skein ns`: the shell on the cluster that was looked up.
///
/// # Errors
/// Why the cluster could not be reached; an error of a command was said already, and is the inner one.
pub fn run_ns(
    lookup: &Lookup,
    database: &str,
    command: Option<&str>,
    streams: &mut Streams<'_>,
) -> Result<Result<(), ErrorCode>, Fault> {
    let found = connect::to_leader(&lookup.client()?, lookup)?;
    let wanted = Use { program: "skein", view: View::Fedb, database, command };
    Ok(use_shell(&found, &wanted, streams))
}

/// Carries out one command, or all that are typed.
pub(crate) fn use_shell(
    found: &Connected,
    wanted: &Use<'_>,
    streams: &mut Streams<'_>,
) -> Result<(), ErrorCode> {
    let clock = SystemClock { zone: TimeZone::system() };
    let mut session = Session {
        cluster: &found.client,
        view: wanted.view,
        database: String::new(),
        directory: Path::new(".").to_owned(),
        clock: &clock,
        ask: None,
    };
    if !wanted.database.is_empty() {
        let chosen = session.run(&format!("use {}", wanted.database));
        if let Some(error) = chosen.error {
            streams.tell(&chosen);
            return Err(error);
        }
    }
    if let Some(command) = wanted.command {
        let outcome = session.run(command);
        streams.tell(&outcome);
        return outcome.error.map_or(Ok(()), Err);
    }
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return read_all(&mut session, streams);
    }
    streams.print_line(&format!("Welcome to {} with version {}", wanted.program, env!("CARGO_PKG_VERSION")));
    let line = Line::new(&found.client).map_err(|error| {
        let fault = Fault::new(ErrorCode::Internal, error.to_string());
        streams.fail("the terminal cannot be used", &fault)
    })?;
    let ask = |question: &str| line.ask(question);
    converse(&mut Session { ask: Some(&ask), ..session }, &found.leader, &line, streams);
    Ok(())
}

/// Commands typed at a terminal. Errors were seen, so the conversation itself ends well.
fn converse(session: &mut Session<'_>, leader: &str, line: &Line<'_>, streams: &mut Streams<'_>) {
    loop {
        line.suggest_for(&session.database);
        let Some(typed) = line.read(&format!("{leader} {}> ", session.database)) else {
            return streams.print_line("bye");
        };
        line.remember(&typed);
        let outcome = session.run(&typed);
        streams.tell(&outcome);
        if outcome.reply.is_last {
            return;
        }
    }
}

/// Commands from a file or a pipe, to the end; the first error decides the exit status.
fn read_all(session: &mut Session<'_>, streams: &mut Streams<'_>) -> Result<(), ErrorCode> {
    let mut first = None;
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let outcome = session.run(&line);
        streams.tell(&outcome);
        first = first.or(outcome.error);
        if outcome.reply.is_last {
            break;
        }
    }
    first.map_or(Ok(()), Err)
}

impl Streams<'_> {
    /// Words of the original on stdout. A reader that has gone away ends nothing, here and below.
    pub(crate) fn print_line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    /// Words for people on stderr.
    pub(crate) fn say(&mut self, words: &str) {
        let _ = writeln!(self.notes, "{words}");
    }

    /// An error: the original's words, and why.
    pub(crate) fn fail(&mut self, words: &str, fault: &Fault) -> ErrorCode {
        self.print_line(words);
        self.say(&format!("error: {fault}\n next: {}", fault.code.hint()));
        fault.code
    }

    fn tell(&mut self, outcome: &Outcome) {
        let _ = self.out.write_all(outcome.reply.text.as_bytes()).and_then(|()| self.out.flush());
        outcome.reply.notes.iter().for_each(|note| self.say(note));
    }
}

/// The clock and the time zone of this machine.
struct SystemClock {
    zone: TimeZone,
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
    }

    fn local(&self, ms: u64) -> String {
        local(ms, &self.zone)
    }
}

/// A time as `YYYYMMDDHHMMSS`; one that no calendar has is left out.
pub(crate) fn local(ms: u64, zone: &TimeZone) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map(|at| at.to_zoned_datetime(zone.clone()).strftime("%Y%m%d%H%M%S").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local() {
        let shanghai = TimeZone::fixed(jiff::tz::offset(8));
        // The first start_time of the FEDB guide.
        assert_eq!(local(1_535_111_918_000, &shanghai), "20180824195838");
        assert_eq!(local(1_535_111_918_000, &TimeZone::UTC), "20180824115838");
        assert_eq!(local(u64::MAX, &TimeZone::UTC), "");
    }
}
