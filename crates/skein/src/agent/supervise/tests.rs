//! Runs the scripts in `agent/testscripts`: observations with their times, and what the law does.
//!
//! `SKEIN_REWRITE=1 cargo test -p skein` writes what the law does now; read the difference.

use std::path::Path;
use std::time::Duration;

use super::*;

#[test]
fn the_law_does_what_the_scripts_say() {
    golden::scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agent/testscripts"), 8, run);
}

/// The script with the actions of the law in place of the ones that it has.
fn run(script: &str) -> String {
    let mut supervisor = Supervisor::default();
    let mut outcome = String::new();
    for line in script.lines().filter(|line| !line.starts_with(' ')) {
        outcome.push_str(line);
        outcome.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (seconds, observed) = line.split_once(' ').expect("a time and an observation");
        let now = Duration::from_secs_f64(seconds.parse().expect("seconds"));
        for action in supervisor.supervise(parse(observed), now) {
            outcome.push_str(&format!("    {action}\n"));
        }
        if let Some(deadline) = supervisor.deadline() {
            outcome.push_str(&format!("    (until {:.1})\n", deadline.as_secs_f64()));
        }
    }
    outcome
}

fn parse(observed: &str) -> Observed {
    let words: Vec<&str> = observed.split(' ').collect();
    let number = |i: usize| words[i].parse::<u32>().expect("a number");
    let node = || u64::from(number(1));
    match words[0] {
        "found" => Observed::Found { node: node(), pid: number(2) },
        "missing" => Observed::Missing { node: node() },
        "started" => Observed::Started { node: node(), pid: number(2) },
        "not-started" => Observed::NotStarted { node: node(), ending: ending(&words[2..]) },
        "ready" => Observed::Ready { node: node(), pid: number(2) },
        "ended" => Observed::Ended { node: node(), pid: number(2), ending: ending(&words[3..]) },
        "stop" => Observed::StopAll,
        "start" => Observed::StartAll,
        "wishes" => Observed::Wishes,
        "wished" => Observed::Wished { node: node() },
        "time" => Observed::Time,
        other => panic!("no such observation: {other}"),
    }
}

fn ending(words: &[&str]) -> Ending {
    let told = || (words[1].to_owned(), words[2..].join(" "));
    match words[0] {
        "clean" => Ending::Clean,
        "refused" => {
            let (code, detail) = told();
            Ending::Refused { code, detail }
        }
        "failed" => {
            let (code, detail) = told();
            Ending::Failed { code, detail }
        }
        "exit" => Ending::Exit(words[1].parse().expect("a code")),
        "signal" => Ending::Signal(words[1].parse().expect("a signal")),
        "gone" => Ending::Gone,
        other => panic!("no such ending: {other}"),
    }
}
