//! The bulk thread: snapshots, work that takes long and that nobody waits for in a hurry.

use std::sync::PoisonError;

use api::peer::{RaftMessage, SnapshotAck, SnapshotChunk, SnapshotMeta};
use engine::{SnapshotSink, SnapshotSource};
use types::{GroupId, NodeId, ReplicaId, StateId};

use super::apply::ApplyCommand;
use super::store::Core;
use super::work::report;
use crate::transfer::{TransferEffect, Transfers};

pub(super) enum BulkCommand {
    /// A state was taken hold of for a follower.
    Taken { group: GroupId, to: ReplicaId, meta: SnapshotMeta, source: Box<dyn SnapshotSource> },
    /// `raft` wants it to leave.
    Send(NodeId, RaftMessage),
    /// A chunk arrived.
    Chunk(NodeId, SnapshotChunk),
    /// An ack arrived.
    Ack(NodeId, SnapshotAck),
    /// The replica is gone.
    Forget(GroupId),
    /// Send no more than this many bytes per second; 0 is no limit.
    Rate(u64),
}

struct BulkThread<'a> {
    core: &'a Core,
    transfers: Transfers,
}

pub(super) fn run_bulk(core: &Core, seed: u64) {
    engine::pace::set(|_| std::thread::yield_now());
    let mut thread = BulkThread { core, transfers: Transfers::new(seed) };
    let mut commands = Vec::new();
    loop {
        if !core.bulk.take(&mut commands, thread.transfers.tick_every()) {
            return;
        }
        for command in commands.drain(..) {
            thread.execute(command);
        }
        let mut out = Vec::new();
        thread.transfers.tick(core.now().moment, &mut out);
        thread.finish(out);
    }
}

impl BulkThread<'_> {
    fn execute(&mut self, command: BulkCommand) {
        let now = self.core.now().moment;
        let mut out = Vec::new();
        match command {
            BulkCommand::Taken { group, to, meta, source } => {
                out.push(self.transfers.taken(group, to, meta, source, now));
            }
            BulkCommand::Send(node, message) => self.transfers.send(node, message, now, &mut out),
            BulkCommand::Chunk(from, chunk) => {
                let core = self.core;
                let (group, to) = (GroupId(chunk.group), ReplicaId(chunk.to));
                self.transfers.chunk(from, chunk, now, || begin(core, group, to), &mut out);
                self.show_progress(group, to);
            }
            BulkCommand::Ack(from, ack) => self.transfers.ack(from, ack, now, &mut out),
            BulkCommand::Forget(group) => self.transfers.forget(group, &mut out),
            BulkCommand::Rate(bytes) => self.transfers.set_rate(bytes, now, &mut out),
        }
        self.finish(out);
    }

    fn show_progress(&self, group: GroupId, to: ReplicaId) {
        let shared = self.core.shared.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = shared.get(&group) {
            shared.set_received(self.transfers.received(group, to).unwrap_or(0));
        }
    }

    fn finish(&mut self, effects: Vec<TransferEffect>) {
        for effect in effects {
            match effect {
                TransferEffect::Chunk(node, chunk) => self.core.outbox.send_chunk(node, chunk),
                TransferEffect::Ack(node, ack) => self.core.outbox.send_ack(node, ack),
                TransferEffect::Input(input) => {
                    let group = input.group();
                    report(self.core, group, input);
                }
                TransferEffect::Keep(group, id, state) => {
                    self.core.applier(group).push(ApplyCommand::Keep(id, state));
                }
                TransferEffect::Abandon(group, state) => self.core.remove_state(group, state),
            }
        }
    }
}

fn begin(core: &Core, group: GroupId, to: ReplicaId) -> Option<(StateId, Box<dyn SnapshotSink>)> {
    let replicas = core.replicas.read().unwrap_or_else(PoisonError::into_inner);
    let (_, kind) = replicas.get(&group).copied().filter(|(replica, _)| *replica == to)?;
    drop(replicas);
    let state = core.new_state();
    match core.engines.get(&kind)?.ingest(state) {
        Ok(sink) => Some((state, sink)),
        Err(error) => {
            tracing::warn!(group = group.get(), %error, "a new state cannot be made");
            None
        }
    }
}
