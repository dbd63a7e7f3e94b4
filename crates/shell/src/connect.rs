//! From what people know of a cluster, some addresses, to a client of it and the name of its leader.
//!
//! The originals took addresses of ZooKeeper. Here they are addresses of any nodes: of the HTTP port, or
//! the endpoint that `showtablet` prints, whose HTTP port is the next one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::admin::{NodeStatus, Status};
use client::{Client, Lookup};
use types::{ErrorCode, Fault};

/// How long a cluster without a leader of its catalog is waited for: an election and a second try.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A cluster that answers.
pub struct Connected {
    /// Asks the leader of the catalog first, then the others.
    pub client: Client,
    /// The endpoint of that leader.
    pub leader: String,
}

/// The client of a cluster of which these addresses are known.
///
/// # Errors
/// `Unreachable` if no node of Skein answers at any of them; what the node says, otherwise.
pub fn by_addresses(addresses: &[String], lookup: &Lookup) -> Result<Client, Fault> {
    let mut tried = Vec::new();
    for address in addresses.iter().flat_map(|address| places(address)) {
        let client = Lookup { addresses: vec![address], ..lookup.clone() }.client()?;
        match client.identity() {
            Ok(_) => return Ok(client),
            Err(fault) => tried.push(fault.detail),
        }
    }
    Err(Fault::new(ErrorCode::Unreachable, tried.join(", ")))
}

/// Where the HTTP port may be that belongs to an address.
fn places(address: &str) -> Vec<String> {
    let next = address.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok()?.checked_add(1)?;
        Some(format!("{host}:{port}"))
    });
    std::iter::once(address.to_owned()).chain(next).collect()
}

/// Finds the leader of the catalog, and the other nodes, which are asked when it fails. A node that has just
/// started, or has not heard of an election yet, names the one that led before; so whoever is named is asked,
/// and only he can say that he leads.
///
/// # Errors
/// `NoLeader` if there is none for a while, or what the cluster says.
pub fn to_leader(client: &Client, lookup: &Lookup) -> Result<Connected, Fault> {
    let began = Instant::now();
    loop {
        let status = client.status()?;
        if let Some(leader) = leader(&status) {
            let at = |addresses| Lookup { addresses, ..lookup.clone() }.client();
            let own_word = at(vec![leader.http.clone()])?.status();
            if own_word.is_ok_and(|status| status.leader == Some(leader.id)) {
                let client = at(by_use(&status, leader))?;
                return Ok(Connected { client, leader: leader.endpoint.clone() });
            }
        }
        if began.elapsed() > LEADER_PATIENCE {
            return Err(Fault::new(ErrorCode::NoLeader, status.summary));
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

fn leader(status: &Status) -> Option<&NodeStatus> {
    status.nodes.iter().find(|node| status.leader == Some(node.id) && node.state == "up")
}

/// The leader, then others that keep the catalog, then the rest; those that do not answer last.
fn by_use(status: &Status, leader: &NodeStatus) -> Vec<String> {
    let mut nodes: Vec<&NodeStatus> = status.nodes.iter().collect();
    let keeps = |node: &NodeStatus| node.roles.iter().any(|role| role == "meta");
    nodes.sort_by_key(|node| (node.id != leader.id, node.state != "up", !keeps(node)));
    nodes.into_iter().map(|node| node.http.clone()).collect()
}

/// Refuses a cluster that is not the one that was named, by its name or its id. A node that joined from
/// elsewhere was not told the name, so others are asked until one knows it.
///
/// # Errors
/// `WrongCluster`, saying what it is called; what the node at the address says.
pub fn check_name(client: &Client, lookup: &Lookup, wanted: &str) -> Result<(), Fault> {
    let wanted = wanted.trim_matches('/');
    let first = client.identity()?;
    if wanted.is_empty() || wanted == first.name || wanted == first.cluster {
        return Ok(());
    }
    let others = || {
        let nodes = client.status().map(|status| status.nodes).unwrap_or_default().into_iter();
        let name = |node: NodeStatus| {
            let other = Lookup { addresses: vec![node.http], ..lookup.clone() }.client().ok()?;
            Some(other.identity().ok()?.name)
        };
        nodes.filter_map(name).find(|name| !name.is_empty()).unwrap_or_default()
    };
    let name = if first.name.is_empty() { others() } else { first.name };
    if name == wanted {
        return Ok(());
    }
    let name = if name.is_empty() { first.cluster } else { name };
    let detail =
        format!("the cluster at {} is called '{name}', not '{wanted}'", client.addresses().join(","));
    Err(Fault::new(ErrorCode::WrongCluster, detail))
}

/// Where the shell remembers what was typed: the user's state directory.
pub fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("skein").join("ns_history"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::admin::Verdict;

    #[test]
    fn the_http_port_is_the_one_named_or_the_next() {
        assert_eq!(places("127.0.0.1:7000"), ["127.0.0.1:7000", "127.0.0.1:7001"]);
        assert_eq!(places("[::1]:7000"), ["[::1]:7000", "[::1]:7001"]);
        assert_eq!(places("host:65535"), ["host:65535"]);
        assert_eq!(places("host"), ["host"]);
    }

    #[test]
    fn the_leader_is_asked_first_and_who_does_not_answer_last() {
        let node = |id: u64, state: &str, role: &str| NodeStatus {
            id,
            http: id.to_string(),
            state: state.into(),
            roles: vec![role.into()],
            ..NodeStatus::default()
        };
        let nodes = vec![
            node(1, "down", "meta"),
            node(2, "up", "data"),
            node(3, "up", "meta"),
            node(4, "up", "meta"),
        ];
        let mut status = Status {
            verdict: Verdict::Degraded,
            summary: String::new(),
            cluster: String::new(),
            fault_tolerance: 0,
            tolerance_by: Default::default(),
            leader: Some(4),
            catalog_version: 1,
            nodes,
            partitions: Vec::new(),
        };
        let leads = leader(&status).expect("node 4 leads");
        assert_eq!(by_use(&status, leads), ["4", "3", "2", "1"]);
        status.leader = Some(1);
        assert!(leader(&status).is_none(), "it does not answer");
    }
}
