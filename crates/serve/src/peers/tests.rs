//! Nodes with real sockets in one process: what arrives, who gets in, and what strangers can do.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use types::limits::{HANDSHAKE_BYTES_MAX, HANDSHAKE_TIMEOUT, HANDSHAKES_PENDING_MAX, PROBE_TIMEOUT};

use super::handshake::{HandshakeError, greet, prove};
use super::wire::FrameReader;
use super::*;
use crate::listen;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Raft(Origin, Vec<u64>),
    Requests(Origin, Vec<u64>),
    Replies(Origin, Vec<u64>),
    Frame(Origin, Box<Frame>),
    Connected(NodeId, Channel),
    Disconnected(NodeId, Channel),
    Refused(NodeId, ErrorCode),
}

struct Recorder(mpsc::UnboundedSender<Event>);

impl PeerHandler for Recorder {
    fn raft(&self, from: Origin, messages: Vec<RaftMessage>) {
        let _ = self.0.send(Event::Raft(from, messages.iter().map(|message| message.index).collect()));
    }
    fn requests(&self, from: Origin, requests: Vec<Request>) {
        let _ = self.0.send(Event::Requests(from, requests.iter().map(|request| request.id).collect()));
    }
    fn replies(&self, from: Origin, replies: Vec<Reply>) {
        let _ = self.0.send(Event::Replies(from, replies.iter().map(|reply| reply.id).collect()));
    }
    fn frame(&self, from: Origin, frame: Frame) {
        let _ = self.0.send(Event::Frame(from, Box::new(frame)));
    }
    fn connected(&self, to: NodeId, channel: Channel) {
        let _ = self.0.send(Event::Connected(to, channel));
    }
    fn disconnected(&self, to: NodeId, channel: Channel) {
        let _ = self.0.send(Event::Disconnected(to, channel));
    }
    fn refused(&self, by: NodeId, code: ErrorCode) {
        let _ = self.0.send(Event::Refused(by, code));
    }
}

/// A node that has nothing but its peers.
struct Node {
    peers: Peers,
    config: PeerConfig,
    events: mpsc::UnboundedReceiver<Event>,
}

fn config(node: u64, boot: u64) -> PeerConfig {
    PeerConfig {
        cluster: ClusterId(42),
        node: NodeId(node),
        boot: BootId(boot),
        secret: Secret::new([7; 32]),
        endpoint: String::new(),
    }
}

impl Node {
    /// A node that only answers probes.
    fn asleep(config: PeerConfig) -> (Self, mpsc::UnboundedSender<Event>) {
        let listener = listen::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let config = PeerConfig { endpoint, ..config };
        let (sender, events) = mpsc::unbounded_channel();
        (Self { peers: Peers::listen(config.clone(), listener).unwrap(), config, events }, sender)
    }

    fn start(config: PeerConfig) -> Self {
        let (node, sender) = Self::asleep(config);
        node.peers.start(Arc::new(Recorder(sender)));
        node
    }

    fn origin(&self) -> Origin {
        Origin { node: self.config.node, boot: self.config.boot }
    }

    fn knows(&self, others: &[&Node]) {
        let entry = |node: &&Node| (node.config.node, node.config.endpoint.clone());
        self.peers.set_peers(&others.iter().map(entry).collect());
    }

    async fn until(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let find = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(PATIENCE, find).await.expect("the event never came")
    }

    async fn up(&mut self, to: &Node) {
        let mut missing = vec![Channel::Raft, Channel::Requests, Channel::Bulk];
        let to = to.config.node;
        self.until(|event| {
            missing.retain(|channel| *event != Event::Connected(to, *channel));
            missing.is_empty()
        })
        .await;
    }
}

fn raft(indexes: impl IntoIterator<Item = u64>) -> Vec<RaftMessage> {
    indexes.into_iter().map(|index| RaftMessage { index, ..Default::default() }).collect()
}

fn requests(ids: impl IntoIterator<Item = u64>) -> Vec<Request> {
    ids.into_iter().map(|id| Request { id, ..Default::default() }).collect()
}

#[tokio::test]
async fn all_that_is_sent_arrives_in_order_on_its_channel() {
    let (mut one, mut two) = (Node::start(config(1, 11)), Node::start(config(2, 22)));
    one.knows(&[&one, &two]);
    one.up(&two).await;

    assert_eq!(one.peers.send_raft(NodeId(2), raft(0..10_000)), 0);
    let mut received = Vec::new();
    while received.len() < 10_000 {
        let Event::Raft(origin, indexes) = two.until(|event| matches!(event, Event::Raft(..))).await else {
            unreachable!()
        };
        assert_eq!(origin, one.origin());
        received.extend(indexes);
    }
    assert_eq!(received, (0..10_000).collect::<Vec<_>>());

    assert_eq!(one.peers.send_requests(NodeId(2), requests(5..8)), (3, None));
    two.until(|event| *event == Event::Requests(one.origin(), vec![5, 6, 7])).await;
    two.peers.reply(one.origin(), vec![Reply { id: 6, outcome: None }]);
    one.until(|event| *event == Event::Replies(two.origin(), vec![6])).await;

    let chunk = api::peer::SnapshotChunk { number: 3, data: vec![9; 300_000].into(), ..Default::default() };
    one.peers.try_send_bulk(NodeId(2), Frame::Chunk(chunk.clone())).unwrap();
    two.until(|event| *event == Event::Frame(one.origin(), Box::new(Frame::Chunk(chunk.clone())))).await;
}

#[tokio::test]
async fn a_reply_for_an_earlier_run_of_a_gateway_goes_nowhere() {
    let (mut one, two) = (Node::start(config(1, 11)), Node::start(config(2, 22)));
    one.knows(&[&two]);
    one.up(&two).await;
    two.peers.reply(Origin { boot: BootId(10), ..one.origin() }, vec![Reply { id: 1, outcome: None }]);
    assert_eq!(two.peers.frames_dropped(), 1);
}

#[tokio::test]
async fn a_peer_that_went_away_is_told_and_found_again_at_once_when_it_calls() {
    let (mut one, mut two) = (Node::start(config(1, 11)), Node::start(config(2, 22)));
    one.knows(&[&two]);
    one.up(&two).await;
    let endpoint = two.config.endpoint.clone();
    drop(two);
    one.until(|event| *event == Event::Disconnected(NodeId(2), Channel::Requests)).await;
    // Between two calls nothing is taken, so that the gateway can look elsewhere.
    let refused = async {
        while one.peers.send_requests(NodeId(2), requests([1])) != (0, Some(NotSent::Disconnected)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();

    let listener = listen::bind(&endpoint).unwrap();
    let (sender, events) = mpsc::unbounded_channel();
    let config = PeerConfig { endpoint, ..config(2, 23) };
    let peers = Peers::listen(config.clone(), listener).unwrap();
    peers.start(Arc::new(Recorder(sender)));
    two = Node { peers, config, events };
    two.knows(&[&one]);
    two.up(&one).await;
    one.up(&two).await;
    one.peers.send_raft(NodeId(2), raft([1]));
    two.until(|event| *event == Event::Raft(one.origin(), vec![1])).await;
}

#[tokio::test]
async fn a_call_from_a_peer_ends_the_pauses_of_our_links_to_it() {
    let (mut one, mut two) = (Node::start(config(1, 11)), Node::start(config(2, 22)));
    one.knows(&[&two]);
    one.up(&two).await;
    two.knows(&[&one]);
    two.up(&one).await;
    // Our links do not pause now, so the kick is still there for the next pause.
    let kicks = {
        let links = one.peers.shared.links.read().unwrap();
        let peer = &links[&NodeId(2)];
        [&peer.raft, &peer.requests, &peer.bulk].map(|link| link.kick.clone())
    };
    for kick in kicks {
        timeout(PATIENCE, kick.notified()).await.expect("not kicked");
    }
}

#[tokio::test]
async fn strangers_are_refused_with_a_code_that_is_told_once() {
    let mut one = Node::start(config(1, 11));
    let other_cluster = PeerConfig { cluster: ClusterId(43), ..config(2, 22) };
    let other_secret = PeerConfig { secret: Secret::new([8; 32]), ..config(3, 33) };
    let (cluster, secret) = (Node::start(other_cluster), Node::start(other_secret));
    one.knows(&[&cluster, &secret]);
    one.until(|event| *event == Event::Refused(NodeId(2), ErrorCode::WrongCluster)).await;
    // Calls go on, on three channels; the refusal is not told again.
    let more_calls = async {
        while cluster.peers.frames_refused() < 8 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, more_calls).await.unwrap();
    while let Ok(event) = one.events.try_recv() {
        assert!(!matches!(event, Event::Refused(NodeId(2), _)), "told twice");
    }

    let me = config(2, 22);
    let refusal = |me: PeerConfig| {
        let endpoint = one.config.endpoint.clone();
        async move { shake(&me, &endpoint, NodeId(1), Channel::Raft).await.map(drop).unwrap_err() }
    };
    let by_me = refusal(secret.config.clone()).await;
    assert!(matches!(by_me, HandshakeError::Refused(ErrorCode::Unauthorized)), "who is called proves first");
    let by_peer = refusal(cluster.config.clone()).await;
    assert!(matches!(by_peer, HandshakeError::RefusedByPeer(ErrorCode::WrongCluster)));
    let endpoint = one.config.endpoint.clone();
    let wrong = shake(&me, &endpoint, NodeId(9), Channel::Raft).await.map(drop).unwrap_err();
    assert!(matches!(wrong, HandshakeError::OtherNode(NodeId(1))));
}

type Ends = (FrameReader<OwnedReadHalf>, OwnedWriteHalf);

/// A handshake by hand.
async fn shake(
    me: &PeerConfig,
    endpoint: &str,
    to: NodeId,
    channel: Channel,
) -> Result<Ends, HandshakeError> {
    let (reader, mut writer) = TcpStream::connect(endpoint).await.unwrap().into_split();
    let mut reader = FrameReader::new(reader, HANDSHAKE_BYTES_MAX);
    let answerer = greet(me, to, channel, &mut reader, &mut writer).await?;
    prove(me, &answerer, channel, &mut reader, &mut writer).await?;
    Ok((reader, writer))
}

#[tokio::test]
async fn a_caller_that_knows_the_protocol_but_not_the_secret_is_refused() {
    let one = Node::start(config(1, 11));
    let liar = PeerConfig { secret: Secret::new([8; 32]), ..config(2, 22) };
    let (reader, mut writer) = TcpStream::connect(&one.config.endpoint).await.unwrap().into_split();
    let mut reader = FrameReader::new(reader, HANDSHAKE_BYTES_MAX);
    let honest = config(2, 22);
    // It goes on although the answerer's proof does not fit its secret.
    let answerer = greet(&honest, NodeId(1), Channel::Raft, &mut reader, &mut writer).await.unwrap();
    let error = prove(&liar, &answerer, Channel::Raft, &mut reader, &mut writer).await.unwrap_err();
    assert!(matches!(error, HandshakeError::RefusedByPeer(ErrorCode::Unauthorized)));
}

#[tokio::test]
async fn a_frame_on_the_wrong_channel_ends_the_connection() {
    let mut one = Node::start(config(1, 11));
    let me = config(2, 22);
    let (mut reader, mut writer) =
        shake(&me, &one.config.endpoint, NodeId(1), Channel::Bulk).await.map_err(|_| ()).unwrap();
    let mut bytes = bytes::BytesMut::new();
    Frame::ChunkAck(Default::default()).encode(&mut bytes);
    Frame::Raft(Default::default()).encode(&mut bytes);
    writer.write_all(&bytes).await.unwrap();
    one.until(|event| matches!(event, Event::Frame(_, frame) if matches!(**frame, Frame::ChunkAck(_)))).await;
    assert!(timeout(PATIENCE, reader.next()).await.unwrap().is_err());
    assert_eq!(one.peers.frames_refused(), 1);
    assert!(one.events.try_recv().is_err());
}

#[tokio::test]
async fn a_copy_stays_out_as_long_as_its_original_is_connected() {
    let (mut one, two) = (Node::start(config(1, 11)), Node::start(config(2, 22)));
    one.knows(&[&two]);
    one.up(&two).await;

    let (mut copy, sender) = Node::asleep(config(1, 12));
    let peers = BTreeMap::from([(NodeId(2), two.config.endpoint.clone())]);
    let fault = copy.peers.probe(None, &peers).await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::DuplicateNode);
    // One that does not ask, or whose question was lost, is refused when it calls.
    copy.peers.start(Arc::new(Recorder(sender)));
    copy.knows(&[&two]);
    copy.until(|event| *event == Event::Refused(NodeId(2), ErrorCode::DuplicateNode)).await;
    // And it is not called.
    two.knows(&[&copy]);
    assert!(matches!(
        shake(&copy.config, &two.config.endpoint, NodeId(2), Channel::Raft).await.map(drop),
        Err(HandshakeError::RefusedByPeer(ErrorCode::DuplicateNode))
    ));

    // The original dies; its next run is let in without delay.
    drop(one);
    let since = Instant::now();
    let again = Node::start(config(1, 13));
    again.peers.probe(Some(&again.config.endpoint), &peers).await.unwrap();
    assert!(since.elapsed() < PROBE_TIMEOUT / 2, "a restart is not delayed");
}

#[tokio::test]
async fn whoever_answers_at_the_recorded_address_is_asked() {
    let (original, _sender) = Node::asleep(config(1, 11));
    let (copy, _sender) = Node::asleep(config(1, 12));
    let (other, _sender) = Node::asleep(config(2, 22));
    let nobody = BTreeMap::new();
    let ask = |recorded: String| {
        let (peers, nobody) = (&copy.peers, &nobody);
        async move { peers.probe(Some(&recorded), nobody).await.map_err(|fault| fault.code) }
    };
    assert_eq!(ask(original.config.endpoint.clone()).await, Err(ErrorCode::DuplicateNode));
    assert_eq!(ask(copy.config.endpoint.clone()).await, Ok(()), "that is this run itself");
    assert_eq!(ask(other.config.endpoint.clone()).await, Ok(()), "another node has the address now");

    // Some program that is no node: it sees the end of the input and closes.
    let foreign = listen::bind("127.0.0.1:0").unwrap();
    let address = foreign.local_addr().unwrap().to_string();
    let foreign = tokio::net::TcpListener::from_std(foreign).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = foreign.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
    });
    assert_eq!(ask(address).await, Ok(()));

    // A stopped process: the kernel still accepts for it.
    let stopped = listen::bind("127.0.0.1:0").unwrap();
    assert_eq!(ask(stopped.local_addr().unwrap().to_string()).await, Err(ErrorCode::DuplicateNode));
    let gone = stopped.local_addr().unwrap().to_string();
    drop(stopped);
    assert_eq!(ask(gone).await, Ok(()));
}

#[tokio::test]
async fn half_open_handshakes_end_and_do_not_pile_up() {
    let one = Node::start(config(1, 11));
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES_PENDING_MAX + 1 {
        silent.push(TcpStream::connect(&one.config.endpoint).await.unwrap());
    }
    // The last one found no place and was closed at once, the others when their time was over.
    let since = Instant::now();
    let mut last = silent.pop().unwrap();
    assert_eq!(timeout(PATIENCE, last.read(&mut [0])).await.unwrap().unwrap(), 0);
    assert!(since.elapsed() < HANDSHAKE_TIMEOUT);
    for mut stream in silent {
        assert_eq!(timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    }
}

/// How far a stranger gets before it sends rubbish.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Hello,
    Proof,
    Frames(Channel),
}

async fn rubbish(node: &Node, stage: Stage, bytes: &[u8]) {
    let me = config(2, 22);
    let (mut stream, mut writer) = match stage {
        Stage::Hello => TcpStream::connect(&node.config.endpoint).await.unwrap().into_split(),
        Stage::Proof => {
            let (reader, mut writer) = TcpStream::connect(&node.config.endpoint).await.unwrap().into_split();
            let mut reader = FrameReader::new(reader, HANDSHAKE_BYTES_MAX);
            greet(&me, NodeId(1), Channel::Raft, &mut reader, &mut writer).await.unwrap();
            (reader.into_source(), writer)
        }
        Stage::Frames(channel) => {
            let shaken = shake(&me, &node.config.endpoint, NodeId(1), channel).await;
            let (reader, writer) = shaken.map_err(|_| ()).unwrap();
            (reader.into_source(), writer)
        }
    };
    // It may close while we write.
    let _ = writer.write_all(bytes).await;
    let _ = writer.shutdown().await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection was not closed");
    assert!(answer.len() <= HANDSHAKE_BYTES_MAX);
}

#[test]
fn rubbish_at_any_stage_only_ends_its_own_connection() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let node = Node::start(config(1, 11));
    let stages = prop_oneof![
        Just(Stage::Hello),
        Just(Stage::Proof),
        Just(Stage::Frames(Channel::Raft)),
        Just(Stage::Frames(Channel::Requests)),
        Just(Stage::Frames(Channel::Bulk)),
    ];
    // Bytes at random, and well-formed frames of every kind with bodies at random.
    let framed = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(kind, body)| {
        let mut payload = vec![kind];
        payload.extend(body);
        let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
        bytes.extend(crc32c::crc32c(&payload).to_be_bytes());
        bytes.extend(payload);
        bytes
    });
    let bytes = prop_oneof![prop::collection::vec(any::<u8>(), 0..300), framed];
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    runner
        .run(&(stages, bytes), |(stage, bytes)| {
            runtime.block_on(rubbish(&node, stage, &bytes));
            Ok(())
        })
        .unwrap();
    // It still lives and listens.
    let shaken = runtime.block_on(shake(&config(3, 33), &node.config.endpoint, NodeId(1), Channel::Raft));
    assert!(shaken.is_ok());
}
