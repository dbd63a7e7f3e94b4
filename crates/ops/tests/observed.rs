//! What the meta leader makes of reports that contradict each other or are old.

use std::time::Duration;

use api::catalog::{Bootstrap, CatalogCommand, CatalogOp, NewTable, NodeRecord};
use api::peer::{DigestAt, Member, Membership, ReplicaReport, ReplicaState, Report};
use catalog::Catalog;
use catalog::status::{NodeState, Observation, Observations};
use engine::ApplyContext;
use ops::Observed;
use types::{GroupId, Hlc, LogIndex, NodeId, ReplicaId};

const GROUP: GroupId = GroupId(1);

/// Three nodes, and one partition with a replica on each.
fn catalog() -> Catalog {
    let node = |id| NodeRecord { id, endpoint: format!("n{id}:7000"), ..Default::default() };
    let member = |id| Member { replica: id, node: id, learner: false };
    let table = NewTable {
        name: "t".into(),
        engine: api::catalog::EngineKind::Kv.into(),
        partitions: 1,
        replicas: 3,
        ..Default::default()
    };
    let bootstrap = Bootstrap {
        cluster: 1,
        nodes: (1..=3).map(node).collect(),
        membership: Some(Membership { epoch: 1, members: (1..=3).map(member).collect() }),
        tables: vec![table],
    };
    let context = ApplyContext {
        hlc: Hlc::from_millis(1),
        seed: 0,
        apply_version: api::entry::APPLY_VERSION,
        index: LogIndex(6),
        wants_changes: false,
    };
    let mut catalog = Catalog::default();
    catalog.apply(&CatalogCommand { op: Some(CatalogOp::Bootstrap(bootstrap)) }, &context);
    catalog
}

fn replica(id: u64, state: ReplicaState, term: u64, in_sync: &[u64]) -> ReplicaReport {
    ReplicaReport {
        group: GROUP.get(),
        replica: id,
        state: state.into(),
        term,
        bytes: 100 * id,
        load: Some(1000 * id),
        in_sync: in_sync.to_vec(),
        ..Default::default()
    }
}

/// What is seen when node `n` said `reports[n - 1]` so many milliseconds ago.
fn observed(reports: &[(u64, ReplicaReport)]) -> Observed {
    let mut observations = Observations { listening: Duration::from_secs(60), ..Default::default() };
    for (node, (age, replica)) in (1..).zip(reports) {
        let report = Report { node, boot: node, replicas: vec![replica.clone()], ..Default::default() };
        let age = Duration::from_millis(*age);
        observations.reports.insert(NodeId(node), Observation { age, report });
    }
    Observed::new(&catalog(), &observations, 77)
}

fn leader(observed: &Observed) -> Option<u64> {
    observed.leader(GROUP).map(|leader| leader.replica.get())
}

#[test]
fn of_two_that_say_they_lead_the_later_term_is_right() {
    use ReplicaState::{Follower, Leader};
    let seen = observed(&[
        (0, replica(1, Leader, 3, &[1, 2, 3])),
        (0, replica(2, Leader, 4, &[2, 3])),
        (0, replica(3, Follower, 4, &[])),
    ]);
    assert_eq!(leader(&seen), Some(2));
    assert_eq!(seen.groups[&GROUP].in_sync, [ReplicaId(2), ReplicaId(3)].into());
    assert_eq!((seen.groups[&GROUP].bytes, seen.groups[&GROUP].load), (200, Some(2000)));
}

#[test]
fn a_later_term_without_a_leader_is_an_election() {
    use ReplicaState::{Candidate, Follower, Leader};
    let seen = observed(&[
        (0, replica(1, Leader, 3, &[1, 2, 3])),
        (0, replica(2, Candidate, 4, &[])),
        (0, replica(3, Follower, 3, &[])),
    ]);
    assert_eq!(leader(&seen), None);
    assert_eq!(seen.groups[&GROUP].bytes, 300, "the most that anybody has");
    assert_eq!(seen.groups[&GROUP].load, None, "nobody leads");
}

#[test]
fn whoever_is_not_heard_of_neither_leads_nor_is_in_sync() {
    use ReplicaState::{Follower, Leader, Stopped};
    let seen = observed(&[
        (9_000, replica(1, Leader, 3, &[1, 2, 3])),
        (0, replica(2, Follower, 3, &[])),
        (0, replica(3, Follower, 3, &[])),
    ]);
    assert_eq!((leader(&seen), seen.state(NodeId(1))), (None, NodeState::Down));
    let seen = observed(&[
        (0, replica(1, Leader, 3, &[1, 2, 3])),
        (3_000, replica(2, Follower, 3, &[])),
        (0, replica(3, Stopped, 3, &[])),
    ]);
    assert_eq!(seen.state(NodeId(2)), NodeState::Suspect);
    assert_eq!(
        seen.groups[&GROUP].in_sync,
        [ReplicaId(1)].into(),
        "old word of a silent and of a stopped one"
    );
}

#[test]
fn space_is_known_only_where_it_was_told_and_hashes_are_text() {
    let mut told = replica(1, ReplicaState::Follower, 3, &[]);
    told.digests = vec![DigestAt { index: 9, hash: vec![0x0f, 0xa0].into(), records: 5 }];
    let mut observations = Observations::default();
    let report = Report { replicas: vec![told], free_bytes: 0, disk_bytes: 1, ..Default::default() };
    observations.reports.insert(NodeId(1), Observation { age: Duration::ZERO, report });
    let seen = Observed::new(&catalog(), &observations, 77);
    assert_eq!(seen.nodes[&NodeId(1)].free_bytes, Some(0));
    assert_eq!(seen.nodes[&NodeId(2)].free_bytes, None);
    assert_eq!(seen.nodes[&NodeId(1)].used_bytes, 100);
    let digests = &seen.groups[&GROUP].replicas[&ReplicaId(1)].digests;
    assert_eq!(digests[&LogIndex(9)].hash, "0fa0");
    assert_eq!(seen.state(NodeId(9)), NodeState::Down, "nobody that the catalog knows");
}
