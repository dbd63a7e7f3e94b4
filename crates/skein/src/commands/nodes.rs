//! `skein node`: the nodes of a cluster.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::admin::{Permit, PermitRelease, PermitRequest, Verdict};
use catalog::status::NodeState;
use client::{Client, Directory, Lookup};
use rustix::process::Signal;
use serde::Serialize;
use types::settings::AUTO_FAILOVER;
use types::{ErrorCode, Fault};

use super::status::nodes_table;
use crate::cli::{Ask, NodeMayStop, NodeRebuild};
use crate::exit::{self, Exit};
use crate::files::{PidFile, fault};
use crate::node_file::NodePlace;
use crate::say::{self, Form};

/// How long the others may take to notice that a node does not run.
const UNNOTICED_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Lists all nodes.
pub fn list(arguments: &Ask) -> Result<Exit, Fault> {
    let nodes = arguments.find.lookup().client()?.nodes()?;
    match arguments.output.form() {
        Form::Json => say::json(&nodes),
        Form::Text => say::data(nodes_table(&nodes)),
    }
    Ok(exit::OK)
}

/// Asks whether a node may be stopped, takes the right to stop it, or gives it back.
pub fn may_stop(arguments: &NodeMayStop) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let form = arguments.output.form();
    if arguments.give_back {
        let wish = PermitRelease { holder: arguments.holder.clone() };
        let released = client.release_permit(arguments.node, &wish)?;
        match form {
            Form::Json => say::json(&released),
            Form::Text if released.was_held => {
                say::note(format_args!("the right to stop node {} is given back", arguments.node));
            }
            Form::Text => say::note(format_args!("nobody holds the right to stop node {}", arguments.node)),
        }
        return Ok(exit::OK);
    }
    let wish = PermitRequest {
        holder: arguments.holder.clone(),
        seconds: Some(arguments.seconds),
        only_ask: !arguments.take,
    };
    let permit = match arguments.wait {
        true => permit_in_time(&client, arguments.node, &wish)?,
        false => client.permit(arguments.node, &wish)?,
    };
    match form {
        Form::Json => say::json(&permit),
        Form::Text => {
            let taken = match arguments.take {
                true => format!("; {} holds the right to for {} s", permit.holder, arguments.seconds),
                false => String::new(),
            };
            say::data(format_args!("node {} may be stopped{taken}", permit.node));
            permit.notes.iter().for_each(|note| say::data(format_args!("note: {note}")));
        }
    }
    Ok(exit::OK)
}

/// Asks until the node may be stopped, and says what is in the way whenever that changes.
///
/// # Errors
/// Whatever does not pass by itself, as an unknown node.
fn permit_in_time(client: &Client, node: u64, wish: &PermitRequest) -> Result<Permit, Fault> {
    let mut said = String::new();
    loop {
        match client.permit(node, wish) {
            Err(fault) if fault.code == ErrorCode::NoPermit || fault.code.is_retryable() => {
                if fault.detail != said {
                    say::note(format_args!("not yet: {}", fault.detail));
                    said = fault.detail;
                }
            }
            // Granted, while the cluster moved on: what it was granted for is looked at again.
            Err(fault) if fault.code == ErrorCode::PlanOutdated => {}
            answered => return answered,
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// Sets a node's data aside, so that it begins anew. The node comes back as one that has lost its disk: with
/// new replicas, which have promised nothing yet.
pub fn rebuild(arguments: &NodeRebuild) -> Result<Exit, Fault> {
    let NodeRebuild { node, .. } = *arguments;
    let directory = arguments.here.directory()?;
    let topology = directory.topology()?;
    if topology.node(node).is_none() {
        return Err(Fault::new(
            ErrorCode::BadArgument,
            format!("there is no node {node} in {}", directory.path().display()),
        ));
    }
    if topology.nodes.len() == 1 {
        let detail = "this cluster has one node: no other node has the data";
        return Err(Fault::new(ErrorCode::DataDamaged, detail));
    }
    let place = NodePlace::new(directory.node_directory(node));
    // Held until the data is aside: whoever starts the node meanwhile is refused.
    let held = PidFile::take(&place.pid_file()).map_err(|fault| match fault.code {
        ErrorCode::DataInUse => {
            let detail = format!("node {node} mends its replicas by itself\n{}", fault.detail);
            Fault::new(ErrorCode::NodeRuns, detail)
        }
        _ => fault,
    })?;
    let mends = others_serve(&directory, node)?;
    let kept = set_aside(&place)?;
    drop(held);
    // This node alone: whoever stopped another one wants it to stay so.
    let agent = PidFile::holder(&directory.agent_pid_file())?.filter(|_| place.wish_start());
    if let Some(agent) = agent {
        agent.signal(Signal::USR2);
    }
    match arguments.output.form() {
        Form::Json => say::json(&Rebuilt { node, kept, started: agent.is_some() }),
        Form::Text => {
            say::note(format_args!("the data of node {node} is kept in {}", kept.display()));
            say::note(match agent {
                Some(_) => "the node begins anew; 'skein status' shows how far it is",
                None => "'skein up' starts the node, and it begins anew",
            });
            if !mends {
                say::note(format_args!(
                    " next: skein node recover {node}, once it runs: with auto_failover=false nothing is replaced by itself"
                ));
            }
        }
    }
    Ok(exit::OK)
}

/// What `node rebuild` did.
#[derive(Serialize)]
struct Rebuilt {
    /// The node.
    node: u64,
    /// Where its data is now.
    kept: PathBuf,
    /// Whether an agent starts it.
    started: bool,
}

/// Waits until the others know that the node is gone, and checks that they serve everything: then a majority
/// of each partition's replicas is elsewhere. Returns whether they replace by themselves what a node has lost.
fn others_serve(directory: &Directory, node: u64) -> Result<bool, Fault> {
    let client = Lookup { directory: Some(directory.path().to_owned()), ..Lookup::default() }.client()?;
    let began = Instant::now();
    loop {
        let status = client.status()?;
        let seen = status.nodes.iter().find(|found| found.id == node);
        let is_missed = seen.is_none_or(|found| found.state == NodeState::Down.as_str());
        if is_missed && status.verdict != Verdict::Unavailable {
            let settings = client.settings()?;
            let mode = settings.iter().find(|setting| setting.name == AUTO_FAILOVER.name);
            return Ok(mode.is_none_or(|mode| mode.value == "true"));
        }
        if is_missed {
            let detail =
                format!("without node {node}, {}\nits data may be needed, so it stays", status.summary);
            return Err(Fault::new(ErrorCode::NoLeader, detail));
        }
        if began.elapsed() > UNNOTICED_LIMIT {
            let detail = format!("the other nodes still hear of node {node}");
            return Err(Fault::new(ErrorCode::DuplicateNode, detail));
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// Gives a node's data directory the first name that is free.
fn set_aside(place: &NodePlace) -> Result<PathBuf, Fault> {
    let data = place.data_directory();
    let names = (1..).map(|number: u32| place.path().join(format!("data.damaged-{number}")));
    let kept = names.into_iter().find(|name| !name.exists()).expect("one of four billion names is free");
    match std::fs::rename(&data, &kept) {
        Ok(()) => Ok(kept),
        // Lost already: it begins anew all the same.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(data),
        Err(error) => Err(fault(&error, &data)),
    }
}
