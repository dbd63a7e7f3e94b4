//! Snapshots at a limited rate: as many bytes as allowed, and every transfer gets its share.

use std::collections::BTreeMap;
use std::time::Duration;

use api::peer::{RaftMessage, SnapshotAck, SnapshotChunk, SnapshotMeta};
use bytes::Bytes;
use engine::{EngineError, SnapshotSink, SnapshotSource, StateMachine};
use env::Moment;
use replication::Input;
use replication::transfer::{TransferEffect, Transfers};
use types::{GroupId, NodeId, ReplicaId, StateId, limits};

const RATE: u64 = 4 * 1024 * 1024;
const TICK: Duration = Duration::from_millis(20);

/// A state of some chunks.
struct Chunks(usize);

impl SnapshotSource for Chunks {
    fn next_chunk(&mut self, max: usize) -> Result<Option<Bytes>, EngineError> {
        let Some(left) = self.0.checked_sub(1) else { return Ok(None) };
        self.0 = left;
        Ok(Some(Bytes::from(vec![7; max])))
    }
}

/// A sender whose receivers acknowledge at once.
struct Sender {
    transfers: Transfers,
    now: Moment,
    sent: BTreeMap<u64, u64>,
    arrived: BTreeMap<u64, Duration>,
    /// When a receiver last heard anything, and the longest silence of any that was under way.
    heard: BTreeMap<u64, Moment>,
    silence: Duration,
}

impl Sender {
    fn new(groups: &[(u64, usize)], rate: u64) -> Self {
        let mut sender = Self {
            transfers: Transfers::new(1),
            now: Moment(1),
            sent: BTreeMap::new(),
            arrived: BTreeMap::new(),
            heard: BTreeMap::new(),
            silence: Duration::ZERO,
        };
        let mut out = Vec::new();
        sender.transfers.set_rate(rate, sender.now, &mut out);
        for &(group, chunks) in groups {
            let (id, to) = (GroupId(group), ReplicaId(2));
            let meta = SnapshotMeta { index: 9, term: 1, ..Default::default() };
            let taken = sender.transfers.taken(id, to, meta, Box::new(Chunks(chunks)), sender.now);
            let TransferEffect::Input(Input::SnapshotTaken { meta, .. }) = taken else { panic!() };
            let message = RaftMessage { group, from: 1, to: 2, snapshot: meta, ..Default::default() };
            sender.transfers.send(NodeId(2), message, sender.now, &mut out);
        }
        sender.take(out);
        sender
    }

    fn tick(&mut self) {
        self.now = self.now.plus(TICK);
        let mut out = Vec::new();
        self.transfers.tick(self.now, &mut out);
        self.take(out);
    }

    fn take(&mut self, effects: Vec<TransferEffect>) {
        let mut work = effects;
        while !work.is_empty() {
            let mut more = Vec::new();
            for effect in work {
                match effect {
                    TransferEffect::Chunk(node, chunk) => {
                        if let Some(before) = self.heard.insert(chunk.group, self.now) {
                            self.silence = self.silence.max(self.now.since(before));
                        }
                        if chunk.number == u64::MAX {
                            assert!(chunk.data.is_empty() && chunk.finish.is_none());
                            continue;
                        }
                        *self.sent.entry(chunk.group).or_default() += chunk.data.len() as u64;
                        let (group, from, transfer) = (chunk.group, chunk.to, chunk.transfer);
                        let next = chunk.number + 1;
                        let ack = SnapshotAck { group, from, transfer, next, refused: false };
                        self.transfers.ack(node, ack, self.now, &mut more);
                    }
                    TransferEffect::Input(Input::SnapshotSent { group, arrived, .. }) => {
                        assert!(arrived);
                        self.arrived.insert(group.get(), self.now.since(Moment(1)));
                    }
                    _ => panic!("a sender does nothing else"),
                }
            }
            work = more;
        }
    }

    fn sent(&self) -> u64 {
        self.sent.values().sum()
    }
}

#[test]
fn a_limit_holds_for_all_transfers_together_and_none_waits_for_another_to_end() {
    let chunks = 40;
    let mut sender = Sender::new(&[(1, chunks), (2, chunks), (3, chunks)], RATE);
    while sender.arrived.len() < 3 {
        sender.tick();
        let seconds = sender.now.since(Moment(1)).as_secs_f64();
        assert!(sender.sent() as f64 <= RATE as f64 * (seconds + 0.1) + limits::SNAPSHOT_CHUNK_BYTES as f64);
        let (least, most) = (sender.sent.values().min().unwrap(), sender.sent.values().max().unwrap());
        assert!(most - least <= 2 * limits::SNAPSHOT_CHUNK_BYTES as u64, "{:?}", sender.sent);
    }
    let bytes = 3 * chunks * limits::SNAPSHOT_CHUNK_BYTES;
    assert_eq!(sender.sent(), bytes as u64, "nothing was sent twice");
    let last = sender.arrived.values().max().unwrap().as_secs_f64();
    assert!((last - bytes as f64 / RATE as f64).abs() < 0.2, "{last}");
}

#[test]
fn a_transfer_that_waits_for_its_turn_is_not_given_up_and_goes_on_without_the_limit() {
    let chunk_in_20_s = limits::SNAPSHOT_CHUNK_BYTES as u64 / 20;
    let mut sender = Sender::new(&[(1, 1000), (2, 2)], chunk_in_20_s);
    for _ in 0..5000 {
        sender.tick();
    }
    assert!(sender.arrived.contains_key(&2) && !sender.arrived.contains_key(&1));
    assert!(sender.silence < Duration::from_secs(5), "receivers hear that it goes on: {:?}", sender.silence);
    let mut out = Vec::new();
    sender.transfers.set_rate(0, sender.now, &mut out);
    sender.take(out);
    assert!(sender.arrived.contains_key(&1), "no limit: as fast as it is acknowledged");
}

/// What one node sends reaches the other, whose state is thrown away.
struct Bin;

impl SnapshotSink for Bin {
    fn write(&mut self, _: &[u8]) -> Result<(), EngineError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError> {
        Err(EngineError::BadSnapshot("nothing was kept".into()))
    }
}

#[test]
fn a_receiver_waits_for_a_sender_that_says_that_it_is_there() {
    let (mut receiver, mut out) = (Transfers::new(2), Vec::new());
    let mut now = Moment(1);
    let mut chunk = SnapshotChunk { group: 1, from: 1, to: 2, transfer: 7, ..Default::default() };
    chunk.data = Bytes::from_static(b"first");
    chunk.checksum = crc32c::crc32c(&chunk.data);
    let begin = || Some((StateId(3), Box::new(Bin) as Box<dyn SnapshotSink>));
    receiver.chunk(NodeId(1), chunk.clone(), now, begin, &mut out);
    let word = SnapshotChunk { number: u64::MAX, data: Bytes::new(), checksum: 0, ..chunk };
    for _ in 0..30 {
        now = now.plus(Duration::from_secs(4));
        receiver.chunk(NodeId(1), word.clone(), now, || panic!("it has begun"), &mut out);
        receiver.tick(now, &mut out);
    }
    let of_acks = |effect: &TransferEffect| match effect {
        TransferEffect::Ack(_, ack) => ack.next == 1 && !ack.refused,
        _ => false,
    };
    assert!(
        out.len() == 31 && out.iter().all(of_acks),
        "words are acknowledged, and are no part of the state"
    );
    assert_eq!(receiver.received(GroupId(1), ReplicaId(2)), Some(5));
    now = now.plus(Duration::from_secs(21));
    receiver.tick(now, &mut out);
    assert!(matches!(out.last(), Some(TransferEffect::Abandon(GroupId(1), StateId(3)))), "silence ends it");
    // Whoever has forgotten the transfer does not begin one with a word.
    receiver.chunk(NodeId(1), word, now, || panic!("nothing begins"), &mut out);
    assert!(matches!(out.last(), Some(TransferEffect::Ack(_, ack)) if ack.refused));
}
