//! What a node tells the catalog, and what its leaders do about the catalog's wishes: a pure step.
//!
//! Several times a second a node compares the catalog copy with itself and says what is different. Every
//! word is a command that may be repeated, so nothing is remembered here but what was said a moment ago.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::catalog::{
    Bootstrap, CatalogOp, Established, GroupReplica, NodeRecord, ObservedMembership, PartitionRecord,
    RecoverCatalog, ReplaceReplica, ReplicaRecord,
};
use api::peer::{ReplicaReport, ReplicaState};
use catalog::{Catalog, mutant};
use env::Moment;
use replication::{Campaign, Input, Wished};
use types::era::era_of;
use types::settings::AUTO_FAILOVER;
use types::{ConfigEpoch, GroupId, NodeId, ReplicaId};

use crate::hosting::{self, HostAction};

/// What was said is not said again for this long, unless the catalog changed meanwhile.
const REPEAT_AFTER: Duration = Duration::from_secs(2);

/// How long replicas of a starting node leave elections to others while its copy of the catalog may be from before
/// this run. What was lost and given up meanwhile must not elect itself; but a table whose quorum is well does not
/// wait for the catalog for ever.
const ADMISSION_WAIT: Duration = Duration::from_secs(10);

/// How long a node waits between two looks at the catalog, if it does not change. A starting one is waited
/// for.
pub fn look_every(ready: bool) -> Duration {
    Duration::from_millis(if ready { 100 } else { 20 })
}

/// How often a node reports to the meta nodes. Founders wait for each other's reports.
pub fn report_every(ready: bool) -> Duration {
    Duration::from_millis(if ready { 400 } else { 50 })
}

/// What others wait for in a node's reports: it is reported at once when it changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News(Vec<Standing>);

/// What others wait for of one replica.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    group: u64,
    replica: u64,
    state: i32,
    term: u64,
    member_epoch: u64,
    in_sync: Vec<u64>,
    last_digest: u64,
}

impl News {
    /// Of these reports: who leads in which term, who is a member, who is in sync, and up to where there are digests.
    pub fn of(reports: &[ReplicaReport]) -> Self {
        let standing = |report: &ReplicaReport| Standing {
            group: report.group,
            replica: report.replica,
            state: report.state,
            term: report.term,
            member_epoch: report.member_epoch,
            in_sync: report.in_sync.clone(),
            last_digest: report.digests.last().map_or(0, |digest| digest.index),
        };
        Self(reports.iter().map(standing).collect())
    }
}

/// What a node sees of itself.
pub struct View<'a> {
    /// The catalog copy.
    pub catalog: &'a Catalog,
    /// Who this node is, as it wants to be known.
    pub me: &'a NodeRecord,
    /// The replicas on this node, running or not.
    pub here: &'a BTreeMap<GroupId, ReplicaId>,
    /// What they report.
    pub reports: &'a [ReplicaReport],
    /// Replicas that are damaged, and why.
    pub damaged: &'a BTreeMap<(GroupId, ReplicaId), String>,
    /// What to found the cluster with, if this node is a founder.
    pub bootstrap: Option<&'a Bootstrap>,
    /// This node's clock is far from its peers': it should lead nothing.
    pub clock_is_far: bool,
}

/// What a node should do.
#[derive(Default)]
pub struct Decision {
    /// Say to the catalog.
    pub commands: Vec<CatalogOp>,
    /// Do about replicas here.
    pub hosting: Vec<HostAction>,
    /// Tell groups here.
    pub inputs: Vec<Input>,
}

/// What was said lately.
#[derive(Default)]
pub struct Control {
    said: Vec<(Moment, CatalogOp)>,
    /// The wish that each group led here was told last.
    wishes: BTreeMap<GroupId, Vec<Wished>>,
    /// What each replica here was told about elections, and when.
    campaigns: BTreeMap<(GroupId, ReplicaId), (Campaign, Moment)>,
    /// The first look of this run.
    began: Option<Moment>,
}

impl Control {
    /// Compares, and decides.
    pub fn step(&mut self, view: &View<'_>, now: Moment) -> Decision {
        let mut decision = Decision::default();
        self.said.retain(|(at, _)| now.since(*at) < REPEAT_AFTER);
        let me = NodeId(view.me.id);
        // A node never drops what it has because its catalog copy is not there yet.
        if view.catalog.cluster().is_none() {
            let leads_catalog = view.reports.iter().any(|report| {
                report.group == GroupId::CATALOG.get() && report.state == ReplicaState::Leader as i32
            });
            if let Some(bootstrap) = view.bootstrap.filter(|_| leads_catalog) {
                self.say(CatalogOp::Bootstrap(bootstrap.clone()), now, &mut decision);
            }
            return decision;
        }
        self.campaign(view, me, now, &mut decision);
        if let Some(recover) = survivor_of_catalog(view) {
            // Nothing else is said or done before the catalog knows whose it is.
            self.say(CatalogOp::RecoverCatalog(recover), now, &mut decision);
            return decision;
        }
        // Only a copy that contains this run's registration is younger than everything that this node did
        // before: an older one may not know the replicas that are here, and what their loss would mean.
        if view.catalog.node(me).is_none_or(|known| known != view.me) {
            self.say(CatalogOp::RegisterNode(view.me.clone()), now, &mut decision);
            return decision;
        }
        self.host(view, me, now, &mut decision);
        self.lead(view, now, &mut decision);
        decision
    }

    fn host(&mut self, view: &View<'_>, me: NodeId, now: Moment, decision: &mut Decision) {
        let mut established = Vec::new();
        let may_go = |group: GroupId, replica: ReplicaId| {
            let of = |report: &&ReplicaReport| report.group == group.get() && report.replica == replica.get();
            let epoch = view.reports.iter().find(of).map_or(0, |report| report.member_epoch);
            // A survivor of the catalog's own group that has yet to tell the catalog: not wished for, and all there is.
            let never_given_out = |partition: &PartitionRecord| replica.get() >= partition.next_replica;
            let is_ahead =
                group == GroupId::CATALOG && view.catalog.partition(group).is_some_and(never_given_out);
            !is_ahead && hosting::may_go(view.catalog.partition(group), me, replica, epoch)
        };
        for action in hosting::reconcile(&view.catalog.hosted(me), view.here, may_go) {
            match action {
                HostAction::ReportEstablished(group, replica) => {
                    if !view.damaged.contains_key(&(group, replica)) {
                        established.push(GroupReplica { group: group.get(), replica: replica.get() });
                    }
                }
                // Said in vain, as long as nobody has asked for it.
                HostAction::ReportLost(group, _) if !view.catalog.mends(group, me) => {}
                HostAction::ReportLost(group, replica) => {
                    self.say(replace(group, replica, "it is missing on its node"), now, decision);
                }
                other => decision.hosting.push(other),
            }
        }
        if !established.is_empty() {
            self.say(CatalogOp::Established(Established { replicas: established }), now, decision);
        }
        for ((group, replica), why) in view.damaged {
            if view.here.get(group) == Some(replica) && view.catalog.mends(*group, me) {
                self.say(replace(*group, *replica, why), now, decision);
            }
        }
    }

    /// Tells replicas whether they may begin elections by themselves. Said again from time to time, because the
    /// word may have been lost.
    fn campaign(&mut self, view: &View<'_>, me: NodeId, now: Moment, decision: &mut Decision) {
        let began = *self.began.get_or_insert(now);
        let knows_run = view.catalog.node(me).is_some_and(|known| known == view.me);
        let admitted = knows_run || now.since(began) >= ADMISSION_WAIT;
        self.campaigns.retain(|(group, replica), _| view.here.get(group) == Some(replica));
        for (&group, &replica) in view.here {
            let when = match admitted || group == GroupId::CATALOG {
                true => campaign(view.catalog, me, group, replica),
                false => Campaign::OnlyIfAsked,
            };
            let told = self.campaigns.get(&(group, replica));
            if told.is_none_or(|(told, at)| *told != when || now.since(*at) >= REPEAT_AFTER) {
                self.campaigns.insert((group, replica), (when, now));
                decision.inputs.push(Input::Campaign { group, when });
            }
        }
    }

    fn lead(&mut self, view: &View<'_>, now: Moment, decision: &mut Decision) {
        let mut led = BTreeSet::new();
        for report in view.reports {
            if report.state != ReplicaState::Leader as i32 {
                continue;
            }
            let group = GroupId(report.group);
            let Some(membership) = &report.membership else { continue };
            if view.clock_is_far {
                let voter = |id: &u64| membership.members.iter().any(|m| m.replica == *id && !m.learner);
                let other = report.in_sync.iter().find(|id| **id != report.replica && voter(id));
                decision.inputs.extend(other.map(|to| Input::Transfer { group, to: ReplicaId(*to) }));
            }
            let Some(partition) = view.catalog.partition(group) else { continue };
            let known = partition.observed.as_ref().or(partition.birth.as_ref());
            led.insert(group);
            let is_newer = known.is_none_or(|known| known.epoch < membership.epoch);
            if is_newer || report.term > partition.leader_term {
                let observed = ObservedMembership {
                    group: group.get(),
                    membership: Some(membership.clone()),
                    leader: report.replica,
                    term: report.term,
                };
                self.say(CatalogOp::Observed(observed), now, decision);
            }
            if is_newer {
                // A wish counts for the membership that it was made from.
                continue;
            }
            let wished =
                |r: &ReplicaRecord| Wished { replica: r.id.into(), node: r.node.into(), voter: !r.offline };
            let replicas: Vec<Wished> = partition.replicas.iter().map(wished).collect();
            let is: BTreeSet<_> = membership.members.iter().map(|m| (m.replica, m.learner)).collect();
            let shall: BTreeSet<_> = partition.replicas.iter().map(|r| (r.id, r.offline)).collect();
            // Also while it is not fulfilled: the word may have been lost.
            if is != shall || self.wishes.get(&group) != Some(&replicas) {
                self.wishes.insert(group, replicas.clone());
                let epoch = ConfigEpoch(known.map_or(0, |known| known.epoch));
                decision.inputs.push(Input::Wish { group, replicas, epoch });
            }
        }
        self.wishes.retain(|group, _| led.contains(group));
    }

    fn say(&mut self, command: CatalogOp, now: Moment, decision: &mut Decision) {
        if !self.said.iter().any(|(_, said)| *said == command) {
            self.said.push((now, command.clone()));
            decision.commands.push(command);
        }
    }
}

/// This node's replica of the catalog, if it leads as the survivor of a lost majority and the catalog does not know.
fn survivor_of_catalog(view: &View<'_>) -> Option<RecoverCatalog> {
    let leads = |report: &&ReplicaReport| {
        report.group == GroupId::CATALOG.get() && report.state == ReplicaState::Leader as i32
    };
    let report = view.reports.iter().find(leads).filter(|report| is_of_later_era(view.catalog, report))?;
    Some(RecoverCatalog { node: view.me.id, replica: report.replica, term: report.term })
}

/// Whether a replica's group was taken over since the catalog heard of its leader.
fn is_of_later_era(catalog: &Catalog, report: &ReplicaReport) -> bool {
    let known = catalog.partition(GroupId(report.group)).map_or(0, |partition| partition.leader_term);
    era_of(report.term) > era_of(known)
}

/// When a replica that hears of no leader begins an election.
///
/// While no other replica may take over by itself, only the leader of record does, and another one in its place where
/// it cannot win; the catalog's own group always elects. A group that the catalog does not know waits until it does,
/// one that was just born until the catalog knows that it may begin, and one that was given up for good.
pub fn campaign(catalog: &Catalog, me: NodeId, group: GroupId, replica: ReplicaId) -> Campaign {
    let partition = catalog.partition(group);
    if partition.is_some_and(|partition| partition.has_given_up(replica.get())) {
        return Campaign::OnlyIfAsked;
    }
    if group == GroupId::CATALOG {
        return Campaign::AsUsual;
    }
    // Others may be chosen in place of its founders as long as it has not begun.
    let Some(partition) = partition.filter(|partition| partition.may_begin || mutant!(BegunTooEarly)) else {
        return Campaign::OnlyIfAsked;
    };
    let leader = leader_of_record(partition);
    if leader == Some(replica) {
        return Campaign::AsUsual;
    }
    if catalog.setting(&AUTO_FAILOVER) == 0 {
        return leader.map_or(Campaign::OnlyIfAsked, Campaign::InPlaceOf);
    }
    let flags = catalog.flags(me);
    let is_wished = partition.replicas.iter().any(|wish| wish.id == replica.get());
    let better_not = flags.drained || flags.leaving || flags.offline || !is_wished;
    if better_not { Campaign::Late } else { Campaign::AsUsual }
}

/// The replica that led last as far as the catalog was told, or that shall lead; before anybody has led, the
/// one that is to be the first.
fn leader_of_record(partition: &PartitionRecord) -> Option<ReplicaId> {
    let observed = partition.observed.iter().flat_map(|observed| &observed.members);
    let is_there = |id: u64| {
        partition.replicas.iter().any(|wish| wish.id == id)
            || observed.clone().any(|member| member.replica == id)
    };
    let first = || partition.replicas.iter().find(|wish| !wish.offline).map(|wish| wish.id);
    let leader = Some(partition.leader).filter(|leader| *leader != 0 && is_there(*leader));
    leader.or_else(first).map(ReplicaId)
}

fn replace(group: GroupId, replica: ReplicaId, reason: &str) -> CatalogOp {
    CatalogOp::ReplaceReplica(ReplaceReplica {
        group: group.get(),
        replica: replica.get(),
        reason: reason.to_owned(),
    })
}
