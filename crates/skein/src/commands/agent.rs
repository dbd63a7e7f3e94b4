//! `skein agent`: the supervisor as a process of its own.

use client::Directory;
use types::Fault;

use super::up::this_program;
use crate::agent::Agent as Supervising;
use crate::cli::Agent;
use crate::exit::{self, Exit};
use crate::files::PidFile;
use crate::layout;
use crate::say::{self, Form};
use crate::signals::{self, Asked};

/// Keeps the nodes of a directory running until it is asked to stop.
pub fn run(arguments: &Agent) -> Result<Exit, Fault> {
    if arguments.own_session {
        leave_session();
    }
    let directory = Directory::new(&arguments.dir);
    let topology = directory.topology()?;
    let pid_file = PidFile::take(&directory.agent_pid_file())?;
    // The topology is the truth; somebody may have edited it since the nodes' files were written.
    layout::write_nodes(&directory, &topology)?;
    let form = arguments.output.form();
    let agent = Supervising::new(directory, topology, this_program()?, pid_file, move |event| {
        say::note(event);
        if form == Form::Json {
            say::json_line(event);
        }
    });
    let control = agent.control();
    signals::listen(move |asked| match asked {
        Asked::Stop => control.stop(),
        Asked::Start => control.start(),
        Asked::StartWished => control.start_wished(),
    })?;
    agent.run()?;
    Ok(exit::OK)
}

/// A session of its own: neither Ctrl-C nor the end of the terminal reaches this process any more.
pub fn leave_session() {
    // It fails only if this process leads a session already, which is what is wanted.
    let _ = rustix::process::setsid();
}
