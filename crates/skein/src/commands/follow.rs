//! Following an operation: a line that tells how far it is, until it has ended.
//!
//! On a terminal it is one line, written again and again. Elsewhere a line is written when the operation gets
//! to another step or waits for something else, and otherwise seldom: the output is a log that people read.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use api::admin::Operation;
use client::Client;
use types::{ErrorCode, Fault};

use super::op;
use crate::cli::Find;
use crate::exit::{self, Exit};
use crate::say::{self, Form};
use crate::signals::{self, Asked};

/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// How often a line is written where no terminal is, if nothing but numbers has changed.
const LINE_PAUSE: Duration = Duration::from_secs(10);
/// How often a line is written there at most: many parts end in a second.
const NEWS_PAUSE: Duration = Duration::from_secs(1);
/// How often the parts of an operation are asked what they wait for.
const PARTS_PAUSE: Duration = Duration::from_secs(1);
/// A cluster that does not answer is asked again for this long: its leader may have been lost.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// Speed is measured over this time.
const SPEED_OVER: Duration = Duration::from_secs(5);
/// Columns of a terminal that does not say how many it has.
const COLUMNS_DEFAULT: usize = 80;

/// Waits until an operation has ended, and says how far it is meanwhile. Ctrl-C ends the waiting only.
///
/// # Errors
/// `Unreachable` when nobody has answered for long; the operation goes on all the same.
pub fn until_ended(client: &Client, begun: Operation, find: &Find, form: Form) -> Result<Exit, Fault> {
    let (interrupt, interrupted) = channel();
    signals::listen(move |asked| {
        if asked == Asked::Stop {
            let _ = interrupt.send(());
        }
    })?;
    let id = begun.id;
    let mut progress = Progress::new(std::io::stderr().is_terminal());
    let ended = wait(client, begun, &interrupted, &mut progress);
    progress.finish();
    match ended {
        Ok(Some(operation)) => Ok(tell_end(&operation, form)),
        Ok(None) => {
            say::note(format_args!("operation {id} goes on by itself; 'skein op cancel {id}' ends it"));
            say::note(format_args!(" next: skein op watch {id}{}", find.words()));
            Ok(exit::INTERRUPTED)
        }
        Err(fault) => {
            let detail = format!("operation {id} goes on by itself\n{}", fault.detail);
            Err(Fault::new(fault.code, detail))
        }
    }
}

/// Looks until the operation has ended; `None` if somebody has had enough of it.
fn wait(
    client: &Client,
    begun: Operation,
    interrupted: &Receiver<()>,
    progress: &mut Progress,
) -> Result<Option<Operation>, Fault> {
    let clock = Instant::now();
    let (mut operation, mut heard) = (begun, clock.elapsed());
    let mut parts = Parts::default();
    loop {
        if op::has_ended(&operation) {
            return Ok(Some(operation));
        }
        let waits = parts.wait_of(client, &operation, clock.elapsed());
        progress.show(&operation, &waits, clock.elapsed());
        match interrupted.recv_timeout(LOOK_PAUSE) {
            Ok(()) => return Ok(None),
            // Signals that cannot be heard end nothing.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        match client.operation(operation.id) {
            Ok(seen) => (operation, heard) = (seen, clock.elapsed()),
            Err(fault) if !may_pass(fault.code) || clock.elapsed() > heard + SILENCE_LIMIT => {
                return Err(fault);
            }
            Err(_) => progress.silent(clock.elapsed().saturating_sub(heard)),
        }
    }
}

/// Whether an error says nothing about the operation.
fn may_pass(code: ErrorCode) -> bool {
    code.is_retryable() || code == ErrorCode::OutcomeUnknown
}

/// How it ended: data to stdout, a failure to stderr.
fn tell_end(operation: &Operation, form: Form) -> Exit {
    match form {
        Form::Json => say::json(operation),
        Form::Text => say::data(op::ending(operation)),
    }
    match operation.state.as_str() {
        "done" => exit::OK,
        "cancelled" => exit::CANCELLED,
        _ => {
            if let Some(error) = &operation.error {
                say::fault(&Fault::from(error), form);
            }
            if form == Form::Text {
                left(operation).for_each(say::note);
            }
            exit::ERROR
        }
    }
}

/// What an operation that failed has told of what it leaves.
fn left(operation: &Operation) -> impl Iterator<Item = &str> {
    let last = operation.events.iter().filter(|event| event.at_ms == operation.ended_ms);
    last.map(|event| event.text.as_str()).filter(|text| !text.starts_with("failed: "))
}

/// What the parts of an operation wait for. One that has none waits for itself.
#[derive(Default)]
struct Parts {
    asked: Option<Duration>,
    waits: String,
}

impl Parts {
    fn wait_of(&mut self, client: &Client, operation: &Operation, now: Duration) -> String {
        // One that has tasks waits for its parts in one of its steps only.
        if operation.parts == 0 || operation.parts == operation.parts_ended {
            return operation.waits_for.clone();
        }
        if self.asked.is_none_or(|at| now.saturating_sub(at) >= PARTS_PAUSE) {
            self.asked = Some(now);
            // Whatever it is, it is said again in a moment.
            let operations = client.operations().unwrap_or_default();
            self.waits = first_wait(&operations, operation.id);
        }
        self.waits.clone()
    }
}

/// What the first part waits for that runs and waits.
fn first_wait(operations: &[Operation], parent: u64) -> String {
    let runs = |part: &&Operation| part.parent == Some(parent) && part.started_ms > 0 && !op::has_ended(part);
    let mut waiting = operations.iter().filter(runs).filter(|part| !part.waits_for.is_empty());
    waiting.next().map(|part| part.waits_for.clone()).unwrap_or_default()
}

/// What was written, and the speed.
struct Progress {
    is_terminal: bool,
    meter: Meter,
    /// The last line, without what changes all the time, and when it was written.
    written: Option<(String, Duration)>,
}

impl Progress {
    fn new(is_terminal: bool) -> Self {
        Self { is_terminal, meter: Meter::default(), written: None }
    }

    fn show(&mut self, operation: &Operation, waits: &str, now: Duration) {
        self.meter.note(now, operation.bytes_done);
        let words = line(operation, waits, self.meter.speed());
        if self.is_terminal {
            rewrite(&words);
        } else if self.is_due(&stage(operation, waits), now) {
            say::note(words);
        }
    }

    /// Whether a line is to be written where each one stays.
    fn is_due(&mut self, stage: &str, now: Duration) -> bool {
        let due = match &self.written {
            None => true,
            Some((last, at)) => {
                let since = now.saturating_sub(*at);
                since >= LINE_PAUSE || (last != stage && since >= NEWS_PAUSE)
            }
        };
        if due {
            self.written = Some((stage.to_owned(), now));
        }
        due
    }

    fn silent(&mut self, since: Duration) {
        if self.is_terminal && since > LOOK_PAUSE * 5 {
            rewrite(&format!("no node has answered for {} s; asking again", since.as_secs()));
        }
    }

    /// Leaves an empty line to go on with.
    fn finish(&self) {
        if self.is_terminal {
            rewrite("");
        }
    }
}

/// Writes over the line that the cursor is in.
fn rewrite(words: &str) {
    let shown = cut(words, columns().saturating_sub(1));
    let mut stderr = std::io::stderr();
    // Back to the first column, and clear to the end of the line.
    let _ = write!(stderr, "\r\x1b[K{shown}");
    let _ = stderr.flush();
}

/// As many columns as there are; a line that wraps could not be written over.
fn cut(words: &str, columns: usize) -> String {
    let mut shown: String = words.chars().take(columns).collect();
    if shown.len() < words.len() {
        shown.pop();
        shown.push('…');
    }
    shown
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS_DEFAULT)
}

/// Bytes that have arrived, over the last seconds.
#[derive(Default)]
struct Meter {
    seen: VecDeque<(Duration, u64)>,
}

impl Meter {
    fn note(&mut self, now: Duration, bytes: u64) {
        // A step that begins anew counts from zero again.
        if self.seen.back().is_some_and(|(_, last)| bytes < *last) {
            self.seen.clear();
        }
        self.seen.push_back((now, bytes));
        while self.seen.len() > 2 && self.seen.get(1).is_some_and(|(at, _)| now - *at >= SPEED_OVER) {
            self.seen.pop_front();
        }
    }

    /// Bytes per second; 0 while nothing arrives.
    fn speed(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.seen.front(), self.seen.back()) else {
            return 0;
        };
        let took = (*to - *from).as_secs_f64();
        if took == 0.0 { 0 } else { ((after - before) as f64 / took) as u64 }
    }
}

/// What of an operation is worth a line of its own.
fn stage(operation: &Operation, waits: &str) -> String {
    let Operation { state, step, parts_ended, .. } = operation;
    format!("{state} {step} {parts_ended} {waits}")
}

/// `op 12 migrate: catch-up (2 of 5), 12.3 of 40.0 MiB, 10.2 MiB/s, 3 s left; replica 4 has to catch up`.
fn line(operation: &Operation, waits: &str, speed: u64) -> String {
    let mut pieces = Vec::new();
    match operation.steps.iter().position(|step| step.name == operation.step) {
        Some(at) if operation.state == "running" && operation.step != "parts" => {
            pieces.push(format!("{} ({} of {})", operation.step, at + 1, operation.steps.len()));
        }
        _ => pieces.push(operation.state.clone()),
    }
    if operation.parts > 0 {
        pieces.push(format!("{} of {} done", operation.parts_ended, say::count(operation.parts, "part")));
    }
    let (done, total) = (operation.bytes_done, operation.bytes_total);
    if total > 0 {
        pieces.push(format!("{} of {}", say::bytes(done.min(total)), say::bytes(total)));
        if speed > 0 && done < total {
            pieces.push(format!("{}/s", say::bytes(speed)));
            // The first bytes say nothing about the rest.
            if done >= total / 50 {
                pieces.push(format!("{} left", say::duration_s((total - done).div_ceil(speed))));
            }
        }
    }
    let waits = if waits.is_empty() { String::new() } else { format!("; {waits}") };
    format!("op {} {}: {}{waits}", operation.id, operation.kind, pieces.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::op::tests::migration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_line_says_how_far_it_is() {
        let mut operation = migration();
        operation.bytes_total = 40 << 20;
        operation.bytes_done = 10 << 20;
        let words = "op 12 migrate: catch-up (2 of 5), 10.0 MiB of 40.0 MiB, 10.0 MiB/s, 3 s left; \
                     replica 4 has to catch up";
        assert_eq!(line(&operation, &operation.waits_for, 10 << 20), words);
        let line = |operation: &Operation| super::line(operation, "", 0);
        operation.bytes_done = 40 << 20;
        assert_eq!(line(&operation), "op 12 migrate: catch-up (2 of 5), 40.0 MiB of 40.0 MiB");
        operation.bytes_done = 100;
        let early = super::line(&operation, "", 10);
        assert_eq!(early, "op 12 migrate: catch-up (2 of 5), 100 B of 40.0 MiB, 10 B/s");
        operation.parts = 9;
        operation.parts_ended = 3;
        operation.bytes_total = 0;
        assert_eq!(line(&operation), "op 12 migrate: catch-up (2 of 5), 3 of 9 parts done");
        operation.step = "parts".into();
        assert_eq!(line(&operation), "op 12 migrate: running, 3 of 9 parts done");
        operation.parts = 0;
        operation.state = "queued".into();
        assert_eq!(line(&operation), "op 12 migrate: queued");
    }

    #[test]
    fn a_line_is_cut_where_the_terminal_ends() {
        assert_eq!(cut("op 1 balance", 12), "op 1 balance");
        assert_eq!(cut("op 1 balance", 6), "op 1 …");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_part_that_runs_and_waits_is_named() {
        let part = |started_ms, waits: &str| Operation {
            parent: Some(1),
            started_ms,
            waits_for: waits.into(),
            ..migration()
        };
        let parts = [part(0, "the limit"), part(5, ""), part(5, "node 2 is down"), part(5, "more")];
        assert_eq!(first_wait(&parts, 1), "node 2 is down");
        assert_eq!(first_wait(&parts, 2), "");
    }

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let mut meter = Meter::default();
        assert_eq!(meter.speed(), 0);
        for second in 0..20 {
            // Fast in the beginning, then slow.
            meter.note(SECOND * second, u64::from(if second < 10 { second * 1000 } else { 9000 + second }));
        }
        assert_eq!(meter.speed(), 1);
        meter.note(SECOND * 20, 0);
        assert_eq!(meter.speed(), 0, "it begins anew");
        meter.note(SECOND * 22, 500);
        assert_eq!(meter.speed(), 250);
    }

    #[test]
    fn where_lines_stay_only_news_is_written() {
        let mut progress = Progress::new(false);
        let mut due = |stage: &str, second: u32| progress.is_due(stage, SECOND * second);
        assert!(due("add", 0));
        assert!(!due("add", 1) && !due("catch-up", 0), "not so soon");
        assert!(due("catch-up", 2) && !due("catch-up", 11));
        assert!(due("catch-up", 12), "a sign of life");
    }
}
