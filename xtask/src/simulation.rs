//! The simulator, built for speed with all assertions, and run.

use anyhow::{Context, Result};

use crate::tools::{cargo, output, run};

/// Runs it with these arguments.
///
/// # Errors
/// It cannot be built, or found something.
pub fn pass_on(arguments: &[String]) -> Result<()> {
    run(&mut simulator(arguments))
}

/// Some seeds, twice: both runs must be clean and take the very same way.
///
/// # Errors
/// A seed fails, or two runs of the same seeds differ.
pub fn twice(seeds: u32) -> Result<String> {
    let arguments = ["--seeds".to_owned(), seeds.to_string(), "--hashes".to_owned()];
    let first = output(&mut simulator(&arguments))?;
    let second = output(&mut simulator(&arguments))?;
    let differing = first.lines().zip(second.lines()).find(|(one, other)| one != other);
    if let Some((one, other)) = differing {
        anyhow::bail!("two runs of the same seeds differ:\n{one}\n{other}");
    }
    let lines = first.lines().count();
    (lines == second.lines().count() && lines >= seeds as usize)
        .then(|| format!("{seeds} seeds are clean, twice, with equal traces"))
        .context("the simulator printed fewer lines than seeds")
}

fn simulator(arguments: &[String]) -> std::process::Command {
    let mut command = cargo(["run", "--quiet", "--profile", "sim", "--package", "sim", "--"]);
    command.args(arguments);
    command
}
