//! `node.toml`: what `skein server --config FILE` is told, and the other files of a node's directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use client::{Addresses, Topology, TopologyNode};
use serde::{Deserialize, Serialize};
use types::settings::Setting;
use types::{ErrorCode, Fault};

/// The newest version of the file that this release reads, and the one that it writes.
const FORMAT: u32 = 1;

/// The first line of the file of a node that belongs to a directory of `skein up`.
const HEADER: &str = "# Written by 'skein up' from ../cluster.toml, which is the file to edit.\n";
/// The first line of the file of a node that stands alone.
const HEADER_ALONE: &str = "# Written by 'skein server --join'; may be edited while the node is stopped.\n";

/// A node's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlace {
    path: PathBuf,
}

/// What a node is told at its start. Relative paths are relative to the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    format: u32,
    /// The cluster's id, as 16 hexadecimal digits.
    pub cluster: String,
    /// What people call the cluster; empty if the node was not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The node's id.
    pub node: u64,
    /// Its stored data.
    pub data: PathBuf,
    /// The cluster's secret.
    pub secret_file: PathBuf,
    /// The password that Redis clients must give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Partitions of the default table; used when the cluster is founded.
    pub partitions: u32,
    /// Settings that differ from their defaults, by name, as typed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// `dc`, `rack`, `host` and whatever else, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where the node binds.
    pub listen: NodeAddresses,
    /// Where others reach it, if it stands alone: joined from elsewhere, and not among `founders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<NodeAddresses>,
    /// The nodes that this one looks for at its start, and where they are reached: those that found the
    /// cluster, this one among them, and those of the same directory that joined later.
    pub founders: Vec<Founder>,
}

/// Addresses of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeAddresses {
    /// For other nodes.
    pub peer: String,
    /// For HTTP.
    pub http: String,
    /// For Redis clients.
    pub redis: String,
    /// For Redis clients with ZanKV addressing.
    pub zankv: String,
}

/// A node that joins a cluster from a directory of its own.
#[derive(Debug)]
pub struct Alone {
    /// What people call the cluster.
    pub name: String,
    /// The cluster's id, as 16 hexadecimal digits.
    pub cluster: String,
    /// The node's id.
    pub node: u64,
    /// Where it binds.
    pub listen: NodeAddresses,
    /// Where others reach it.
    pub reached: NodeAddresses,
    /// Where it stands.
    pub labels: BTreeMap<String, String>,
    /// Whether Redis clients must give a password.
    pub password: bool,
    /// Nodes of the cluster, to be found by them.
    pub others: Vec<Founder>,
}

/// A node that another one looks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founder {
    /// Its id.
    pub id: u64,
    /// It joined later, and founds nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// Where it is reached.
    #[serde(flatten)]
    pub addresses: NodeAddresses,
}

impl NodePlace {
    /// The node's directory at `path`; nothing is read or made.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the node is told.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("node.toml")
    }

    /// What the node stores.
    pub fn data_directory(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Its process, which keeps the file locked.
    pub fn pid_file(&self) -> PathBuf {
        self.path.join("server.pid")
    }

    /// How its process ended, unless it was killed.
    pub fn exit_file(&self) -> PathBuf {
        self.path.join("server.exit")
    }

    /// What it says.
    pub fn log_file(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Leaves a wish that the agent starts this node, which it heeds when it is asked to. Whether it could be left.
    pub fn wish_start(&self) -> bool {
        std::fs::write(self.wish_file(), "").is_ok()
    }

    /// Takes the wish away; returns whether there was one.
    pub fn take_wish(&self) -> bool {
        std::fs::remove_file(self.wish_file()).is_ok()
    }

    fn wish_file(&self) -> PathBuf {
        self.path.join("start")
    }
}

impl NodeFile {
    /// What a node of this cluster is told.
    pub fn new(topology: &Topology, node: &TopologyNode, password: bool) -> Self {
        let founders = topology.nodes.iter();
        Self {
            format: FORMAT,
            cluster: format!("{:016x}", topology.cluster.get()),
            name: topology.name.clone(),
            node: node.id,
            data: "data".into(),
            secret_file: "../secret".into(),
            password_file: password.then(|| "../password".into()),
            partitions: topology.partitions,
            settings: topology.settings.clone(),
            labels: node.labels.clone(),
            listen: topology.listens(node).into(),
            reached: None,
            founders: founders
                .map(|node| Founder {
                    id: node.id,
                    joined: node.joined,
                    addresses: topology.reached(node).into(),
                })
                .collect(),
        }
    }

    /// What a node is told that stands alone in its directory.
    pub fn alone(alone: Alone) -> Self {
        let Alone { name, cluster, node, listen, reached, labels, password, others } = alone;
        Self {
            format: FORMAT,
            cluster,
            name,
            node,
            data: "data".into(),
            secret_file: "secret".into(),
            password_file: password.then(|| "password".into()),
            partitions: 1,
            settings: BTreeMap::new(),
            labels,
            listen,
            reached: Some(reached),
            founders: others,
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let header = if self.reached.is_some() { HEADER_ALONE } else { HEADER };
        format!("{header}\n{}", toml::to_string(self).expect("plain values under text names"))
    }

    /// Where others reach this node.
    pub fn reached(&self) -> &NodeAddresses {
        let own = self.founders.iter().find(|founder| founder.id == self.node);
        self.reached.as_ref().or(own.map(|founder| &founder.addresses)).unwrap_or(&self.listen)
    }

    /// Whether the node joined a cluster that others had founded.
    pub fn has_joined(&self) -> bool {
        let own = self.founders.iter().find(|founder| founder.id == self.node);
        own.is_none_or(|founder| founder.joined)
    }

    /// Whether it knows of no other node.
    pub fn is_only_node(&self) -> bool {
        self.founders.iter().all(|founder| founder.id == self.node)
    }

    /// The file at `path`.
    ///
    /// # Errors
    /// `DataUnreadable`, `DataNewer`, or `BadFile` with the place in the file.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged =
            |what: String| Fault::new(ErrorCode::BadFile, format!("{}: {}", path.display(), what.trim_end()));
        let text = std::fs::read_to_string(path).map_err(|error| crate::files::fault(&error, path))?;
        let version: Version = toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if version.format > FORMAT {
            let detail = format!(
                "{}: it has format {}, this release reads up to {FORMAT}",
                path.display(),
                version.format
            );
            return Err(Fault::new(ErrorCode::DataNewer, detail));
        }
        let file: Self = toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        file.check().map_err(damaged)?;
        Ok(file)
    }

    /// The number of a setting: as told, or its default.
    pub fn setting(&self, setting: &Setting) -> u64 {
        let told = self.settings.get(setting.name).and_then(|text| setting.check(text).ok());
        told.unwrap_or_else(|| setting.default_number())
    }

    fn check(&self) -> Result<(), String> {
        if u64::from_str_radix(&self.cluster, 16).is_err() {
            return Err(format!("'{}' is not a cluster id", self.cluster));
        }
        if self.reached.is_none() && !self.founders.iter().any(|founder| founder.id == self.node) {
            return Err(format!("node {} is not among the founders", self.node));
        }
        if self.reached.is_some() && self.is_only_node() {
            return Err("it names no other node of the cluster".to_owned());
        }
        for (name, value) in &self.settings {
            Setting::at_start(name)?.check(value)?;
        }
        Ok(())
    }
}

impl From<Addresses> for NodeAddresses {
    fn from(Addresses { peer, http, redis, zankv }: Addresses) -> Self {
        Self { peer, http, redis, zankv }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::ClusterId;
    use types::settings::WRITE_BUFFER_BYTES;

    fn file() -> NodeFile {
        let listen = "127.0.0.1".parse().expect("an address");
        let mut topology = Topology::new(ClusterId(7), 3, 7000, 8, listen).expect("plain");
        topology.settings.insert(WRITE_BUFFER_BYTES.name.into(), "8388608".into());
        NodeFile::new(&topology, &topology.nodes[1], true)
    }

    fn read(text: &str) -> Result<NodeFile, Fault> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = NodePlace::new(dir.path());
        std::fs::write(place.config_file(), text).expect("written");
        NodeFile::read(&place.config_file())
    }

    #[test]
    fn a_node_is_told_what_it_needs() {
        let file = file();
        assert_eq!(read(&file.to_text()), Ok(file.clone()));
        assert_eq!(file.listen.redis, "127.0.0.1:7012");
        assert_eq!(file.founders[2].addresses.peer, "127.0.0.1:7020");
        assert_eq!(file.setting(&WRITE_BUFFER_BYTES), 8_388_608);
        assert_eq!(file.setting(&types::settings::FLUSH_INTERVAL_MS), 1000);
    }

    #[test]
    fn a_node_alone_knows_others_and_where_it_is_reached() {
        let first = file();
        let at = |port| -> NodeAddresses {
            client::Addresses::at("10.0.0.7".parse().expect("an address"), port).into()
        };
        let alone = NodeFile::alone(Alone {
            name: "skein".into(),
            cluster: first.cluster.clone(),
            node: 4,
            listen: at(7000),
            reached: at(8000),
            labels: BTreeMap::from([("dc".into(), "east".into())]),
            password: false,
            others: first.founders.clone(),
        });
        assert_eq!(read(&alone.to_text()), Ok(alone.clone()));
        assert!(alone.has_joined() && !alone.is_only_node());
        assert_eq!(alone.reached().peer, "10.0.0.7:8000");
        assert!(!first.has_joined());
        assert_eq!(first.reached().peer, "127.0.0.1:7010");
        let lost = NodeFile { founders: Vec::new(), ..alone };
        assert_eq!(read(&lost.to_text()).expect_err("nobody to find").code, ErrorCode::BadFile);
    }

    #[test]
    fn bad_files_are_explained() {
        let text = file().to_text();
        let bad = [
            ("format = 1", "format = 2", ErrorCode::DataNewer),
            ("node = 2", "node = 9", ErrorCode::BadFile),
            ("write_buffer_bytes = \"8388608\"", "write_buffer_bytes = \"1\"", ErrorCode::BadFile),
            ("write_buffer_bytes", "write_buffer", ErrorCode::BadFile),
            ("write_buffer_bytes = \"8388608\"", "down_after_ms = \"1000\"", ErrorCode::BadFile),
            ("data = ", "dta = ", ErrorCode::BadFile),
        ];
        for (from, to, code) in bad {
            assert!(text.contains(from), "{from}");
            assert_eq!(read(&text.replace(from, to)).expect_err(to).code, code, "{to}");
        }
        let missing = NodeFile::read(Path::new("/nonexistent/node.toml")).expect_err("missing");
        assert_eq!(missing.code, ErrorCode::DataUnreadable);
    }
}
