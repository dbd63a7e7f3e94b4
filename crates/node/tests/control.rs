//! What a node says and does about the catalog's wishes, by catalogs made of commands.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;

use api::catalog::{
    Bootstrap, CatalogAnswer, CatalogCommand, CatalogOp, EngineKind, Established, GroupReplica, NewTable,
    NodeRecord, ObservedMembership, PartitionRecord, RecoverCatalog, ReplaceReplica, ReplicaRecord,
    SetSetting,
};
use api::operation::{
    CatalogEdit, Edit, NodeFlags, OnPartition, OperationChange, OperationKind, OperationRecord,
    OperationState, ReplaceRank, SetOffline,
};
use api::peer::{Member, Membership, ReplicaReport, ReplicaState};
use catalog::Catalog;
use engine::ApplyContext;
use env::Moment;
use node::control::{Control, Decision, View, campaign};
use node::heard::has_caught_up;
use node::hosting::HostAction;
use replication::{Campaign, Input};
use types::era::era_start;
use types::{GroupId, Hlc, LogIndex, NodeId, ReplicaId};

const GROUP: GroupId = GroupId(1);

/// A catalog of three nodes, with one table of one partition.
struct World {
    catalog: Catalog,
    index: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self { catalog: Catalog::default(), index: 5 };
        world.apply(CatalogOp::Bootstrap(Bootstrap {
            cluster: 7,
            nodes: (1..=4).map(record).collect(),
            membership: Some(membership(1, &[1, 2, 3])),
            tables: vec![NewTable {
                namespace: catalog::DEFAULT_NAMESPACE.into(),
                name: catalog::DEFAULT_TABLE.into(),
                engine: EngineKind::Kv as i32,
                partitions: 1,
                replicas: 3,
                ..Default::default()
            }],
        }));
        world
    }

    fn apply(&mut self, op: CatalogOp) {
        self.index += 1;
        let context = ApplyContext {
            hlc: Hlc(0),
            seed: 0,
            apply_version: 1,
            index: LogIndex(self.index),
            wants_changes: false,
        };
        let (reply, _) = self.catalog.apply(&CatalogCommand { op: Some(op) }, &context);
        assert!(!matches!(reply.answer, Some(CatalogAnswer::Refused(_)) | None), "{reply:?}");
    }

    fn edit(&mut self, edit: Edit) {
        let edits = vec![CatalogEdit { edit: Some(edit) }];
        self.apply(CatalogOp::Operate(OperationChange { edits, ..Default::default() }));
    }

    fn set(&mut self, name: &str, value: &str) {
        let set = SetSetting { name: name.into(), value: value.into(), ..Default::default() };
        self.apply(CatalogOp::Set(set));
    }

    fn leads(&mut self, replica: u64, term: u64) {
        let membership = Some(self.partition().birth.clone().unwrap());
        let observed = ObservedMembership { group: GROUP.get(), membership, leader: replica, term };
        self.apply(CatalogOp::Observed(observed));
    }

    /// All replicas exist.
    fn establish(&mut self) {
        let of = |replica: &ReplicaRecord| GroupReplica { group: GROUP.get(), replica: replica.id };
        let replicas = self.partition().replicas.iter().map(of).collect();
        self.apply(CatalogOp::Established(Established { replicas }));
    }

    fn partition(&self) -> &PartitionRecord {
        self.catalog.partition(GROUP).unwrap()
    }

    /// The replica of the given rank, and its node.
    fn replica(&self, rank: usize) -> (ReplicaId, NodeId) {
        let replica = self.partition().replicas[rank];
        (ReplicaId(replica.id), NodeId(replica.node))
    }

    fn campaign(&self, rank: usize) -> Campaign {
        let (replica, node) = self.replica(rank);
        campaign(&self.catalog, node, GROUP, replica)
    }

    fn step(&self, control: &mut Control, node: NodeId, report: ReplicaReport, now: Moment) -> Decision {
        let here = BTreeMap::from([(GROUP, ReplicaId(report.replica))]);
        let view = View {
            catalog: &self.catalog,
            me: &record(node.get()),
            here: &here,
            reports: &[report],
            damaged: &BTreeMap::new(),
            bootstrap: None,
            clock_is_far: false,
        };
        control.step(&view, now)
    }

    /// What the leader of rank 0 reports.
    fn leader(&self, term: u64) -> ReplicaReport {
        let membership = self.partition().observed.clone().or(self.partition().birth.clone()).unwrap();
        ReplicaReport {
            group: GROUP.get(),
            replica: self.replica(0).0.get(),
            state: ReplicaState::Leader as i32,
            term,
            member_epoch: membership.epoch,
            membership: Some(membership),
            ..Default::default()
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

fn membership(epoch: u64, replicas: &[u64]) -> Membership {
    let member = |&replica: &u64| Member { replica, node: replica, learner: false };
    Membership { epoch, members: replicas.iter().map(member).collect() }
}

fn observed(decision: &Decision) -> Vec<(u64, u64)> {
    let told = |op: &CatalogOp| match op {
        CatalogOp::Observed(observed) => Some((observed.leader, observed.term)),
        _ => None,
    };
    decision.commands.iter().filter_map(told).collect()
}

#[test]
fn everybody_campaigns_unless_only_the_leader_of_record_may() {
    let mut world = World::new();
    let all = |world: &World| [0, 1, 2].map(|rank| world.campaign(rank));
    assert_eq!(all(&world), [Campaign::OnlyIfAsked; 3], "founders may be chosen anew");
    world.establish();
    assert_eq!(all(&world), [Campaign::AsUsual; 3]);
    world.set("auto_failover", "false");
    use Campaign::{AsUsual, InPlaceOf, Late, OnlyIfAsked};
    let first = InPlaceOf(world.replica(0).0);
    assert_eq!(all(&world), [AsUsual, first, first], "nobody led yet: the first one begins");
    let second = world.replica(1).0.get();
    world.leads(second, 6);
    assert_eq!(all(&world), [InPlaceOf(ReplicaId(second)), AsUsual, InPlaceOf(ReplicaId(second))]);
    let group = GROUP.get();
    let third = world.replica(2).0.get();
    world.edit(Edit::SetLeader(GroupReplica { group, replica: third }));
    let named = InPlaceOf(ReplicaId(third));
    assert_eq!(all(&world), [named, named, AsUsual], "a command named another");
    world.set("auto_failover", "true");
    let node = world.replica(0).1.get();
    world.edit(Edit::SetNode(NodeFlags { node, drained: true, ..Default::default() }));
    assert_eq!(all(&world), [Late, AsUsual, AsUsual], "a drained node leads if there is nobody else");
    assert_eq!(campaign(&world.catalog, NodeId(1), GroupId(99), ReplicaId(1)), OnlyIfAsked);
    assert_eq!(campaign(&Catalog::default(), NodeId(1), GROUP, ReplicaId(1)), OnlyIfAsked);
    assert_eq!(campaign(&Catalog::default(), NodeId(1), GroupId::CATALOG, ReplicaId(1)), AsUsual);
}

#[test]
fn replicas_are_told_when_it_changes_and_now_and_then() {
    let mut world = World::new();
    world.establish();
    let (replica, node) = world.replica(1);
    let follower = ReplicaReport { group: GROUP.get(), replica: replica.get(), ..Default::default() };
    let mut control = Control::default();
    let told = |decision: Decision| -> Vec<Campaign> {
        let when = |input: &Input| match input {
            Input::Campaign { when, .. } => Some(*when),
            _ => None,
        };
        decision.inputs.iter().filter_map(when).collect()
    };
    let at = |millis: u64| Moment(millis * 1_000_000);
    assert_eq!(told(world.step(&mut control, node, follower.clone(), at(0))), [Campaign::AsUsual]);
    assert_eq!(told(world.step(&mut control, node, follower.clone(), at(200))), []);
    world.set("auto_failover", "false");
    let first = Campaign::InPlaceOf(world.replica(0).0);
    assert_eq!(told(world.step(&mut control, node, follower.clone(), at(400))), [first]);
    assert_eq!(told(world.step(&mut control, node, follower.clone(), at(600))), []);
    assert_eq!(told(world.step(&mut control, node, follower, at(9000))), [first]);
}

#[test]
fn a_starting_node_leaves_elections_to_others_until_its_copy_knows_this_run() {
    let mut world = World::new();
    world.establish();
    let (replica, node) = world.replica(1);
    let follower = ReplicaReport { group: GROUP.get(), replica: replica.get(), ..Default::default() };
    let known = world.catalog.node(node).unwrap().clone();
    world.apply(CatalogOp::RegisterNode(NodeRecord { boot: known.boot + 1, ..known.clone() }));
    let told = |decision: Decision| -> Vec<Campaign> {
        let when = |input: &Input| match input {
            Input::Campaign { when, .. } => Some(*when),
            _ => None,
        };
        decision.inputs.iter().filter_map(when).collect()
    };
    let at = |seconds: u64| Moment((1 + seconds) * 1_000_000_000);
    let mut control = Control::default();
    let mut look =
        |world: &World, seconds| told(world.step(&mut control, node, follower.clone(), at(seconds)));
    assert_eq!(look(&world, 0), [Campaign::OnlyIfAsked], "what was given up meanwhile is not known yet");
    assert_eq!(look(&world, 9), [Campaign::OnlyIfAsked]);
    assert_eq!(look(&world, 10), [Campaign::AsUsual], "a table does not wait for the catalog for ever");
    let mut control = Control::default();
    let mut look =
        |world: &World, seconds| told(world.step(&mut control, node, follower.clone(), at(seconds)));
    assert_eq!(look(&world, 0), [Campaign::OnlyIfAsked]);
    world.apply(CatalogOp::RegisterNode(known));
    assert_eq!(look(&world, 1), [Campaign::AsUsual]);
}

#[test]
fn in_manual_mode_a_lost_or_damaged_replica_waits_for_a_command() {
    let mut world = World::new();
    world.establish();
    let (replica, node) = world.replica(1);
    let replaced = |world: &World, is_damaged: bool| {
        let here = BTreeMap::from_iter(is_damaged.then_some((GROUP, replica)));
        let damaged = BTreeMap::from_iter(is_damaged.then(|| ((GROUP, replica), "bad bytes".to_owned())));
        let view = View {
            catalog: &world.catalog,
            me: &record(node.get()),
            here: &here,
            reports: &[],
            damaged: &damaged,
            bootstrap: None,
            clock_is_far: false,
        };
        let said = Control::default().step(&view, Moment(0)).commands;
        let of_group =
            |op: &CatalogOp| matches!(op, CatalogOp::ReplaceReplica(it) if it.group == GROUP.get());
        said.iter().any(of_group)
    };
    assert!(replaced(&world, false) && replaced(&world, true));
    world.set("auto_failover", "false");
    assert!(!replaced(&world, false) && !replaced(&world, true));
    world.apply(CatalogOp::Operate(OperationChange {
        start: vec![OperationRecord {
            kind: Some(OperationKind::RecoverReplica(OnPartition { group: GROUP.get(), node: node.get() })),
            group: Some(GROUP.get()),
            state: OperationState::Running.into(),
            ..Default::default()
        }],
        ..Default::default()
    }));
    assert!(replaced(&world, false) && replaced(&world, true));
}

#[test]
fn a_node_is_ready_without_what_stays_lost() {
    let mut world = World::new();
    world.establish();
    let (replica, node) = world.replica(1);
    let reports = |groups: &[GroupId]| -> Vec<ReplicaReport> {
        let report = |group: &GroupId| ReplicaReport {
            group: group.get(),
            leader: 1,
            applied: 5,
            commit: 5,
            ..Default::default()
        };
        groups.iter().map(report).collect()
    };
    let ready = |world: &World, here: &[(GroupId, ReplicaId)], is_damaged: bool| {
        let here: BTreeMap<GroupId, ReplicaId> = here.iter().copied().collect();
        let damaged = BTreeMap::from_iter(is_damaged.then(|| ((GROUP, replica), "bad bytes".to_owned())));
        let mut groups: Vec<GroupId> = here.keys().copied().collect();
        groups.retain(|group| *group != GROUP || !is_damaged);
        has_caught_up(&world.catalog, &record(node.get()), &here, &reports(&groups), &damaged)
    };
    let catalog = (GroupId::CATALOG, ReplicaId(node.get()));
    let all = [catalog, (GROUP, replica)];
    assert!(ready(&world, &all, false));
    assert!(!ready(&world, &[catalog], false), "it is made anew first");
    assert!(!ready(&world, &all, true));
    world.set("auto_failover", "false");
    assert!(ready(&world, &[catalog], false) && ready(&world, &all, true));
    assert!(!ready(&world, &[(GROUP, replica)], false), "the catalog mends itself");
}

#[test]
fn a_leader_tells_that_it_leads_once_for_each_term() {
    let mut world = World::new();
    let (replica, node) = world.replica(0);
    let mut control = Control::default();
    let at = |millis: u64| Moment(millis * 1_000_000);
    let first = world.step(&mut control, node, world.leader(6), at(0));
    assert_eq!(observed(&first), [(replica.get(), 6)]);
    assert_eq!(
        observed(&world.step(&mut control, node, world.leader(6), at(200))),
        [],
        "it was said just now"
    );
    world.leads(replica.get(), 6);
    assert_eq!(observed(&world.step(&mut control, node, world.leader(6), at(9000))), [], "it is known");
    assert_eq!(observed(&world.step(&mut control, node, world.leader(7), at(9200))), [(replica.get(), 7)]);
    // Another one was elected meanwhile: the word of the old leader is old.
    let second = world.replica(1).0.get();
    world.leads(second, 9);
    assert_eq!(observed(&world.step(&mut control, node, world.leader(7), at(20_000))), []);
}

#[test]
fn a_replica_that_is_offline_shall_stay_without_a_vote() {
    let mut world = World::new();
    let (replica, node) = world.replica(0);
    world.leads(replica.get(), 6);
    let second = world.replica(1).0;
    world.edit(Edit::SetOffline(SetOffline {
        group: GROUP.get(),
        replica: second.get(),
        offline: true,
        led: false,
    }));
    let decision = world.step(&mut Control::default(), node, world.leader(6), Moment(0));
    let wish = decision.inputs.iter().find_map(|input| match input {
        Input::Wish { replicas, .. } => Some(replicas.clone()),
        _ => None,
    });
    let votes: BTreeMap<ReplicaId, bool> =
        wish.unwrap().iter().map(|wished| (wished.replica, wished.voter)).collect();
    assert_eq!(votes.len(), 3);
    assert!(votes.iter().all(|(id, voter)| *voter == (*id != second)), "{votes:?}");
}

#[test]
fn a_replica_that_is_not_wished_for_waits_until_its_group_has_let_it_go() {
    let mut world = World::new();
    let (replica, node) = world.replica(2);
    world.establish();
    let successor = 0;
    world.edit(Edit::RemoveReplica(ReplaceRank { group: GROUP.get(), replica: replica.get(), successor }));
    let follower =
        ReplicaReport { group: GROUP.get(), replica: replica.get(), member_epoch: 1, ..Default::default() };
    let removed = |world: &World, report: &ReplicaReport| {
        let decision = world.step(&mut Control::default(), node, report.clone(), Moment(0));
        decision.hosting.contains(&HostAction::Remove(GROUP, replica))
    };
    assert!(!removed(&world, &follower), "it may still have a vote");
    let left: Vec<Member> = world
        .partition()
        .replicas
        .iter()
        .map(|replica| Member { replica: replica.id, node: replica.node, learner: false })
        .collect();
    let membership = Some(Membership { epoch: 2, members: left });
    let told = ObservedMembership { group: GROUP.get(), membership, ..Default::default() };
    world.apply(CatalogOp::Observed(told));
    assert!(!removed(&world, &ReplicaReport { member_epoch: 3, ..follower.clone() }), "it is a member again");
    assert!(removed(&world, &follower));
    // Another replica of the group comes to the node: there is room for one.
    let mut other = World::new();
    other.establish();
    let (first, node) = other.replica(2);
    other.apply(CatalogOp::ReplaceReplica(ReplaceReplica {
        group: GROUP.get(),
        replica: first.get(),
        reason: "it is lost".into(),
    }));
    let report = ReplicaReport { group: GROUP.get(), replica: first.get(), ..Default::default() };
    let decision = other.step(&mut Control::default(), node, report, Moment(0));
    assert!(decision.hosting.contains(&HostAction::Remove(GROUP, first)));
}

#[test]
fn a_survivor_of_the_catalogs_group_says_nothing_before_it_has_said_so_and_is_never_removed() {
    let mut world = World::new();
    let survivor = ReplicaId(world.catalog.partition(GroupId::CATALOG).unwrap().next_replica);
    let term = era_start(1) + 1;
    let report = |state: ReplicaState| ReplicaReport {
        group: GroupId::CATALOG.get(),
        replica: survivor.get(),
        state: state as i32,
        term,
        membership: Some(Membership {
            epoch: era_start(1),
            members: vec![Member { replica: survivor.get(), node: 1, learner: false }],
        }),
        member_epoch: era_start(1),
        ..Default::default()
    };
    let step = |world: &World, state: ReplicaState| {
        let here = BTreeMap::from([(GroupId::CATALOG, survivor)]);
        let view = View {
            catalog: &world.catalog,
            me: &record(1),
            here: &here,
            reports: &[report(state)],
            damaged: &BTreeMap::new(),
            bootstrap: None,
            clock_is_far: false,
        };
        Control::default().step(&view, Moment(0))
    };
    // A restart in the middle: the catalog, as it is stored, does not wish for it.
    for state in [ReplicaState::Starting, ReplicaState::Follower] {
        let decision = step(&world, state);
        assert!(!decision.hosting.contains(&HostAction::Remove(GroupId::CATALOG, survivor)));
    }
    let recover = RecoverCatalog { node: 1, replica: survivor.get(), term };
    let decision = step(&world, ReplicaState::Leader);
    assert_eq!(decision.commands, [CatalogOp::RecoverCatalog(recover)]);
    assert_eq!(decision.hosting, []);

    world.apply(CatalogOp::RecoverCatalog(recover));
    assert!(world.catalog.version().get() > 1 << 40, "copies with what is lost are older");
    let decision = step(&world, ReplicaState::Leader);
    assert!(decision.commands.iter().all(|op| !matches!(op, CatalogOp::RecoverCatalog(_))));
    assert_eq!(campaign(&world.catalog, NodeId(1), GroupId::CATALOG, survivor), Campaign::AsUsual);
    for old in 1..survivor.get() {
        let when = campaign(&world.catalog, NodeId(old), GroupId::CATALOG, ReplicaId(old));
        assert_eq!(when, Campaign::OnlyIfAsked, "replica {old} was given up");
    }
}
