//! Connections of HTTP clients: few, and none that says nothing for long.
//!
//! ```text
//!   accept ──► header read within a limit ──► handler, body read within a limit ──► reply ──┐
//!                  ▲                                                                        │
//!                  └──────────────────────────── keep-alive ◄───────────────────────────────┘
//! ```
//!
//! Whoever opens connections and leaves them half said would otherwise keep memory and descriptors, which
//! the Redis ports and the peers need. At the greatest number of connections new ones wait unaccepted.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use types::limits;

/// The pause after the system has refused to accept: out of descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one node allows its HTTP clients.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// For a header, from the connection's begin or from the last reply.
    pub header: Duration,
    /// For a body, from the header's end.
    pub body: Duration,
    /// Connections at once.
    pub connections: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header: limits::HTTP_HEADER_TIMEOUT,
            body: limits::HTTP_BODY_TIMEOUT,
            connections: limits::HTTP_CONNECTIONS_MAX,
        }
    }
}

/// Accepts and serves until it is dropped; with it go the connections.
pub(super) async fn accept(listener: TcpListener, router: Router, limits: HttpLimits) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, router.clone(), limits.header))),
                Err(error) => {
                    tracing::warn!(%error, "http connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn serve(stream: TcpStream, router: Router, header: Duration) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "http connection ended");
    }
}
