//! The handshake: who are you, do you know the secret, are you the only one of you?
//!
//! ```text
//!   caller                                             answerer
//!     │  Hello: versions, cluster, node, run, channel, nonce │
//!     │ ───────────────────────────────────────────────────▶ │  cluster, versions, addressee
//!     │  Challenge: node, run, nonce, answerer's proof       │
//!     │ ◀─────────────────────────────────────────────────── │
//!     │  Proof: caller's proof                               │
//!     │ ───────────────────────────────────────────────────▶ │  proof, then: another live run?
//!     │  Welcome, or why not                                 │
//!     │ ◀─────────────────────────────────────────────────── │
//! ```
//!
//! Whoever was called proves itself first, so a caller tells nothing to a stranger; `Challenge` can also
//! carry a refusal (another cluster, another version), but only a refusal in `Welcome`, after both proofs, is believed when it says
//! `duplicate-node`: a stranger must not be able to stop a node.

use std::sync::Arc;

use api::auth::{Greeting, NONCE_BYTES, Side};
use api::frame::{Challenge, Channel, Frame, Hello, PROTOCOL_VERSION, Proof, Welcome};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use types::{BootId, ClusterId, ErrorCode, NodeId};

use super::registry::{Presence, Registry};
use super::wire::{FrameReader, WireError};
use super::{Origin, PeerConfig};

/// The oldest conversation that this release still speaks.
pub const PROTOCOL_VERSION_MIN: u32 = 1;

/// The highest feature level that this release can work at.
pub const FEATURE_LEVEL: u32 = 1;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The bytes or the socket.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The other side refused, and said why.
    #[error("refused by the other side: {}", .0.cause())]
    RefusedByPeer(ErrorCode),
    /// This side refused.
    #[error("{}", .0.cause())]
    Refused(ErrorCode),
    /// Another node answers at the address: the directory is out of date, or two nodes share an address.
    #[error("node {0} answers at the address")]
    OtherNode(NodeId),
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
}

/// What a handshake found out about the other side.
pub(crate) struct Met {
    /// Who it is.
    pub(crate) origin: Origin,
    /// What the connection carries.
    pub(crate) channel: Channel,
    /// Holds the run alive; absent on a probe.
    pub(crate) presence: Option<Presence>,
}

/// Random, for a proof.
pub(crate) type Nonce = [u8; NONCE_BYTES];

/// What a caller learned before it proved itself.
pub(crate) struct Answerer {
    /// Who answered; proved.
    pub(crate) origin: Origin,
    caller_nonce: Nonce,
    answerer_nonce: Bytes,
}

/// The caller's first half: greets, and checks who answers. `to` 0 takes whoever it is.
pub(crate) async fn greet<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    me: &PeerConfig,
    to: NodeId,
    channel: Channel,
    reader: &mut FrameReader<R>,
    writer: &mut W,
) -> Result<Answerer, HandshakeError> {
    let nonce = say_hello(me, to, channel, writer).await?;
    hear_challenge(me, to, channel, nonce, reader).await
}

/// The caller's first word. Returns the nonce in it.
pub(crate) async fn say_hello<W: AsyncWrite + Unpin>(
    me: &PeerConfig,
    to: NodeId,
    channel: Channel,
    writer: &mut W,
) -> Result<Nonce, HandshakeError> {
    let caller_nonce = nonce()?;
    let hello = Hello {
        version: PROTOCOL_VERSION,
        version_min: PROTOCOL_VERSION_MIN,
        cluster: me.cluster.get(),
        node: me.node.get(),
        boot: me.boot.get(),
        to: to.get(),
        channel: channel as i32,
        nonce: Bytes::copy_from_slice(&caller_nonce),
        feature_level: FEATURE_LEVEL,
        endpoint: me.endpoint.clone(),
    };
    write(writer, &Frame::Hello(hello)).await?;
    Ok(caller_nonce)
}

/// Waits for the answer to [`say_hello`] and checks it.
pub(crate) async fn hear_challenge<R: AsyncRead + Unpin>(
    me: &PeerConfig,
    to: NodeId,
    channel: Channel,
    caller_nonce: Nonce,
    reader: &mut FrameReader<R>,
) -> Result<Answerer, HandshakeError> {
    let Frame::Challenge(challenge) = reader.next().await? else { return Err(WireError::OutOfPlace.into()) };
    if !challenge.refusal.is_empty() {
        return Err(HandshakeError::RefusedByPeer(code_of(&challenge.refusal)));
    }
    let refused = |code| Err(HandshakeError::Refused(code));
    if challenge.version < PROTOCOL_VERSION_MIN {
        return refused(ErrorCode::VersionUnsupported);
    }
    if challenge.cluster != me.cluster.get() {
        return refused(ErrorCode::WrongCluster);
    }
    if to.get() != 0 && challenge.node != to.get() {
        return Err(HandshakeError::OtherNode(NodeId(challenge.node)));
    }
    let answerer = Answerer {
        origin: Origin { node: NodeId(challenge.node), boot: BootId(challenge.boot) },
        caller_nonce,
        answerer_nonce: challenge.nonce,
    };
    if !me.secret.verify(Side::Answerer, &answerer.greeting(me, channel), &challenge.proof) {
        return refused(ErrorCode::Unauthorized);
    }
    Ok(answerer)
}

/// The caller's second half: proves itself and hears whether it is welcome.
pub(crate) async fn prove<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    me: &PeerConfig,
    answerer: &Answerer,
    channel: Channel,
    reader: &mut FrameReader<R>,
    writer: &mut W,
) -> Result<(), HandshakeError> {
    let proof = me.secret.prove(Side::Caller, &answerer.greeting(me, channel));
    write(writer, &Frame::Proof(Proof { proof: proof.into() })).await?;
    let Frame::Welcome(welcome) = reader.next().await? else { return Err(WireError::OutOfPlace.into()) };
    if welcome.refusal.is_empty() {
        Ok(())
    } else {
        Err(HandshakeError::RefusedByPeer(code_of(&welcome.refusal)))
    }
}

/// The answerer's side. `ready` says whether channels other than `Probe` are open yet.
pub(crate) async fn answer<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    me: &PeerConfig,
    registry: &Arc<Registry>,
    ready: bool,
    reader: &mut FrameReader<R>,
    writer: &mut W,
) -> Result<Met, HandshakeError> {
    let Frame::Hello(hello) = reader.next().await? else { return Err(WireError::OutOfPlace.into()) };
    let channel = match check(me, &hello, ready) {
        Ok(channel) => channel,
        Err(code) => {
            let refusal = Challenge { refusal: code.as_str().into(), ..introduction(me) };
            write(writer, &Frame::Challenge(refusal)).await?;
            return Err(HandshakeError::Refused(code));
        }
    };
    let answerer_nonce = nonce()?;
    let greeting = Greeting {
        cluster: me.cluster.get(),
        caller: hello.node,
        answerer: me.node.get(),
        caller_nonce: &hello.nonce,
        answerer_nonce: &answerer_nonce,
        channel: hello.channel,
    };
    let challenge = Challenge {
        nonce: Bytes::copy_from_slice(&answerer_nonce),
        proof: me.secret.prove(Side::Answerer, &greeting).into(),
        ..introduction(me)
    };
    write(writer, &Frame::Challenge(challenge)).await?;
    let Frame::Proof(proof) = reader.next().await? else { return Err(WireError::OutOfPlace.into()) };
    let origin = Origin { node: NodeId(hello.node), boot: BootId(hello.boot) };
    let verdict = if me.secret.verify(Side::Caller, &greeting, &proof.proof) {
        admit(me, registry, origin, channel).await
    } else {
        Err((ErrorCode::Unauthorized, BootId(0)))
    };
    let (refusal, other_boot) = match &verdict {
        Ok(_) => (String::new(), 0),
        Err((code, other)) => (code.as_str().to_string(), other.get()),
    };
    write(writer, &Frame::Welcome(Welcome { refusal, other_boot })).await?;
    let presence = verdict.map_err(|(code, _)| HandshakeError::Refused(code))?;
    Ok(Met { origin, channel, presence })
}

/// Whether a greeting may go on, and for which channel.
fn check(me: &PeerConfig, hello: &Hello, ready: bool) -> Result<Channel, ErrorCode> {
    if hello.version < PROTOCOL_VERSION_MIN || hello.version_min > PROTOCOL_VERSION {
        return Err(ErrorCode::VersionUnsupported);
    }
    if hello.cluster != me.cluster.get() {
        return Err(ErrorCode::WrongCluster);
    }
    if hello.nonce.len() != NONCE_BYTES || hello.node == 0 {
        return Err(ErrorCode::WireCorrupt);
    }
    match Channel::try_from(hello.channel) {
        Ok(channel) if ready || channel == Channel::Probe => Ok(channel),
        Ok(_) => Err(ErrorCode::NotReady),
        Err(_) => Err(ErrorCode::VersionUnsupported),
    }
}

/// Whether a caller that has proved itself is the only run of its node, as far as this node knows.
async fn admit(
    me: &PeerConfig,
    registry: &Arc<Registry>,
    origin: Origin,
    channel: Channel,
) -> Result<Option<Presence>, (ErrorCode, BootId)> {
    let duplicate = |other| (ErrorCode::DuplicateNode, other);
    if origin.node == me.node {
        // A run of this very node that is not this run. (This run asks itself only by a probe.)
        return match (origin.boot == me.boot, channel) {
            (true, Channel::Probe) => Ok(None),
            (true, _) => Err((ErrorCode::WireCorrupt, me.boot)),
            (false, _) => Err(duplicate(me.boot)),
        };
    }
    if channel == Channel::Probe {
        return registry.other_run(origin).await.map_or(Ok(None), |other| Err(duplicate(other)));
    }
    registry.admit(origin).await.map(Some).map_err(duplicate)
}

impl Answerer {
    fn greeting<'a>(&'a self, me: &PeerConfig, channel: Channel) -> Greeting<'a> {
        Greeting {
            cluster: me.cluster.get(),
            caller: me.node.get(),
            answerer: self.origin.node.get(),
            caller_nonce: &self.caller_nonce,
            answerer_nonce: &self.answerer_nonce,
            channel: channel as i32,
        }
    }
}

fn introduction(me: &PeerConfig) -> Challenge {
    let ClusterId(cluster) = me.cluster;
    Challenge {
        version: PROTOCOL_VERSION,
        cluster,
        node: me.node.get(),
        boot: me.boot.get(),
        feature_level: FEATURE_LEVEL,
        ..Default::default()
    }
}

/// A refusal of a newer release that this one has no word for is a matter of versions.
fn code_of(text: &str) -> ErrorCode {
    text.parse().unwrap_or(ErrorCode::VersionUnsupported)
}

fn nonce() -> Result<Nonce, WireError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| WireError::Io(std::io::Error::other(error.to_string())))?;
    Ok(nonce)
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, frame: &Frame) -> Result<(), WireError> {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    Ok(writer.write_all(&bytes).await?)
}
