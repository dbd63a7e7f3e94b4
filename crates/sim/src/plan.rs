//! The plan of a run: everything that is decided before it begins, as a function of the seed.

use crate::event::Place;
use crate::faults::{Fault, Loss};
use crate::network::{Channel, Weather};
use crate::operator::Command;
use crate::random::Random;

/// A millisecond of the world.
pub const MILLI: u64 = 1_000_000;
/// A second of the world.
pub const SECOND: u64 = 1000 * MILLI;

/// The faults strike within this time; in some runs earlier, while the cluster is being founded ...
const FAULTS_FROM: u64 = 4 * SECOND;
/// ... and end at the latest here.
const HEAL_AT: u64 = 50 * SECOND;
/// Clients go on at least until here.
const CLIENTS_UNTIL: u64 = 60 * SECOND;
/// After the faults have ended, everything must be well within this time.
pub const WELL_WITHIN: u64 = 40 * SECOND;
/// Clients go on until they have made so many operations.
pub const OPERATIONS_MIN: usize = 300;
/// Every run lasts so long.
pub const TIME_MIN: u64 = 60 * SECOND;
/// Every run has so many faults, of so many kinds.
pub const FAULTS_MIN: usize = 5;
/// See [`FAULTS_MIN`].
pub const KINDS_MIN: usize = 3;
/// Where operators are at work, so many of their commands change something.
pub const COMMANDS_MIN: usize = 10;
/// In one seed of so many, operators are at work.
pub const OPERATED_EVERY: u64 = 3;

/// How far clocks may differ from real time, in parts per million: 15 % between two of them is what
/// leases are made for.
const RATE_SPREAD: u64 = 75_000;

/// What a run is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Crashes, pauses, partitions.
    Plain,
    /// Leaders are moved all the time.
    Transfers,
    /// Healthy replicas are replaced.
    Membership,
    /// Logs are so short that followers need snapshots.
    Snapshots,
    /// One machine's disk lies about syncs.
    LyingDisk,
    /// Clocks run at different rates and jump.
    Clocks,
    /// The whole cluster stops, more than once.
    WholeCluster,
    /// One machine loses states.
    LostStates,
    /// The network repeats and reorders.
    RoughNetwork,
}

impl Scenario {
    /// All of them, in turn.
    pub const ALL: [Scenario; 9] = [
        Scenario::Plain,
        Scenario::Transfers,
        Scenario::Membership,
        Scenario::Snapshots,
        Scenario::LyingDisk,
        Scenario::Clocks,
        Scenario::WholeCluster,
        Scenario::LostStates,
        Scenario::RoughNetwork,
    ];
}

/// Everything that is decided before a run begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What it is about.
    pub scenario: Scenario,
    /// Machines.
    pub nodes: usize,
    /// How many of them replicate the catalog; the others get copies.
    pub metas: usize,
    /// Partitions of the table.
    pub partitions: u32,
    /// Replicas of each.
    pub replicas: u32,
    /// Clients.
    pub clients: usize,
    /// Entries kept behind the durable state.
    pub log_keep_entries: u64,
    /// Bytes of committed entries on their way to apply.
    pub apply_bytes_max: usize,
    /// Size of the log's files.
    pub segment_bytes: u64,
    /// How often applied state becomes durable.
    pub flush_interval: u64,
    /// The network while nothing is wrong with it.
    pub weather: Weather,
    /// Usual time of a log write.
    pub disk_time: u64,
    /// Each node's rate, in parts per million, and how far its wall clock is off, in milliseconds.
    pub clocks: Vec<(u64, i64)>,
    /// Of 1000 snapshots that are being installed, so many meet a crash.
    pub crashes_in_install: u64,
    /// One packet in so many goes through the wire codec.
    pub codec_every: u64,
    /// Whether a run that goes through too little is a failure.
    pub must_be_strong: bool,
    /// Nodes that are not there at the beginning.
    pub joiners: usize,
    /// Over how many data centres the nodes are spread; 0: nobody says.
    pub dcs: usize,
    /// What operators do, and when. Nothing in most runs.
    pub commands: Vec<(u64, Command)>,
    /// Of 1000 steps of operations, so many meet the end of the node that leads the catalog.
    pub crashes_at_steps: u64,
    /// What goes wrong, and when.
    pub faults: Vec<(u64, Fault)>,
    /// When everything that goes wrong has ended.
    pub heal_at: u64,
    /// Until when clients go on.
    pub clients_until: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let is_operated = is_operated(seed);
        let scenario = scenario(seed);
        let nodes = if is_operated { *random.pick(&[4, 5, 5, 6, 6]) } else { *random.pick(&[3, 3, 3, 4, 5]) };
        let dcs = if nodes == 6 && random.permille(600) { 3 } else { 0 };
        let joiners = usize::from(is_operated && dcs == 0 && random.permille(400));
        let founders: usize = nodes - joiners;
        let metas = if founders > 3 && random.permille(500) { 3 } else { founders.min(5) };
        let short = scenario == Scenario::Snapshots || random.permille(250);
        let rough = scenario == Scenario::RoughNetwork;
        let mut plan = Self {
            seed,
            scenario,
            nodes,
            metas,
            partitions: random.between(1, 3) as u32,
            replicas: 3,
            clients: random.between(4, 7) as usize,
            log_keep_entries: if short { random.between(5, 30) } else { random.between(200, 2000) },
            apply_bytes_max: if short {
                random.between(1, 2000) as usize
            } else {
                types::limits::APPLY_BYTES_MAX
            },
            segment_bytes: *random.pick(&[4, 8, 16, 32]) << 10,
            flush_interval: *random.pick(&[200, 500, 1000, 1000, 3000]) * MILLI,
            weather: Weather {
                delay: *random.pick(&[100_000, 200_000, 500_000, 2_000_000]),
                longest: *random.pick(&[5, 20, 100, 300]) * MILLI,
                drop: if random.permille(200) { 5 } else { 0 },
                repeat: if rough { 20 } else { 0 },
                reorder: if rough { 20 } else { 0 },
            },
            disk_time: *random.pick(&[100_000, 300_000, 1_000_000, 4_000_000]),
            clocks: Vec::new(),
            crashes_in_install: if scenario == Scenario::Snapshots { 200 } else { 50 },
            codec_every: random.between(8, 24),
            must_be_strong: true,
            joiners,
            dcs,
            commands: Vec::new(),
            crashes_at_steps: 60,
            faults: Vec::new(),
            heal_at: HEAL_AT,
            clients_until: CLIENTS_UNTIL,
        };
        let chaos = scenario == Scenario::Clocks;
        plan.clocks = (0..nodes)
            .map(|_| {
                let rate = if chaos { rate(&mut random) } else { 1_000_000 + random.below(200) - 100 };
                (rate, random.below(100) as i64 - 50)
            })
            .collect();
        plan.faults = faults(&plan, &mut random);
        if is_operated {
            plan.commands = commands(&plan, &mut random);
        }
        plan
    }

    /// Nodes that are there from the beginning.
    pub fn founders(&self) -> usize {
        self.nodes - self.joiners
    }
}

/// Whether operators are at work in a seed's run.
pub fn is_operated(seed: u64) -> bool {
    seed % OPERATED_EVERY == OPERATED_EVERY - 1
}

/// What a seed is about. Where operators are at work no disk lies: replicas come, go and lose their votes, so that
/// no moment can be named at which a machine may lose everything that it has promised.
fn scenario(seed: u64) -> Scenario {
    let number = if is_operated(seed) {
        seed / OPERATED_EVERY
    } else {
        seed / OPERATED_EVERY * (OPERATED_EVERY - 1) + seed % OPERATED_EVERY
    };
    let scenario = Scenario::ALL[(number % Scenario::ALL.len() as u64) as usize];
    if is_operated(seed) && scenario == Scenario::LyingDisk { Scenario::Plain } else { scenario }
}

impl Plan {
    /// A plan with three nodes and one partition in which nothing goes wrong yet.
    pub fn calm(seed: u64) -> Self {
        let mut plan = Self::new(seed);
        (plan.scenario, plan.nodes, plan.metas, plan.partitions) = (Scenario::Plain, 3, 3, 1);
        (plan.joiners, plan.dcs) = (0, 0);
        plan.clocks = vec![(1_000_000, 0); plan.nodes];
        plan.weather = Weather { delay: 200_000, longest: 5 * MILLI, drop: 0, repeat: 0, reorder: 0 };
        plan.faults.clear();
        plan.commands.clear();
        plan.must_be_strong = false;
        plan
    }
}

fn rate(random: &mut Random) -> u64 {
    1_000_000 - RATE_SPREAD + random.below(2 * RATE_SPREAD)
}

fn commands(plan: &Plan, random: &mut Random) -> Vec<(u64, Command)> {
    let count = random.between(COMMANDS_MIN as u64 + 4, 28);
    let mut commands: Vec<(u64, Command)> = (0..count)
        .map(|_| (random.between(FAULTS_FROM / 2, HEAL_AT - 3 * SECOND), Command::any(random)))
        .collect();
    let joins = (0..plan.joiners).map(|_| (random.between(FAULTS_FROM, HEAL_AT / 2), Command::Join));
    commands.extend(joins.collect::<Vec<_>>());
    commands.sort_by_key(|(at, _)| *at);
    commands
}

fn faults(plan: &Plan, random: &mut Random) -> Vec<(u64, Fault)> {
    let nodes = plan.nodes;
    // Only one machine ever loses what it had promised: more than a minority could not be made good.
    let victim = random.below(nodes as u64) as Place;
    let count = random.between(FAULTS_MIN as u64 + 3, 15);
    let from = if random.permille(150) { SECOND / 20 } else { FAULTS_FROM };
    let mut times: Vec<u64> = (0..count).map(|_| random.between(from, HEAL_AT - 2 * SECOND)).collect();
    if from < FAULTS_FROM {
        times[..3].iter_mut().for_each(|at| *at = random.between(from, FAULTS_FROM));
    }
    times.sort_unstable();
    let mut faults: Vec<(u64, Fault)> = Vec::new();
    for (number, at) in times.into_iter().enumerate() {
        // The first four are of different kinds, so that every run has several.
        let kind = if number < 4 { number as u64 } else { random.below(14) };
        let special =
            number >= 4 && random.permille(600) || plan.scenario == Scenario::Transfers && number > 3;
        if plan.dcs > 0 && number % 4 == 3 {
            let how = *random.pick(&[Loss::Power, Loss::Processes, Loss::Network]);
            let length = random.between(SECOND, 12 * SECOND);
            faults.push((at, Fault::LoseDc(random.below(plan.dcs as u64) as usize, how, length)));
            continue;
        }
        let fault = match special {
            true => special_fault(plan, victim, random).unwrap_or_else(|| basic_fault(kind, nodes, random)),
            false => basic_fault(kind, nodes, random),
        };
        faults.push((at, fault));
    }
    if plan.scenario == Scenario::Transfers {
        for _ in 0..random.between(10, 40) {
            let at = random.between(FAULTS_FROM, HEAL_AT);
            faults.extend(special_fault(plan, victim, random).map(|fault| (at, fault)));
        }
        faults.sort_by_key(|(at, _)| *at);
    }
    faults
}

/// A fault of the seed's scenario, if it has any.
fn special_fault(plan: &Plan, victim: Place, random: &mut Random) -> Option<Fault> {
    let node = random.below(plan.nodes as u64) as Place;
    Some(match plan.scenario {
        Scenario::Plain | Scenario::RoughNetwork | Scenario::Snapshots => return None,
        Scenario::Transfers if random.permille(500) => Fault::Transfer,
        Scenario::Transfers if random.permille(200) => {
            Fault::TransferToDead(random.between(SECOND, 5 * SECOND))
        }
        Scenario::Transfers => {
            Fault::TransferAndIsolate(random.below(10 * MILLI), random.between(SECOND / 2, 2 * SECOND))
        }
        Scenario::Membership => Fault::Replace(victim),
        Scenario::LyingDisk => {
            // After a short lie the end of the log is gone and the rest is whole; after a long one it has
            // holes.
            let long = random.permille(500);
            let length =
                if long { random.between(SECOND / 2, 4 * SECOND) } else { random.below(SECOND / 10) };
            Fault::Lie(victim, length, random.between(SECOND / 10, 5 * SECOND))
        }
        Scenario::Clocks if random.permille(500) => Fault::ClockRate(node, rate(random)),
        Scenario::Clocks => {
            let far: i64 = *random.pick(&[100, 400, 2000, 60_000, 7_200_000]);
            let offset = random.below(2 * far as u64) as i64 - far;
            Fault::ClockJump(node, offset)
        }
        Scenario::WholeCluster => {
            Fault::StopAll { power: random.permille(600), within: random.between(SECOND / 10, 6 * SECOND) }
        }
        Scenario::LostStates => Fault::Harm(victim, random.between(SECOND / 10, 4 * SECOND)),
    })
}

fn basic_fault(kind: u64, nodes: usize, random: &mut Random) -> Fault {
    let node = random.below(nodes as u64) as Place;
    let other = (node + 1 + random.below(nodes as u64 - 1) as Place) % nodes;
    // Often about as long as an election, sometimes much longer.
    let short = random.between(50 * MILLI, 3 * SECOND);
    let length = if random.permille(300) { short * 3 } else { short };
    match kind {
        0 | 9 => Fault::Kill(node, length),
        1 | 10 => Fault::PowerCut(node, length),
        2 => Fault::Pause(node, length),
        3 | 11 => {
            let side = random.between(1, (1 << nodes) - 1) as u32;
            Fault::Partition(side, length)
        }
        4 => Fault::OneWay(node, other, length),
        5 => {
            let channel = *random.pick(&[Channel::Raft, Channel::Requests, Channel::Bulk]);
            Fault::Reset(node, other, channel)
        }
        6 => Fault::SlowDisk(node, random.between(50 * MILLI, 400 * MILLI), length * 2),
        7 if random.permille(500) => Fault::Isolate(node, length),
        7 => Fault::Deafen(node, length),
        12 => Fault::Forgetful(random.between(5 * MILLI, 150 * MILLI), random.between(SECOND, 3 * SECOND)),
        8 => Fault::SlowApply(node, random.between(50 * MILLI, 800 * MILLI), length * 3),
        _ => {
            let weather = Weather {
                delay: random.between(MILLI, 40 * MILLI),
                longest: SECOND,
                drop: random.below(60),
                repeat: 0,
                reorder: 0,
            };
            Fault::Weather(weather, length * 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_seed_plans_enough_faults_of_enough_kinds() {
        for seed in 0..2000 {
            let plan = Plan::new(seed);
            let kinds: BTreeSet<&str> = plan.faults.iter().map(|(_, fault)| fault.kind()).collect();
            assert!(plan.faults.len() >= FAULTS_MIN && kinds.len() >= KINDS_MIN, "seed {seed}: {kinds:?}");
        }
    }
}
