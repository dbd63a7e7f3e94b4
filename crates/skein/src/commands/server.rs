//! `skein server`: one node in this process.

use std::path::{Path, PathBuf};

use types::Fault;

use super::agent::leave_session;
use crate::cli::Server;
use crate::exit::{self, Exit};
use crate::files::PidFile;
use crate::node_file::{NodeFile, NodePlace};
use crate::server_exit::ServerExit;

/// Runs a node until it is asked to stop, and leaves word of how it ended.
pub fn run(arguments: &Server) -> Result<Exit, Fault> {
    if arguments.own_session {
        leave_session();
    }
    let directory = arguments.config.parent().filter(|parent| !parent.as_os_str().is_empty());
    let place = NodePlace::new(directory.map_or_else(|| PathBuf::from("."), Path::to_path_buf));
    let outcome = serve(&arguments.config, &place);
    ServerExit::write(&place, &outcome);
    outcome.map(|()| exit::OK)
}

fn serve(config: &Path, place: &NodePlace) -> Result<(), Fault> {
    let file = NodeFile::read(config)?;
    let _pid_file = PidFile::take(&place.pid_file())?;
    ServerExit::reserve(place)?;
    crate::server::run(&file, place)
}
