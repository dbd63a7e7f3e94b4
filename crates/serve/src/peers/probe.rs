//! The question before a node starts: is another run of me alive?

use std::collections::BTreeMap;
use std::sync::Arc;

use api::frame::Channel;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use types::limits::{HANDSHAKE_BYTES_MAX, PROBE_TIMEOUT};
use types::{Endpoint, ErrorCode, Fault, NodeId};

use super::PeerConfig;
use super::handshake::{self, HandshakeError};
use super::wire::{FrameReader, WireError};

/// "Whoever answers".
const ANYBODY: NodeId = NodeId(0);

/// See [`super::Peers::probe`].
pub(crate) async fn run(
    me: &PeerConfig,
    recorded: Option<&str>,
    peers: &BTreeMap<NodeId, Endpoint>,
) -> Result<(), Fault> {
    let deadline = Instant::now() + PROBE_TIMEOUT;
    let me = Arc::new(me.clone());
    let mut questions = JoinSet::new();
    if let Some(endpoint) = recorded {
        questions.spawn(ask_own_endpoint(me.clone(), endpoint.to_string(), deadline));
    }
    for (&node, endpoint) in peers.iter().filter(|(node, _)| **node != me.node) {
        questions.spawn(ask_peer(me.clone(), node, endpoint.clone(), deadline));
    }
    while let Some(answer) = questions.join_next().await {
        // A question that panicked is a question without an answer.
        if let Ok(Some(detail)) = answer {
            return Err(Fault::new(ErrorCode::DuplicateNode, detail));
        }
    }
    Ok(())
}

/// Asks a peer whether it knows another live run of this node.
async fn ask_peer(
    me: Arc<PeerConfig>,
    node: NodeId,
    endpoint: Endpoint,
    deadline: Instant,
) -> Option<String> {
    let asked = async {
        let stream = TcpStream::connect(&endpoint).await.map_err(WireError::from)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = FrameReader::new(reader, HANDSHAKE_BYTES_MAX);
        let answerer = handshake::greet(&me, node, Channel::Probe, &mut reader, &mut writer).await?;
        handshake::prove(&me, &answerer, Channel::Probe, &mut reader, &mut writer).await
    };
    match timeout_at(deadline, asked).await {
        Ok(Err(HandshakeError::RefusedByPeer(ErrorCode::DuplicateNode))) => {
            Some(format!("node {node} at {endpoint} is connected with another run of node {}", me.node))
        }
        Ok(Err(error)) => {
            tracing::debug!(peer = %node, %error, "peer gave no answer about other runs of this node");
            None
        }
        Ok(Ok(())) | Err(_) => None,
    }
}

/// Asks whoever listens at the recorded endpoint of this node who it is. The answer must not be "another
/// run of you". Silence is an answer too: the process that holds the address is stopped, yet not gone.
///
/// The half of the connection that leads there is closed right after the greeting. Whatever else may
/// listen there (an HTTP server, Redis) waits for nothing more and closes; only a process that does not
/// run leaves the connection open.
async fn ask_own_endpoint(me: Arc<PeerConfig>, endpoint: Endpoint, deadline: Instant) -> Option<String> {
    let Ok(Ok(stream)) = timeout_at(deadline, TcpStream::connect(&endpoint)).await else { return None };
    let (reader, mut writer) = stream.into_split();
    let mut reader = FrameReader::new(reader, HANDSHAKE_BYTES_MAX);
    // The first half of the handshake is enough: the answerer proves itself in it.
    let asked = async {
        let nonce = handshake::say_hello(&me, ANYBODY, Channel::Probe, &mut writer).await?;
        writer.shutdown().await.map_err(WireError::from)?;
        handshake::hear_challenge(&me, ANYBODY, Channel::Probe, nonce, &mut reader).await
    };
    match timeout_at(deadline, asked).await {
        Ok(Ok(answerer)) if answerer.origin.node == me.node && answerer.origin.boot != me.boot => {
            Some(format!("another run of node {} answers at {endpoint}", me.node))
        }
        Ok(_) => None,
        Err(_) => Some(format!("the process that holds {endpoint} does not answer; it may be paused")),
    }
}
