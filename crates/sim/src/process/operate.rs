//! Operations: the executor of the node that leads the catalog, and what operators ask of that node. The
//! original is `node::Node` in its `operations`; the step itself is `node::operate`.

use api::admin::{OperationRequest, Permit, PermitRequest};
use api::catalog::CatalogOp;
use api::entry::RequestKind;
use api::operation::{OperationChange, PermitChange};
use api::peer::{Access, CompactState, CutLog, ReplicaState};
use bytes::Bytes;
use catalog::Catalog;
use catalog::status::{Observation, Observations};
use env::Clock;
use node::Call;
use node::operate::Word;
use ops::{Observed, Planned};
use replication::{Compacted, Input};
use types::settings::MOVE_BYTES_PER_SECOND;
use types::{Fault, GroupId, LogIndex, NodeId, OperationId};

use super::{Process, Purpose};
use crate::event::Packet;
use crate::network::Channel;
use crate::outside::Outside;

impl Process {
    /// Whether it leads the catalog, as far as it knows.
    pub fn leads_catalog(&self) -> bool {
        let shared = self.shared.get(&GroupId::CATALOG);
        shared.is_some_and(|shared| shared.report().state == ReplicaState::Leader as i32)
    }

    /// The cluster as this node has heard of it.
    pub fn observed(&self, catalog: &Catalog) -> Observed {
        let now = self.now();
        let heard = self.member.observations.iter();
        let reports = heard.map(|(node, (at, report))| {
            let age = if *node == self.id { std::time::Duration::ZERO } else { now.since(*at) };
            (*node, Observation { age, report: report.clone() })
        });
        let observations = Observations {
            listening: now.since(self.member.started),
            reports: reports.collect(),
            ..Observations::default()
        };
        Observed::new(catalog, &observations, self.clock.wall_millis())
    }

    /// What an operation would do, and the command that starts it.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn plan_operation(&self, request: &OperationRequest) -> Result<Planned, Fault> {
        let catalog = self.catalog();
        ops::plan(&catalog, &self.observed(&catalog), request)
    }

    /// The command that cancels an operation.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn cancel_operation(&self, id: OperationId) -> Result<OperationChange, Fault> {
        ops::cancel(&self.catalog(), id, self.clock.wall_millis())
    }

    /// The command that forgets an operation.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn forget_operation(&self, id: OperationId) -> Result<OperationChange, Fault> {
        ops::forget(&self.catalog(), id)
    }

    /// The command that grants a permit to stop a node.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn permit(&self, node: NodeId, wish: &PermitRequest) -> Result<(PermitChange, Permit), Fault> {
        let catalog = self.catalog();
        ops::may_stop(&catalog, &self.observed(&catalog), node, wish)
    }

    /// Everything that people may ask about is answered, whatever state it is in.
    pub fn explain_everything(&self) {
        let catalog = self.catalog();
        let observed = self.observed(&catalog);
        self.member.operator.with(|executor| {
            for operation in catalog.operations().map(|operation| OperationId(operation.id)) {
                let _ = executor.show(&catalog, &observed, operation);
                let _ = executor.explain_operation(&catalog, &observed, operation);
            }
        });
        for partition in catalog.partitions() {
            let _ = ops::explain_partition(&catalog, &observed, GroupId(partition.group));
        }
        for node in catalog.nodes() {
            let _ = ops::explain_node(&catalog, &observed, NodeId(node.id));
        }
    }

    /// Runs operations, while this node leads the catalog.
    pub(super) fn operate(&mut self, out: &mut Outside) {
        self.limit_moves(out);
        let catalog = self.catalog();
        let leads = self.leads_catalog();
        let observed = if leads { self.observed(&catalog) } else { Observed::default() };
        let work = self.member.operator.step(leads, &catalog, || observed);
        for word in work.words {
            self.say(word, out);
        }
        for op in work.commands {
            if let CatalogOp::Operate(change) = &op {
                out.step_begins(self.place, change);
            }
            self.change_catalog(op, Purpose::Step, out);
        }
    }

    fn limit_moves(&mut self, out: &mut Outside) {
        let rate = self.catalog().setting(&MOVE_BYTES_PER_SECOND);
        if rate != self.member.move_rate {
            self.member.move_rate = rate;
            self.limit_snapshots(rate, out);
        }
    }

    fn say(&mut self, word: Word, out: &mut Outside) {
        match word {
            Word::Transfer(node, transfer) if node == self.id => {
                let group = GroupId(transfer.group);
                self.input(Input::Transfer { group, to: transfer.to.into() }, out);
            }
            Word::Transfer(node, transfer) => {
                out.send(self.place, node, Channel::Raft, Packet::Transfer(transfer));
            }
            Word::Cut(node, cut) if node == self.id => self.cut_now(cut, out),
            Word::Cut(node, cut) => {
                out.send(self.place, node, Channel::Raft, Packet::Cut(cut));
            }
            Word::Compact(node, compact) if node == self.id => self.compact_now(compact),
            Word::Compact(node, compact) => {
                out.send(self.place, node, Channel::Bulk, Packet::Compact(compact));
            }
            // There is no place of backups here, and nobody asks for any.
            Word::Task(..) => {}
            Word::Digest(group, operation) => {
                let (access, kind) = (Access::Write, RequestKind::Digest);
                let call = Call { group, access, kind, body: Bytes::new() };
                self.submit(call, Purpose::Digest(operation), out);
            }
        }
    }

    /// Replicas make their state durable, then cut their logs as far as they can.
    pub(super) fn cut_now(&mut self, cut: CutLog, out: &mut Outside) {
        let group = GroupId(cut.group);
        if self.replicas.contains_key(&group) {
            self.input(Input::CutNow(group), out);
            self.flush_all(out);
        }
    }

    /// States in memory have nothing to give back; that is said.
    pub(super) fn compact_now(&mut self, compact: CompactState) {
        if let Some(shared) = self.shared.get(&GroupId(compact.group)) {
            shared.set_compacted(Compacted { operation: compact.operation, left: String::new() });
        }
    }

    /// A call of the executor is over. `None` back: nobody else is to hear of it.
    pub(super) fn ended(&mut self, purpose: Purpose, result: &Result<Bytes, Fault>) -> Option<Purpose> {
        match purpose {
            Purpose::Step => self.member.operator.answered(),
            Purpose::Digest(operation) => {
                let index = result.as_ref().ok().and_then(|bytes| bytes.first_chunk::<8>().copied());
                let index = index.map(|index| LogIndex(u64::from_be_bytes(index)));
                self.member.operator.digest_ended(operation, index);
            }
            other => return Some(other),
        }
        None
    }
}
