//! The transcripts of the documents, executed: what a reader types gives what a reader is shown.
//!
//! A transcript is a block of code marked `console`. A line that begins with `$ ` is typed; the lines up to
//! the next one must be printed, in this order, others may stand between them. Numbers and the width of
//! blanks do not count (pids, ports and times differ), and a line `...` says that some are left out.
//! Commands of a block marked `console running` go on while the next blocks are executed, as in another
//! terminal; at the end of the document they get Ctrl-C and must end well. Each document begins without a
//! cluster.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{is_installed, root, target};

/// How long a command may take: the first one builds everything.
const PATIENCE: Duration = Duration::from_secs(1200);
/// How long a program may take to end after Ctrl-C, and how often it is looked whether it has.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
const ENDED_LOOK: Duration = Duration::from_millis(20);
/// The documents, in the order in which they are read. The first one builds the program.
const DOCUMENTS: &[&str] = &["README.md", "docs/operations.md"];
/// What a reader does once, and this program has done by being here.
const DONE_ALREADY: &[&str] = &["git clone ", "cd "];

/// A command of a transcript.
#[derive(Debug, PartialEq, Eq)]
struct Typed {
    command: String,
    /// Lines that it prints.
    shown: Vec<String>,
    /// Whether it goes on while the next ones are typed.
    running: bool,
}

/// A command that was started.
struct Started {
    child: Child,
    lines: Receiver<String>,
    command: String,
}

/// Executes all transcripts.
///
/// # Errors
/// A command failed or printed something else than is shown.
pub fn check() -> Result<String> {
    let (mut executed, mut all) = (0, 0);
    for document in DOCUMENTS {
        let (done, of) = check_document(document).with_context(|| (*document).to_owned())?;
        executed += done;
        all += of;
    }
    Ok(format!("{executed} of {all} commands executed as shown"))
}

/// How many commands of a document were executed, and how many it has.
fn check_document(document: &str) -> Result<(usize, usize)> {
    let path = root().join(document);
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let transcript = parse(&text);
    ensure!(!transcript.is_empty(), "it has no transcript: a block of code marked 'console'");
    let data = root().join("skein-data");
    ensure!(!data.exists(), "{} is there: move it away, the transcript makes its own", data.display());
    let mut running = Vec::new();
    let outcome = execute(&transcript, &mut running);
    let mut ended = Ok(());
    for started in running.into_iter().rev() {
        ended = ended.and(interrupt(started));
    }
    // Whatever happened: what the transcript made is no part of the repository.
    let removed = if data.exists() { std::fs::remove_dir_all(&data) } else { Ok(()) };
    let executed = outcome?;
    ended?;
    removed?;
    Ok((executed, transcript.len()))
}

fn execute(transcript: &[Typed], running: &mut Vec<Started>) -> Result<usize> {
    let mut executed = 0;
    for typed in transcript {
        let program = typed.command.split(' ').next().unwrap_or_default();
        if DONE_ALREADY.iter().any(|start| typed.command.starts_with(start)) {
            continue;
        }
        if program == "redis-cli" && !is_installed(program) {
            println!("SKIPPED: {} (redis-cli is not installed)", typed.command);
            continue;
        }
        let mut started = start(&typed.command)?;
        let shown = await_lines(&mut started, typed);
        if typed.running {
            running.push(started);
        } else if shown.is_ok() {
            // The reader of its output has seen the end of it, or will: it is not needed any more.
            let status = started.child.wait()?;
            ensure!(status.success(), "$ {} ended with {status}", typed.command);
        } else {
            interrupt(started).ok();
        }
        shown?;
        executed += 1;
    }
    Ok(executed)
}

fn start(command: &str) -> Result<Started> {
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("exec 2>&1; {command}")).current_dir(root());
    // The documents say where 'skein' is.
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let ours = std::iter::once(target().join("release")).chain(std::env::split_paths(&paths));
    shell.env("PATH", std::env::join_paths(ours).context("a path with a colon")?);
    // A group of its own gets Ctrl-C as a terminal would send it: the shell and all that it started.
    shell.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = shell.spawn().context("cannot run bash")?;
    let output = child.stdout.take().context("a pipe was asked for")?;
    Ok(Started { child, lines: lines_of(output), command: command.to_owned() })
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens any more; the program must not block on its output all the same.
            let _ = tell.send(line);
        }
    });
    lines
}

/// Reads until everything that is shown was printed; the rest, too, if the command ends.
fn await_lines(started: &mut Started, typed: &Typed) -> Result<()> {
    let mut wanted = typed.shown.iter().map(|line| normal(line)).filter(|line| line != "...").peekable();
    let mut printed = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if typed.running && wanted.peek().is_none() {
            return Ok(());
        }
        match started.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if wanted.peek().is_some_and(|wanted| *wanted == normal(&line)) {
                    wanted.next();
                }
                printed.push(line);
            }
            Err(RecvTimeoutError::Timeout) => bail!("$ {} takes too long", typed.command),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match wanted.next() {
        None if !typed.running => Ok(()),
        None => bail!("$ {} ended, and should go on running", typed.command),
        Some(missing) => {
            bail!("$ {} did not print\n  {missing}\nbut\n  {}", typed.command, printed.join("\n  "))
        }
    }
}

/// Ctrl-C, and a good end.
fn interrupt(mut started: Started) -> Result<()> {
    let group = rustix::process::Pid::from_child(&started.child);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).ok();
    let asked = Instant::now();
    let mut status = started.child.try_wait()?;
    while status.is_none() && asked.elapsed() < ENDS_WITHIN {
        std::thread::sleep(ENDED_LOOK);
        status = started.child.try_wait()?;
    }
    // What was begun where Ctrl-C is ignored, as in a shell's background, ignores it too unless it listens for it.
    if status.is_none() {
        rustix::process::kill_process_group(group, rustix::process::Signal::TERM).ok();
    }
    let status = started.child.wait()?;
    // The shell's own exit code is the program's; a shell that the signal ended has none.
    ensure!(status.code().is_none_or(|code| code == 0), "$ {} ended with {status}", started.command);
    Ok(())
}

/// The commands of all transcripts, in their order.
fn parse(text: &str) -> Vec<Typed> {
    let mut commands: Vec<Typed> = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            block = match (block, fence.trim()) {
                (None, "console") => Some(Some(false)),
                (None, "console running") => Some(Some(true)),
                (None, _) => Some(None),
                (Some(_), _) => None,
            };
            continue;
        }
        let Some(Some(running)) = block else { continue };
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Typed { command: command.trim().to_owned(), shown: Vec::new(), running });
        } else if let Some(typed) = commands.last_mut().filter(|_| !line.trim().is_empty()) {
            typed.shown.push(line.to_owned());
        }
    }
    commands
}

/// A line without what differs from run to run.
fn normal(line: &str) -> String {
    let mut text = String::new();
    for word in line.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        for c in word.chars() {
            match c {
                '0'..='9' if text.ends_with('0') => {}
                '0'..='9' => text.push('0'),
                _ => text.push(c),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n```console running\n$ up\nNODE  PID\n1     100\n```\nWords.\n```console\n$ a 1\nOK\n\
        $ b\n```\n```toml\n$ c\n```\n";

    #[test]
    fn transcripts_are_the_console_blocks() {
        let typed = |command: &str, shown: &[&str], running| Typed {
            command: command.into(),
            shown: shown.iter().map(ToString::to_string).collect(),
            running,
        };
        assert_eq!(
            parse(TEXT),
            [
                typed("up", &["NODE  PID", "1     100"], true),
                typed("a 1", &["OK"], false),
                typed("b", &[], false)
            ]
        );
    }

    #[test]
    fn numbers_and_blanks_do_not_count() {
        assert_eq!(normal("1     up  127.0.0.1:7000  pid 77"), normal("2  up 127.0.0.1:40 pid 9"));
        assert_ne!(normal("1 up"), normal("1 down"));
    }

    fn typed(command: &str, shown: &[&str], running: bool) -> Typed {
        Typed { command: command.into(), shown: shown.iter().map(ToString::to_string).collect(), running }
    }

    #[test]
    fn commands_are_executed_and_compared() {
        let mut running = Vec::new();
        let good = [
            typed("echo ready 7; exec sleep 1000", &["ready 5"], true),
            typed("echo x; echo one 1; echo two", &["...", "one 2", "two"], false),
        ];
        assert_eq!(execute(&good, &mut running).expect("as shown"), 2);
        for started in running {
            interrupt(started).expect("a good end");
        }
        for bad in [
            typed("echo two; echo one", &["one", "two"], false),
            typed("echo one; exit 3", &["one"], false),
            typed("echo ready", &["ready", "steady"], true),
        ] {
            assert!(execute(&[bad], &mut Vec::new()).is_err());
        }
    }
}
