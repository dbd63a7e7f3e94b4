//! What nodes report of themselves, and what others make of it: pure answers.
//!
//! Reports are lost, late, and of runs that are over. Each question says how old a report may be for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::catalog::{Bootstrap, EngineKind, NodeRecord};
use api::peer::{ReplicaReport, ReplicaState, Report};
use catalog::{Catalog, HostedReplica, mutant};
use env::Moment;
use replication::start::NewReplica;
use types::{Generation, GroupId, NodeId, ReplicaId, limits};

/// Older reports say nothing about whether a founder has data.
const FOUNDING_REPORT_AGE_MAX: Duration = Duration::from_secs(2);
/// Older reports say nothing about a clock.
const CLOCK_REPORT_AGE_MAX: Duration = Duration::from_secs(2);

/// The last report of each node, and when it came.
pub type Heard = BTreeMap<NodeId, (Moment, Report)>;

/// The catalog's founding replica, which `me` must make now. Nothing unless every other founder has said
/// lately that it has no catalog either: a founder that has lost its data must not found again, because its
/// replicas have made promises. Whether it has a replica already is not looked at.
pub fn founding(bootstrap: &Bootstrap, me: NodeId, heard: &Heard, now: Moment) -> Option<NewReplica> {
    let membership = bootstrap.membership.as_ref()?;
    let member = membership.members.iter().find(|member| member.node == me.get())?;
    let mut others = bootstrap.nodes.iter().filter(|founder| founder.id != me.get());
    let all_newborn = others.all(|founder| {
        let report = heard.get(&NodeId(founder.id));
        report.is_some_and(|(at, report)| now.since(*at) < FOUNDING_REPORT_AGE_MAX && is_newborn(report))
    });
    all_newborn.then(|| NewReplica {
        group: GroupId::CATALOG,
        replica: ReplicaId(member.replica),
        engine: EngineKind::Catalog,
        generation: Generation(1),
        founding: membership.clone(),
    })
}

/// A node that has no catalog, and at most a replica of it that has decided nothing yet.
fn is_newborn(report: &Report) -> bool {
    let nothing_decided = |replica: &ReplicaReport| {
        replica.state != ReplicaState::Stopped as i32 && replica.commit <= limits::FIRST_LOG_INDEX
    };
    report.catalog_version == 0 && report.replicas.iter().all(nothing_decided)
}

/// Whether a node that reports needs a copy of this catalog: it has no working replica of it, and what it has
/// is older. A replica that the others have let go hears nothing any more, not even that it may go.
pub fn needs_copy(report: &Report, catalog: &Catalog) -> bool {
    let is_member = |id: u64| {
        let partition = catalog.partition(GroupId::CATALOG);
        let known = partition.and_then(|partition| partition.observed.as_ref().or(partition.birth.as_ref()));
        let wished = partition.iter().flat_map(|partition| &partition.replicas);
        known.iter().flat_map(|known| &known.members).any(|member| member.replica == id)
            || wished.into_iter().any(|replica| replica.id == id)
    };
    let replicates = report.replicas.iter().any(|replica| {
        replica.group == GroupId::CATALOG.get()
            && !matches!(replica.state(), ReplicaState::Stopped | ReplicaState::Starting)
            && (is_member(replica.replica) || mutant!(LetGoHearsNothing))
    });
    !replicates && report.catalog_version < catalog.version().get()
}

/// Whether a node that started has caught up: the catalog knows this run, every wished replica is here,
/// knows a leader, and has applied what it knows to be committed. One that is lost or damaged, and stays so until a
/// command comes, is not waited for.
pub fn has_caught_up(
    catalog: &Catalog,
    me: &NodeRecord,
    here: &BTreeMap<GroupId, ReplicaId>,
    reports: &[ReplicaReport],
    damaged: &BTreeMap<(GroupId, ReplicaId), String>,
) -> bool {
    let id = NodeId(me.id);
    let reported: BTreeSet<u64> = reports.iter().map(|report| report.group).collect();
    let stays = |group: GroupId| !catalog.mends(group, id);
    let is_here = |wish: &HostedReplica| here.get(&wish.group) == Some(&wish.replica);
    let runs = |(group, replica): (&GroupId, &ReplicaId)| {
        reported.contains(&group.get()) || damaged.contains_key(&(*group, *replica)) && stays(*group)
    };
    catalog.node(id) == Some(me)
        && catalog.hosted(id).iter().all(|wish| is_here(wish) || wish.established && stays(wish.group))
        && here.iter().all(runs)
        && reports.iter().all(|report| {
            report.state == ReplicaState::Stopped as i32
                || (report.leader != 0 && report.applied >= report.commit && report.commit > 0)
        })
}

/// Whether a clock is further from the median of its peers' than allowed. One peer alone cannot tell who of
/// the two is wrong.
pub fn clock_is_far(wall_millis: u64, me: NodeId, heard: &Heard, now: Moment) -> bool {
    let others = heard.iter().filter(|(node, (at, _))| **node != me && now.since(*at) < CLOCK_REPORT_AGE_MAX);
    // What their clocks show by now.
    let mut clocks: Vec<u64> =
        others.map(|(_, (at, report))| report.wall_millis + now.since(*at).as_millis() as u64).collect();
    if clocks.len() < 2 {
        return false;
    }
    clocks.push(wall_millis);
    clocks.sort_unstable();
    let median = clocks[clocks.len() / 2];
    wall_millis.abs_diff(median) > limits::CLOCK_SKEW_MAX.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::peer::{Member, Membership};

    const NOW: Moment = Moment(10_000_000_000);

    fn ago(seconds: u64) -> Moment {
        Moment(NOW.0 - seconds * 1_000_000_000)
    }

    fn clocks(clocks: &[(u64, Moment)]) -> Heard {
        let report = |wall_millis| Report { wall_millis, ..Default::default() };
        let heard = clocks.iter().zip(2..).map(|((wall, at), node)| (NodeId(node), (*at, report(*wall))));
        heard.collect()
    }

    #[test]
    fn the_odd_clock_knows_that_it_is_odd_and_the_others_that_they_are_not() {
        let far = |mine, others: &[(u64, Moment)]| clock_is_far(mine, NodeId(1), &clocks(others), NOW);
        assert!(far(10_000, &[(1_000, NOW), (1_010, NOW)]));
        assert!(!far(1_000, &[(10_000, NOW), (1_010, NOW)]));
        assert!(!far(10_000, &[(1_000, NOW)]));
        assert!(!far(10_000, &[(1_000, NOW), (1_010, ago(3))]), "that one may have been set since");
        assert!(!far(10_000, &[(9_000, ago(1)), (9_010, ago(1))]), "their clocks went on");
    }

    fn bootstrap() -> Bootstrap {
        let members = (1..=3).map(|id| Member { replica: id, node: id, learner: false }).collect();
        Bootstrap {
            nodes: (1..=3).map(|id| NodeRecord { id, ..Default::default() }).collect(),
            membership: Some(Membership { epoch: 1, members }),
            ..Default::default()
        }
    }

    #[test]
    fn a_cluster_is_founded_only_when_every_founder_says_that_there_is_none() {
        let found = |heard: &Heard| founding(&bootstrap(), NodeId(1), heard, NOW).map(|new| new.replica);
        let replica =
            |state: ReplicaState, commit| ReplicaReport { state: state as i32, commit, ..Default::default() };
        let newborn = clocks(&[(0, NOW), (0, NOW)]);
        assert_eq!(found(&newborn), Some(ReplicaId(1)));
        let with = |change: &dyn Fn(&mut (Moment, Report))| {
            let mut heard = newborn.clone();
            heard.entry(NodeId(3)).and_modify(change);
            heard
        };
        assert_eq!(found(&with(&|(at, _)| *at = ago(2))), None, "its word is old");
        assert_eq!(found(&with(&|(_, report)| report.catalog_version = 1)), None);
        let running = replica(ReplicaState::Follower, limits::FIRST_LOG_INDEX);
        assert!(found(&with(&|(_, report)| report.replicas.push(running.clone()))).is_some());
        let decided = replica(ReplicaState::Follower, limits::FIRST_LOG_INDEX + 1);
        assert_eq!(found(&with(&|(_, report)| report.replicas.push(decided.clone()))), None);
        let stopped = replica(ReplicaState::Stopped, 0);
        assert_eq!(found(&with(&|(_, report)| report.replicas.push(stopped.clone()))), None);
        let mut silent = newborn.clone();
        silent.remove(&NodeId(2));
        assert_eq!(found(&silent), None);
    }
}
