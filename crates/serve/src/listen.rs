//! Listening sockets, and the socket options that connections get.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket};
use types::limits::PEER_SILENCE_MAX;
use types::{ErrorCode, Fault};

/// Connections that the kernel may hold ready before they are accepted.
const BACKLOG: u32 = 1024;

/// Listens at an address (`host:port`; port 0 takes a free one). An address of which old connections
/// linger in `TIME_WAIT` is not "in use": a node restarts at once.
///
/// # Errors
/// `port-in-use` when another program listens there; `bad-argument` when this machine has no such
/// address.
pub fn bind(address: &str) -> Result<TcpListener, Fault> {
    bind_with(address, false)
}

/// As [`bind`], but several sockets of this process may listen at the address: the kernel spreads the
/// connections over them.
///
/// # Errors
/// As [`bind`]. The kernel lets only sockets of the same user share, so an address that another program
/// holds is found by a plain [`bind`] before.
pub fn bind_shared(address: &str) -> Result<TcpListener, Fault> {
    bind_with(address, true)
}

fn bind_with(address: &str, shared: bool) -> Result<TcpListener, Fault> {
    let bad = |error: &dyn std::fmt::Display| {
        Fault::new(ErrorCode::BadArgument, format!("cannot listen at {address}: {error}"))
    };
    let resolved = address.to_socket_addrs().map_err(|error| bad(&error))?;
    let mut last = None;
    for candidate in resolved {
        match bind_one(candidate, shared) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Fault::new(ErrorCode::PortInUse, address.to_string())
        }
        Some(error) => bad(&error),
        None => bad(&"the name has no address"),
    })
}

fn bind_one(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if shared {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Options of a connection between nodes: nothing waits for more to send, and a host that vanished
/// without a word is noticed within about [`PEER_SILENCE_MAX`].
///
/// Keepalive probes are answered by the other *kernel*: a paused process keeps its connections, a dead
/// host loses them, and a host that was rebooted resets them at the first probe.
pub(crate) fn tune_peer(socket: &impl AsFd) -> io::Result<()> {
    let second = std::time::Duration::from_secs(1);
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, second)?;
    sockopt::set_tcp_keepintvl(socket, second)?;
    sockopt::set_tcp_keepcnt(socket, PEER_SILENCE_MAX.as_secs() as u32 - 1)?;
    // Unacknowledged data counts as silence too; without this, retransmission goes on for minutes.
    sockopt::set_tcp_user_timeout(socket, PEER_SILENCE_MAX.as_millis() as u32)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap().to_string();
        let fault = bind(&address).unwrap_err();
        assert_eq!((fault.code, fault.detail), (ErrorCode::PortInUse, address));
        assert_eq!(bind("192.0.2.1:1").unwrap_err().code, ErrorCode::BadArgument);
    }

    #[tokio::test]
    async fn shared_listeners_share_and_still_keep_others_out() {
        let first = bind_shared("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap().to_string();
        assert!(bind_shared(&address).is_ok());
        assert_eq!(bind(&address).unwrap_err().code, ErrorCode::PortInUse);
    }
}
