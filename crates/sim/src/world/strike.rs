//! Faults strike and end.

use api::catalog::{CatalogOp, ReplaceReplica};
use engine::records::RecordStore;
use replication::Input;
use types::{GroupId, NodeId, ReplicaId};

use super::{APPLY_TIME, World, count};
use crate::checkers::liveness;
use crate::event::{Event, Place};
use crate::faults::{Fault, Loss, Repair};
use crate::network::Channel;
use crate::outside::Pulse;
use crate::plan::{MILLI, SECOND};
use crate::process::Purpose;

/// How long the other end of a broken connection needs to notice.
const NOTICE: u64 = 2 * MILLI;
/// A silent connection is given up after this long at the latest.
const SILENCE: u64 = 4 * SECOND;
const CHANNELS: [Channel; 3] = [Channel::Raft, Channel::Requests, Channel::Bulk];

/// A leader's place, its group, and the other voters.
type Led = (Place, GroupId, Vec<(ReplicaId, NodeId)>);

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        if self.healed {
            return;
        }
        let mut kind = fault.kind();
        self.out.trace.note(self.out.now, &[50, kind.len() as u64], |f| write!(f, "──── {fault:?}"));
        if !self.try_strike(fault) {
            // What makes no sense at the moment is replaced by what always does.
            let (a, b) = (self.random.below(self.nodes.len() as u64) as Place, self.nodes.len() - 1);
            let (a, b) = if a == b { (0, b) } else { (a, b) };
            let reset = Fault::Reset(a, b, Channel::Raft);
            kind = reset.kind();
            self.try_strike(reset);
        }
        if kind != "notice" {
            self.struck.push(kind);
        }
    }

    /// Returns whether it struck: some faults only make sense in some states.
    fn try_strike(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Kill(place, down) => self.kill(place, down),
            Fault::PowerCut(place, down) => self.power_cut(place, down),
            Fault::StopAll { power, within } => {
                self.out.coverage.cluster_stops += 1;
                for place in 0..self.nodes.len() {
                    let down = self.random.below(within);
                    if power {
                        self.power_cut(place, down)
                    } else {
                        self.kill(place, down)
                    };
                }
                true
            }
            Fault::Pause(place, length) => self.pause(place, length),
            Fault::Partition(side, length) => {
                self.out.coverage.partitions += 1;
                let inside = |place: Place| side & (1 << place) != 0;
                let all = 0..self.nodes.len();
                let ways = all.clone().flat_map(|from| all.clone().map(move |to| (from, to)));
                let ways: Vec<_> = ways.filter(|(from, to)| inside(*from) != inside(*to)).collect();
                self.block(ways, length);
                true
            }
            Fault::OneWay(from, to, length) => {
                self.out.coverage.one_way += 1;
                self.block(vec![(from, to)], length);
                true
            }
            Fault::Deafen(place, length) => {
                self.out.coverage.deaf += 1;
                let others = (0..self.nodes.len()).filter(|other| *other != place);
                self.block(others.map(|other| (other, place)).collect(), length);
                true
            }
            Fault::Forgetful(down, length) => self.restart_a_witness(down, length),
            Fault::TransferToDead(length) => self.transfer_to_dead(length),
            Fault::CutPair(a, b, length) => {
                self.block(vec![(a, b), (b, a)], length);
                self.notice(a, b)
            }
            Fault::Isolate(place, length) => {
                self.out.coverage.isolated += 1;
                let others: Vec<Place> = (0..self.nodes.len()).filter(|other| *other != place).collect();
                let ways = others.iter().flat_map(|other| [(*other, place), (place, *other)]);
                self.block(ways.collect(), length);
                others.into_iter().all(|other| self.notice(place, other))
            }
            Fault::Notice(a, b) => self.notice(a, b),
            Fault::Reset(a, b, channel) => {
                self.out.coverage.resets += 1;
                self.out.network.break_pair(a, b, channel, false);
                self.tell_disconnected(a, b, channel);
                true
            }
            Fault::SlowDisk(place, time, length) => {
                self.out.coverage.slow_disks += 1;
                self.out.disk_times[place] = time;
                self.repair_after(length, Repair::Disk(place))
            }
            Fault::SlowApply(place, time, length) => {
                self.out.coverage.slow_applies += 1;
                self.out.apply_times[place] = time;
                self.repair_after(length, Repair::Apply(place))
            }
            Fault::Weather(weather, length) => {
                self.out.coverage.slow_networks += 1;
                let usual = self.plan.weather;
                self.out.network.weather =
                    crate::network::Weather { repeat: usual.repeat, reorder: usual.reorder, ..weather };
                self.repair_after(length, Repair::Weather)
            }
            Fault::ClockJump(place, offset) => {
                self.out.coverage.clock_jumps += 1;
                self.nodes[place].machine.clock.set_wall_offset(offset);
                self.out.checks.clock_set(place, offset);
                true
            }
            Fault::ClockRate(place, rate) => {
                self.out.coverage.clock_rates += 1;
                self.nodes[place].machine.clock.set_rate(rate);
                true
            }
            Fault::Transfer => self.move_some_leader().is_some(),
            Fault::TransferAndIsolate(after, length) => {
                let Some(place) = self.move_some_leader() else { return false };
                let at = self.out.now + after;
                self.out.agenda.plan(at, Event::Strike(Fault::Isolate(place, length)));
                true
            }
            Fault::Replace(place) => self.replace_some_replica(place),
            Fault::Harm(place, down) => self.harm(place, down),
            Fault::Stop(place, length) => {
                self.end_process(place) && self.repair_after(length, Repair::Start(place))
            }
            Fault::LoseDc(dc, how, length) => self.lose_dc(dc, how, length),
            Fault::Lie(place, length, down) => {
                let spared = self.can_spare(place);
                if spared {
                    let machine = &mut self.nodes[place].machine;
                    machine.disk.set_syncs_lie(true);
                    (machine.lied, machine.disk_lies) = (true, true);
                    let at = self.out.now + length;
                    self.out.agenda.plan(at, Event::Strike(Fault::PowerCut(place, down)));
                }
                spared
            }
        }
    }

    pub(super) fn repair(&mut self, repair: Repair) {
        self.out.trace.note(self.out.now, &[51], |f| write!(f, "──── ends: {repair:?}"));
        match repair {
            Repair::Start(place) => self.start(place),
            Repair::Resume(place) => self.resume(place),
            Repair::Unblock(ways) => {
                // After the end of all faults nothing is blocked any more.
                if !self.healed {
                    self.unblock(&ways);
                }
            }
            Repair::Disk(place) => self.out.disk_times[place] = self.plan.disk_time,
            Repair::Apply(place) => self.out.apply_times[place] = APPLY_TIME,
            Repair::Weather => self.out.network.weather = self.plan.weather,
        }
    }

    /// All faults end.
    pub(super) fn heal(&mut self) {
        self.out.trace.note(self.out.now, &[52], |f| write!(f, "──── all faults end"));
        self.healed = true;
        for place in 0..self.nodes.len() {
            self.resume(place);
            self.out.disk_times[place] = self.plan.disk_time;
            self.out.apply_times[place] = APPLY_TIME;
            self.nodes[place].machine.clock.set_wall_offset(0);
        }
        self.out.network.weather = crate::network::Weather { drop: 0, ..self.plan.weather };
        let all = 0..self.nodes.len();
        let ways: Vec<_> = all.clone().flat_map(|from| all.clone().map(move |to| (from, to))).collect();
        while ways.iter().any(|(from, to)| self.out.network.is_blocked(*from, *to)) {
            let blocked: Vec<_> =
                ways.iter().copied().filter(|(from, to)| self.out.network.is_blocked(*from, *to)).collect();
            self.unblock(&blocked);
        }
        for place in 0..self.nodes.len() {
            self.start(place);
        }
        self.out.agenda.plan(self.out.now + SECOND, Event::Inspect);
    }

    fn repair_after(&mut self, length: u64, repair: Repair) -> bool {
        self.out.agenda.plan(self.out.now + length, Event::Repair(repair));
        true
    }

    /// Ends a process. Its clients never hear what became of their calls.
    pub(super) fn end_process(&mut self, place: Place) -> bool {
        let Some(process) = self.nodes[place].process.take() else { return false };
        self.nodes[place].paused = None;
        self.out.pulses[place] = Pulse::Down(self.out.now);
        count(&process, &mut self.out.coverage);
        self.clients_disconnected(place, process.run());
        self.operators_disconnected(place, process.run());
        self.out.runs[place] = 0;
        self.out.network.set_up(place, false);
        for other in 0..self.nodes.len() {
            for channel in CHANNELS {
                self.tell_one(other, place, channel);
            }
        }
        true
    }

    fn kill(&mut self, place: Place, down: u64) -> bool {
        if !self.end_process(place) {
            return false;
        }
        self.out.coverage.kills += 1;
        self.nodes[place].machine.kill(&mut self.random);
        self.repair_after(down, Repair::Start(place))
    }

    fn power_cut(&mut self, place: Place, down: u64) -> bool {
        let writing = self.nodes[place].process.as_ref().is_some_and(crate::process::Process::is_writing);
        let ran = self.end_process(place);
        let machine = &mut self.nodes[place].machine;
        self.out.coverage.power_cuts += 1;
        self.out.coverage.torn_writes += u64::from(writing);
        self.out.coverage.lying_disks += u64::from(machine.lied);
        machine.power_cut(&mut self.random);
        ran && self.repair_after(down, Repair::Start(place))
    }

    /// A whole data centre is gone for a while.
    fn lose_dc(&mut self, dc: usize, how: Loss, length: u64) -> bool {
        if self.plan.dcs == 0 {
            return false;
        }
        self.out.coverage.dcs_lost += 1;
        let inside: Vec<Place> = (0..self.nodes.len()).filter(|place| place % self.plan.dcs == dc).collect();
        if how == Loss::Network {
            let side = inside.iter().fold(0, |side, place| side | 1 << place);
            return self.try_strike(Fault::Partition(side, length));
        }
        for place in inside {
            match how {
                Loss::Power => self.power_cut(place, length),
                _ => self.kill(place, length),
            };
        }
        true
    }

    fn pause(&mut self, place: Place, length: u64) -> bool {
        let node = &mut self.nodes[place];
        if node.process.is_none() || node.paused.is_some() {
            return false;
        }
        self.out.coverage.pauses += 1;
        node.paused = Some(Vec::new());
        self.out.pulses[place] = Pulse::Down(self.out.now);
        self.repair_after(length, Repair::Resume(place))
    }

    /// A paused process goes on: everything that waited happens about now, in its order.
    fn resume(&mut self, place: Place) {
        let Some(waiting) = self.nodes[place].paused.take() else { return };
        self.nodes[place].resumed = self.out.now;
        self.out.pulses[place] = Pulse::Awake(self.out.now);
        for (number, event) in waiting.into_iter().enumerate() {
            let at = self.out.now + number as u64 * 1000;
            self.out.agenda.plan(at, event);
        }
    }

    fn block(&mut self, ways: Vec<(Place, Place)>, length: u64) {
        for (from, to) in &ways {
            self.out.network.block(*from, *to);
            // Sooner or later a connection that is silent is given up; a short block may go unnoticed.
            let at = self.out.now + self.random.between(SECOND / 2, SILENCE);
            self.out.agenda.plan(at, Event::Strike(Fault::Notice(*from, *to)));
        }
        self.repair_after(length, Repair::Unblock(ways));
    }

    fn unblock(&mut self, ways: &[(Place, Place)]) {
        for (from, to) in ways {
            self.out.network.unblock(*from, *to, self.out.now, &mut self.out.agenda);
        }
        for (from, to) in ways {
            let up = self.nodes[*from].process.is_some() && self.nodes[*to].process.is_some();
            let free = !self.out.network.is_blocked(*from, *to) && !self.out.network.is_blocked(*to, *from);
            if up && free {
                self.out.network.reconnect(*from, *to);
                self.out.network.reconnect(*to, *from);
            }
        }
    }

    fn notice(&mut self, a: Place, b: Place) -> bool {
        if self.out.network.is_blocked(a, b) {
            for channel in CHANNELS {
                self.out.network.break_pair(a, b, channel, true);
                self.tell_disconnected(a, b, channel);
            }
        }
        true
    }

    fn tell_disconnected(&mut self, a: Place, b: Place, channel: Channel) {
        self.tell_one(a, b, channel);
        self.tell_one(b, a, channel);
    }

    fn tell_one(&mut self, place: Place, other: Place, channel: Channel) {
        let run = self.out.runs[place];
        let at = self.out.now + self.random.below(NOTICE);
        self.out.agenda.plan(at, Event::Disconnected(place, run, other, channel));
    }

    /// Whether a node may lose what it has: everything that it has is safe on others.
    fn can_spare(&self, place: Place) -> bool {
        self.nodes[place].process.is_some()
            && self.nodes.iter().all(|node| !node.lost && !node.machine.lied)
            && liveness::check_places(&self.nodes).is_ok()
            && liveness::can_do_without(&self.nodes, place)
    }

    /// The process is killed, and the state of one of its replicas is gone.
    fn harm(&mut self, place: Place, down: u64) -> bool {
        if !self.can_spare(place) {
            return false;
        }
        let Some(process) = &self.nodes[place].process else { return false };
        // Not the catalog's: a node that has no catalog does not know what it should have.
        let groups: Vec<GroupId> =
            process.replicas().into_keys().filter(|g| *g != GroupId::CATALOG).collect();
        let states: Vec<_> = groups
            .iter()
            .filter_map(|group| Some(process.worker().group(*group)?.record().state()))
            .collect();
        if states.is_empty() {
            return false;
        }
        let state = *self.random.pick(&states);
        self.kill(place, down);
        let machine = &mut self.nodes[place].machine;
        machine.harmed.insert(state);
        // Memory cannot refuse.
        let _ = machine.records.remove(state);
        true
    }

    /// Somebody replaces a replica that is well, by one with a new id on the same node. What it has is gone with it, so
    /// the others must have a majority without it; while votes move they may not.
    fn replace_some_replica(&mut self, place: Place) -> bool {
        if !self.can_spare(place) || !liveness::can_do_without(&self.nodes, place) {
            return false;
        }
        let Some(process) = &self.nodes[place].process else { return false };
        let replicas: Vec<(GroupId, ReplicaId)> = process.replicas().into_iter().collect();
        if replicas.is_empty() {
            return false;
        }
        let (group, replica) = *self.random.pick(&replicas);
        let op = CatalogOp::ReplaceReplica(ReplaceReplica {
            group: group.get(),
            replica: replica.get(),
            reason: "asked for".into(),
        });
        let at = self.random.below(self.nodes.len() as u64) as Place;
        self.out.coverage.replicas_replaced += 1;
        self.with(at, |process, out| process.change_catalog(op, Purpose::Operator, out));
        true
    }

    /// See [`Fault::Forgetful`].
    fn restart_a_witness(&mut self, down: u64, length: u64) -> bool {
        let Some((leader, _, others)) = self.some_leader() else { return false };
        let places: Vec<Place> = others.iter().map(|(_, node)| node.get() as Place - 1).collect();
        let [witness, candidate] = places[..] else { return false };
        self.out.coverage.fast_restarts += 1;
        // Whoever is cut off must miss nothing, or nobody would vote for it.
        let at = self.out.now + length;
        self.hush_until = at + down;
        let quiet = self.out.now + length / 8;
        self.out.agenda.plan(quiet, Event::Strike(Fault::CutPair(leader, candidate, 2 * length)));
        self.out.agenda.plan(at, Event::Strike(Fault::Isolate(leader, length)));
        self.out.agenda.plan(at, Event::Strike(Fault::Kill(witness, down)));
        true
    }

    /// See [`Fault::TransferToDead`].
    fn transfer_to_dead(&mut self, length: u64) -> bool {
        let Some((leader, group, others)) = self.some_leader() else { return false };
        let (to, node) = *self.random.pick(&others);
        self.out.coverage.transfers += 1;
        self.with(leader, |process, out| process.input(Input::Transfer { group, to }, out));
        self.kill(node.get() as Place - 1, length);
        let stall = self.random.between(50 * MILLI, 400 * MILLI);
        self.try_strike(Fault::SlowApply(leader, stall, length))
    }

    /// A leader that runs, its group, and the other voters.
    fn some_leader(&mut self) -> Option<Led> {
        let mut led: Vec<Led> = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            let Some(process) = node.process.as_ref().filter(|_| node.paused.is_none()) else { continue };
            for group in process.worker().groups().filter(|group| group.leads()) {
                let Some(applier) = process.applier(group.id()) else { continue };
                let others = applier.membership().members.iter();
                let others =
                    others.filter(|member| !member.learner && member.replica != group.replica().get());
                let others = others.map(|member| (member.replica.into(), member.node.into())).collect();
                led.push((place, group.id(), others));
            }
        }
        led.retain(|(_, _, others)| !others.is_empty());
        if led.is_empty() {
            return None;
        }
        Some(self.random.pick(&led).clone())
    }

    /// Somebody asks the leader of some group to hand over to some other voter. Returns its place.
    fn move_some_leader(&mut self) -> Option<Place> {
        let (place, group, others) = self.some_leader()?;
        let (to, _) = *self.random.pick(&others);
        self.out.coverage.transfers += 1;
        self.with(place, |process, out| process.input(Input::Transfer { group, to }, out));
        Some(place)
    }
}
