//! `identity`: whose data directory this is. A plain file, readable when everything else is broken.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{ClusterId, ErrorCode, Fault, NodeId};

use crate::files::{self, Readers, create_directory, write_atomically};

/// The file's format.
const FORMAT: u32 = 1;

/// A data directory's owner.
#[derive(Debug)]
pub struct Identity {
    path: PathBuf,
    content: Content,
    is_new: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    format: u32,
    /// The cluster, as 16 hexadecimal digits.
    cluster: String,
    /// The node.
    node: u64,
    /// This data directory, as 16 hexadecimal digits; random.
    store: String,
    /// Where this node was reached when it last ran: if somebody answers there as this node, it is alive.
    endpoint: String,
    /// The node has served. If its replicas are missing later, they are lost, and must not be made again
    /// under their old ids.
    served: bool,
}

impl Identity {
    /// The identity of a data directory, which is made if it is not there.
    ///
    /// # Errors
    /// `WrongCluster` when the directory belongs to another cluster or node, `DataNewer`, `DataDamaged`
    /// or `DataUnreadable` when the file is.
    pub fn open(data: &Path, cluster: ClusterId, node: NodeId, endpoint: &str) -> Result<Self, Fault> {
        create_directory(data)?;
        let path = data.join("identity");
        let cluster = format!("{:016x}", cluster.get());
        let Some(content) = read(&path)? else {
            let content = Content {
                format: FORMAT,
                cluster,
                node: node.get(),
                store: format!("{:016x}", super::random()?),
                endpoint: endpoint.to_owned(),
                served: false,
            };
            // A directory with data but without an identity is not a new one.
            if data.join("log").exists() || data.join("state").exists() {
                let detail = format!("{}: it is missing, but there is data beside it", path.display());
                return Err(Fault::new(ErrorCode::DataDamaged, detail));
            }
            // Before there is any data, so that data never lies without an owner.
            let identity = Self { path, content, is_new: true };
            identity.write()?;
            return Ok(identity);
        };
        if content.cluster != cluster || content.node != node.get() {
            let detail = format!(
                "{} is of node {} of cluster {}, not of node {node} of cluster {cluster}",
                data.display(),
                content.node,
                content.cluster
            );
            return Err(Fault::new(ErrorCode::WrongCluster, detail));
        }
        Ok(Self { path, content, is_new: false })
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        ClusterId(u64::from_str_radix(&self.content.cluster, 16).unwrap_or(0))
    }

    /// The number of this data directory.
    pub fn store(&self) -> u64 {
        u64::from_str_radix(&self.content.store, 16).unwrap_or(0)
    }

    /// Where this node was reached when it last ran; `None` for one that never did.
    pub fn endpoint(&self) -> Option<&str> {
        (!self.is_new).then_some(self.content.endpoint.as_str())
    }

    /// Whether the node has ever served.
    pub fn has_served(&self) -> bool {
        self.content.served
    }

    /// The node serves, and is reached at an endpoint from now on.
    pub fn serves(mut self, endpoint: &str) -> Result<(), Fault> {
        let before = self.content.clone();
        self.content.served = true;
        endpoint.clone_into(&mut self.content.endpoint);
        if before == self.content { Ok(()) } else { self.write() }
    }

    fn write(&self) -> Result<(), Fault> {
        let body = toml::to_string(&self.content).expect("plain values under text names");
        let text = format!("{body}checksum = \"{:08x}\"\n", crc32c::crc32c(body.as_bytes()));
        write_atomically(&self.path, &text, Readers::Everyone)
    }
}

fn read(path: &Path) -> Result<Option<Content>, Fault> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(files::fault(&error, path)),
    };
    let damaged = |what: &str| Fault::new(ErrorCode::DataDamaged, format!("{}: {what}", path.display()));
    // Asked before anything else: another format may have another checksum, or none.
    if let Some(format) = format_of(&text).filter(|format| *format > FORMAT) {
        let detail = format!("{}: format {format}, this release reads up to {FORMAT}", path.display());
        return Err(Fault::new(ErrorCode::DataNewer, detail));
    }
    let (body, checksum) = text.rsplit_once("checksum = ").ok_or_else(|| damaged("no checksum"))?;
    if checksum.trim().trim_matches('"') != format!("{:08x}", crc32c::crc32c(body.as_bytes())) {
        return Err(damaged("its checksum does not fit"));
    }
    let content: Content = toml::from_str(body).map_err(|error| damaged(error.message()))?;
    Ok(Some(content))
}

/// The format that a file says it has, on the line that every format begins with.
fn format_of(text: &str) -> Option<u32> {
    text.lines().next()?.strip_prefix("format = ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(data: &Path, cluster: u64) -> Result<Identity, Fault> {
        Identity::open(data, ClusterId(cluster), NodeId(1), "127.0.0.1:7000")
    }

    #[test]
    fn a_directory_remembers_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let identity = open(dir.path(), 7).unwrap();
        assert!(!identity.has_served() && identity.endpoint().is_none());
        identity.serves("127.0.0.1:7000").unwrap();
        let identity = open(dir.path(), 7).unwrap();
        assert!(identity.has_served());
        assert_eq!(identity.endpoint(), Some("127.0.0.1:7000"));
        assert_eq!(open(dir.path(), 8).unwrap_err().code, ErrorCode::WrongCluster);
    }

    #[test]
    fn a_newer_format_is_no_damage_whatever_its_checksum() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), 7).unwrap();
        let path = dir.path().join("identity");
        for newer in ["format = 2\nowner = \"somebody\"\n", "format = 2\nchecksum = \"blake3:00\"\n"] {
            std::fs::write(&path, newer).unwrap();
            assert_eq!(open(dir.path(), 7).unwrap_err().code, ErrorCode::DataNewer);
        }
        std::fs::write(&path, "format = x\n").unwrap();
        assert_eq!(open(dir.path(), 7).unwrap_err().code, ErrorCode::DataDamaged);
    }

    #[test]
    fn damage_and_a_missing_identity_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), 7).unwrap().serves("127.0.0.1:7000").unwrap();
        let path = dir.path().join("identity");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("node = 1", "node = 2")).unwrap();
        assert_eq!(open(dir.path(), 7).unwrap_err().code, ErrorCode::DataDamaged);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(dir.path().join("log")).unwrap();
        assert_eq!(open(dir.path(), 7).unwrap_err().code, ErrorCode::DataDamaged);
    }
}
