//! `skein server`: one node in this process.

use std::path::{Path, PathBuf};

use client::Client;
use types::{ErrorCode, Fault};

use super::agent::leave_session;
use crate::cli::Server;
use crate::exit::{self, Exit};
use crate::files::{Holder, PidFile};
use crate::node_file::{NodeFile, NodePlace};
use crate::process::Process;
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
    let before = PidFile::last_holder(&place.pid_file());
    let _pid_file = PidFile::take(&place.pid_file(), &file.listen.http)?;
    if let Some(before) = before {
        refuse_copy(&file, &before)?;
    }
    crate::server::run(&file, place)
}

/// Refuses to run beside the original of a copied directory.
///
/// A copy carries its original's pid file, which nobody holds here; the address in it may still answer as
/// this node. Copies that are told other ports meet nobody else, so nothing else would notice.
fn refuse_copy(file: &NodeFile, before: &Holder) -> Result<(), Fault> {
    if before.http.is_empty() {
        return Ok(());
    }
    let Ok(identity) = Client::new(vec![before.http.clone()], None).identity() else { return Ok(()) };
    let same = identity.cluster == file.cluster && identity.node == file.node;
    if !same || identity.pid == Process::current().pid {
        return Ok(());
    }
    let detail = format!("node {} answers at {} as process {}", identity.node, before.http, identity.pid);
    Err(Fault::new(ErrorCode::DuplicateNode, detail))
}
