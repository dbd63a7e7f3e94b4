//! What the node that leads the catalog says and does about an operation, look by look.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use api::admin::OperationRequest;
use api::catalog::{Bootstrap, CatalogAnswer, CatalogCommand, CatalogOp, EngineKind, NewTable, NodeRecord};
use api::operation::OperationState;
use api::peer::{Member, Membership, ReplicaReport, ReplicaState, Report};
use catalog::Catalog;
use catalog::status::{Observation, Observations};
use engine::ApplyContext;
use node::operate::{Operator, Word, Work};
use ops::Observed;
use types::{GroupId, Hlc, LogIndex, NodeId, OperationId};

const GROUP: GroupId = GroupId(1);

/// Three nodes, and a table with one partition, which the replica of the first rank leads.
struct World {
    catalog: Catalog,
    index: u64,
    wall_ms: u64,
    leader: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self { catalog: Catalog::default(), index: 5, wall_ms: 1_000_000, leader: 0 };
        let member = |id| Member { replica: id, node: id, learner: false };
        let table = NewTable {
            namespace: catalog::DEFAULT_NAMESPACE.into(),
            name: catalog::DEFAULT_TABLE.into(),
            engine: EngineKind::Kv as i32,
            partitions: 1,
            replicas: 3,
            ..Default::default()
        };
        world.apply(CatalogOp::Bootstrap(Bootstrap {
            cluster: 7,
            nodes: (1..=3).map(record).collect(),
            membership: Some(Membership { epoch: 1, members: (1..=3).map(member).collect() }),
            tables: vec![table],
        }));
        let of = |group: u64| {
            let partition = world.catalog.partition(GroupId(group)).unwrap();
            let replica = |id| api::catalog::GroupReplica { group, replica: id };
            partition.replicas.iter().map(|one| replica(one.id)).collect::<Vec<_>>()
        };
        let replicas = [of(0), of(1)].concat();
        world.apply(CatalogOp::Established(api::catalog::Established { replicas }));
        world
    }

    fn apply(&mut self, op: CatalogOp) -> CatalogAnswer {
        self.index += 1;
        let context = ApplyContext {
            hlc: Hlc(0),
            seed: 0,
            apply_version: 1,
            index: LogIndex(self.index),
            wants_changes: false,
        };
        let (reply, _) = self.catalog.apply(&CatalogCommand { op: Some(op) }, &context);
        reply.answer.unwrap()
    }

    /// The node of the replica with a rank.
    fn node(&self, rank: usize) -> NodeId {
        NodeId(self.catalog.partition(GROUP).unwrap().replicas[rank].node)
    }

    fn observed(&self) -> Observed {
        let mut reports: BTreeMap<NodeId, Observation> = BTreeMap::new();
        for partition in self.catalog.partitions() {
            let leader = if partition.group == GROUP.get() { self.leader } else { 0 };
            for (rank, replica) in partition.replicas.iter().enumerate() {
                let leads = rank == leader;
                let state = if leads { ReplicaState::Leader } else { ReplicaState::Follower };
                let report = ReplicaReport {
                    group: partition.group,
                    replica: replica.id,
                    state: state as i32,
                    term: 6 + leader as u64,
                    leader: partition.replicas[leader].id,
                    applied: 9,
                    commit: 9,
                    membership: if leads { partition.birth.clone() } else { None },
                    in_sync: partition.replicas.iter().filter(|_| leads).map(|one| one.id).collect(),
                    ..Default::default()
                };
                let of_node = reports.entry(NodeId(replica.node)).or_insert_with(|| Observation {
                    age: Duration::ZERO,
                    report: Report { node: replica.node, boot: 1, ..Default::default() },
                });
                of_node.report.replicas.push(report);
            }
        }
        let observations = Observations { listening: Duration::from_secs(60), reports, ..Default::default() };
        Observed::new(&self.catalog, &observations, self.wall_ms)
    }

    /// Starts an operation on the only partition; returns its id.
    fn start(&mut self, kind: &str, to: Option<NodeId>) -> u64 {
        let request = OperationRequest {
            kind: kind.into(),
            table: Some("default".into()),
            partitions: vec![0],
            to: to.map(NodeId::get),
            ..Default::default()
        };
        let planned = ops::plan(&self.catalog, &self.observed(), &request).unwrap();
        let CatalogAnswer::Operations(started) = self.apply(CatalogOp::Operate(planned.start)) else {
            panic!("not started")
        };
        started.ids[0]
    }

    /// A look, some time after the last.
    fn look(&mut self, operator: &mut Operator, leads: bool) -> Work {
        self.wall_ms += 2_000;
        let observed = self.observed();
        operator.step(leads, &self.catalog, || observed)
    }

    /// The catalog takes what was said.
    fn answer(&mut self, operator: &mut Operator, work: Work) {
        for command in work.commands {
            self.apply(command);
            operator.answered();
        }
    }
}

fn record(id: u64) -> NodeRecord {
    NodeRecord {
        id,
        endpoint: format!("n{id}:1"),
        roles: vec!["meta".into(), "data".into(), "gateway".into()],
        boot: 1,
        ..Default::default()
    }
}

#[test]
fn a_leader_of_the_catalog_says_a_word_until_it_is_heard_and_asks_for_nothing_twice() {
    let mut world = World::new();
    let mut operator = Operator::default();
    let (from, to) = (world.node(0), world.node(1));
    let request = OperationRequest {
        kind: "change-leader".into(),
        table: Some("default".into()),
        partitions: vec![0],
        to: Some(to.get()),
        ..Default::default()
    };
    let planned = ops::plan(&world.catalog, &world.observed(), &request).unwrap();
    let version = planned.plan.catalog_version;
    operator.remember(request.clone(), planned.clone());
    assert_eq!(operator.recall(&request, version), Some(&planned));
    assert_eq!(operator.recall(&request, version + 1), None);
    let CatalogAnswer::Operations(started) = world.apply(CatalogOp::Operate(planned.start)) else { panic!() };
    let id = OperationId(started.ids[0]);

    let not_mine = world.look(&mut operator, false);
    assert!(not_mine.commands.is_empty() && not_mine.words.is_empty(), "another node leads");
    assert_eq!(operator.recall(&request, version), None, "plans are forgotten with the leadership");

    let mut words = Vec::new();
    for _ in 0..4 {
        let work = world.look(&mut operator, true);
        words.extend(work.words.clone());
        if !work.commands.is_empty() {
            let again = world.look(&mut operator, true);
            assert!(again.commands.is_empty(), "it was not answered yet");
        }
        world.answer(&mut operator, work);
    }
    let is_transfer = |word: &Word| matches!(word, Word::Transfer(node, _) if *node == from);
    assert!(words.len() >= 2 && words.iter().all(is_transfer), "{words:?}");

    world.leader = 1;
    for _ in 0..4 {
        let work = world.look(&mut operator, true);
        world.answer(&mut operator, work);
    }
    assert_eq!(world.catalog.operation(id).unwrap().state(), OperationState::Done);
    let idle = world.look(&mut operator, true);
    assert!(idle.commands.is_empty() && idle.words.is_empty(), "{idle:?}");
}

#[test]
fn every_node_with_a_replica_is_told_to_cut_its_log() {
    let mut world = World::new();
    let mut operator = Operator::default();
    let request = OperationRequest {
        kind: "snapshot".into(),
        table: Some("default".into()),
        partitions: vec![0],
        ..Default::default()
    };
    let planned = ops::plan(&world.catalog, &world.observed(), &request).unwrap();
    world.apply(CatalogOp::Operate(planned.start));
    let mut cut = Vec::new();
    for _ in 0..4 {
        let work = world.look(&mut operator, true);
        cut.extend(work.words.iter().filter_map(|word| match word {
            Word::Cut(node, what) => Some((node.get(), what.group)),
            _ => None,
        }));
        world.answer(&mut operator, work);
    }
    cut.sort_unstable();
    cut.dedup();
    assert_eq!(cut, [(1, 1), (2, 1), (3, 1)]);
}

/// Looks of two nodes, of which one leads, until nothing more happens; returns who tells of which operation.
fn both_look(
    world: &mut World,
    [first, second]: [&mut Operator; 2],
    first_leads: bool,
) -> Vec<(&'static str, u64, OperationState)> {
    let mut told = Vec::new();
    for _ in 0..6 {
        let both = [("first", &mut *first, first_leads), ("second", &mut *second, !first_leads)];
        for (name, operator, leads) in both {
            let work = world.look(operator, leads);
            told.extend(work.ended.iter().map(|ended| (name, ended.id.get(), ended.how)));
            world.answer(operator, work);
        }
    }
    told
}

#[test]
fn an_operation_that_ends_is_told_once_by_whoever_leads_then() {
    let mut world = World::new();
    let (mut first, mut second) = (Operator::default(), Operator::default());
    let one = world.start("snapshot", None);
    let told = both_look(&mut world, [&mut first, &mut second], true);
    assert_eq!(told, [("first", one, OperationState::Done)]);
    let other = world.start("snapshot", None);
    let told = both_look(&mut world, [&mut first, &mut second], false);
    assert_eq!(told, [("second", other, OperationState::Done)]);
    let told = both_look(&mut world, [&mut Operator::default(), &mut second], true);
    assert_eq!(told, [], "one that has just started tells no old news");
}

#[test]
fn what_is_told_of_a_failure_is_what_its_explanation_says() {
    let mut world = World::new();
    let mut operator = Operator::default();
    // Nobody does what it says, so it gives up.
    let id = world.start("change-leader", Some(world.node(1)));
    let mut told = Vec::new();
    for _ in 0..60 {
        let work = world.look(&mut operator, true);
        told.extend(work.ended.clone());
        world.answer(&mut operator, work);
    }
    let [ended] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((ended.id.get(), ended.how), (id, OperationState::Failed));
    assert_eq!((ended.table.as_deref(), ended.partition), (Some("default"), Some(0)));
    let cause = ended.fault.as_ref().unwrap().to_string();
    let observed = world.observed();
    let explained =
        operator.with(|executor| executor.explain_operation(&world.catalog, &observed, ended.id)).unwrap();
    assert!(explained.summary.ends_with(&cause), "{} / {cause}", explained.summary);

    // One that began and ended between two looks.
    let id = world.start("change-leader", Some(world.node(1)));
    let cancelled = ops::cancel(&world.catalog, OperationId(id), world.wall_ms).unwrap();
    world.apply(CatalogOp::Operate(cancelled));
    let told = world.look(&mut operator, true).ended;
    let [ended] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((ended.id.get(), ended.how, &ended.fault), (id, OperationState::Cancelled, &None));
}
