//! Listening sockets, and the socket options that connections get.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;
use types::limits::PEER_SILENCE_MAX;
use types::{ErrorCode, Fault};

/// Connections that the kernel may hold ready before they are accepted.
const BACKLOG: i32 = 1024;

/// Listens at an address (`host:port`; port 0 takes a free one), ready for use in a runtime. An address
/// of which old connections linger in `TIME_WAIT` is not "in use": a node restarts at once.
///
/// # Errors
/// `port-in-use` when another program listens there; `bad-argument` when this machine has no such
/// address.
pub fn bind(address: &str) -> Result<TcpListener, Fault> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        // The standard library's backlog is small for thousands of clients that return at once.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    });
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Fault::new(ErrorCode::PortInUse, address),
        _ => Fault::new(ErrorCode::BadArgument, format!("cannot listen at {address}: {error}")),
    })
}

/// Options of a connection between nodes: nothing waits for more to send, and a host that vanished
/// without a word is noticed within about [`PEER_SILENCE_MAX`].
///
/// Keepalive probes are answered by the other *kernel*: a paused process keeps its connections, a dead
/// host loses them, and a host that was rebooted resets them at the first probe.
pub(crate) fn tune_peer(socket: &impl AsFd) -> io::Result<()> {
    let second = Duration::from_secs(1);
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, second)?;
    sockopt::set_tcp_keepintvl(socket, second)?;
    sockopt::set_tcp_keepcnt(socket, PEER_SILENCE_MAX.as_secs() as u32 - 1)?;
    // Unacknowledged data counts as silence too; without this, retransmission goes on for minutes.
    sockopt::set_tcp_user_timeout(socket, PEER_SILENCE_MAX.as_millis() as u32)?;
    Ok(())
}

/// Options of a client's connection: replies leave at once, and a client whose host vanished is noticed
/// some day, as in Redis (`tcp-keepalive 300`).
pub(crate) fn tune_client(socket: &impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(300))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let first = bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap().to_string();
        let fault = bind(&address).unwrap_err();
        assert_eq!((fault.code, fault.detail), (ErrorCode::PortInUse, address));
        assert_eq!(bind("192.0.2.1:1").unwrap_err().code, ErrorCode::BadArgument);
    }
}
