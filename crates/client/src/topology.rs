//! `cluster.toml`: the shape of a cluster on one machine, as a versioned file that people can read.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde::{Deserialize, Serialize};
use types::limits::PARTITIONS_MAX;
use types::settings::Setting;
use types::{ClusterId, ErrorCode, Fault};

/// The newest version of the file that this release reads, and the one that it writes.
const FORMAT: u32 = 1;

/// The first line of the file.
const HEADER: &str = "# A Skein cluster, made by 'skein up'. Names, ports and settings of all its nodes.\n";

/// Distance between the base ports of two nodes; a node uses some of these ports.
pub const PORTS_PER_NODE: u16 = 10;

/// The shape of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    format: u32,
    /// What people call it.
    pub name: String,
    /// Its id, made at bootstrap, as 16 hexadecimal digits.
    #[serde(with = "hexadecimal")]
    pub cluster: ClusterId,
    /// The address that all listeners bind to.
    pub listen: IpAddr,
    /// Partitions of the default table.
    pub partitions: u32,
    /// Settings of its nodes that differ from their defaults, by name, as typed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Its nodes, by id.
    pub nodes: Vec<TopologyNode>,
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyNode {
    /// Its id, from 1.
    pub id: u64,
    /// The first of its ports; see [`Addresses`].
    pub base_port: u16,
    /// It joined after the cluster was founded, and never founds one itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// `dc`, `rack`, `host` and whatever else, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Where a node listens: its base port and the ones that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Base port: other nodes.
    pub peer: String,
    /// Base port + 1: HTTP, for health, metrics and the admin API.
    pub http: String,
    /// Base port + 2: Redis clients, keys of the default table.
    pub redis: String,
    /// Base port + 4: Redis clients with ZanKV addressing. (+3 is reserved for MySQL clients.)
    pub zankv: String,
}

/// Why a file is no topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopologyError {
    /// A newer release wrote it.
    Newer(u32),
    /// Its text does not fit; the sentence says where.
    Malformed(String),
}

impl Topology {
    /// A cluster of `nodes` nodes whose ports begin at `base_port`.
    ///
    /// # Errors
    /// `BadArgument` if the ports do not fit below 65536 or the number of partitions is out of range.
    pub fn new(
        cluster: ClusterId,
        nodes: u16,
        base_port: u16,
        partitions: u32,
        listen: IpAddr,
    ) -> Result<Self, Fault> {
        if partitions == 0 || partitions > PARTITIONS_MAX {
            let detail = format!("--partitions is from 1 to {PARTITIONS_MAX}, not {partitions}");
            return Err(Fault::new(ErrorCode::BadArgument, detail));
        }
        let last = u32::from(base_port) + u32::from(nodes) * u32::from(PORTS_PER_NODE);
        if base_port == 0 || last > 1 + u32::from(u16::MAX) {
            let detail = format!("{nodes} nodes from --base-port {base_port} need ports from 1 to 65535");
            return Err(Fault::new(ErrorCode::BadArgument, detail));
        }
        let nodes = (0..nodes)
            .map(|i| TopologyNode {
                id: u64::from(i) + 1,
                base_port: base_port + i * PORTS_PER_NODE,
                joined: false,
                labels: BTreeMap::new(),
            })
            .collect();
        let name = "skein".to_owned();
        Ok(Self { format: FORMAT, name, cluster, listen, partitions, settings: BTreeMap::new(), nodes })
    }

    /// Where a node listens.
    pub fn listens(&self, node: &TopologyNode) -> Addresses {
        Addresses::at(self.listen, node.base_port)
    }

    /// Where clients and other nodes reach a node: as [`Self::listens`], but "every address" as a
    /// listener becomes loopback, since all nodes of such a cluster live on one machine.
    pub fn reached(&self, node: &TopologyNode) -> Addresses {
        let host = if self.listen.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.listen };
        Addresses::at(host, node.base_port)
    }

    /// The node of this id.
    pub fn node(&self, id: u64) -> Option<&TopologyNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The first port of one more node: after those of all others.
    ///
    /// # Errors
    /// `BadArgument` if they do not fit below 65536.
    pub fn next_base_port(&self) -> Result<u16, Fault> {
        let last = self.nodes.iter().map(|node| node.base_port).max().unwrap_or_default();
        let next = last.checked_add(PORTS_PER_NODE).filter(|next| *next <= u16::MAX - (PORTS_PER_NODE - 1));
        next.ok_or_else(|| {
            let detail = format!("the ports after {last} do not reach for one more node");
            Fault::new(ErrorCode::BadArgument, detail)
        })
    }

    /// The first port of the first node.
    pub fn base_port(&self) -> u16 {
        self.nodes.first().map_or(0, |node| node.base_port)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).expect("a topology holds only plain values under text names");
        format!("{HEADER}\n{body}")
    }

    /// The topology in a file's text.
    ///
    /// # Errors
    /// The text is not a topology, or one of a newer release.
    pub fn from_text(text: &str) -> Result<Self, TopologyError> {
        /// The one field that every version of the file has.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let malformed = |error: toml::de::Error| TopologyError::Malformed(one_line(&error, text));
        let version: Version = toml::from_str(text).map_err(malformed)?;
        if version.format > FORMAT {
            return Err(TopologyError::Newer(version.format));
        }
        let topology: Self = toml::from_str(text).map_err(malformed)?;
        topology.check().map_err(TopologyError::Malformed)?;
        Ok(topology)
    }

    /// What parsing alone does not promise.
    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("format {} never existed", self.format));
        }
        if self.nodes.is_empty() {
            return Err("it names no node".to_owned());
        }
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            return Err(format!("partitions is from 1 to {PARTITIONS_MAX}, not {}", self.partitions));
        }
        for (i, node) in self.nodes.iter().enumerate() {
            if node.id == 0 || self.nodes[..i].iter().any(|other| other.id == node.id) {
                return Err(format!("node id {} is 0 or stands there twice", node.id));
            }
            if node.base_port == 0 || node.base_port > u16::MAX - (PORTS_PER_NODE - 1) {
                return Err(format!("base_port {} of node {} is out of range", node.base_port, node.id));
            }
        }
        for (name, value) in &self.settings {
            Setting::at_start(name)?.check(value)?;
        }
        Ok(())
    }
}

impl Addresses {
    /// The addresses of a node at `host` whose first port is `base_port`, which is at most
    /// `65536 - PORTS_PER_NODE`.
    pub fn at(host: IpAddr, base_port: u16) -> Self {
        // SocketAddr knows the brackets of IPv6.
        let at = |offset| std::net::SocketAddr::new(host, base_port + offset).to_string();
        Self { peer: at(0), http: at(1), redis: at(2), zankv: at(4) }
    }

    /// All of them, in the order of their ports.
    pub fn all(&self) -> [&str; 4] {
        [&self.peer, &self.http, &self.redis, &self.zankv]
    }
}

impl TopologyError {
    /// The fault to show for the file at `path`.
    pub fn fault(&self, path: &Path) -> Fault {
        let code = match self {
            TopologyError::Newer(_) => ErrorCode::DataNewer,
            TopologyError::Malformed(_) => ErrorCode::BadFile,
        };
        Fault::new(code, format!("{}: {self}", path.display()))
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopologyError::Newer(format) => {
                write!(f, "it has format {format}, this release reads up to {FORMAT}")
            }
            TopologyError::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for TopologyError {}

/// TOML's own messages draw the line with arrows; an error's detail is one line.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}

/// Cluster ids as 16 hexadecimal digits: TOML's integers are signed.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use types::ClusterId;

    pub fn serialize<S: Serializer>(id: &ClusterId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", id.get()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClusterId, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(ClusterId).map_err(|_| D::Error::custom("not a cluster id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Topology {
        let cluster = ClusterId(0xfeed_0000_0000_0001);
        Topology::new(cluster, 3, 7000, 8, IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("a plain cluster")
    }

    #[test]
    fn nodes_get_their_ports_and_the_file_keeps_them() {
        let topology = three();
        let second = topology.listens(topology.node(2).expect("three nodes"));
        assert_eq!(second.all(), ["127.0.0.1:7010", "127.0.0.1:7011", "127.0.0.1:7012", "127.0.0.1:7014"]);
        assert_eq!(Topology::from_text(&topology.to_text()), Ok(topology));
    }

    #[test]
    fn a_node_more_has_the_next_ports_and_the_file_keeps_it() {
        let mut topology = three();
        let base_port = topology.next_base_port().expect("room");
        assert_eq!(base_port, 7030);
        let labels = BTreeMap::from([("rack".to_owned(), "r 1".to_owned())]);
        topology.nodes.push(TopologyNode { id: 9, base_port, joined: true, labels });
        assert_eq!(Topology::from_text(&topology.to_text()), Ok(topology.clone()));
        topology.nodes[0].base_port = 65520;
        assert_eq!(topology.next_base_port().expect_err("too high").code, ErrorCode::BadArgument);
    }

    #[test]
    fn every_address_is_reached_at_loopback() {
        let topology = Topology { listen: IpAddr::V4(Ipv4Addr::UNSPECIFIED), ..three() };
        let node = &topology.nodes[0];
        assert_eq!(topology.listens(node).redis, "0.0.0.0:7002");
        assert_eq!(topology.reached(node).redis, "127.0.0.1:7002");
    }

    #[test]
    fn damaged_and_newer_files_are_told_apart() {
        let text = three().to_text();
        let newer = text.replace("format = 1", "format = 2\nunheard = \"of\"");
        assert_eq!(Topology::from_text(&newer), Err(TopologyError::Newer(2)));
        for damage in ["partitions = 0", "partitions = 70000", "partitions = \"x\"", "partition"] {
            let damaged = text.replace("partitions = 8", damage);
            assert!(matches!(Topology::from_text(&damaged), Err(TopologyError::Malformed(_))), "{damage}");
        }
        let twice = text.replace("id = 2", "id = 1");
        assert!(matches!(Topology::from_text(&twice), Err(TopologyError::Malformed(_))));
    }

    #[test]
    fn any_text_is_read_without_a_panic() {
        let text = three().to_text();
        for cut in 0..text.len() {
            let _ = Topology::from_text(&text[..cut]);
        }
        let _ = Topology::from_text("\u{0}format = 1");
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        let new = |nodes, port| Topology::new(ClusterId(1), nodes, port, 8, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(new(3, 65506).is_ok());
        assert_eq!(new(3, 65507).expect_err("one port too many").code, ErrorCode::BadArgument);
        assert_eq!(new(3, 0).expect_err("port 0").code, ErrorCode::BadArgument);
    }
}
