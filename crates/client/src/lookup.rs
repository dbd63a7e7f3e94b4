//! How a command finds its cluster: `--dir`, `--addr` or the environment.

use std::path::PathBuf;

use api::auth::Secret;
use types::{ErrorCode, Fault};

use crate::directory::{Directory, read_secret};
use crate::http::Client;

/// Where `skein up` puts a cluster when nothing is said.
const DIRECTORY_DEFAULT: &str = "skein-data";

/// What a user said about where the cluster is. Everything may be absent.
///
/// | said | addresses | secret |
/// |---|---|---|
/// | addresses | those, in their order | the secret file, else the directory's |
/// | a directory | of all nodes in its `cluster.toml` | the secret file, else the directory's |
/// | nothing | of `./skein-data`, if there is a cluster | as above |
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// A cluster's directory (`--dir`).
    pub directory: Option<PathBuf>,
    /// HTTP addresses of any of its nodes (`--addr`, `SKEIN_ADDR`).
    pub addresses: Vec<String>,
    /// A file with its secret (`--secret-file`, `SKEIN_SECRET_FILE`).
    pub secret_file: Option<PathBuf>,
}

impl Lookup {
    /// A client of the cluster. No connection is made yet.
    ///
    /// # Errors
    /// `NoCluster` if nothing was said and there is none in `./skein-data`; what reading the directory or
    /// the secret says; `BadArgument` for an address without a port.
    pub fn client(&self) -> Result<Client, Fault> {
        let directory = self.directory();
        let addresses = if self.addresses.is_empty() {
            let topology = directory.topology()?;
            topology.nodes.iter().map(|node| topology.reached(node).http).collect()
        } else {
            self.addresses.iter().map(|address| checked(address)).collect::<Result<Vec<_>, _>>()?
        };
        let secret = match &self.secret_file {
            Some(path) => Some(read_secret(path)?),
            // With addresses alone the secret is optional here: the node says when it is needed.
            None if self.addresses.is_empty() || self.directory.is_some() => Some(directory.secret()?),
            None if directory.secret_file().exists() => Some(directory.secret()?),
            None => None,
        };
        Ok(Client::new(addresses, secret.as_ref()))
    }

    /// The cluster's secret.
    ///
    /// # Errors
    /// What reading it says.
    pub fn secret(&self) -> Result<Secret, Fault> {
        match &self.secret_file {
            Some(path) => read_secret(path),
            None => self.directory().secret(),
        }
    }

    /// The directory that was named, or the one that `skein up` uses when none is.
    pub fn directory(&self) -> Directory {
        Directory::new(self.directory.clone().unwrap_or_else(|| PathBuf::from(DIRECTORY_DEFAULT)))
    }
}

/// An address with its shape checked: `host:port`.
fn checked(address: &str) -> Result<String, Fault> {
    let address = address.trim();
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.to_owned()),
        _ => {
            let detail = format!("--addr is HOST:PORT[,HOST:PORT...], not '{address}'");
            Err(Fault::new(ErrorCode::BadArgument, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topology;
    use std::net::{IpAddr, Ipv4Addr};
    use types::ClusterId;

    #[test]
    fn a_directory_gives_all_its_nodes() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::new(dir.path());
        let topology = Topology::new(ClusterId(1), 3, 7000, 8, IpAddr::V4(Ipv4Addr::LOCALHOST));
        std::fs::write(directory.topology_file(), topology.expect("plain").to_text()).expect("written");
        let lookup = Lookup { directory: Some(dir.path().into()), ..Lookup::default() };

        // The secret is part of the directory; without it the directory is not whole.
        assert_eq!(lookup.client().expect_err("no secret").code, ErrorCode::DataUnreadable);
        std::fs::write(directory.secret_file(), "5a".repeat(32)).expect("written");
        let client = lookup.client().expect("found");
        assert_eq!(client.addresses(), ["127.0.0.1:7001", "127.0.0.1:7011", "127.0.0.1:7021"]);

        let named = Lookup { addresses: vec!["127.0.0.1:9".into()], ..lookup };
        assert_eq!(named.client().expect("found").addresses(), ["127.0.0.1:9"]);
    }

    #[test]
    fn nothing_found_and_bad_addresses_are_told() {
        let nowhere = Lookup { directory: Some("/nonexistent".into()), ..Lookup::default() };
        assert_eq!(nowhere.client().expect_err("none").code, ErrorCode::NoCluster);
        for bad in ["localhost", ":7001", "localhost:x", ""] {
            let lookup = Lookup { addresses: vec![bad.into()], ..Lookup::default() };
            assert_eq!(lookup.client().expect_err(bad).code, ErrorCode::BadArgument);
        }
    }
}
