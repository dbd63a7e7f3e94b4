//! `skein server --join`: a node in a directory of its own, on whatever machine, of a cluster that runs elsewhere.
//!
//! The directory is a node's: `node.toml`, `secret`, `data`. Nothing supervises the process but whoever
//! starts it; the same command, or `skein server --dir DIR`, starts it again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use client::{Addresses, Directory, Lookup, PORTS_PER_NODE};
use types::{ErrorCode, Fault};

use super::join::Ticket;
use crate::cli::{Label, Server};
use crate::files::{PidFile, Readers, create_directory, fault, remove_if_there, write_atomically};
use crate::layout::BASE_PORT_DEFAULT;
use crate::node_file::{Alone, Founder, NodeFile, NodePlace};
use crate::ports;
use crate::say;

/// The configuration of the node in a directory; one that is not there yet joins first.
///
/// # Errors
/// `NoCluster` if the directory has no node and no cluster to join is named; `BadArgument`, `PortInUse`, and
/// whatever the cluster or the directory says.
pub fn configuration(arguments: &Server, directory: &Path) -> Result<PathBuf, Fault> {
    let place = NodePlace::new(directory);
    let config = place.config_file();
    if config.exists() {
        if !arguments.join.is_empty() {
            say::note(format_args!("this node has joined already; {} counts", config.display()));
        }
        return Ok(config);
    }
    if arguments.join.is_empty() {
        let detail = format!("{} is missing; --join HOST:PORT makes it", config.display());
        return Err(Fault::new(ErrorCode::NoCluster, detail));
    }
    let whereabouts = Whereabouts::new(arguments)?;
    create_directory(directory)?;
    let _alone = PidFile::take(&place.pid_file())?;
    join(arguments, &place, &whereabouts)?;
    Ok(config)
}

/// Where a node binds, and where others reach it.
struct Whereabouts {
    listen: IpAddr,
    reached: IpAddr,
}

impl Whereabouts {
    fn new(arguments: &Server) -> Result<Self, Fault> {
        let wrong = |detail: String| Err(Fault::new(ErrorCode::BadArgument, detail));
        let listen = arguments.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let reached = arguments.advertise.unwrap_or(listen);
        if reached.is_unspecified() {
            return wrong("--listen names every address; say with --advertise which one others use".into());
        }
        let is_closed = arguments.requirepass.as_deref().is_some_and(|password| !password.is_empty());
        if !listen.is_loopback() && !is_closed {
            return wrong(format!(
                "--listen {listen} opens the node to other machines; give Redis clients a password with \
                 --requirepass"
            ));
        }
        if arguments.requirepass.as_deref().is_some_and(|password| password.contains('\n')) {
            return wrong("--requirepass must be one line".into());
        }
        Ok(Self { listen, reached })
    }
}

/// Checks that the node and the others can reach each other: loopback addresses are for one machine.
fn within_reach(others: &[Founder], reached: IpAddr) -> Result<(), Fault> {
    let is_loopback = |endpoint: &str| endpoint.parse().is_ok_and(|at: SocketAddr| at.ip().is_loopback());
    let detail = if reached.is_loopback() {
        let far = others.iter().find(|other| !is_loopback(&other.addresses.peer));
        far.map(|far| {
            format!(
                "node {} is at {}, and would look for this one at {reached} of its own machine; say with \
                 --listen or --advertise where this one is reached",
                far.id, far.addresses.peer
            )
        })
    } else {
        let near = others.iter().find(|other| is_loopback(&other.addresses.peer));
        near.map(|near| {
            format!(
                "node {} is reached at {}, from its own machine only; its cluster has to be started with \
                 --listen at an address that this machine reaches",
                near.id, near.addresses.peer
            )
        })
    };
    detail.map_or(Ok(()), |detail| Err(Fault::new(ErrorCode::BadArgument, detail)))
}

/// Gets an id, and writes what the node is told. The configuration comes last: without it there is no node.
fn join(arguments: &Server, place: &NodePlace, whereabouts: &Whereabouts) -> Result<(), Fault> {
    let Some(secret_file) = arguments.secret_file.clone() else {
        let detail = "--join needs the cluster's secret: --secret-file FILE";
        return Err(Fault::new(ErrorCode::Unauthorized, detail));
    };
    let secret = std::fs::read_to_string(&secret_file).map_err(|error| fault(&error, &secret_file))?;
    let lookup =
        Lookup { directory: None, addresses: arguments.join.clone(), secret_file: Some(secret_file) };
    let client = lookup.client()?;
    let directory = Directory::new(place.path());
    let ticket = Ticket::open(&directory.joining_file(), Label::map(&arguments.label), || {
        let base_port = arguments.port_base.unwrap_or(BASE_PORT_DEFAULT);
        if base_port > u16::MAX - (PORTS_PER_NODE - 1) {
            let detail =
                format!("{PORTS_PER_NODE} ports from --port-base {base_port} do not fit below 65536");
            return Err(Fault::new(ErrorCode::BadArgument, detail));
        }
        ports::check(Addresses::at(whereabouts.listen, base_port).all())?;
        Ok(base_port)
    })?;
    let reached = Addresses::at(whereabouts.reached, ticket.base_port);
    // Asked before there is a new node: from the others it will learn where the catalog is.
    let others = client.nodes()?.into_iter().filter(|node| node.endpoint != reached.peer);
    let others = others.map(|node| Founder {
        id: node.id,
        joined: false,
        addresses: Addresses { peer: node.endpoint, http: node.http, redis: node.redis, zankv: node.zankv }
            .into(),
    });
    let others: Vec<Founder> = others.collect();
    within_reach(&others, whereabouts.reached)?;
    let name = client.identity()?.name;
    let joined = ticket.redeem(&client, &reached)?;
    write_atomically(&directory.secret_file(), secret.trim_end(), Readers::Owner)?;
    let password = arguments.requirepass.as_deref().filter(|password| !password.is_empty());
    if let Some(password) = password {
        write_atomically(&directory.password_file(), &format!("{password}\n"), Readers::Owner)?;
    }
    let file = NodeFile::alone(Alone {
        name,
        cluster: joined.cluster,
        node: joined.node,
        listen: Addresses::at(whereabouts.listen, ticket.base_port).into(),
        reached: reached.into(),
        labels: ticket.labels,
        password: password.is_some(),
        others,
    });
    write_atomically(&place.config_file(), &file.to_text(), Readers::Everyone)?;
    let ticket_file = directory.joining_file();
    remove_if_there(&ticket_file).map_err(|error| fault(&error, &ticket_file))?;
    say::note(format_args!("joined cluster {} as node {}", file.cluster, file.node));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_cannot_reach_each_other_are_not_joined() {
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let other = |id, host| Founder { id, joined: false, addresses: Addresses::at(ip(host), 7000).into() };
        let here = [other(1, "127.0.0.1"), other(2, "::1")];
        let there = [other(1, "10.0.0.1"), other(2, "10.0.0.2")];
        assert_eq!(within_reach(&here, ip("127.0.0.1")), Ok(()));
        assert_eq!(within_reach(&there, ip("10.0.0.3")), Ok(()));
        let near = within_reach(&here, ip("10.0.0.3")).expect_err("two machines");
        assert!(near.detail.contains("node 1 is reached at 127.0.0.1:7000"), "{near}");
        let far = within_reach(&there, ip("127.0.0.1")).expect_err("two machines");
        assert!(far.detail.contains("--advertise"), "{far}");
    }
}
