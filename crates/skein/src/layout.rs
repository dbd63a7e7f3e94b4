//! Making a cluster's directory, and checking that an existing one is the cluster that was asked for.
//!
//! `cluster.toml` is written last: a directory without it holds no cluster, whatever a crash left there.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::net::IpAddr;

use api::auth::{SECRET_BYTES, Secret};
use client::{Directory, Topology};
use rustix::fs::{FlockOperation, flock};
use types::{ClusterId, ErrorCode, Fault};

use crate::files::{Readers, create_directory, fault, remove_if_there, write_atomically};
use crate::node_file::{NodeFile, NodePlace};

/// Nodes of a cluster when nothing is said.
pub const NODES_DEFAULT: u16 = 3;
/// First port of the first node when nothing is said.
pub const BASE_PORT_DEFAULT: u16 = 7000;
/// Partitions of the default table when nothing is said.
pub const PARTITIONS_DEFAULT: u32 = 8;

/// What a user asked for; what is absent may be anything.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// `--name`.
    pub name: Option<String>,
    /// `--nodes`.
    pub nodes: Option<u16>,
    /// `--base-port`.
    pub base_port: Option<u16>,
    /// `--partitions`.
    pub partitions: Option<u32>,
    /// `--listen`.
    pub listen: Option<IpAddr>,
    /// `--requirepass`; empty asks for no password.
    pub password: Option<String>,
    /// `--label`; none asks for nothing.
    pub labels: BTreeMap<String, String>,
}

/// The cluster in the directory as it is, or a new one as it was asked for. Nothing is written: what can be
/// refused is refused here.
///
/// # Errors
/// `TopologyDiffers` if there is a cluster of another shape; `BadArgument`; whatever the directory says.
pub fn plan(directory: &Directory, wish: &Wish) -> Result<Topology, Fault> {
    let existing = directory.read_topology()?;
    if let Some(topology) = &existing {
        compare(directory, topology, wish)?;
        // A missing secret is told now, not by nodes that cannot start.
        directory.secret()?;
    }
    let topology = match existing {
        Some(topology) => topology,
        None => design(directory, wish)?,
    };
    guard_listeners(directory, &topology, wish)?;
    if wish.password.as_deref().is_some_and(|password| password.contains('\n')) {
        return Err(Fault::new(ErrorCode::BadArgument, "--requirepass must be one line"));
    }
    Ok(topology)
}

/// Makes the cluster in the directory what [`plan`] says that it shall be.
///
/// The caller holds the agent's pid file, so nobody else is doing the same.
///
/// # Errors
/// As [`plan`]; `DiskFull`, `DataUnreadable`.
pub fn establish(directory: &Directory, wish: &Wish) -> Result<Topology, Fault> {
    let topology = plan(directory, wish)?;
    write_password(directory, wish)?;
    if directory.read_topology()?.is_none() {
        write_atomically(
            &directory.secret_file(),
            &format!("{}\n", new_secret()?.to_text()),
            Readers::Owner,
        )?;
        write_atomically(&directory.topology_file(), &topology.to_text(), Readers::Everyone)?;
    }
    write_nodes(directory, &topology)?;
    Ok(topology)
}

/// Checks that a cluster has the shape that was asked for.
///
/// # Errors
/// `TopologyDiffers`, naming the option, what it asks for and what is there.
pub fn compare(directory: &Directory, topology: &Topology, wish: &Wish) -> Result<(), Fault> {
    compare_nodes(directory, topology, wish)?;
    compare_partitions(directory, topology, wish)?;
    let differs = !wish.labels.is_empty() && topology.nodes.iter().any(|node| node.labels != wish.labels);
    let differences = [
        differs.then(|| {
            let asked = wish.labels.iter().map(|(name, value)| format!("{name}={value}"));
            let asked = asked.collect::<Vec<_>>().join(",");
            ("nodes with other labels".to_owned(), "--label", asked, "the labels")
        }),
        wish.base_port.filter(|&asked| asked != topology.base_port()).map(|asked| {
            (format!("base port {}", topology.base_port()), "--base-port", asked.to_string(), "the ports")
        }),
        wish.name
            .as_ref()
            .filter(|&asked| *asked != topology.name)
            .map(|asked| (format!("the name {}", topology.name), "--name", asked.clone(), "the name")),
        wish.listen.filter(|&asked| asked != topology.listen).map(|asked| {
            (format!("listeners at {}", topology.listen), "--listen", asked.to_string(), "the listeners")
        }),
    ];
    let path = directory.path().display();
    let Some((has, option, asked, what)) = differences.into_iter().flatten().next() else { return Ok(()) };
    let detail = format!(
        "{path} has {has}, {option} asks for {asked}\n\
         no command of this release changes {what} of an existing cluster;\n\
         a new cluster of that shape: skein up --dir OTHER {option} {asked}"
    );
    Err(Fault::new(ErrorCode::TopologyDiffers, detail))
}

/// Another number of nodes than there are: how it is changed.
fn compare_nodes(directory: &Directory, topology: &Topology, wish: &Wish) -> Result<(), Fault> {
    let has = topology.nodes.len() as u64;
    let Some(asked) = wish.nodes.map(u64::from).filter(|asked| *asked != has) else { return Ok(()) };
    let path = directory.path().display();
    let how = match asked > has {
        true => format!("one node more: skein node add --dir {path}"),
        false => format!("one node less: skein node decommission NODE --dir {path}"),
    };
    let has = crate::say::count(has, "node");
    let detail = format!("{path} has {has}, --nodes asks for {asked}\n{how}");
    Err(Fault::new(ErrorCode::TopologyDiffers, detail))
}

/// Another number of partitions than the default table was made with. No command changes a table's; its keys can move
/// into another table.
fn compare_partitions(directory: &Directory, topology: &Topology, wish: &Wish) -> Result<(), Fault> {
    let Some(asked) = wish.partitions.filter(|&asked| asked != topology.partitions) else { return Ok(()) };
    let path = directory.path().display();
    let has = crate::say::count(u64::from(topology.partitions), "partition");
    let detail = format!(
        "{path} has {has}, --partitions asks for {asked}\n\
         another table with as many: skein table create NAME --partitions {asked} --dir {path}\n\
         with the keys of this one: skein backup create --to URL --table default --dir {path}, then\n\
         skein restore --from URL --table default --to-table NAME --partitions {asked} --dir {path}"
    );
    Err(Fault::new(ErrorCode::TopologyDiffers, detail))
}

/// Changes the shape of a cluster, durably; others who change it wait meanwhile. Nothing is written if `edit`
/// changes nothing.
///
/// # Errors
/// `NoCluster`; whatever the directory or `edit` says.
pub fn edit(
    directory: &Directory,
    edit: impl FnOnce(&mut Topology) -> Result<(), Fault>,
) -> Result<Topology, Fault> {
    let path = directory.topology_lock_file();
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|error| fault(&error, &path))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| fault(&error.into(), &path))?;
    let before = directory.topology()?;
    let mut topology = before.clone();
    edit(&mut topology)?;
    if topology != before {
        write_atomically(&directory.topology_file(), &topology.to_text(), Readers::Everyone)?;
    }
    Ok(topology)
}

/// The password that Redis clients must give, if they must.
///
/// # Errors
/// `DataUnreadable` if the file is there and cannot be read.
pub fn password(directory: &Directory) -> Result<Option<String>, Fault> {
    let path = directory.password_file();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end_matches('\n').to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault(&error, &path)),
    }
}

/// Writes every node's directory and configuration from the topology, which is the truth.
///
/// # Errors
/// `DataUnreadable`, `DiskFull`.
pub fn write_nodes(directory: &Directory, topology: &Topology) -> Result<(), Fault> {
    let has_password = password(directory)?.is_some();
    for node in &topology.nodes {
        let place = NodePlace::new(directory.node_directory(node.id));
        create_directory(place.path())?;
        let text = NodeFile::new(topology, node, has_password).to_text();
        if std::fs::read_to_string(place.config_file()).is_ok_and(|present| present == text) {
            continue;
        }
        write_atomically(&place.config_file(), &text, Readers::Everyone)?;
    }
    Ok(())
}

/// The shape of a cluster that is not there yet.
fn design(directory: &Directory, wish: &Wish) -> Result<Topology, Fault> {
    for id in 1..=wish.nodes.unwrap_or(NODES_DEFAULT) {
        let place = NodePlace::new(directory.node_directory(u64::from(id)));
        if place.data_directory().exists() {
            let detail = format!(
                "{} holds data, but {} is missing",
                place.data_directory().display(),
                directory.topology_file().display()
            );
            return Err(Fault::new(ErrorCode::DataDamaged, detail));
        }
    }
    let mut id = [0; 8];
    random(&mut id)?;
    let mut topology = Topology::new(
        ClusterId(u64::from_be_bytes(id).max(1)),
        wish.nodes.unwrap_or(NODES_DEFAULT),
        wish.base_port.unwrap_or(BASE_PORT_DEFAULT),
        wish.partitions.unwrap_or(PARTITIONS_DEFAULT),
        wish.listen.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
    )?;
    if let Some(name) = &wish.name {
        name.clone_into(&mut topology.name);
    }
    topology.nodes.iter_mut().for_each(|node| node.labels.clone_from(&wish.labels));
    Ok(topology)
}

/// Listeners that other machines can reach need a password.
fn guard_listeners(directory: &Directory, topology: &Topology, wish: &Wish) -> Result<(), Fault> {
    let is_closed = match &wish.password {
        Some(password) => !password.is_empty(),
        None => password(directory)?.is_some(),
    };
    if topology.listen.is_loopback() || is_closed {
        return Ok(());
    }
    let detail = format!(
        "--listen {} opens the cluster to other machines; give Redis clients a password with --requirepass",
        topology.listen
    );
    Err(Fault::new(ErrorCode::BadArgument, detail))
}

fn write_password(directory: &Directory, wish: &Wish) -> Result<(), Fault> {
    let path = directory.password_file();
    match wish.password.as_deref() {
        None => Ok(()),
        Some("") => remove_if_there(&path).map_err(|error| fault(&error, &path)),
        Some(password) => write_atomically(&path, &format!("{password}\n"), Readers::Owner),
    }
}

fn new_secret() -> Result<Secret, Fault> {
    let mut bytes = [0; SECRET_BYTES];
    random(&mut bytes)?;
    Ok(Secret::new(bytes))
}

fn random(bytes: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(bytes)
        .map_err(|error| Fault::new(ErrorCode::Internal, format!("the system has no randomness: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> (tempfile::TempDir, Directory) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::new(dir.path());
        (dir, directory)
    }

    #[test]
    fn a_cluster_is_made_once_and_then_kept() {
        let (_dir, directory) = new();
        let made = establish(&directory, &Wish { nodes: Some(5), ..Wish::default() }).expect("made");
        assert_eq!((made.nodes.len(), made.base_port(), made.partitions), (5, 7000, 8));
        let secret = directory.secret().expect("made");
        let again = establish(&directory, &Wish::default()).expect("kept");
        assert_eq!(again, made);
        assert_eq!(directory.secret().expect("kept"), secret);
        assert!(directory.node_directory(5).join("node.toml").exists());
    }

    #[test]
    fn another_shape_is_refused_with_both_shapes() {
        let (_dir, directory) = new();
        establish(&directory, &Wish::default()).expect("made");
        for (wish, words) in [
            (Wish { nodes: Some(5), ..Wish::default() }, "has 3 nodes, --nodes asks for 5"),
            (Wish { partitions: Some(1), ..Wish::default() }, "has 8 partitions, --partitions asks for 1"),
            (Wish { name: Some("b".into()), ..Wish::default() }, "has the name skein, --name asks for b"),
            (
                Wish { base_port: Some(8000), ..Wish::default() },
                "has base port 7000, --base-port asks for 8000",
            ),
        ] {
            let fault = establish(&directory, &wish).expect_err(words);
            assert_eq!(fault.code, ErrorCode::TopologyDiffers);
            assert!(fault.detail.contains(words), "{fault}");
        }
        // Both name the commands that do it.
        let detail = |wish: Wish| establish(&directory, &wish).expect_err("another shape").detail;
        let nodes = detail(Wish { nodes: Some(5), ..Wish::default() });
        assert!(nodes.contains("skein node add --dir "), "{nodes}");
        let partitions = detail(Wish { partitions: Some(16), ..Wish::default() });
        for command in ["skein backup create --to URL --table default", "--to-table NAME --partitions 16"] {
            assert!(partitions.contains(command), "{partitions}");
        }
        let same = Wish { nodes: Some(3), partitions: Some(8), base_port: Some(7000), ..Wish::default() };
        establish(&directory, &same).expect("the same shape");
    }

    #[test]
    fn other_machines_need_a_password() {
        let (_dir, directory) = new();
        let listen = Some("0.0.0.0".parse().expect("an address"));
        let open = Wish { listen, ..Wish::default() };
        assert_eq!(establish(&directory, &open).expect_err("open").code, ErrorCode::BadArgument);
        assert_eq!(directory.read_topology(), Ok(None), "nothing was made");
        let closed = Wish { password: Some("sesame".into()), ..open };
        establish(&directory, &closed).expect("closed");
        assert_eq!(std::fs::read_to_string(directory.password_file()).expect("there"), "sesame\n");
        // Taking the password away again would open it.
        let reopened = Wish { password: Some(String::new()), ..Wish::default() };
        assert_eq!(establish(&directory, &reopened).expect_err("open").code, ErrorCode::BadArgument);
        assert_eq!(password(&directory), Ok(Some("sesame".into())));
    }

    #[test]
    fn data_without_a_topology_is_damage_not_a_new_cluster() {
        let (_dir, directory) = new();
        establish(&directory, &Wish::default()).expect("made");
        std::fs::create_dir(directory.node_directory(2).join("data")).expect("made");
        std::fs::remove_file(directory.topology_file()).expect("removed");
        let fault = establish(&directory, &Wish::default()).expect_err("damaged");
        assert_eq!(fault.code, ErrorCode::DataDamaged);
    }
}
