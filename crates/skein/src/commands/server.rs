//! `skein server`: one node in this process.

use std::path::{Path, PathBuf};

use types::{ErrorCode, Fault};

use super::agent::leave_session;
use super::alone;
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
    let config = match (&arguments.config, &arguments.dir) {
        (Some(config), _) => config.clone(),
        (None, Some(directory)) => alone::configuration(arguments, directory)?,
        (None, None) => {
            return Err(Fault::new(ErrorCode::BadArgument, "neither --config nor --dir is given"));
        }
    };
    let directory = config.parent().filter(|parent| !parent.as_os_str().is_empty());
    let place = NodePlace::new(directory.map_or_else(|| PathBuf::from("."), Path::to_path_buf));
    let outcome = serve(&config, &place);
    ServerExit::write(&place, &outcome);
    outcome.map(|()| exit::OK)
}

fn serve(config: &Path, place: &NodePlace) -> Result<(), Fault> {
    let file = NodeFile::read(config)?;
    let _pid_file = PidFile::take(&place.pid_file())?;
    ServerExit::reserve(place)?;
    crate::server::run(&file, place)
}
