//! Snapshots on their way. The original is `replication::driver::bulk`.

use api::peer::{RaftMessage, SnapshotAck, SnapshotChunk};
use replication::Input;
use replication::transfer::TransferEffect;
use types::{GroupId, NodeId, ReplicaId};

use super::Process;
use crate::event::{Packet, Work};
use crate::network::Channel;
use crate::outside::Outside;

impl Process {
    pub(super) fn take_snapshot(&mut self, group: GroupId, to: ReplicaId, out: &mut Outside) {
        let taken = self.hosted.get(&group).map(|hosted| hosted.applier.snapshot());
        match taken {
            Some(Ok((meta, source))) => {
                let effect = self.transfers.taken(group, to, meta, source, self.now());
                self.finish_transfers(vec![effect], out);
            }
            Some(Err(error)) => self.stop(group, error.to_fault(), out),
            None => self.input(Input::SnapshotTaken { group, to, meta: None }, out),
        }
    }

    pub(super) fn send_snapshot(&mut self, node: NodeId, message: RaftMessage, out: &mut Outside) {
        let mut effects = Vec::new();
        self.transfers.send(node, message, self.now(), &mut effects);
        self.finish_transfers(effects, out);
    }

    pub(super) fn chunk(&mut self, from: NodeId, chunk: SnapshotChunk, out: &mut Outside) {
        let (group, to) = (GroupId(chunk.group), ReplicaId(chunk.to));
        let kind = self.replicas.get(&group).filter(|(replica, _)| *replica == to).map(|(_, kind)| *kind);
        let state = self.next_state;
        let (engines, now) = (&self.engines, self.now());
        let begin = || {
            let engine = engines.get(&kind?)?;
            engine.ingest(state).ok().map(|sink| (state, sink))
        };
        let mut effects = Vec::new();
        self.transfers.chunk(from, chunk, now, begin, &mut effects);
        // The number may not have been used; gaps do not matter.
        self.next_state = state.next();
        if let Some(shared) = self.shared.get(&group) {
            shared.set_received(self.transfers.received(group, to).unwrap_or(0));
        }
        self.finish_transfers(effects, out);
    }

    pub(super) fn ack(&mut self, from: NodeId, ack: SnapshotAck, out: &mut Outside) {
        let mut effects = Vec::new();
        self.transfers.ack(from, ack, self.now(), &mut effects);
        self.finish_transfers(effects, out);
    }

    pub(super) fn transfers_tick(&mut self, out: &mut Outside) {
        self.transfers_planned = false;
        let mut effects = Vec::new();
        self.transfers.tick(self.now(), &mut effects);
        self.finish_transfers(effects, out);
    }

    /// Snapshots leave no faster than this many bytes per second; 0: as fast as they can.
    pub(super) fn limit_snapshots(&mut self, bytes_per_second: u64, out: &mut Outside) {
        let mut effects = Vec::new();
        self.transfers.set_rate(bytes_per_second, self.now(), &mut effects);
        self.finish_transfers(effects, out);
    }

    pub(super) fn forget_transfers(&mut self, group: GroupId, out: &mut Outside) {
        let mut effects = Vec::new();
        self.transfers.forget(group, &mut effects);
        self.finish_transfers(effects, out);
    }

    fn finish_transfers(&mut self, effects: Vec<TransferEffect>, out: &mut Outside) {
        for effect in effects {
            match effect {
                TransferEffect::Chunk(node, chunk) => {
                    out.send(self.place, node, Channel::Bulk, Packet::Chunk(chunk));
                }
                TransferEffect::Ack(node, ack) => {
                    out.send(self.place, node, Channel::Bulk, Packet::Ack(ack));
                }
                TransferEffect::Input(input) => self.input(input, out),
                TransferEffect::Keep(_, id, state) => {
                    self.received.insert(id, state);
                }
                TransferEffect::Abandon(group, state) => self.remove_state(group, state),
            }
        }
        if !self.transfers_planned {
            self.transfers_planned = true;
            let pause = self.transfers.tick_every().as_nanos() as u64;
            self.plan(pause, Work::Transfers, out);
        }
    }

    pub(super) fn now(&self) -> env::Moment {
        env::Clock::now(&*self.clock)
    }
}
