//! `skein node add`: one more node for a cluster on this machine.

use std::time::{Duration, Instant};

use api::admin::NodeStatus;
use client::{Client, Directory, Health, Lookup, Topology, TopologyNode};
use rustix::process::Signal;
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::join::Ticket;
use super::refusals;
use super::status::nodes_table;
use crate::cli::{Label, NodeAdd};
use crate::exit::{self, Exit};
use crate::files::{PidFile, fault, remove_if_there};
use crate::layout;
use crate::ports;
use crate::process::Process;
use crate::say::{self, Form};

/// How long the new node may take to serve. It has nothing to open.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What was added, as `--json` prints it.
#[derive(Serialize)]
struct Added {
    #[serde(flatten)]
    node: NodeStatus,
}

/// Adds a node, and returns when it serves.
pub fn add(arguments: &NodeAdd) -> Result<Exit, Fault> {
    let directory = arguments.here.directory()?;
    let topology = directory.topology()?;
    let Some(agent) = PidFile::holder(&directory.agent_pid_file())? else {
        let detail = format!("no agent runs in {}: 'skein up' starts it", directory.path().display());
        return Err(Fault::new(ErrorCode::NoCluster, detail));
    };
    // One node at a time: two commands would take the same ports.
    let _alone = PidFile::take(&directory.joining_file().with_extension("pid"))?;
    let id = take_in(&directory, &topology, Label::map(&arguments.label))?;
    let topology = directory.topology()?;
    // Only what is new starts: whoever stopped another node wants it to stay so.
    agent.signal(Signal::USR2);
    let node = until_it_serves(&directory, &topology, id, agent)?;
    match arguments.output.form() {
        Form::Json => say::json(&Added { node }),
        Form::Text => {
            say::data(nodes_table(std::slice::from_ref(&node)));
            say::note(format_args!("node {id} serves, and has no data yet"));
            say::note(format_args!(" next: skein cluster balance{} --plan", arguments.here.words()));
        }
    }
    Ok(exit::OK)
}

/// Makes the node known to the cluster, then to the directory. Returns its id.
fn take_in(
    directory: &Directory,
    topology: &Topology,
    labels: std::collections::BTreeMap<String, String>,
) -> Result<u64, Fault> {
    let labels = match topology.nodes.first() {
        Some(first) if labels.is_empty() => first.labels.clone(),
        _ => labels,
    };
    let ticket_file = directory.joining_file();
    let ticket = Ticket::open(&ticket_file, labels, || {
        let base_port = topology.next_base_port()?;
        ports::check(topology.listens(&new_node(0, base_port)).all())?;
        Ok(base_port)
    })?;
    let mut node = new_node(0, ticket.base_port);
    let client = Lookup { directory: Some(directory.path().to_owned()), ..Lookup::default() }.client()?;
    let joined = ticket.redeem(&client, &topology.reached(&node))?;
    node.id = joined.node;
    node.labels.clone_from(&ticket.labels);
    let topology = layout::edit(directory, |topology| {
        if topology.node(node.id).is_none() {
            topology.nodes.push(node);
        }
        Ok(())
    })?;
    layout::write_nodes(directory, &topology)?;
    remove_if_there(&ticket_file).map_err(|error| fault(&error, &ticket_file))?;
    Ok(joined.node)
}

fn new_node(id: u64, base_port: u16) -> TopologyNode {
    TopologyNode { id, base_port, joined: true, labels: std::collections::BTreeMap::new() }
}

/// Waits until the node serves and the cluster says so.
fn until_it_serves(
    directory: &Directory,
    topology: &Topology,
    id: u64,
    agent: Process,
) -> Result<NodeStatus, Fault> {
    let lookup = Lookup { directory: Some(directory.path().to_owned()), ..Lookup::default() };
    let client = lookup.client()?;
    let http = topology.node(id).map(|node| topology.reached(node).http).unwrap_or_default();
    let itself = Client::new(vec![http], None);
    let began = Instant::now();
    loop {
        if matches!(itself.health(), Ok(Health::Ready))
            && let Ok(nodes) = client.nodes()
            && let Some(node) = nodes.into_iter().find(|node| node.id == id && node.pid != 0)
        {
            return Ok(node);
        }
        let refusal = refusals::of(directory, topology).into_iter().find(|refusal| refusal.node == id);
        if let Some(refusal) = refusal {
            return Err(Fault::from(&refusal.error));
        }
        if !agent.is_alive() {
            let detail = format!("the agent ended; 'skein up' starts node {id}");
            return Err(Fault::new(ErrorCode::NotReady, detail));
        }
        if began.elapsed() > START_LIMIT {
            let detail = format!("node {id} was added, and does not serve yet; its server.log says more");
            return Err(Fault::new(ErrorCode::NotReady, detail));
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}
