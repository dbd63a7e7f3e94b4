//! The bulk thread: snapshots, work that takes long and that nobody waits for in a hurry.

use std::sync::PoisonError;
use std::time::Duration;

use api::peer::{RaftMessage, SnapshotAck, SnapshotChunk, SnapshotMeta};
use engine::{SnapshotSink, SnapshotSource};
use types::{GroupId, NodeId, ReplicaId, StateId};

use super::apply::ApplyCommand;
use super::store::Core;
use super::work::report;
use crate::transfer::{TransferEffect, Transfers};

/// How often transfers look at the time.
const TICK: Duration = Duration::from_millis(100);
/// The same when there are none.
const IDLE: Duration = Duration::from_secs(1);

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
}

struct BulkThread<'a> {
    core: &'a Core,
    transfers: Transfers,
}

pub(super) fn run_bulk(core: &Core, seed: u64) {
    let mut thread = BulkThread { core, transfers: Transfers::new(seed) };
    let mut commands = Vec::new();
    loop {
        let wait = if thread.transfers.active() > 0 { TICK } else { IDLE };
        if !core.bulk.take(&mut commands, wait) {
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
            }
            BulkCommand::Ack(from, ack) => self.transfers.ack(from, ack, now, &mut out),
            BulkCommand::Forget(group) => self.transfers.forget(group, &mut out),
        }
        self.finish(out);
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
