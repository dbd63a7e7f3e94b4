//! `skein down`: stops the agent and all nodes of a directory, and waits until they have ended.

use std::time::Duration;

use client::Directory;
use rustix::process::Signal;
use serde::Serialize;
use types::Fault;

use crate::agent::driver::STOP_WAIT;
use crate::agent::supervise::STOP_LIMIT;
use crate::cli::Down;
use crate::exit::{self, Exit};
use crate::files::{PidFile, fault};
use crate::node_file::NodePlace;
use crate::process::Process;
use crate::say::{self, Form};

/// How long a killed process may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// What was stopped.
#[derive(Serialize)]
struct Stopped {
    /// Whether an agent ran.
    agent: bool,
    /// The nodes that ran.
    nodes: Vec<u64>,
}

/// Stops a cluster. One that is not running is stopped already.
pub fn run(arguments: &Down) -> Result<Exit, Fault> {
    let directory = Directory::new(&arguments.dir);
    let mut nodes = Vec::new();
    for node in nodes_of(&directory)? {
        let place = NodePlace::new(directory.node_directory(node));
        if let Some(process) = PidFile::holder(&place.pid_file())? {
            nodes.push((node, process));
        }
    }
    let agent = PidFile::holder(&directory.agent_pid_file())?;
    if let Some(agent) = agent {
        agent.signal(Signal::TERM);
        if !agent.wait(Some(STOP_WAIT)) {
            say::note(format_args!("the agent, process {}, does not stop; killing it", agent.pid));
            kill(agent);
        }
    }
    // Without an agent its nodes run on; here they are stopped, all at once.
    for (_, process) in &nodes {
        process.signal(Signal::TERM);
        process.signal(Signal::CONT);
    }
    for (node, process) in &nodes {
        if !process.wait(Some(STOP_LIMIT)) {
            say::note(format_args!(
                "node {node}: did not stop within {} s; killing it",
                STOP_LIMIT.as_secs()
            ));
            kill(*process);
        }
    }
    let stopped = Stopped { agent: agent.is_some(), nodes: nodes.iter().map(|(node, _)| *node).collect() };
    match arguments.output.form() {
        Form::Json => say::json(&stopped),
        Form::Text if stopped.nodes.is_empty() && !stopped.agent => say::note("nothing was running"),
        Form::Text => say::note(format_args!("stopped {}", say::count(nodes.len() as u64, "node"))),
    }
    Ok(exit::OK)
}

/// The nodes that have a directory here. What runs must be stoppable whatever became of `cluster.toml`.
fn nodes_of(directory: &Directory) -> Result<Vec<u64>, Fault> {
    if !directory.topology_file().exists() {
        // Says that there is no cluster.
        directory.topology()?;
    }
    let entries = std::fs::read_dir(directory.path()).map_err(|error| fault(&error, directory.path()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut nodes: Vec<u64> =
        names.filter_map(|name| name.to_str()?.strip_prefix("node-")?.parse().ok()).collect();
    nodes.sort_unstable();
    Ok(nodes)
}

fn kill(process: Process) {
    process.signal(Signal::KILL);
    process.wait(Some(KILL_WAIT));
}
