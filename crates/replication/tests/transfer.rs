//! Snapshots at a limited rate: as many bytes as allowed, and every transfer gets its share.

use std::collections::BTreeMap;
use std::time::Duration;

use api::peer::{RaftMessage, SnapshotAck, SnapshotMeta};
use bytes::Bytes;
use engine::{EngineError, SnapshotSource};
use env::Moment;
use replication::Input;
use replication::transfer::{TransferEffect, Transfers};
use types::{GroupId, NodeId, ReplicaId, limits};

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
}

impl Sender {
    fn new(groups: &[(u64, usize)], rate: u64) -> Self {
        let mut sender = Self {
            transfers: Transfers::new(1),
            now: Moment(1),
            sent: BTreeMap::new(),
            arrived: BTreeMap::new(),
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
    let mut sender = Sender::new(&[(1, 1000), (2, 2)], 1);
    // More than the time after which silence ends a transfer.
    for _ in 0..2500 {
        sender.tick();
    }
    assert!(sender.arrived.contains_key(&2) && !sender.arrived.contains_key(&1));
    let mut out = Vec::new();
    sender.transfers.set_rate(0, sender.now, &mut out);
    sender.take(out);
    assert!(sender.arrived.contains_key(&1), "no limit: as fast as it is acknowledged");
}
