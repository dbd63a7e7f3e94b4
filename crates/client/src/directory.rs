//! The directory of a cluster on one machine: the names of everything in it, and how to read them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use api::auth::Secret;
use types::{ErrorCode, Fault};

use crate::topology::Topology;

/// Longest file that is read whole: topologies of a thousand nodes are far below.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A cluster's directory; `docs/cli.md` draws it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory at `path`; nothing is read or made.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's shape.
    pub fn topology_file(&self) -> PathBuf {
        self.path.join("cluster.toml")
    }

    /// Locked by whoever changes the cluster's shape.
    pub fn topology_lock_file(&self) -> PathBuf {
        self.path.join("cluster.lock")
    }

    /// What a node that is being added was promised; there only meanwhile.
    pub fn joining_file(&self) -> PathBuf {
        self.path.join("joining.toml")
    }

    /// The cluster's secret, readable by its owner only.
    pub fn secret_file(&self) -> PathBuf {
        self.path.join("secret")
    }

    /// The password that Redis clients must give, readable by its owner only; absent when there is none.
    pub fn password_file(&self) -> PathBuf {
        self.path.join("password")
    }

    /// The agent's process id; locked while it lives.
    pub fn agent_pid_file(&self) -> PathBuf {
        self.path.join("agent.pid")
    }

    /// What a detached agent says.
    pub fn agent_log_file(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    /// A node's own directory.
    pub fn node_directory(&self, node: u64) -> PathBuf {
        self.path.join(format!("node-{node}"))
    }

    /// The cluster's shape; `None` if no cluster was made here.
    ///
    /// # Errors
    /// `DataUnreadable`, `BadFile` or `DataNewer`, each naming the file.
    pub fn read_topology(&self) -> Result<Option<Topology>, Fault> {
        let path = self.topology_file();
        let Some(text) = read(&path)? else { return Ok(None) };
        Topology::from_text(&text).map(Some).map_err(|error| error.fault(&path))
    }

    /// The cluster's shape, where there must be one.
    ///
    /// # Errors
    /// As [`Self::read_topology`], and `NoCluster`.
    pub fn topology(&self) -> Result<Topology, Fault> {
        self.read_topology()?.ok_or_else(|| {
            Fault::new(ErrorCode::NoCluster, format!("{} has no cluster.toml", self.path.display()))
        })
    }

    /// The cluster's secret.
    ///
    /// # Errors
    /// `DataUnreadable` or `BadFile`, naming the file.
    pub fn secret(&self) -> Result<Secret, Fault> {
        read_secret(&self.secret_file())
    }
}

/// The secret in a file.
pub(crate) fn read_secret(path: &Path) -> Result<Secret, Fault> {
    let text = read(path)?
        .ok_or_else(|| Fault::new(ErrorCode::DataUnreadable, format!("{} is missing", path.display())))?;
    Secret::from_text(&text).ok_or_else(|| {
        let detail = format!("{} is not a secret of 64 hexadecimal digits", path.display());
        Fault::new(ErrorCode::BadFile, detail)
    })
}

/// A file's text, or `None` if it does not exist.
fn read(path: &Path) -> Result<Option<String>, Fault> {
    use std::io::Read;
    let unreadable = |error| Fault::new(ErrorCode::DataUnreadable, format!("{}: {error}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(Fault::new(ErrorCode::BadFile, format!("{} is not text", path.display())))
        }
        Err(error) => Err(unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::new(dir.path());
        assert_eq!(directory.read_topology(), Ok(None));
        assert_eq!(directory.topology().expect_err("no cluster").code, ErrorCode::NoCluster);

        std::fs::write(directory.topology_file(), b"\xff\xfe").expect("written");
        assert_eq!(directory.topology().expect_err("not text").code, ErrorCode::BadFile);
        std::fs::write(directory.topology_file(), "format = 9").expect("written");
        assert_eq!(directory.topology().expect_err("newer").code, ErrorCode::DataNewer);

        assert_eq!(directory.secret().expect_err("missing").code, ErrorCode::DataUnreadable);
        std::fs::write(directory.secret_file(), "abc").expect("written");
        let fault = directory.secret().expect_err("no secret");
        assert_eq!(fault.code, ErrorCode::BadFile);
        assert!(fault.detail.contains("secret"), "{fault}");
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_unreadable() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::new(dir.path());
        std::fs::create_dir(directory.topology_file()).expect("made");
        assert_eq!(directory.topology().expect_err("a directory").code, ErrorCode::DataUnreadable);
    }
}
