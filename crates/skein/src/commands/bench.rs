//! `skein bench`: measure.

use types::Fault;

use crate::bench;
use crate::cli::BenchKv;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Sends Redis commands and prints what came back how fast. Errors and unknown outcomes fail the command.
pub fn kv(arguments: &BenchKv) -> Result<Exit, Fault> {
    let report = bench::run(arguments)?;
    match arguments.output.form() {
        Form::Json => say::json(&report),
        Form::Text => say::data(&report),
    }
    Ok(if report.is_clean() { exit::OK } else { exit::ERROR })
}
