//! What backups ask of a node: one point in time of several partitions, and the states that are kept there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use api::catalog::{
    CatalogFound, CatalogQuery, CatalogRead, CatalogReadReply, CatalogRecords, EngineKind, HashBy,
    TableRecord,
};
use api::entry::{Barrier, BarrierReply, RequestKind};
use api::job::{BarrierPlace, BarrierReport, BarrierTable};
use api::kv::{Import, Imported, KvAnswer, KvOp, KvReply, KvRequest, Nothing, Piece};
use api::peer::Access;
use bytes::Bytes;
use catalog::{Catalog, TableRoute};
use engine::Held;
use prost::Message;
use types::{ErrorCode, Fault, GroupId, Hlc, LogIndex, NodeId};

use crate::gateway::Call;
use crate::node::{Node, lock};

/// How far ahead of this node's clock a barrier lies: it must reach every leader before that leader's clock does.
const LEAD_MS: u64 = 250;

/// Places of a barrier, by group; nothing for those where it came too late.
pub type Places = BTreeMap<GroupId, BarrierReply>;

impl Node {
    /// A stamp for a barrier: ahead of every clock that this node has heard of, and of `after`.
    pub fn barrier_stamp(&self, after: Hlc) -> Hlc {
        let heard = lock(&self.observations)
            .values()
            .flat_map(|(_, report)| report.replicas.iter().map(|replica| replica.stamp_ms))
            .max()
            .unwrap_or(0);
        Hlc::from_millis(self.clock.wall_millis().max(heard).max(after.millis()) + LEAD_MS)
    }

    /// Asks for the same barrier in each of these groups; `done` is told the places once all have answered, or the
    /// first fault.
    pub fn begin_barrier(
        &self,
        groups: &[GroupId],
        barrier: Barrier,
        done: impl FnOnce(Result<Places, Fault>) + Send + 'static,
    ) {
        let body: Bytes = barrier.encode_to_vec().into();
        let call =
            |group| Call { group, access: Access::Write, kind: RequestKind::Barrier, body: body.clone() };
        self.ask_all(groups.iter().map(|group| call(*group)).collect(), move |answers| {
            done(answers.and_then(|answers| {
                let unknown = |_| Fault::from(ErrorCode::VersionUnsupported);
                let read = |bytes| BarrierReply::decode(bytes).map_err(unknown);
                answers.into_iter().map(|(group, bytes)| Ok((group, read(bytes)?))).collect()
            }));
        });
    }

    /// Every record of the catalog, as of now: what its leader has.
    pub fn read_catalog(&self, done: impl FnOnce(Result<CatalogRecords, Fault>) + Send + 'static) {
        let query = CatalogRead { query: Some(CatalogQuery::Records(Nothing {})) };
        let body = query.encode_to_vec().into();
        let call = Call { group: GroupId::CATALOG, access: Access::Read, kind: RequestKind::Data, body };
        self.submit(
            call,
            Box::new(move |answer| {
                done(answer.and_then(
                    |bytes| match CatalogReadReply::decode(bytes).map(|reply| reply.found) {
                        Ok(Some(CatalogFound::Records(records))) => Ok(records),
                        _ => Err(ErrorCode::VersionUnsupported.into()),
                    },
                ));
            }),
        );
    }

    /// How many keys there are in these groups, expired ones that were not removed yet included.
    pub fn count_keys(&self, groups: &[GroupId], done: impl FnOnce(Result<u64, Fault>) + Send + 'static) {
        let body: Bytes = KvRequest::new(KvOp::DbSize(Nothing {})).encode_to_vec().into();
        let call = |group| Call { group, access: Access::Read, kind: RequestKind::Data, body: body.clone() };
        self.ask_all(groups.iter().map(|group| call(*group)).collect(), move |answers| {
            done(answers.and_then(|answers| answers.into_values().map(integer).sum()));
        });
    }

    /// Writes contents into a table, each piece into its partition; `done` is told what came of all of them.
    pub fn import(
        &self,
        route: &TableRoute,
        import: Import,
        done: impl FnOnce(Result<Imported, Fault>) + Send + 'static,
    ) {
        let mut parts: BTreeMap<GroupId, Vec<Piece>> = BTreeMap::new();
        for piece in import.pieces {
            let partition = route.partition(route.partition_of(&piece.key));
            let Some(partition) = partition else { return done(Err(ErrorCode::UnknownPartition.into())) };
            parts.entry(partition.group).or_default().push(piece);
        }
        let call = |(group, pieces)| {
            let part = Import { pieces, ..import };
            let body = KvRequest::new(KvOp::Import(part)).encode_to_vec().into();
            Call { group, access: Access::Write, kind: RequestKind::Data, body }
        };
        self.ask_all(parts.into_iter().map(call).collect(), move |answers| {
            done(answers.and_then(|answers| {
                answers
                    .into_values()
                    .try_fold(Imported::default(), |sum, reply| Ok(sum.with(imported(reply)?)))
            }));
        });
    }

    /// The state at somebody's barrier, if this node's replica keeps it; it is kept for another while.
    pub fn held(&self, group: GroupId, id: u64, index: LogIndex) -> Option<Arc<dyn Held>> {
        let shared = self.store()?.shared(group)?;
        let (at, state) = shared.holds().get(id, self.clock.now())?;
        (at == index).then_some(state)
    }

    /// The states at somebody's barrier are needed for another while.
    pub fn keep_holds(&self, id: u64) {
        self.for_each_group(|shared| {
            let _ = shared.holds().get(id, self.clock.now());
        });
    }

    /// The states at somebody's barrier are not needed any more.
    pub fn release_holds(&self, id: u64) {
        self.for_each_group(|shared| shared.holds().release(id));
    }

    /// The tables of a wish, as `namespace:name`; all that clients may use if none is named.
    ///
    /// # Errors
    /// `UnknownTable`.
    pub fn tables_of(&self, names: &[String]) -> Result<Vec<TableRecord>, Fault> {
        let catalog = self.catalog();
        if names.is_empty() {
            let is_whole =
                |table: &&TableRecord| table.engine() == EngineKind::Kv && table.restoring.is_empty();
            return Ok(catalog.tables().filter(is_whole).cloned().collect());
        }
        let find = |name: &String| {
            let found = catalog.find(name).filter(|table| table.engine() == EngineKind::Kv);
            found.cloned().ok_or_else(|| Fault::new(ErrorCode::UnknownTable, name.clone()))
        };
        names.iter().map(find).collect()
    }

    /// What is told of a barrier that stands in every partition of these tables.
    pub fn barrier_report(&self, at: Hlc, tables: &[TableRecord], places: &Places) -> BarrierReport {
        let catalog = self.catalog();
        let tables = tables.iter().map(|table| self.barrier_table(&catalog, table, places)).collect();
        BarrierReport { at_ms: at.millis(), tables }
    }

    fn barrier_table(&self, catalog: &Catalog, table: &TableRecord, places: &Places) -> BarrierTable {
        let place = |(group, partition): (&u64, u32)| {
            let reply = places.get(&GroupId(*group)).copied().unwrap_or_default();
            BarrierPlace {
                partition,
                group: *group,
                index: reply.index,
                term: reply.term,
                nodes: self.nodes_that_may_save(catalog, GroupId(*group)),
            }
        };
        BarrierTable {
            namespace: table.namespace.clone(),
            name: table.name.clone(),
            engine: "kv".into(),
            hash: if table.hash() == HashBy::Whole { "whole".into() } else { "tag".into() },
            replicas: table.replicas,
            partitions: table.groups.iter().zip(0..).map(place).collect(),
        }
    }

    /// The nodes of a group's replicas, the leader's last: it has enough to do.
    fn nodes_that_may_save(&self, catalog: &Catalog, group: GroupId) -> Vec<u64> {
        let leader = self.leader_of(group).map_or(0, NodeId::get);
        let replicas =
            catalog.partition(group).map(|partition| partition.replicas.clone()).unwrap_or_default();
        let mut nodes: Vec<u64> = replicas.iter().map(|replica| replica.node).collect();
        nodes.sort_by_key(|node| *node == leader);
        nodes
    }

    fn for_each_group(&self, see: impl Fn(&replication::GroupShared)) {
        let Some(store) = self.store() else { return };
        store.replicas().keys().filter_map(|group| store.shared(*group)).for_each(|shared| see(&shared));
    }

    /// Makes calls together; `done` is told all answers by group, or the first fault, once all have ended.
    fn ask_all(
        &self,
        calls: Vec<Call>,
        done: impl FnOnce(Result<BTreeMap<GroupId, Bytes>, Fault>) + Send + 'static,
    ) {
        if calls.is_empty() {
            return done(Ok(BTreeMap::new()));
        }
        let gathered = Gathered { left: calls.len(), answers: Ok(BTreeMap::new()), done: Some(done) };
        let gathered = Arc::new(Mutex::new(gathered));
        let calls = calls.into_iter().map(|call| {
            let (group, gathered) = (call.group, gathered.clone());
            let done: crate::node::Done = Box::new(move |answer| {
                let end = lock(&gathered).add(group, answer);
                if let Some((done, answers)) = end {
                    done(answers);
                }
            });
            (call, done)
        });
        self.submit_all(calls.collect());
    }
}

/// Answers of several calls.
struct Gathered<D> {
    left: usize,
    answers: Result<BTreeMap<GroupId, Bytes>, Fault>,
    done: Option<D>,
}

impl<D> Gathered<D> {
    /// Adds an answer; whom to tell all of them, with the last one.
    fn add(&mut self, group: GroupId, answer: Result<Bytes, Fault>) -> Option<(D, Answers)> {
        match (answer, &mut self.answers) {
            (Ok(bytes), Ok(answers)) => {
                answers.insert(group, bytes);
            }
            (Err(fault), answers @ Ok(_)) => *answers = Err(fault),
            (_, Err(_)) => {}
        }
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        let answers = std::mem::replace(&mut self.answers, Ok(BTreeMap::new()));
        self.done.take().map(|done| (done, answers))
    }
}

type Answers = Result<BTreeMap<GroupId, Bytes>, Fault>;

fn integer(reply: Bytes) -> Result<u64, Fault> {
    match KvReply::decode(reply).map(|reply| reply.answer) {
        Ok(Some(KvAnswer::Integer(number))) => Ok(number.max(0) as u64),
        _ => Err(ErrorCode::VersionUnsupported.into()),
    }
}

fn imported(reply: Bytes) -> Result<Imported, Fault> {
    match KvReply::decode(reply).map(|reply| reply.answer) {
        Ok(Some(KvAnswer::Imported(done))) => Ok(done),
        _ => Err(Fault::new(ErrorCode::BadArgument, "the table cannot take these contents")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_is_told_once_all_have_answered() {
        let gathered = |answers: Vec<Result<Bytes, Fault>>| {
            let mut gathered = Gathered { left: answers.len(), answers: Ok(BTreeMap::new()), done: Some(()) };
            let ends: Vec<_> = answers
                .into_iter()
                .zip(1..)
                .filter_map(|(answer, group)| gathered.add(GroupId(group), answer))
                .collect();
            assert_eq!(ends.len(), 1, "told once");
            ends.into_iter().next().unwrap().1
        };
        let all = gathered(vec![Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"b"))]).unwrap();
        assert_eq!(all[&GroupId(2)], "b");
        let faults = [ErrorCode::NoLeader, ErrorCode::Overloaded].map(|code| Err(Fault::from(code)));
        let [first, second] = faults;
        let told = gathered(vec![first, Ok(Bytes::new()), second]);
        assert_eq!(told.unwrap_err().code, ErrorCode::NoLeader);
    }
}
