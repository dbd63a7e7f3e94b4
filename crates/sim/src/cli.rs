//! The command line: `cargo xtask sim …`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::bugs::{self, Bug};
use crate::coverage::Coverage;
use crate::hunt;
use crate::plan::Plan;
use crate::run::{self, Next, Seeds};
use crate::world::Outcome;

const HELP: &str = "\
The simulator runs the product under seeded disasters.

  --seeds N [--from S]    run seeds S to S+N-1 and print those that fail, and what all went through
  --operations            with --seeds: only seeds in whose runs operators are at work
  --twice                 with --seeds: run each twice and compare
  --hashes                with --seeds: print a hash of each seed's trace
  --seed S [--trace]      run one seed; print everything that happened
  --mutants [NAME …]      plant bugs and find them
  --mutant NAME           with --seed: plant this bug

Exit code 0: nothing found (with --mutants: everything found). 1: otherwise. 2: wrong arguments.
";

/// After so many seeds everything must have happened ...
const COVERED_AFTER: u64 = 1000;
/// ... and after so many with operators every step of every operation, with the leader of the catalog dying on both sides
/// of it.
const STEPS_COVERED_AFTER: u64 = 20_000;
/// A long run says from time to time how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// What never happens where operators are at work: no disk lies there.
const LYING: [&str; 3] = [
    "power cuts of a disk whose syncs lie",
    "logs found damaged at start",
    "replicas given up because their disk lied",
];

/// Runs the simulator as the arguments say. Returns the exit code.
pub fn main(arguments: &[String]) -> i32 {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{HELP}");
            return 2;
        }
    };
    let good = match options {
        Options { help: true, .. } => {
            println!("{HELP}");
            true
        }
        Options { mutants: Some(which), from, .. } => hunt(&which, from),
        Options { seed: Some(seed), trace, mutant, .. } => one(seed, trace, mutant),
        Options { seeds, from, twice, hashes, operations, .. } => {
            let which = if operations { Seeds::Operated } else { Seeds::All };
            many(which, from, seeds, twice, hashes)
        }
    };
    i32::from(!good)
}

#[derive(Default)]
struct Options {
    help: bool,
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    trace: bool,
    twice: bool,
    hashes: bool,
    operations: bool,
    mutants: Option<Vec<Bug>>,
    mutant: Option<Bug>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Options { seeds: 100, ..Default::default() };
        let mut rest = arguments.iter().map(String::as_str);
        while let Some(argument) = rest.next() {
            let mut number = || {
                let text = rest.next().ok_or_else(|| format!("{argument} needs a number"))?;
                text.parse::<u64>().map_err(|_| format!("{argument} needs a number, not '{text}'"))
            };
            match argument {
                "--seeds" => options.seeds = number()?,
                "--from" => options.from = number()?,
                "--seed" => options.seed = Some(number()?),
                "--trace" => options.trace = true,
                "--twice" => options.twice = true,
                "--hashes" => options.hashes = true,
                "--operations" => options.operations = true,
                "--mutants" => options.mutants = Some(Vec::new()),
                "--mutant" => options.mutant = Some(named(rest.next().unwrap_or_default())?),
                "--help" | "-h" => options.help = true,
                name => match &mut options.mutants {
                    Some(which) => which.push(named(name)?),
                    None => return Err(format!("there is no option '{name}'")),
                },
            }
        }
        if let Some(which) = &mut options.mutants
            && which.is_empty()
        {
            which.extend(Bug::hunted());
        }
        Ok(options)
    }
}

fn named(name: &str) -> Result<Bug, String> {
    Bug::named(name).ok_or_else(|| format!("there is no mutant '{name}'"))
}

fn one(seed: u64, trace: bool, mutant: Option<Bug>) -> bool {
    bugs::plant(mutant);
    let outcome = run::run(seed, trace);
    bugs::plant(None);
    let scenario = Plan::new(seed).scenario;
    println!("seed {seed} ({scenario:?}): {:.1} s, hash {:016x}", outcome.time as f64 / 1e9, outcome.hash);
    report(seed, &outcome)
}

/// Says what is wrong with a seed, if anything is.
fn report(seed: u64, outcome: &Outcome) -> bool {
    let Some(violation) = &outcome.violation else { return true };
    println!("seed {seed} ({:?}) FAILS: {violation}", Plan::new(seed).scenario);
    println!("    cargo xtask sim --seed {seed} --trace");
    false
}

fn many(which: Seeds, from: u64, seeds: u64, twice: bool, hashes: bool) -> bool {
    let began = Instant::now();
    let mut said = began;
    let mut total = Coverage::default();
    let mut failed = 0_u64;
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    run::run_all(which, from, seeds, |seed, outcome| {
        failed += u64::from(!report(seed, &outcome));
        total.add(&outcome.coverage);
        seen.insert(seed, outcome.hash);
        if said.elapsed() >= PROGRESS_EVERY {
            said = Instant::now();
            eprintln!(
                "{} of {seeds} seeds, {failed} failed, {:.0} s",
                seen.len(),
                began.elapsed().as_secs_f64()
            );
        }
        Next::Go
    });
    if twice {
        run::run_all(which, from, seeds, |seed, outcome| {
            if seen.get(&seed) != Some(&outcome.hash) {
                println!("seed {seed} FAILS: its second run took another way");
                failed += 1;
            }
            Next::Go
        });
    }
    if hashes {
        seen.iter().for_each(|(seed, hash)| println!("seed {seed} hash {hash:016x}"));
    }
    let covered = show_coverage(which, seeds, &total);
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{seeds} seeds from {from}, {failed} failed, {seconds:.0} s");
    failed == 0 && covered
}

/// Prints what the runs went through. Whether that is enough for so many.
fn show_coverage(which: Seeds, seeds: u64, total: &Coverage) -> bool {
    let mut holes = Vec::new();
    for (what, count) in total.lines() {
        println!("{count:>12}  {what}");
        let can_be = which == Seeds::All || !LYING.contains(&what);
        if count == 0 && seeds >= COVERED_AFTER && can_be {
            holes.push(format!("{what}: never"));
        }
    }
    print!("\n{}", total.steps.table());
    let missed = total.steps.holes();
    let must_be_whole = which.operated(seeds) >= STEPS_COVERED_AFTER;
    println!("{} boundaries of operations, {} holes", total.steps.boundaries().len(), missed.len());
    holes.extend(missed.into_iter().filter(|_| must_be_whole));
    holes.iter().for_each(|hole| println!("NOT COVERED: {hole}"));
    if !holes.is_empty() {
        println!("some of this never happened: the seeds prove less than they should");
    }
    holes.is_empty()
}

fn hunt(which: &[Bug], from: u64) -> bool {
    let mut escaped = Vec::new();
    println!("{:<24} {:>6}  {:<16} {:>7}", "mutant", "seed", "found by", "seconds");
    hunt::hunt(which, from, |hunted| {
        let (name, seconds) = (hunted.mutant.name(), hunted.took.as_secs_f64());
        match &hunted.found {
            Some((seed, violation)) => {
                println!("{name:<24} {seed:>6}  {:<16} {seconds:>7.1}", violation.checker);
            }
            None => {
                println!("{name:<24} {:>6}  {:<16} {seconds:>7.1}", "-", "nobody");
                escaped.push(name);
            }
        }
    });
    println!("{} of {} mutants found", which.len() - escaped.len(), which.len());
    escaped.is_empty()
}
