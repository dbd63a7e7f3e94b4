//! `skein ns`, and the programs that Skein stands in for.

use ::shell::{self as face, Program, Streams};
use types::{ErrorCode, Fault};

use crate::cli::{Ns, Original};
use crate::exit::{self, Exit};
use crate::say;

/// The shell.
pub fn ns(arguments: &Ns) -> Result<Exit, Fault> {
    let Ns { command, database, find } = arguments;
    let mut ended = Ok(Ok(()));
    with_streams(|streams| {
        let database = database.as_deref().unwrap_or_default();
        ended = face::run_ns(&find.lookup(), database, command.as_deref(), streams);
    });
    ended.map(exit_of)
}

/// An original command line.
pub fn original(program: Program, arguments: &Original) -> Exit {
    let mut ended = Ok(());
    with_streams(|streams| ended = face::run_original(program, &arguments.flags, streams));
    exit_of(ended)
}

fn with_streams(work: impl FnOnce(&mut Streams<'_>)) {
    let (mut out, mut notes) = (say::Out, std::io::stderr());
    work(&mut Streams { out: &mut out, notes: &mut notes });
}

/// What went wrong was said; only the number is left.
fn exit_of(ended: Result<(), ErrorCode>) -> Exit {
    ended.map_or_else(exit::of, |()| exit::OK)
}
