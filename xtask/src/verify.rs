//! `cargo xtask verify`: everything that must hold before a change lands. It changes nothing.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::metadata::Workspace;
use crate::tools::{cargo, run};
use crate::{files, layers, licences, links, readme, simulation};

/// Seeds of the short simulation.
const SEEDS: u32 = 200;

/// What to leave out.
#[derive(clap::Args)]
pub struct Options {
    /// Leave a step out; may be given several times
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Do this step only; may be given several times
    #[arg(long, value_name = "STEP", conflicts_with = "skip")]
    only: Vec<String>,
}

/// A step: its name and what it does; a sentence on success.
type Step = (&'static str, fn() -> Result<String>);

/// In the order of their time: what fails soon comes first.
const STEPS: &[Step] = &[
    ("format", format),
    ("layers", || layers::check(&Workspace::load()?)),
    ("files", files::check),
    ("links", links::check),
    ("licences", || licences::check(&Workspace::load()?)),
    ("advisories", licences::advisories),
    ("clippy", clippy),
    ("tests", tests),
    ("simulation", || simulation::twice(SEEDS)),
    ("readme", readme::check),
];

/// Runs all steps and says at the end which failed.
///
/// # Errors
/// A step failed.
pub fn verify(options: &Options) -> Result<()> {
    let known = |name: &String| STEPS.iter().any(|(step, _)| step == name);
    if let Some(unknown) = options.skip.iter().chain(&options.only).find(|name| !known(name)) {
        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("there is no step '{unknown}'; the steps are {}", names.join(", "));
    }
    let chosen = |name: &str| match options.only.as_slice() {
        [] => !options.skip.iter().any(|skipped| skipped == name),
        only => only.iter().any(|one| one == name),
    };
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), 0);
    for (name, step) in STEPS {
        if !chosen(name) {
            skipped += 1;
            continue;
        }
        let began = Instant::now();
        let outcome = step();
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(sentence) => {
                passed += 1;
                println!("ok      {name:<12} {seconds:7.1} s  {sentence}");
            }
            Err(error) => {
                failed.push(*name);
                println!("FAILED  {name:<12} {seconds:7.1} s\n{error:#}");
            }
        }
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    println!("verify: {passed} passed, {} failed, {skipped} skipped", failed.len());
    if failed.is_empty() { Ok(()) } else { bail!("{} of the steps failed", failed.len()) }
}

/// `cargo xtask fix`: what `verify` would complain of and a machine can mend.
///
/// # Errors
/// A tool failed.
pub fn fix() -> Result<()> {
    let mend = ["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"];
    run(&mut cargo(mend))?;
    run(&mut cargo(["fmt", "--all"]))?;
    run(cargo(["test", "--quiet", "--package", "skein", "reference"]).env("SKEIN_REWRITE", "1"))
}

fn format() -> Result<String> {
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    Ok("all files are formatted".to_owned())
}

fn clippy() -> Result<String> {
    let strict = ["--", "--deny", "warnings"];
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--locked", "--quiet"].iter().chain(&strict)))?;
    Ok("no warnings".to_owned())
}

fn tests() -> Result<String> {
    // One that fails does not keep the others from telling.
    run(&mut cargo(["test", "--workspace", "--locked", "--no-fail-fast"]))?;
    Ok("all tests pass, documents are what the program is".to_owned())
}
