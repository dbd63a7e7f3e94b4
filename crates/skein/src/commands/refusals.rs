//! Nodes that do not run, and what they said last: the other nodes can only say that they are silent.

use api::admin::ErrorBody;
use client::{Directory, Topology};
use serde::Serialize;
use types::Fault;

use crate::files::PidFile;
use crate::node_file::NodePlace;
use crate::server_exit::ServerExit;

/// A node of this machine that ended with an error and does not run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// The node.
    pub node: u64,
    /// Why.
    pub error: ErrorBody,
}

impl Refusal {
    /// For people: cause, detail, and what to do.
    pub fn text(&self) -> String {
        let ErrorBody { code, cause, detail, hint } = &self.error;
        let detail: String = detail.lines().map(|line| format!("\n       {line}")).collect();
        format!("node {} does not run: {cause} [{code}]{detail}\n next: {hint}", self.node)
    }
}

/// The nodes in a directory that do not run because of an error. A node that runs, was stopped, or was killed
/// without a word is none of them.
pub fn of(directory: &Directory, topology: &Topology) -> Vec<Refusal> {
    let refusal = |node: u64| {
        let place = NodePlace::new(directory.node_directory(node));
        let is_idle = matches!(PidFile::holder(&place.pid_file()), Ok(None));
        let fault: Fault = is_idle.then(|| ServerExit::last(&place)).flatten()?.ending().fault()?;
        Some(Refusal { node, error: ErrorBody::from(&fault) })
    };
    topology.nodes.iter().filter_map(|node| refusal(node.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use types::{ClusterId, ErrorCode};

    #[test]
    fn only_a_node_that_ended_with_an_error_is_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::new(dir.path());
        let topology = Topology::new(ClusterId(7), 5, 7000, 1, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let topology = topology.expect("plain");
        let place = |node| {
            let place = NodePlace::new(directory.node_directory(node));
            std::fs::create_dir_all(place.path()).expect("made");
            place
        };
        let damaged = Fault::new(ErrorCode::DataDamaged, "the log");
        ServerExit::write(&place(1), &Err(damaged.clone()));
        ServerExit::write(&place(2), &Ok(()));
        ServerExit::write(&place(3), &Err(damaged.clone()));
        // It runs again: what an earlier run has said does not count.
        let _running = PidFile::take(&place(3).pid_file()).expect("free");
        ServerExit::reserve(&place(4)).expect("reserved");
        let refusals = of(&directory, &topology);
        assert_eq!(refusals, [Refusal { node: 1, error: ErrorBody::from(&damaged) }]);
        let text = refusals[0].text();
        assert!(text.starts_with("node 1 does not run: stored data is damaged"), "{text}");
        assert!(text.contains("\n       the log\n next: "), "{text}");
    }
}
