//! The simulator, with all assertions, and run: built for speed where there are many seeds.

use std::process::Command;

use anyhow::{Context, Result};

use crate::tools::{cargo, output, root, run, target};

/// Runs it with these arguments.
///
/// # Errors
/// It cannot be built, or found something.
pub fn pass_on(arguments: &[String]) -> Result<()> {
    run(&mut simulator(arguments))
}

/// Some seeds, twice: both runs must be clean and take the very same way. So few are not worth a build of their own: it
/// is the simulator that the tests have built.
///
/// # Errors
/// A seed fails, or two runs of the same seeds differ.
pub fn twice(seeds: u32) -> Result<String> {
    let arguments = ["--seeds".to_owned(), seeds.to_string(), "--hashes".to_owned()];
    // As a part of all tests: features of another selection of packages would build half of it anew.
    run(&mut cargo(["test", "--workspace", "--locked", "--quiet", "--no-run", "--test", "regressions"]))?;
    let program = target().join("debug/sim");
    let simulate = || output(Command::new(&program).args(&arguments).current_dir(root()));
    let (first, second) = (simulate()?, simulate()?);
    let differing = first.lines().zip(second.lines()).find(|(one, other)| one != other);
    if let Some((one, other)) = differing {
        anyhow::bail!("two runs of the same seeds differ:\n{one}\n{other}");
    }
    let lines = first.lines().count();
    (lines == second.lines().count() && lines >= seeds as usize)
        .then(|| format!("{seeds} seeds are clean, twice, with equal traces"))
        .context("the simulator printed fewer lines than seeds")
}

fn simulator(arguments: &[String]) -> Command {
    let mut command = cargo(["run", "--quiet", "--profile", "sim", "--package", "sim", "--"]);
    command.args(arguments);
    command
}
